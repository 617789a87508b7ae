use std::{fmt, time::SystemTime};

use alloy_primitives::B256;
use async_trait::async_trait;
use serde_json::{Value, json};

use crate::{error::StoreError, ids::Guid};

/// Something that was decided.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a plain record")]
pub struct AuditEntry {
    /// When.
    pub at: SystemTime,
    /// Which part decided: listener, verifier, attestor, cosigner, submitter, auditor, engine, operator.
    pub actor: String,
    /// What it decided, as a stable word.
    pub action: String,
    /// The packet, where it is about one.
    pub guid: Option<Guid>,
    /// Digest of the document that it was decided by, where there is one.
    pub evidence: Option<B256>,
    /// Inputs and reasons as a JSON object, without secrets.
    pub detail: String,
}

/// An entry as it stands in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a plain record")]
pub struct AuditRow {
    /// Position, from 1, without gaps.
    pub sequence: u64,
    /// What was decided.
    pub entry: AuditEntry,
    /// Hash of the row before; zero before the first.
    pub prev_hash: B256,
    /// Hash over the row before and this row's content.
    pub row_hash: B256,
}

/// A point of the log: its newest row, or the last one that was cut off; zero where there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_structs, reason = "a plain pair")]
pub struct AuditHead {
    /// The row's position, which is how many rows there ever were up to it.
    pub rows: u64,
    /// The row's hash.
    pub hash: B256,
}

/// Which rows are wanted. Nothing set means all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a plain record with a default")]
pub struct AuditQuery {
    /// Packets that this application sends or receives, as the 32 bytes of the endpoint.
    pub oapp: Option<B256>,
    /// One packet.
    pub guid: Option<Guid>,
    /// Which part decided.
    pub actor: Option<String>,
    /// What it decided.
    pub action: Option<String>,
    /// From this time on.
    pub since: Option<SystemTime>,
    /// Before this time.
    pub until: Option<SystemTime>,
    /// After this position.
    pub after: u64,
    /// At most so many, the oldest first.
    pub limit: usize,
}

impl Default for AuditQuery {
    fn default() -> Self {
        let (oapp, guid, actor, action, since, until) = (None, None, None, None, None, None);
        Self { oapp, guid, actor, action, since, until, after: 0, limit: usize::MAX }
    }
}

/// Rows that retention takes out of the log, the oldest ones, once they are in an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a plain record")]
pub struct AuditCut {
    /// The last row that goes.
    pub through: AuditHead,
    /// `keccak256` of the archive that holds them.
    pub archive: B256,
}

impl AuditCut {
    /// The word of the row that tells a cut.
    pub const ACTION: &'static str = "audit_pruned";

    /// The row that tells it, with who wanted it and why.
    #[must_use]
    pub fn entry(&self, at: SystemTime, user: &str, reason: &str) -> AuditEntry {
        let detail = json!({
            "through": self.through.rows,
            "hash": self.through.hash,
            "archive": self.archive,
            "user": user,
            "reason": reason,
        });
        AuditEntry {
            at,
            actor: "operator".to_owned(),
            action: Self::ACTION.to_owned(),
            guid: None,
            evidence: Some(self.archive),
            detail: detail.to_string(),
        }
    }

    /// Whether a row tells this very cut.
    #[must_use]
    pub fn is_told_by(&self, entry: &AuditEntry) -> bool {
        let told: Value = serde_json::from_str(&entry.detail).unwrap_or_default();
        entry.action == Self::ACTION
            && entry.evidence == Some(self.archive)
            && told.get("through") == Some(&json!(self.through.rows))
            && told.get("hash") == Some(&json!(self.through.hash))
    }
}

/// The record of every decision, each row chained to the one before.
#[async_trait]
pub trait AuditLog: fmt::Debug + Send + Sync {
    /// Appends entries in order, all or none, synced to disk.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn append(&self, entries: &[AuditEntry]) -> Result<(), StoreError>;

    /// All rows of a packet, oldest first.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn of_packet(&self, guid: Guid) -> Result<Vec<AuditRow>, StoreError>;

    /// Up to `limit` rows after this position, oldest first, as they are written there.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn rows(&self, after: u64, limit: usize) -> Result<Vec<AuditRow>, StoreError>;

    /// Rows that fit a query, oldest first.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn query(&self, query: &AuditQuery) -> Result<Vec<AuditRow>, StoreError>;

    /// The newest row as it is written there, without computing anything again.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn head(&self) -> Result<AuditHead, StoreError>;

    /// The last row that retention cut off, after which the log begins; zero where nothing was.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn base(&self) -> Result<AuditHead, StoreError>;

    /// Recomputes the chain from the base on and returns its head. Rows that were cut off at the end do not show: compare with
    /// a head that was kept elsewhere.
    ///
    /// # Errors
    /// [`StoreErrorKind::Corrupt`](crate::error::StoreErrorKind::Corrupt) names the first row that does not fit.
    async fn verify(&self) -> Result<AuditHead, StoreError>;

    /// Takes the rows up to a point out of the log and tells it by `entry`, a row that is durable first. The caller has
    /// them in an archive that is synced and verified. Returns how many rows were removed.
    ///
    /// # Errors
    /// [`StoreError`]; [`StoreErrorKind::Conflict`](crate::error::StoreErrorKind::Conflict) where the point is no row of the
    /// log that is above its base, or the entry does not tell this cut, and then nothing is removed.
    ///
    /// # Cancel safety
    /// A cut that was told and not finished is finished by the next one; its rows count as gone.
    async fn cut(&self, cut: &AuditCut, entry: &AuditEntry) -> Result<u64, StoreError>;
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    #[test]
    fn a_cut_is_told_by_its_own_row_alone() {
        let through = AuditHead { rows: 7, hash: B256::repeat_byte(7) };
        let cut = AuditCut { through, archive: B256::repeat_byte(9) };
        let entry = cut.entry(UNIX_EPOCH, "root (uid 0)", "old");
        assert!(cut.is_told_by(&entry), "{entry:?}");
        let others = [
            AuditCut { through: AuditHead { rows: 8, ..through }, ..cut },
            AuditCut { through: AuditHead { hash: B256::ZERO, ..through }, ..cut },
            AuditCut { archive: B256::ZERO, ..cut },
        ];
        for other in others {
            assert!(!other.is_told_by(&entry), "{other:?}");
        }
        assert!(!cut.is_told_by(&AuditEntry { action: "halt".to_owned(), ..entry }));
    }
}
