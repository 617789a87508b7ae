//! The journal's rows as a chain of hashes.
//!
//! A row that was edited, removed, inserted or moved shows, except rows that were cut off at the end: a shorter journal is
//! a valid journal. That shows only against a head (count and hash, as `verify` returns them) that was kept elsewhere.

use crate::{
    codec::{CodecError, Columns, micros},
    sql::Row,
};
use alloy_primitives::B256;
use dvn_core::{
    error::{JournalError, JournalErrorKind},
    hashchain,
    ids::ChainTime,
    ports::{Intent, JournalHead, JournalRow, Purpose},
};

/// The hash of a journal's row, after the row before it: zero before the first.
///
/// [`link`](hashchain::link) over, in this order, numbers big-endian: sequence (8 bytes), header (81), payload hash (32), confirmations (8),
/// expiration (8), vid (4), target (20), signer (20), source block (32), evidence digest (32), the destination's time (8),
/// this node's time in microseconds (8, two's complement), and for any purpose but signing its name.
#[must_use]
pub fn row_hash(previous: B256, sequence: u64, intent: &Intent) -> B256 {
    let attestation = &intent.attestation;
    let fields: [&[u8]; 12] = [
        &sequence.to_be_bytes(),
        &attestation.claim.header.encode(),
        attestation.claim.payload_hash.0.as_slice(),
        &attestation.confirmations.0.to_be_bytes(),
        &attestation.expiration.0.to_be_bytes(),
        &attestation.vid.0.to_be_bytes(),
        attestation.target.as_slice(),
        intent.signer.as_slice(),
        intent.source_block.as_slice(),
        intent.evidence.as_slice(),
        &intent.now.0.to_be_bytes(),
        &micros(intent.at).to_be_bytes(),
    ];
    let purpose = Some(intent.purpose).filter(|purpose| *purpose != Purpose::Sign).map(|it| it.name().as_bytes());
    hashchain::link(previous, fields.into_iter().chain(purpose))
}

/// A row and the hash before it. Its own hash is computed again, so that an edited row is never decided by.
pub(super) fn read(row: &Row) -> Result<(JournalRow, B256), JournalError> {
    let (read, previous, guid) = columns(Columns(row)).map_err(|error| {
        let sequence = Columns(row).count("sequence").unwrap_or_default();
        tampered(sequence).caused_by(error)
    })?;
    let genuine = read.row_hash == row_hash(previous, read.sequence, &read.intent)
        && guid == read.intent.attestation.claim.header.guid().0;
    if genuine { Ok((read, previous)) } else { Err(tampered(read.sequence)) }
}

/// The head after this row, if it is genuine and the one that follows `head`.
pub(super) fn follow(row: &Row, head: JournalHead) -> Result<JournalHead, JournalError> {
    let (row, previous) = read(row)?;
    let next = head.rows.saturating_add(1);
    if row.sequence != next || previous != head.hash {
        return Err(tampered(next));
    }
    Ok(JournalHead { rows: next, hash: row.row_hash })
}

fn columns(columns: Columns<'_>) -> Result<(JournalRow, B256, B256), CodecError> {
    let intent = Intent {
        purpose: Purpose::from_name(columns.any("purpose")?).ok_or(CodecError::Value("purpose"))?,
        // The header is NULL, and thereby an error, where the slot is gone or has another payload.
        attestation: columns.attestation()?,
        signer: columns.address("signer")?,
        source_block: columns.hash("source_block")?,
        evidence: columns.hash("evidence")?,
        now: ChainTime(columns.number("chain_time")?),
        at: columns.time("at")?,
    };
    let row = JournalRow {
        sequence: columns.count("sequence")?,
        intent,
        signature: columns.optional("signature", Columns::bytes)?,
        row_hash: columns.hash("row_hash")?,
    };
    Ok((row, columns.hash("prev_hash")?, columns.hash("guid")?))
}

fn tampered(sequence: u64) -> JournalError {
    JournalError::new(JournalErrorKind::Tampered).because(format!("row {sequence} is not as it was written"))
}
