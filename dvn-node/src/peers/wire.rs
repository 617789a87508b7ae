//! What goes over the wire, in JSON. Hashes are hex with prefix, numbers are numbers.

mod journal;
mod retraction;

use std::collections::BTreeMap;

use alloy_primitives::{Address, B256, Signature, hex};
use dvn_core::{
    error::{CosignError, CosignErrorKind},
    ids::{BlockNumber, BlockRef, ChainTime, Confirmations, Eid},
    job::Location,
    ports::Proposal,
};
use serde::{Deserialize, Serialize};

pub(super) use self::{
    journal::{Look, ShownJournal},
    retraction::AskedBack,
};

/// Longest request or answer, in bytes; real ones are far below.
pub(super) const MOST_BYTES: usize = 16 * 1024;

pub(super) const COSIGN: &str = "/v1/cosign";
pub(super) const RETRACT: &str = "/v1/retract";
pub(super) const HEALTH: &str = "/v1/health";

/// A proposal as a peer makes it.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    src_eid: u32,
    block: u64,
    block_hash: B256,
    tx_hash: B256,
    log_index: u64,
    dst_eid: u32,
    confirmations: u64,
    expiration: u64,
    /// The proposer's own.
    journal: ShownJournal,
}

impl Asked {
    pub(super) fn new(proposal: &Proposal, journal: ShownJournal) -> Self {
        let Location { src_eid, block, tx_hash, log_index } = proposal.location;
        Self {
            src_eid: src_eid.0,
            block: block.number.0,
            block_hash: block.hash,
            tx_hash,
            log_index,
            dst_eid: proposal.dst_eid.0,
            confirmations: proposal.confirmations.0,
            expiration: proposal.expiration.0,
            journal,
        }
    }

    /// The packet's place and its destination.
    pub(super) const fn place(&self) -> (Location, u32) {
        let block = BlockRef { number: BlockNumber(self.block), hash: self.block_hash };
        let (src_eid, tx_hash, log_index) = (Eid(self.src_eid), self.tx_hash, self.log_index);
        (Location { src_eid, block, tx_hash, log_index }, self.dst_eid)
    }

    /// What is proposed.
    pub(super) const fn proposal(&self) -> Proposal {
        let (location, dst_eid) = self.place();
        Proposal {
            location,
            dst_eid: Eid(dst_eid),
            confirmations: Confirmations(self.confirmations),
            expiration: ChainTime(self.expiration),
        }
    }

    /// The proposer's journal as it shows it.
    pub(super) const fn journal(&self) -> ShownJournal {
        self.journal
    }
}

/// One signature.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Given {
    /// 65 bytes r ‖ s ‖ v.
    signature: String,
}

impl Given {
    pub(super) fn new(signature: &Signature) -> Self {
        Self { signature: hex::encode_prefixed(signature.as_bytes()) }
    }

    /// Nothing where it is no signature at all.
    pub(super) fn signature(&self) -> Option<Signature> {
        let bytes: [u8; 65] = hex::decode_to_array(&self.signature).ok()?;
        Signature::from_raw_array(&bytes).ok()
    }
}

/// Why there is none.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Refused {
    /// A kind of [`CosignErrorKind`], or a word that a later release may use.
    refused: String,
    /// For people.
    #[serde(default)]
    reason: String,
}

impl Refused {
    pub(super) fn new(error: &CosignError) -> Self {
        Self { refused: error.kind().name().to_owned(), reason: error.to_string() }
    }

    /// The peer's refusal as it concerns this node: a peer's word halts nothing here and holds no packet.
    pub(super) fn into_error(self) -> CosignError {
        let kind = match self.refused.as_str() {
            "NotYet" => CosignErrorKind::NotYet,
            "Halted" | "Contradiction" => CosignErrorKind::Halted,
            "Refused" | "Equivocation" => CosignErrorKind::Refused,
            _ => CosignErrorKind::Unavailable,
        };
        // A peer may be in wrong hands: what it says is shown, within bounds, and nothing is made of it.
        let reason: String = self.reason.chars().filter(|c| !c.is_control()).take(300).collect();
        CosignError::new(kind).because(format!("the peer says {}: {reason}", word(&self.refused)))
    }

    /// Whether the peer says that somebody lies or that two payloads are about.
    pub(super) fn is_alarm(&self) -> bool {
        matches!(self.refused.as_str(), "Contradiction" | "Equivocation")
    }

    /// Its kind, fit for a metric's label.
    pub(super) fn kind(&self) -> String {
        word(&self.refused)
    }
}

fn word(text: &str) -> String {
    text.chars().filter(char::is_ascii_alphanumeric).take(32).collect()
}

/// That a peer is there, and who it is.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Health {
    pub(super) name: String,
    /// The address of its `hsm` key.
    pub(super) signer: Address,
    /// Those of destinations that have a key of their own there, by eid.
    #[serde(default)]
    pub(super) others: BTreeMap<u32, Address>,
    pub(super) journal: ShownJournal,
    /// The hash of the row that was asked about; nothing where there is no such row.
    #[serde(default)]
    pub(super) row_hash: Option<B256>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proposal_survives_the_wire() {
        let block = BlockRef { number: BlockNumber(7), hash: B256::repeat_byte(1) };
        let location = Location { src_eid: Eid(30_101), block, tx_hash: B256::repeat_byte(2), log_index: 3 };
        let proposal = Proposal {
            location,
            dst_eid: Eid(30_212),
            confirmations: Confirmations(15),
            expiration: ChainTime(u64::MAX),
        };
        let journal = ShownJournal { id: B256::repeat_byte(4), rows: u64::MAX, head: B256::repeat_byte(5) };
        let text = serde_json::to_string(&Asked::new(&proposal, journal)).unwrap();
        let asked: Asked = serde_json::from_str(&text).unwrap();
        assert_eq!(asked.journal(), journal);
        assert_eq!(asked.proposal(), proposal);
        for field in ["log_index", "journal", "rows"] {
            assert!(serde_json::from_str::<Asked>(&text.replace(field, "call_data")).is_err(), "{field}");
        }
    }

    #[test]
    fn a_peers_alarm_neither_halts_nor_holds() {
        for (theirs, ours) in [
            (CosignErrorKind::NotYet, CosignErrorKind::NotYet),
            (CosignErrorKind::Unavailable, CosignErrorKind::Unavailable),
            (CosignErrorKind::Halted, CosignErrorKind::Halted),
            (CosignErrorKind::Refused, CosignErrorKind::Refused),
            (CosignErrorKind::Equivocation, CosignErrorKind::Refused),
            (CosignErrorKind::Contradiction, CosignErrorKind::Halted),
            (CosignErrorKind::Key, CosignErrorKind::Unavailable),
            (CosignErrorKind::Bug, CosignErrorKind::Unavailable),
        ] {
            let refused = Refused::new(&CosignError::new(theirs));
            assert_eq!(refused.into_error().kind(), ours, "{theirs:?}");
        }
        let odd = Refused { refused: "x\n{}".to_owned(), reason: "\u{1b}[31m".repeat(1_000) };
        let told = odd.into_error().to_string();
        assert!(told.len() < 2_000 && !told.contains('\u{1b}'));
    }

    #[test]
    fn what_is_no_signature_is_none() {
        for text in ["", "0x", "0x00", "zz"] {
            assert!(Given { signature: text.to_owned() }.signature().is_none());
        }
    }
}
