use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use alloy_primitives::Address;

use super::{
    reader::{Field, Section},
    scalar,
    secret_url::SecretUrl,
    service::Service,
};

/// The mirror's name in the data folder, where no other path is given.
const MIRROR: &str = "journal.head";

/// How a quorum of signatures comes together.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    /// The file in which the journal's head is kept a second time; `journal.head` in `service.data_dir` by default, which is
    /// always there, and which a restored folder brings back as well: production wants it on another disk.
    pub journal_mirror: PathBuf,
    /// The other signers of the quorum, and how they and this node reach each other; nothing for a node of its own.
    pub cosigning: Option<Cosigning>,
}

/// How the signers of one quorum reach each other.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cosigning {
    /// Where peers ask this node.
    pub listen: SocketAddr,
    /// Who this node is to them, and whom it believes.
    pub tls: Tls,
    /// The others.
    pub peers: Vec<Peer>,
}

/// PEM files for mutual TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tls {
    /// This node's certificate, whose name is `service.name`, and what leads from it to the authority.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// The authority of all nodes of the quorum.
    pub ca: PathBuf,
}

/// Another node of the quorum.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Peer {
    /// Its `service.name`, which its certificate must be for.
    pub name: String,
    /// Where it listens.
    pub url: SecretUrl,
    /// The address of its attesting key.
    pub address: Address,
}

/// `own` is this node, whose name no peer has.
pub(super) fn read(mut section: Section<'_>, own: Option<&Service>) -> Option<Signing> {
    let quorum = section.parsed("quorum", scalar::number(1..=255)).unwrap_or(1);
    let total_signers = section.parsed("total_signers", scalar::number(1..=255)).unwrap_or(1);
    if quorum > total_signers {
        section.problem_at("quorum", format!("{quorum} of {total_signers} signers can never sign"));
    }
    let (second, minute) = (Duration::from_secs(1), Duration::from_secs(60));
    let hour = minute.saturating_mul(60);
    let timeout = section
        .parsed("timeout", scalar::duration(second..=minute.saturating_mul(10)))
        .unwrap_or(second.saturating_mul(30));
    let takeover = section.parsed("takeover", scalar::duration(second..=minute)).unwrap_or(second.saturating_mul(3));
    // Calls that expire within the time to send them would be signed again and again.
    let expiration = section
        .parsed("expiration", scalar::duration(minute.saturating_mul(2)..=hour.saturating_mul(24)))
        .unwrap_or(minute.saturating_mul(15));
    let mirror = section.parsed("journal_mirror", scalar::text).map(PathBuf::from);
    let journal_mirror = own.map(|own| mirror.unwrap_or_else(|| own.data_dir.join(MIRROR)));
    if let (Some(own), Some(mirror), false) = (own, &journal_mirror, section.reader.is_dev()) {
        warn_of_what_is_not_guarded(&section, own, mirror, quorum);
    }
    let cosigning = read_cosigning(&mut section, total_signers, own.map(|own| own.name.as_str()));
    section.finish();
    let journal_mirror = journal_mirror?;
    Some(Signing { quorum, total_signers, timeout, takeover, expiration, journal_mirror, cosigning: cosigning? })
}

/// What no check of this node can make up for, for people.
fn warn_of_what_is_not_guarded(section: &Section<'_>, own: &Service, mirror: &Path, quorum: usize) {
    let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    if absolute(mirror).starts_with(absolute(&own.data_dir)) {
        let message = format!(
            "{} is inside `service.data_dir`: a copy of the folder that is put back brings both back, and nobody sees that \
             signatures are forgotten; keep it on another disk",
            mirror.display()
        );
        section.reader.warning(&section.place_at("journal_mirror"), message);
    }
    if quorum == 1 {
        let message = "with a quorum of 1 nothing fences a second host with the same key and a journal of its own: make sure \
                       that there is none, standbys included";
        section.reader.warning(&section.place_at("quorum"), message);
    }
}

/// Nothing where there are problems; nothing inside for a node of its own.
#[expect(clippy::option_option, reason = "broken is not absent")]
fn read_cosigning(section: &mut Section<'_>, total_signers: usize, own: Option<&str>) -> Option<Option<Cosigning>> {
    let given = ["peers", "tls", "listen"].into_iter().find(|key| section.has(key));
    if total_signers == 1 && given.is_none() {
        _ = (section.optional("peers"), section.optional("tls"), section.optional("listen"));
        return Some(None);
    }
    let listen = section.needed("listen", "address and port where peers ask this node to cosign", scalar::socket);
    let tls = read_tls(section.section("tls"));
    let fields = section.items("peers");
    let (have, need) = (fields.len(), total_signers.saturating_sub(1));
    if have != need {
        let message = format!("lists {have}, but {total_signers} signers are this node and {need} others");
        section.problem_at("peers", message);
    }
    let peers: Vec<_> = fields.iter().map(|field| (field, read_peer(field.section()))).collect();
    for (index, (field, peer)) in peers.iter().enumerate() {
        if let Some(peer) = peer {
            check_peer(field, peer, own, peers.iter().take(index).filter_map(|(_, before)| before.as_ref()));
        }
    }
    let peers = peers.into_iter().map(|(_, peer)| peer).collect::<Option<Vec<_>>>();
    Some(Some(Cosigning { listen: listen?, tls: tls?, peers: peers? }))
}

fn read_tls(mut tls: Section<'_>) -> Option<Tls> {
    let cert = tls.needed("cert", "the path of this node's certificate, in PEM", scalar::text);
    let key = tls.needed("key_file", "the path of the certificate's private key, in PEM", scalar::text);
    let ca = tls.needed("ca", "the path of the certificate of the nodes' authority, in PEM", scalar::text);
    tls.finish();
    Some(Tls { cert: cert?.into(), key: key?.into(), ca: ca?.into() })
}

fn read_peer(mut peer: Section<'_>) -> Option<Peer> {
    let name = peer.needed("name", "the peer's `service.name`", scalar::name);
    let url = peer.needed("url", "where the peer listens", |text| SecretUrl::parse(text, &["https"]));
    let address = peer.needed("address", "the address of the peer's attesting key", scalar::address);
    peer.finish();
    Some(Peer { name: name?, url: url?, address: address? })
}

/// Signers that are one count once, whatever the file says.
fn check_peer<'p>(field: &Field<'_>, peer: &Peer, own: Option<&str>, mut before: impl Iterator<Item = &'p Peer>) {
    if own == Some(peer.name.as_str()) {
        field.problem(format!("{} is this node's own name: a node is no peer of itself", peer.name));
    }
    if let Some(twin) = before.find(|it| it.name == peer.name || it.address == peer.address || it.url == peer.url) {
        field.problem(format!(
            "shares its name, url or address with {}: each signer is one node with one key",
            twin.name
        ));
    }
}
