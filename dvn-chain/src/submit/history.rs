//! What the destination shows in the name of our DVN contract: the logs by vote, and who signed what they show by the
//! transactions that they are in.

mod causes;
mod events;
mod inputs;

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::RangeInclusive,
    sync::Arc,
    time::Duration,
};

use alloy::primitives::{Address, B256, U64};
use dvn_core::{
    error::{SubmitError, SubmitErrorKind},
    ids::{BlockNumber, BlockRef},
    ports::{ContractChange, History, Shown, Submitter},
    quorum::Poll,
};
use futures::{StreamExt, TryStreamExt, stream};

use self::events::{Event, Verified};
use super::EvmSubmitter;
use crate::{
    call::{Answers, Call},
    contracts::ExecuteParam,
    panel::{Ballot, PanelError, Vote, contradiction},
    range,
    rpc::{PlacedLog, RpcLog},
    seat::{Seat, SeatError, Told},
};

/// So many times seats that differ are asked: an index that lags behind its blocks looks like a lie once.
const ASKINGS: u32 = 3;
const PAUSE: Duration = Duration::from_millis(500);
/// Transactions that are asked for at once.
const AT_ONCE: usize = 8;
const LOGS: &str = "logs of the DVN contract";

/// What one seat says of a range: the logs about our DVN contract and no others, in order.
type Page = Told<Vec<PlacedLog>>;

/// An event with its place.
type Placed<T> = (BlockRef, B256, T);

pub(super) async fn history(lane: &EvmSubmitter, from: BlockNumber, to: BlockNumber) -> Result<History, SubmitError> {
    if from > to {
        return Ok(History { through: to, shown: Vec::new(), changes: Vec::new() });
    }
    let (through, logs) = logs(lane, from, to).await?;
    let (verified, changes) = sorted(lane, &logs);
    let calls = calls(lane, &verified).await?;
    let shown = verified.into_iter().map(|(block, tx_hash, event)| {
        let Verified { claim, confirmations, target } = event;
        let causes = calls.get(&tx_hash).map(|calls| causes::causes(calls, &event)).unwrap_or_default();
        Shown { block, tx_hash, claim, confirmations, target, causes }
    });
    Ok(History { through, shown: shown.collect(), changes })
}

