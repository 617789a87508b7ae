//! Reads a range of blocks step by step and unites what the seats report, so that a log which one seat hides is still
//! found.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::RangeInclusive,
    sync::Arc,
};

use alloy::{
    primitives::{Address, B256},
    sol_types::SolEvent,
};
use dvn_core::{
    error::ChainSourceError,
    ids::{BlockNumber, BlockRef},
    job::Location,
    packet::Claim,
    ports::{Assignment, Chain, Scan, Sighting},
};

use super::{EvmSource, cover::Places, reach::Reach};
use crate::{
    call::Call,
    contracts::LegacySendUln,
    pairing::{self, Finding, Paired, Suspicion},
    panel::{Absence, Ballot, Vote},
    range,
    rpc::{Log, RpcLog},
    seat::{Seat, SeatError},
};

/// Steps of one call, so that a caller who catches up can note how far it came.
const MOST_STEPS: usize = 32;

/// What one seat says about a step: claims with their places, every packet's number on its path, and where all packets of
/// configured libraries are, whoever verifies them.
#[derive(Debug, Default)]
struct Seen {
    claims: BTreeSet<(Claim, Location)>,
    sightings: BTreeSet<Sighting>,
    places: BTreeSet<(BlockNumber, B256)>,
}

/// Reads a range, and says where the packets are that enough seats show in it.
///
/// # Errors
/// `Missing` where too few seats have the range.
pub(super) async fn scan(
    source: &EvmSource,
    range: RangeInclusive<BlockNumber>,
) -> Result<(Scan, Places), ChainSourceError> {
    let (mut from, to) = range.into_inner();
    let mut scan = Scan { assignments: Vec::new(), sightings: Vec::new(), through: from.below(1) };
    let mut places = Places::new();
    let mut steps: usize = 0;
    while from <= to && steps < MOST_STEPS {
        match step(source, from, to).await {
            Ok((part, of_part)) => {
                places.extend(of_part);
                let Scan { assignments, sightings, through } = part;
                scan.assignments.extend(assignments);
                scan.sightings.extend(sightings);
                scan.through = through;
                from = through.above(1);
                steps = steps.saturating_add(1);
            }
            // What was read before counts; the caller comes back for the rest.
            Err(error) if steps > 0 => {
                tracing::debug!(chain = source.reader.panel.chain().name, %error, "scan stops early");
                break;
            }
            Err(error) => return Err(error),
        }
    }
    Ok((scan, places))
}

/// Reads from `from` on, as far as the nodes bear.
async fn step(source: &EvmSource, from: BlockNumber, to: BlockNumber) -> Result<(Scan, Places), ChainSourceError> {
    let panel = &source.reader.panel;
    let question = |at: usize, seat: Arc<Seat>, blocks| async move {
        match source.reaches.get(at) {
            Some(reach) => seen(source, &seat, reach, blocks).await,
            None => Ok(None),
        }
    };
    let bearable = from.above(bearable(source).saturating_sub(1)).min(to);
    let through = source.stride.end(from, bearable);
    let ballot = panel
        .ask_each(|at, seat| question(at, seat, from..=through), |votes: &[Vote<Seen>]| panel.suffices(votes))
        .await;
    if !panel.suffices(&ballot.votes) {
        let is_late = ballot.absent.iter().any(|(_, absence)| matches!(absence, Absence::Late));
        if is_late || range::absent(&ballot, |error| *error == SeatError::Timeout) {
            // Perhaps there was too much to read; the caller's next try asks for less.
            source.stride.shrink(through.0.saturating_sub(from.0).saturating_add(1));
        }
        return Err(source.missing(panel.missing("logs", &ballot)));
    }
    source.stride.grow();
    Ok(united(source, through, &ballot))
}

/// Questions to one seat within one step, so that it answers before it is given up.
const MOST_QUESTIONS: u64 = 8;

/// How many blocks as many seats as must agree can read in a few questions each. Others that give less at a time are not waited
/// for.
fn bearable(source: &EvmSource) -> u64 {
    let mut blocks: Vec<u64> = source.reaches.iter().map(Reach::blocks).collect();
    blocks.sort_unstable_by_key(|blocks| std::cmp::Reverse(*blocks));
    let needed = source.reader.panel.threshold().need().saturating_sub(1);
    blocks.get(needed).map_or(1, |least| least.saturating_mul(MOST_QUESTIONS))
}

/// One seat's sightings, or nothing where it does not have the whole step yet. It is asked about as many blocks at once as it
/// bears.
async fn seen(
    source: &EvmSource,
    seat: &Seat,
    reach: &Reach,
    blocks: RangeInclusive<BlockNumber>,
) -> Result<Option<Seen>, SeatError> {
    let (mut from, to) = (*blocks.start(), *blocks.end());
    // Asked before the logs: a node that is behind answers with fewer logs and no error.
    if !seat.covers(to).await? {
        return Ok(None);
    }
    let mut seen = Seen::default();
    while from <= to {
        let end = reach.end(from, to);
        let asked = end.0.saturating_sub(from.0).saturating_add(1);
        match part(source, seat, from..=end).await {
            Ok(part) => {
                reach.grow(asked);
                seen.claims.extend(part.claims);
                seen.sightings.extend(part.sightings);
                seen.places.extend(part.places);
                from = end.above(1);
            }
            Err(error) if error.is_too_large() && reach.shrink(asked) => {}
            Err(error) => {
                if error == SeatError::Timeout {
                    reach.shrink(asked);
                }
                return Err(error);
            }
        }
    }
    Ok(Some(seen))
}

