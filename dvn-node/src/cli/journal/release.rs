//! `journal release`.

use std::{io::Write, time::UNIX_EPOCH};

use alloy_primitives::{Address, B256};
use dvn_core::{
    attestation::Attestation,
    ids::{ChainTime, Confirmations, Guid, Vid},
    job::{Job, Move, State, Wake},
    ports::{Clock, Intent, JournalRow, Purpose, Store},
};
use serde_json::json;

use super::{CliError, JournalCommandError, record};

/// Lets a slot that was taken back be signed again, on a store that may be written beside a running node. The payload stays
/// the one that it always was. The packet is looked at afresh.
pub(super) async fn obey(
    guid: Guid,
    store: &Store,
    reason: &str,
    clock: &dyn Clock,
    out: &mut dyn Write,
) -> Result<(), CliError> {
    let rows = store.journal.slot(guid).await?;
    let jobs = store.jobs.by_guid(guid).await?;
    let retracted: Vec<Job> = jobs.into_iter().filter(|job| job.state == State::Retracted).collect();
    let taken_back = JournalRow::last_word(&rows).filter(|row| !row.is_release());
    let Some(basis) = taken_back.map(|row| row.intent.clone()).or_else(|| retracted.first().map(by_peers)) else {
        let signed = !rows.is_empty();
        let error = if signed { JournalCommandError::NotTakenBack } else { JournalCommandError::Unsigned };
        return Err(error(guid.0).into());
    };
    let now = clock.now();
    let seconds = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let (purpose, evidence) = (Purpose::Released, B256::ZERO);
    let intent = Intent { purpose, evidence, now: ChainTime(seconds), at: now, ..basis };
    // On record first, so that no slot is opened without a trace.
    let detail = json!({ "reason": reason, "taken_back_by_row": taken_back.map(|row| row.sequence) });
    record(store, clock, "journal_release", Some(guid), detail).await?;
    let head = store.journal.intend(&intent).await?;
    for job in retracted {
        look_again(store, job, clock).await?;
    }
    Ok(writeln!(out, "released: {guid} (row {})", head.rows)?)
}

/// What a release is based on where peers took the packet back and this node's key had no part in it.
fn by_peers(job: &Job) -> Intent {
    let (expiration, target) =
        job.signed.as_ref().map_or((ChainTime(0), Address::ZERO), |signed| (signed.expiration, signed.target));
    let confirmations = Confirmations(0);
    Intent {
        purpose: Purpose::Released,
        attestation: Attestation { claim: job.claim, confirmations, expiration, vid: Vid(0), target },
        signer: Address::ZERO,
        source_block: job.location.block.hash,
        evidence: B256::ZERO,
        now: ChainTime(0),
        at: UNIX_EPOCH,
    }
}

async fn look_again(store: &Store, mut job: Job, clock: &dyn Clock) -> Result<(), CliError> {
    job.signed = None;
    if job.apply(Move::Release, Wake::At(clock.now())).is_ok() {
        store.jobs.save(&mut job).await?;
    }
    Ok(())
}
