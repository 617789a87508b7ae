//! Rows and documents as lines of JSON, in the format of docs/audit.md.

use alloy_primitives::B256;
use dvn_core::{
    ids::Guid,
    ports::{AuditEntry, AuditHead, AuditRow, EvidenceBundle, OldEvidence},
};
use dvn_store::audit_row_hash;
use serde::{Deserialize, Serialize};

use crate::time::{MicroStamp, from_micros, micros};

/// One line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub(super) enum Line {
    Audit(Row),
    Evidence(Document),
}

/// A row with everything that its hash is over, and the hashes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Row {
    pub(super) sequence: u64,
    /// For people; what is hashed is the number.
    at: String,
    at_micros: i64,
    actor: String,
    action: String,
    guid: Option<B256>,
    evidence: Option<B256>,
    /// A text that holds JSON, to the byte as it was hashed.
    detail: String,
    pub(super) prev_hash: B256,
    pub(super) row_hash: B256,
}

/// Evidence of a packet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Document {
    pub(super) digest: B256,
    guid: B256,
    at: String,
    at_micros: i64,
    /// A text that holds JSON, to the byte as it was hashed.
    document: String,
}

impl From<&AuditRow> for Row {
    fn from(row: &AuditRow) -> Self {
        let entry = &row.entry;
        Self {
            sequence: row.sequence,
            at: MicroStamp(entry.at).to_string(),
            at_micros: i64::try_from(micros(entry.at)).unwrap_or(i64::MAX),
            actor: entry.actor.clone(),
            action: entry.action.clone(),
            guid: entry.guid.map(|guid| guid.0),
            evidence: entry.evidence,
            detail: entry.detail.clone(),
            prev_hash: row.prev_hash,
            row_hash: row.row_hash,
        }
    }
}

impl Row {
    pub(super) const fn head(&self) -> AuditHead {
        AuditHead { rows: self.sequence, hash: self.row_hash }
    }

    /// Whether its hash is over its content.
    pub(super) fn is_genuine(&self) -> bool {
        let Some(at) = from_micros(self.at_micros) else { return false };
        let entry = AuditEntry {
            at,
            actor: self.actor.clone(),
            action: self.action.clone(),
            guid: self.guid.map(Guid),
            evidence: self.evidence,
            detail: self.detail.clone(),
        };
        audit_row_hash(self.prev_hash, self.sequence, &entry) == self.row_hash
    }

    /// Whether it is genuine and the one that follows.
    pub(super) fn follows(&self, head: AuditHead) -> bool {
        self.sequence == head.rows.saturating_add(1) && self.prev_hash == head.hash && self.is_genuine()
    }
}

impl From<&OldEvidence> for Document {
    fn from(old: &OldEvidence) -> Self {
        Self {
            digest: old.bundle.digest(),
            guid: old.guid.0,
            at: MicroStamp(old.at).to_string(),
            at_micros: i64::try_from(micros(old.at)).unwrap_or(i64::MAX),
            document: old.bundle.json().to_owned(),
        }
    }
}

impl Document {
    /// Whether its digest is over its content.
    pub(super) fn is_genuine(&self) -> bool {
        EvidenceBundle::new(self.document.as_str()).digest() == self.digest
    }
}
