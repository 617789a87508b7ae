//! `journal release`.

use std::{io::Write, time::UNIX_EPOCH};

use alloy_primitives::B256;
use dvn_core::{
    ids::{ChainTime, Guid},
    ports::{Clock, Intent, JournalRow, Purpose, Store},
};
use serde_json::json;

use super::{CliError, JournalCommandError, record};

/// Lets a slot that was taken back be signed again, on a store that may be written beside a running node. The payload stays
/// the one that it always was.
pub(super) async fn obey(
    guid: Guid,
    store: &Store,
    reason: &str,
    clock: &dyn Clock,
    out: &mut dyn Write,
) -> Result<(), CliError> {
    let rows = store.journal.slot(guid).await?;
    if rows.is_empty() {
        return Err(JournalCommandError::Unsigned(guid.0).into());
    }
    let taken_back = taken_back(&rows).ok_or(JournalCommandError::NotTakenBack(guid.0))?;
    let now = clock.now();
    let seconds = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let intent = Intent {
        purpose: Purpose::Released,
        evidence: B256::ZERO,
        now: ChainTime(seconds),
        at: now,
        ..taken_back.intent.clone()
    };
    // On record first, so that no slot is opened without a trace.
    let detail = json!({ "reason": reason, "taken_back_by_row": taken_back.sequence });
    record(store, clock, "journal_release", Some(guid), detail).await?;
    let head = store.journal.intend(&intent).await?;
    Ok(writeln!(out, "released: {guid} (row {})", head.rows)?)
}

/// The row that took a slot back, if no release came after it.
fn taken_back(rows: &[JournalRow]) -> Option<&JournalRow> {
    let mut words = rows.iter().rev();
    let last = words.find(|row| row.intent.purpose == Purpose::Released || row.intent.attestation.is_retraction());
    last.filter(|row| row.intent.purpose != Purpose::Released)
}
