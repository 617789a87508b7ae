//! One sending key on one destination: which nonce is next, and the making of a new transaction.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::SystemTime,
};

use alloy::primitives::{Address, Bytes, U64, U256};
use dvn_core::{
    error::{SubmitError, SubmitErrorKind},
    ids::{BlockNumber, JobId},
    ports::{NewTransaction, OutboxItem, OutboxTransaction, SignedAttestation, SubmissionId},
};

use super::{
    EvmSubmitter, broadcast,
    fees::{self, Market, Price},
    transaction::{self, Order, TransactionError},
};
use crate::{
    call::{Answers, Call},
    panel::{Absence, Ballot, median},
    seat::SeatError,
};

/// What a lane remembers between calls. Losing it costs time and nothing else.
#[derive(Debug, Default)]
pub(super) struct LaneMemory {
    /// When each open transaction was last broadcast by this process.
    pub(super) sent: BTreeMap<SubmissionId, SystemTime>,
    /// The head at which an open transaction's nonce was first seen used without a receipt of ours.
    pub(super) bypassed: BTreeMap<SubmissionId, BlockNumber>,
    /// A nonce that the chain waits for and no open transaction has, with the head at which that was first seen.
    pub(super) gap: Option<(u64, BlockNumber)>,
}

impl LaneMemory {
    pub(super) fn forget(&mut self, submission: SubmissionId) {
        self.sent.remove(&submission);
        self.bypassed.remove(&submission);
    }
}

/// How long a gap must have stood, in blocks, before it counts as one and not as a seat that lags.
const GAP_BLOCKS: u64 = 8;
/// geth's and most other pools' limit on one transaction.
const MOST_BYTES: usize = 128 * 1024;
/// EIP-7825's limit on one transaction's gas; on other chains a sanity bound that no batch of this size reaches.
const MOST_GAS: u64 = 1 << 24;

pub(super) async fn submit(
    lane: &EvmSubmitter,
    memory: &mut LaneMemory,
    batch: Vec<SignedAttestation>,
) -> Result<Vec<(JobId, SubmissionId)>, SubmitError> {
    let open = lane.outbox.open(lane.lane_id()).await.map_err(|it| lane.store(it))?;
    let (mut named, new) = sorted(&open, batch);
    if new.is_empty() {
        return Ok(named);
    }
    let market = fees::market(&lane.panel, lane.config.gas).await.map_err(|it| lane.missing(&it))?;
    let new = lasting(lane, &market, new)?;
    let price = fees::fresh(&market, lane.config.gas, lane.config.fees).map_err(|above| {
        let detail = format!("{} wei a unit of gas, the cap is {}", above.wanted, lane.config.fees.max_fee);
        lane.fail(SubmitErrorKind::FeeCap, detail)
    })?;
    let input = transaction::execute_call(&new);
    let gas_limit = gas_limit(lane, lane.config.dvn, &input).await?;
    let account = account(lane).await?;
    afford(lane, gas_limit, price, account.balance)?;
    let nonce = next_nonce(account.count, &open, gap(memory, account.head));
    let order = Order { chain_id: lane.config.chain_id, nonce, gas_limit, to: lane.config.dvn, input };
    let attempt = order.signed(price, &*lane.sender, &*lane.clock).await.map_err(|it| signer_error(lane, it))?;
    if attempt.raw.len() > MOST_BYTES {
        let detail =
            format!("a batch of {} takes {} bytes, more than pools accept; send fewer", new.len(), attempt.raw.len());
        return Err(lane.fail(SubmitErrorKind::Rejected, detail));
    }
    let items: Vec<OutboxItem> = new.iter().map(|it| OutboxItem { job: it.job, attestation: it.attestation }).collect();
    let kept = NewTransaction { lane: lane.lane_id(), nonce, items, attempt: attempt.clone() };
    // Durable first: a transaction that may be on the wire is always known after a crash.
    let id = lane.outbox.put(kept, lane.fence().as_ref()).await.map_err(|it| lane.store(it))?;
    let chain = &lane.panel.chain().name;
    tracing::info!(chain, nonce, tx_hash = %attempt.tx_hash, items = new.len(), submission = id.0, "transaction kept");
    memory.gap = None;
    memory.sent.insert(id, lane.clock.now());
    broadcast::broadcast(&lane.panel, &attempt).await;
    named.extend(new.iter().map(|it| (it.job, id)));
    Ok(named)
}

/// Jobs that are under way already, and the others, each once.
fn sorted(
    open: &[OutboxTransaction],
    batch: Vec<SignedAttestation>,
) -> (Vec<(JobId, SubmissionId)>, Vec<SignedAttestation>) {
    let under_way: BTreeMap<JobId, SubmissionId> =
        open.iter().flat_map(|it| it.items.iter().map(|item| (item.job, it.id))).collect();
    let (mut named, mut new, mut seen) = (Vec::new(), Vec::new(), BTreeSet::new());
    for item in batch {
        match under_way.get(&item.job) {
            _ if !seen.insert(item.job) => {}
            Some(id) => named.push((item.job, *id)),
            None => new.push(item),
        }
    }
    (named, new)
}

