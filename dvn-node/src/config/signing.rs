use std::time::Duration;

use super::{reader::Section, scalar, secret_url::SecretUrl};

/// How a quorum of signatures comes together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Signing {
    /// Signatures that the DVN contracts ask for; 1 by default, a node of its own.
    pub quorum: usize,
    /// Nodes that sign; 1 by default.
    pub total_signers: usize,
    /// To collect a quorum; 30 s by default, several times what a slow device takes.
    pub timeout: Duration,
    /// Until the next in rank proposes; 3 s by default, well above one round of questions to a chain.
    pub takeover: Duration,
    /// How long what is signed stays valid on the destination; 15 min by default, enough for a congested chain and short
    /// beside the time in which an operator would want signatures to be dead.
    pub expiration: Duration,
}

pub(super) fn read(mut section: Section<'_>) -> Option<Signing> {
    let quorum = section.parsed("quorum", scalar::number(1..=255)).unwrap_or(1);
    let total_signers = section.parsed("total_signers", scalar::number(1..=255)).unwrap_or(1);
    if quorum > total_signers {
        section.problem_at("quorum", format!("{quorum} of {total_signers} signers can never sign"));
    }
    let (second, minute) = (Duration::from_secs(1), Duration::from_secs(60));
    let hour = minute.saturating_mul(60);
    let signing = Signing {
        quorum,
        total_signers,
        timeout: section
            .parsed("timeout", scalar::duration(second..=minute.saturating_mul(10)))
            .unwrap_or(second.saturating_mul(30)),
        takeover: section.parsed("takeover", scalar::duration(second..=minute)).unwrap_or(second.saturating_mul(3)),
        // Calls that expire within the time to send them would be signed again and again.
        expiration: section
            .parsed("expiration", scalar::duration(minute.saturating_mul(2)..=hour.saturating_mul(24)))
            .unwrap_or(minute.saturating_mul(15)),
    };
    let peers = read_peers(&mut section, total_signers);
    if quorum > 1 || total_signers > 1 || peers {
        let message = "cosigning with peers is not in this build: write `quorum: 1` and `total_signers: 1`, \
                       and remove `listen`, `tls` and `peers`";
        section.reader.problem(&section.place, message);
    }
    section.finish();
    Some(signing)
}

/// Checks what concerns peers; says whether anything does.
fn read_peers(section: &mut Section<'_>, total_signers: usize) -> bool {
    let any = ["peers", "tls", "listen"].iter().any(|key| section.has(key));
    section.parsed("listen", scalar::socket);
    if let Some(mut tls) = section.given_section("tls") {
        for key in ["cert", "key_file", "ca"] {
            tls.needed(key, "the path of a PEM file", scalar::text);
        }
        tls.finish();
    }
    if section.has("peers") {
        let peers = section.items("peers");
        let (have, need) = (peers.len(), total_signers.saturating_sub(1));
        if have != need {
            section.problem_at(
                "peers",
                format!("lists {have}, but {total_signers} signers are this node and {need} others"),
            );
        }
        for peer in peers {
            read_peer(peer.section());
        }
    }
    any
}

fn read_peer(mut peer: Section<'_>) {
    peer.needed("name", "the peer's `service.name`", scalar::name);
    peer.needed("url", "where the peer listens", |text| SecretUrl::parse(text, &["https"]));
    peer.needed("address", "the address of the peer's attesting key", scalar::address);
    peer.finish();
}
