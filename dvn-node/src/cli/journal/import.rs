//! `journal import`.

use std::{
    collections::{BTreeMap, HashSet, btree_map::Entry},
    io::Write,
};

use alloy_primitives::{Address, B256};
use dvn_core::{
    attestation::Attestation,
    ids::Guid,
    ports::{Clock, Intent, Journal, JournalRow, Purpose, Store},
};
use serde_json::json;

use super::{CliError, JournalCommandError, document::Document, record};

/// What an import would do.
struct Plan {
    /// Signed there and not known here, in the file's order.
    new: Vec<Intent>,
    /// Known here.
    known: usize,
    /// Slots that were released there: they stay closed here.
    released: usize,
}

/// Appends what is missing. Everything is checked before anything is written.
pub(super) async fn obey(
    document: Document,
    store: &Store,
    reason: &str,
    clock: &dyn Clock,
    out: &mut dyn Write,
) -> Result<(), CliError> {
    let Plan { new, known, released } = plan(&document, &*store.journal).await?;
    let Document { journal, head, .. } = document;
    let detail = json!({
        "reason": reason, "journal": journal, "rows": head.rows, "head": head.hash,
        "new": new.len(), "known": known, "released": released,
    });
    record(store, clock, "journal_import", None, detail).await?;
    for intent in &new {
        store.journal.intend(&Intent { at: clock.now(), ..intent.clone() }).await?;
    }
    writeln!(out, "imported {} rows of journal {journal}; {known} were known", new.len())?;
    if released > 0 {
        writeln!(
            out,
            "{released} rows that released a packet were left out: release it here if it should be signed again"
        )?;
    }
    Ok(())
}

/// What a slot holds, and who said so first.
#[derive(Clone, Copy)]
struct Slot {
    payload: B256,
    row: u64,
    is_ours: bool,
}

impl Slot {
    fn of(row: &JournalRow, is_ours: bool) -> Self {
        Self { payload: row.intent.attestation.claim.payload_hash.0, row: row.sequence, is_ours }
    }
}

async fn plan(document: &Document, journal: &dyn Journal) -> Result<Plan, CliError> {
    let mut plan = Plan { new: Vec::new(), known: 0, released: 0 };
    let mut slots: BTreeMap<Guid, Slot> = BTreeMap::new();
    let mut signed: HashSet<(Attestation, Address)> = HashSet::new();
    for row in &document.rows {
        let guid = row.intent.attestation.claim.header.guid();
        let slot = match slots.entry(guid) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(unknown) => {
                let ours = journal.slot(guid).await?;
                signed.extend(ours.iter().filter(|row| !is_release(row)).map(key));
                let first = ours.first().map(|row| Slot::of(row, true));
                *unknown.insert(first.unwrap_or_else(|| Slot::of(row, false)))
            }
        };
        refuse_second_payload(guid, row, slot, &document.journal)?;
        if is_release(row) {
            plan.released = plan.released.saturating_add(1);
        } else if signed.insert(key(row)) {
            // Its evidence stays where it is.
            plan.new.push(Intent { purpose: Purpose::Recovered, evidence: B256::ZERO, ..row.intent.clone() });
        } else {
            plan.known = plan.known.saturating_add(1);
        }
    }
    Ok(plan)
}

fn refuse_second_payload(guid: Guid, row: &JournalRow, slot: Slot, journal: &B256) -> Result<(), JournalCommandError> {
    let (guid, theirs) = (guid.0, Slot::of(row, false));
    if slot.payload == theirs.payload {
        return Ok(());
    }
    let (ours, our_row, their_row) = (slot.payload, slot.row, theirs.row);
    Err(if slot.is_ours {
        JournalCommandError::Conflict { guid, ours, our_row, theirs: theirs.payload, their_row }
    } else {
        let problem =
            format!("rows {our_row} and {their_row} of journal {journal} have two payloads for packet {guid}");
        JournalCommandError::Contradictory { problem }
    })
}

fn is_release(row: &JournalRow) -> bool {
    row.intent.purpose == Purpose::Released
}

/// What makes two rows the same signature.
fn key(row: &JournalRow) -> (Attestation, Address) {
    (row.intent.attestation, row.intent.signer)
}