/// What one seat says about a few blocks.
async fn part(source: &EvmSource, seat: &Seat, blocks: RangeInclusive<BlockNumber>) -> Result<Seen, SeatError> {
    let (from, to) = (*blocks.start(), *blocks.end());
    let contracts = &source.reader.config.contracts;
    let mut addresses: Vec<Address> = vec![contracts.endpoint];
    addresses.extend(contracts.send_libs.iter().chain(&contracts.legacy_send_libs));
    let mut topics = pairing::TOPICS.to_vec();
    if !contracts.legacy_send_libs.is_empty() {
        topics.push(LegacySendUln::PacketSent::SIGNATURE_HASH);
    }
    let logs: Vec<RpcLog> = seat.call(Call::logs(from, to, &addresses, &topics)).await?;
    let mut transactions: BTreeMap<(BlockRef, B256), Vec<Log>> = BTreeMap::new();
    for log in logs {
        if log.is_removed() {
            continue;
        }
        let placed = log.placed()?;
        if !blocks.contains(&placed.block.number) {
            return Err(SeatError::malformed("log outside of the range that was asked for"));
        }
        transactions.entry((placed.block, placed.tx_hash)).or_default().push(placed.log);
    }
    Ok(paired(source, seat, &transactions))
}

fn paired(source: &EvmSource, seat: &Seat, transactions: &BTreeMap<(BlockRef, B256), Vec<Log>>) -> Seen {
    let chain = source.reader.panel.chain();
    let contracts = &source.reader.config.contracts;
    let mut seen = Seen::default();
    for ((block, tx_hash), logs) in transactions {
        let is_legacy =
            |log: &&Log| contracts.legacy_send_libs.contains(&log.address) && pairing::is_legacy_packet(log);
        if logs.iter().any(|log| is_legacy(&log)) {
            tracing::warn!(chain = chain.name, %tx_hash, "packet of a legacy send library is not attested");
        }
        for Paired { log_index, header, finding } in pairing::pair(chain.eid, contracts, logs) {
            seen.sightings.extend(header.map(|it| Sighting { path: it.path(), nonce: it.nonce }));
            let location = Location { src_eid: chain.eid, block: *block, tx_hash: *tx_hash, log_index };
            if !matches!(finding, Finding::Suspicious(_)) {
                seen.places.insert((block.number, *tx_hash));
            }
            match finding {
                Finding::Assigned { claim, .. } => _ = seen.claims.insert((claim, location)),
                Finding::NotAssigned { .. } => {}
                Finding::Suspicious(suspicion) => suspect(chain, seat.label(), *tx_hash, log_index, &suspicion),
            }
        }
    }
    seen
}

/// Says that a log is none that a genuine send leaves.
pub(super) fn suspect(chain: &Chain, seat: &str, tx_hash: B256, log_index: u64, suspicion: &Suspicion) {
    let labels = [("chain", chain.name.clone()), ("reason", suspicion.name().to_owned())];
    metrics::counter!("dvn_suspicious_packets_total", &labels).increment(1);
    // Libraries of other products, lzRead's for one, share the endpoint; their packets are daily business.
    if matches!(suspicion, Suspicion::UnknownLibrary(_)) {
        tracing::debug!(chain = chain.name, %tx_hash, log_index, %suspicion, "packet is left to others");
    } else {
        tracing::warn!(chain = chain.name, seat, %tx_hash, log_index, %suspicion, "suspicious packet");
    }
}

/// The union over all seats. Of a claim's several places the one that most seats name is taken.
fn united(source: &EvmSource, through: BlockNumber, ballot: &Ballot<Seen>) -> (Scan, Places) {
    let mut claims: BTreeMap<Claim, BTreeMap<Location, Vec<usize>>> = BTreeMap::new();
    let mut sightings: BTreeMap<Sighting, Vec<usize>> = BTreeMap::new();
    let mut places: BTreeMap<(BlockNumber, B256), Vec<usize>> = BTreeMap::new();
    for vote in &ballot.votes {
        for (claim, location) in &vote.value.claims {
            claims.entry(*claim).or_default().entry(*location).or_default().push(vote.seat);
        }
        for sighting in &vote.value.sightings {
            sightings.entry(*sighting).or_default().push(vote.seat);
        }
        for place in &vote.value.places {
            places.entry(*place).or_default().push(vote.seat);
        }
    }
    let is_agreed = |seats: &[usize]| source.reader.panel.electorate().shortfall(seats.iter().copied()).is_none();
    let mut assignments: Vec<Assignment> = claims
        .into_iter()
        .filter_map(|(claim, places)| {
            let (location, seats) = places.into_iter().max_by_key(|(_, seats)| seats.len())?;
            Some(Assignment { location, claim, agreed: is_agreed(&seats) })
        })
        .collect();
    assignments.sort_unstable_by_key(|it| (it.location.block.number, it.location.log_index, it.location));
    let sightings = sightings.into_iter().filter(|(_, seats)| is_agreed(seats)).map(|(sighting, _)| sighting);
    let mut agreed_places = Places::new();
    for ((block, tx_hash), _) in places.into_iter().filter(|(_, seats)| is_agreed(seats)) {
        agreed_places.entry(block).or_default().insert(tx_hash);
    }
    (Scan { assignments, sightings: sightings.collect(), through }, agreed_places)
}
