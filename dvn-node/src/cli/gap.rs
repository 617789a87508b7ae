use std::io::Write;

use alloy_primitives::B256;
use clap::Subcommand;
use dvn_core::{
    ids::{Guid, Nonce},
    packet::Header,
    ports::{Clock, Neighbours, Sighting, Store},
};
use serde_json::json;

use super::{CliError, operator};

/// What to do about packets that are held because packets before them on their path were never seen.
#[derive(Clone, Debug, Subcommand)]
#[non_exhaustive]
pub enum GapCommand {
    /// Say that all packets missing before this one are accounted for. It is signed then, if nothing else is against it.
    Explain {
        /// The guid of the packet that is held.
        guid: B256,
        /// Why nothing is hidden, for the record.
        #[arg(long)]
        reason: String,
    },
}

/// Nonces that one word explains; more of them missing is no gap but another path.
const MOST: u64 = 10_000;

/// Obeys, on a store that may be written beside a running node.
pub(super) async fn obey(
    command: GapCommand,
    store: &Store,
    clock: &dyn Clock,
    out: &mut dyn Write,
) -> Result<(), CliError> {
    let GapCommand::Explain { guid, reason } = command;
    let jobs = store.jobs.by_guid(Guid(guid)).await?;
    let Some(job) = jobs.first() else {
        return Err(CliError::UnknownPacket(guid.to_string()));
    };
    let header = job.claim.header;
    let mut explained: u64 = 0;
    while let Neighbours::Gap { first, last } = store.paths.neighbours(header.path(), header.nonce).await? {
        let missing = last.0.saturating_sub(first.0).saturating_add(1);
        if explained.saturating_add(missing) > MOST {
            return Err(CliError::LargeGap { guid: guid.to_string(), most: MOST });
        }
        // On record first, so that no gap is explained without a trace.
        record(store, clock, &header, (first, last), &reason).await?;
        let path = header.path();
        let seen: Vec<_> = (first.0..=last.0).map(|nonce| Sighting { path, nonce: Nonce(nonce) }).collect();
        store.paths.note(&seen).await?;
        explained = explained.saturating_add(missing);
    }
    if explained == 0 {
        return Err(CliError::NoGap(guid.to_string()));
    }
    Ok(writeln!(out, "explained: {explained} packets before nonce {}", header.nonce)?)
}

async fn record(
    store: &Store,
    clock: &dyn Clock,
    header: &Header,
    (first, last): (Nonce, Nonce),
    reason: &str,
) -> Result<(), CliError> {
    let detail = json!({ "first": first.0, "last": last.0, "reason": reason });
    operator::record(store, clock, "gap_explained", Some(header.guid()), detail).await
}