/// Leaves out what would expire on the way; it is signed anew.
fn lasting(
    lane: &EvmSubmitter,
    market: &Market,
    new: Vec<SignedAttestation>,
) -> Result<Vec<SignedAttestation>, SubmitError> {
    let bound = market.time.plus(lane.config.expiry_margin.as_secs());
    let (lasting, expiring): (Vec<_>, Vec<_>) = new.into_iter().partition(|it| it.attestation.expiration > bound);
    if lasting.is_empty() {
        let detail = format!("all {} attestations expire before they could be mined", expiring.len());
        return Err(lane.fail(SubmitErrorKind::Rejected, detail));
    }
    if !expiring.is_empty() {
        tracing::info!(
            chain = lane.panel.chain().name,
            left_out = expiring.len(),
            "attestations expire too soon to be sent"
        );
    }
    Ok(lasting)
}

/// The largest estimate, but no more than twice the middle one, so that one seat alone cannot make us buy a block.
pub(super) async fn gas_limit(lane: &EvmSubmitter, to: Address, input: &Bytes) -> Result<u64, SubmitError> {
    let from = lane.sender.address();
    let ballot = lane
        .panel
        .gather(|seat| async move { seat.call::<U64>(Call::estimate_gas(from, to, input)).await.map(Some) })
        .await;
    let estimates = || ballot.votes.iter().map(|vote| vote.value.to::<u64>());
    let Some(middle) = median(estimates()) else {
        return Err(refused(lane, &ballot));
    };
    let most = middle.saturating_mul(2);
    let estimate = estimates().filter(|gas| *gas <= most).max().unwrap_or(middle);
    let calldata = u64::try_from(input.len()).unwrap_or(u64::MAX);
    let limit = lane.config.gas.limit(estimate, calldata);
    if limit > MOST_GAS {
        let detail = format!("the batch takes {limit} gas, more than one transaction may; send fewer");
        return Err(lane.fail(SubmitErrorKind::Rejected, detail));
    }
    Ok(limit)
}

/// A simulation that reverts is a refusal; one that no seat could run is silence.
fn refused(lane: &EvmSubmitter, ballot: &Ballot<U64>) -> SubmitError {
    let reason = ballot.absent.iter().find_map(|(_, absence)| match absence {
        Absence::Failed(error @ SeatError::Node { .. }) => Some(error.to_string()),
        _ => None,
    });
    match reason {
        Some(reason) => lane.fail(SubmitErrorKind::Rejected, format!("simulation failed: {reason}")),
        None => lane.missing(&lane.panel.missing("gas estimate", ballot)),
    }
}

/// The sender's account as the threshold of seats has it.
#[derive(Clone, Copy, Debug)]
struct Account {
    head: BlockNumber,
    count: u64,
    balance: U256,
}

async fn account(lane: &EvmSubmitter) -> Result<Account, SubmitError> {
    let sender = lane.sender.address();
    let ballot = lane
        .panel
        .gather(|seat| async move {
            let calls = vec![Call::block_number(), Call::transaction_count(sender), Call::balance(sender)];
            let mut answers = Answers::new(seat.batch(calls).await?);
            let (head, count, balance): (U64, U64, U256) = (answers.next()?, answers.next()?, answers.next()?);
            Ok(Some(Account { head: BlockNumber(head.to()), count: count.to(), balance }))
        })
        .await;
    let missing = |error| lane.missing(&error);
    let head = lane.panel.reached("newest block", &ballot, |it| it.head).map_err(missing)?;
    let count = lane.panel.reached("sender's nonce", &ballot, |it| it.count).map_err(missing)?;
    let balance = lane.panel.reached("sender's balance", &ballot, |it| it.balance).map_err(missing)?;
    Ok(Account { head, count, balance })
}

fn afford(lane: &EvmSubmitter, gas_limit: u64, price: Price, balance: U256) -> Result<(), SubmitError> {
    let cost = U256::from(gas_limit).saturating_mul(U256::from(price.max_fee));
    if balance >= cost {
        return Ok(());
    }
    let sender = lane.sender.address();
    let detail = format!("{sender} has {balance} wei, the transaction may take {cost}; send it more");
    Err(lane.fail(SubmitErrorKind::Underfunded, detail))
}

/// The gap's nonce, once it stood long enough not to be a seat's lag.
fn gap(memory: &LaneMemory, head: BlockNumber) -> Option<u64> {
    memory.gap.filter(|(_, since)| head >= since.above(GAP_BLOCKS)).map(|(nonce, _)| nonce)
}

/// The nonce after the chain's count and after every open transaction; a standing gap is filled first.
fn next_nonce(count: u64, open: &[OutboxTransaction], gap: Option<u64>) -> u64 {
    let taken = |nonce| open.iter().any(|it| it.nonce == nonce);
    match gap {
        Some(nonce) if nonce == count && !taken(nonce) => nonce,
        _ => open.iter().map(|it| it.nonce.saturating_add(1)).fold(count, u64::max),
    }
}

pub(super) fn signer_error(lane: &EvmSubmitter, error: TransactionError) -> SubmitError {
    let kind = match error {
        TransactionError::Sign(_) | TransactionError::Signature(_) => SubmitErrorKind::Signer,
        TransactionError::Kept => SubmitErrorKind::Bug,
    };
    SubmitError::new(kind).chain(&lane.panel.chain().name).caused_by(error)
}

#[cfg(test)]
mod tests;
