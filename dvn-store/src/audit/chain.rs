//! The audit log's rows as a chain of hashes.

use crate::{
    codec::{CodecError, Columns, micros},
    sql::Row,
};
use alloy_primitives::B256;
use dvn_core::{
    error::{StoreError, StoreErrorKind},
    hashchain,
    ids::Guid,
    ports::{AuditEntry, AuditHead, AuditRow},
};

/// The hash of a row of the audit log, after the row before it: zero before the first.
///
/// [`link`](hashchain::link) over, in this order: sequence (8 bytes), time in microseconds since 1970 (8 bytes, two's complement),
/// actor, action, guid (32 bytes, or none where the row is about no packet), detail, and, only where the row has one, the digest
/// of its evidence (32 bytes). Numbers are big-endian, texts are UTF-8.
#[must_use]
pub fn audit_row_hash(previous: B256, sequence: u64, entry: &AuditEntry) -> B256 {
    let fields: [&[u8]; 6] = [
        &sequence.to_be_bytes(),
        &micros(entry.at).to_be_bytes(),
        entry.actor.as_bytes(),
        entry.action.as_bytes(),
        entry.guid.as_ref().map_or(&[], |guid| guid.0.as_slice()),
        entry.detail.as_bytes(),
    ];
    hashchain::link(previous, fields.into_iter().chain(entry.evidence.as_ref().map(B256::as_slice)))
}

pub(super) fn read(row: &Row) -> Result<AuditRow, CodecError> {
    let columns = Columns(row);
    let entry = AuditEntry {
        at: columns.time("at")?,
        actor: columns.any("actor")?,
        action: columns.any("action")?,
        guid: columns.optional("guid", Columns::hash)?.map(Guid),
        evidence: columns.optional("evidence", Columns::hash)?,
        detail: columns.any("detail")?,
    };
    let (prev_hash, row_hash) = (columns.hash("prev_hash")?, columns.hash("row_hash")?);
    Ok(AuditRow { sequence: columns.count("sequence")?, entry, prev_hash, row_hash })
}

/// The row, if it is genuine and the one that follows `head`.
pub(super) fn follow(row: &Row, head: AuditHead) -> Result<AuditRow, StoreError> {
    let sequence = head.rows.saturating_add(1);
    let row = read(row).map_err(|error| broken(sequence).caused_by(error))?;
    let expected = audit_row_hash(head.hash, sequence, &row.entry);
    let follows = row.sequence == sequence && row.prev_hash == head.hash && row.row_hash == expected;
    if follows { Ok(row) } else { Err(broken(sequence)) }
}

fn broken(sequence: u64) -> StoreError {
    corrupt(format!(
        "audit log breaks at row {sequence}: it was edited, moved or removed, or another one was put there"
    ))
}

pub(super) fn corrupt(detail: String) -> StoreError {
    StoreError::new(StoreErrorKind::Corrupt).because(detail)
}
