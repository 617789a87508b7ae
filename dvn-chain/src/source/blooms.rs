//! Finds packets without asking for logs: a block whose header's bloom cannot hold a packet of the endpoint holds none, and
//! one that can is taken whole by its receipts root. Headers come with the heads, so that an idle block costs nothing more,
//! and no seat can hide a log.

use std::ops::RangeInclusive;

use alloy::sol_types::SolEvent;
use dvn_core::{
    ids::{BlockNumber, BlockRef},
    job::Location,
    ports::{Assignment, Scan, Sighting},
};

use super::{EvmSource, cover};
use crate::{contracts::Endpoint, headers::Headers, pairing::Finding, panel::PanelError, receipts::Reading};

/// Longer ranges are cheaper by logs.
const MOST_BLOCKS: u64 = 256;
/// Headers that are fetched for one range, one call each; beyond, logs are cheaper.
const MOST_FETCHED: usize = 32;

/// The range's packets, or nothing where it has to be read by logs: headers prove nothing here, the range is long, or the
/// blocks' receipts cannot be had.
pub(super) async fn scan(source: &EvmSource, range: &RangeInclusive<BlockNumber>) -> Option<Scan> {
    let headers = source.reader.headers.as_deref()?;
    let (from, to) = (*range.start(), *range.end());
    if from > to || to.0.saturating_sub(from.0) >= MOST_BLOCKS {
        return None;
    }
    let (top, agreed) = top(source, to).await?;
    match read(source, headers, top, from, agreed).await {
        Ok(scan) => scan,
        Err(error) => {
            tracing::debug!(chain = source.reader.panel.chain().name, %error, "range is read by logs");
            None
        }
    }
}

/// The block at the range's end, and whether enough seats stand behind it.
async fn top(source: &EvmSource, to: BlockNumber) -> Option<(BlockRef, bool)> {
    let reader = &source.reader;
    // Beyond the newest block that enough seats have, nothing counts as read.
    let (_, anchor) = reader.heads.current().filter(|(head, _)| to <= head.latest)?;
    if to <= anchor.number {
        return Some((reader.settled_block(anchor, to).await.ok()?, true));
    }
    // Above the final block it is only a hint; the branch that most seats are on gives the best one.
    reader.branch(to)
}

/// Walks down from `top` to `from`; nothing where too many headers would have to be fetched.
async fn read(
    source: &EvmSource,
    headers: &Headers,
    top: BlockRef,
    from: BlockNumber,
    agreed: bool,
) -> Result<Option<Scan>, PanelError> {
    let contracts = &source.reader.config.contracts;
    let takes_all = cover::takes_all(source, &(from..=top.number));
    let mut scan = Scan { assignments: Vec::new(), sightings: Vec::new(), through: top.number };
    let (mut at, mut fetched): (BlockRef, usize) = (top, 0);
    loop {
        if headers.known(at.hash).is_none() {
            fetched = fetched.saturating_add(1);
            if fetched > MOST_FETCHED {
                return Ok(None);
            }
        }
        let header = headers.fetched(&source.reader.panel, at.hash).await?;
        if takes_all || header.may_hold_log(contracts.endpoint, Endpoint::PacketSent::SIGNATURE_HASH) {
            let Some(reading) = source.reader.receipts.proven_block(at).await else {
                return Ok(None);
            };
            let reading = reading?.value;
            take(source, &mut scan, at, &reading, agreed);
            source.reader.read_states(at, &source.reader.packets(&reading)).await;
        }
        if at.number <= from {
            break;
        }
        at = BlockRef { number: at.number.below(1), hash: header.parent_hash };
    }
    scan.assignments.sort_unstable_by_key(|it| (it.location.block.number, it.location.log_index));
    Ok(Some(scan))
}

fn take(source: &EvmSource, scan: &mut Scan, block: BlockRef, reading: &Reading, agreed: bool) {
    let chain = source.reader.panel.chain();
    for (tx_hash, logs) in reading.logs() {
        // A transaction that failed has no logs; one that says otherwise is none of the endpoint's.
        if logs.status != Some(1) {
            continue;
        }
        for paired in source.reader.paired(logs) {
            if agreed {
                let sighting = paired.header.map(|it| Sighting { path: it.path(), nonce: it.nonce });
                scan.sightings.extend(sighting);
            }
            match paired.finding {
                Finding::Assigned { claim, .. } => {
                    let (src_eid, tx_hash, log_index) = (chain.eid, *tx_hash, paired.log_index);
                    let location = Location { src_eid, block, tx_hash, log_index };
                    scan.assignments.push(Assignment { location, claim, agreed });
                }
                Finding::NotAssigned { .. } => {}
                Finding::Suspicious(suspicion) => {
                    super::scan::suspect(chain, "proven", *tx_hash, paired.log_index, &suspicion);
                }
            }
        }
    }
}