/// The logs of the blocks from `from` on, as far as the nodes bear, and the last of these blocks.
async fn logs(
    lane: &EvmSubmitter,
    from: BlockNumber,
    to: BlockNumber,
) -> Result<(BlockNumber, Vec<PlacedLog>), SubmitError> {
    let panel = &lane.panel;
    let question = |seat: Arc<Seat>, blocks| async move { page(lane, &seat, blocks).await };
    let mut asked: u32 = 0;
    loop {
        let enough = |votes: &[Vote<Page>]| panel.has_agreement(votes);
        let step = range::step(panel, &lane.stride, (from, to), question, enough).await;
        let (through, ballot) = step.map_err(|it| lane.missing(&it))?;
        match panel.electorate().poll(ballot.votes.iter().map(|vote| (vote.seat, &vote.value))) {
            Poll::Agreed(page) => return Ok((through, page.value.clone())),
            Poll::Missing(_) => return Err(lane.missing(&panel.missing(LOGS, &ballot))),
            Poll::Split(_) => {}
        }
        asked = asked.saturating_add(1);
        let error = contradiction(LOGS, &ballot);
        if !differs_below(lane, &ballot, lane.head().await?.settled) {
            return Err(lane.missing(&error));
        }
        tracing::warn!(chain = panel.chain().name, %error, "seats differ about settled logs");
        if asked >= ASKINGS {
            return Err(contradicted(lane, &error));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Whether the votes differ in blocks that are settled: above, seats may honestly stand on two sides of a reorg.
fn differs_below(lane: &EvmSubmitter, ballot: &Ballot<Page>, settled: BlockNumber) -> bool {
    let below = |page: &Page| -> Vec<PlacedLog> {
        page.value.iter().filter(|log| log.block.number <= settled).cloned().collect()
    };
    let votes = ballot.votes.iter().map(|vote| (vote.seat, below(&vote.value)));
    matches!(lane.panel.electorate().poll(votes), Poll::Split(_))
}

fn contradicted(lane: &EvmSubmitter, error: &PanelError) -> SubmitError {
    let evidence = error.evidence(lane.panel.chain());
    lane.fail(SubmitErrorKind::Contradiction, error.to_string()).shown_by(evidence)
}

/// One seat's logs, or nothing where it does not have all of the blocks.
async fn page(
    lane: &EvmSubmitter,
    seat: &Seat,
    blocks: RangeInclusive<BlockNumber>,
) -> Result<Option<Page>, SeatError> {
    let (from, to) = (*blocks.start(), *blocks.end());
    // A node that is behind answers with fewer logs and no error. So it is asked before the logs, and once more together
    // with them, since the next request to one address may reach another node.
    if !seat.covers(to).await? {
        return Ok(None);
    }
    let calls = vec![Call::block_number(), Call::logs(from, to, &emitters(lane), &events::TOPICS)];
    let mut answers = Answers::new(seat.batch(calls).await?);
    let head = BlockNumber(answers.next::<U64>()?.to());
    seat.note_head(head);
    let told: Told<Vec<RpcLog>> = answers.next_told()?;
    if head < to {
        return Ok(None);
    }
    told.try_map(|logs| ours(lane, &blocks, logs)).map(Some)
}

fn emitters(lane: &EvmSubmitter) -> Vec<Address> {
    let emitters: BTreeSet<Address> = lane.config.receive_libs.iter().copied().chain([lane.config.dvn]).collect();
    emitters.into_iter().collect()
}

/// Of what a seat sent, the logs about our DVN contract, in order.
fn ours(
    lane: &EvmSubmitter,
    blocks: &RangeInclusive<BlockNumber>,
    logs: Vec<RpcLog>,
) -> Result<Vec<PlacedLog>, SeatError> {
    let mut ours = BTreeMap::new();
    for log in logs.into_iter().filter(|log| !log.is_removed()) {
        let placed = log.placed()?;
        if !blocks.contains(&placed.block.number) {
            return Err(SeatError::malformed("log outside of the range that was asked for"));
        }
        if events::event(&lane.config.receive_libs, lane.config.dvn, &placed.log).is_none() {
            continue;
        }
        if ours.insert((placed.block.number, placed.log.index), placed).is_some() {
            return Err(SeatError::malformed("two logs at one index"));
        }
    }
    Ok(ours.into_values().collect())
}

/// What the logs say, by kind.
fn sorted(lane: &EvmSubmitter, logs: &[PlacedLog]) -> (Vec<Placed<Verified>>, Vec<ContractChange>) {
    let (mut verified, mut changes) = (Vec::new(), Vec::new());
    for PlacedLog { block, tx_hash, log } in logs {
        let (block, tx_hash) = (*block, *tx_hash);
        match events::event(&lane.config.receive_libs, lane.config.dvn, log) {
            Some(Event::Verified(event)) => verified.push((block, tx_hash, event)),
            Some(Event::Changed(kind)) => changes.push(ContractChange { block, tx_hash, kind }),
            Some(Event::Unreadable(reason)) => {
                let chain = &lane.panel.chain().name;
                tracing::warn!(chain, %block, %tx_hash, reason, "event about our DVN contract is left out");
            }
            None => {}
        }
    }
    (verified, changes)
}

/// The signed calls in each of the transactions.
async fn calls(
    lane: &EvmSubmitter,
    verified: &[Placed<Verified>],
) -> Result<BTreeMap<B256, Vec<ExecuteParam>>, SubmitError> {
    let transactions: BTreeMap<B256, BlockNumber> =
        verified.iter().map(|(block, tx_hash, _)| (*tx_hash, block.number)).collect();
    let calls = stream::iter(transactions).map(|(tx_hash, block)| async move {
        let sent = inputs::sent(lane, tx_hash, block).await?;
        Ok((tx_hash, sent.map(|sent| causes::calls(lane.config.dvn, &sent)).unwrap_or_default()))
    });
    calls.buffer_unordered(AT_ONCE).try_collect().await
}
