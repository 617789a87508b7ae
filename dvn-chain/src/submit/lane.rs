//! One sending key on one destination: which nonce is next, and the making of a new transaction.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::SystemTime,
};

use alloy::primitives::{Address, Bytes, U64};
use dvn_core::{
    error::{SubmitError, SubmitErrorKind},
    ids::{BlockNumber, JobId},
    ports::{NewTransaction, OutboxItem, OutboxTransaction, SignedAttestation, SubmissionId, Submitted},
};

use super::{
    EvmSubmitter,
    batch::{self, Bounds},
    broadcast,
    fees::{self, Market},
    forecast::{self, Forecast},
    gap, purse,
    transaction::{self, Order, TransactionError},
};
use crate::call::Call;

/// What a lane remembers between calls. Losing it costs time and nothing else.
#[derive(Debug, Default)]
pub(super) struct LaneMemory {
    /// When each open transaction was last broadcast by this process.
    pub(super) sent: BTreeMap<SubmissionId, SystemTime>,
    /// The head at which an open transaction's nonce was first seen used without a receipt of ours.
    pub(super) bypassed: BTreeMap<SubmissionId, BlockNumber>,
    /// A nonce that the chain waits for and no open transaction has, with the head at which that was first seen.
    pub(super) gap: Option<(u64, BlockNumber)>,
    /// What the chain let one transaction be when it was last asked.
    pub(super) bounds: Bounds,
    /// What one item took in the newest simulation.
    pub(super) item_gas: u64,
    /// Open transactions whose cost this process noted.
    pub(super) charged: BTreeSet<SubmissionId>,
    /// What the newest transaction could take, in wei.
    pub(super) newest_cost: u128,
    /// When the balance was last looked at.
    pub(super) balance_seen: Option<SystemTime>,
    pub(super) is_low: bool,
    pub(super) is_used_up: bool,
}

impl LaneMemory {
    /// Nothing is open any more.
    pub(super) fn clear(&mut self) {
        let Self { sent, bypassed, gap, charged, .. } = self;
        sent.clear();
        bypassed.clear();
        charged.clear();
        *gap = None;
    }

    pub(super) fn forget(&mut self, submission: SubmissionId) {
        self.sent.remove(&submission);
        self.bypassed.remove(&submission);
        self.charged.remove(&submission);
    }
}

/// The most transactions that one account has in flight: what geth's pool keeps of each account even when it is full.
pub(super) const MOST_OPEN: usize = 16;
/// Simulations for one transaction: each but the last leaves something out.
const MOST_FORECASTS: usize = 4;

pub(super) async fn submit(
    lane: &EvmSubmitter,
    memory: &mut LaneMemory,
    batch: Vec<SignedAttestation>,
) -> Result<Submitted, SubmitError> {
    let open = lane.outbox.open(lane.lane_id()).await.map_err(|it| lane.store(it))?;
    let (sent, new) = sorted(&open, batch);
    let mut submitted = Submitted { sent, refused: Vec::new() };
    // Where nothing at all is left, nothing has to be asked.
    let is_bounded = new.iter().any(|it| !it.attestation.is_retraction());
    if is_bounded && !purse::allows(lane, memory, 1).await? {
        return Err(purse::used_up(lane, 1));
    }
    let Some(plan) = plan(lane, memory, new, &mut submitted.refused).await? else {
        return Ok(submitted);
    };
    let Plan { items: new, forecast, gas_limit } = plan;
    let price = fees::fresh(&forecast.market, lane.config.gas, lane.config.fees).map_err(|above| {
        let detail = format!("{} wei a unit of gas, the cap is {}", above.wanted, lane.config.fees.max_fee);
        lane.fail(SubmitErrorKind::FeeCap, detail)
    })?;
    let (account, cost) = (forecast.account, purse::cost(gas_limit, price));
    memory.newest_cost = cost;
    purse::note_balance(lane, memory, account.balance);
    if is_bounded && !purse::allows(lane, memory, cost).await? {
        return Err(purse::used_up(lane, cost));
    }
    purse::afford(lane, &open, cost, account.balance)?;
    let nonce = next_nonce(account.count, &open, gap::standing(memory, account.head));
    let input = transaction::execute_call(&new);
    let order = Order { chain_id: lane.config.chain_id, nonce, gas_limit, to: lane.config.dvn, input };
    let attempt = order.signed(price, &*lane.sender, &*lane.clock).await.map_err(|it| signer_error(lane, it))?;
    let items: Vec<OutboxItem> = new.iter().map(|it| OutboxItem { job: it.job, attestation: it.attestation }).collect();
    let kept = NewTransaction { lane: lane.lane_id(), nonce, items, attempt: attempt.clone() };
    // Durable first: a transaction that may be on the wire is always known after a crash.
    let id = lane.outbox.put(kept, lane.fence().as_ref()).await.map_err(|it| lane.store(it))?;
    let chain = &lane.panel.chain().name;
    tracing::info!(chain, nonce, tx_hash = %attempt.tx_hash, items = new.len(), submission = id.0, "transaction kept");
    purse::charge(lane, id, cost).await?;
    memory.charged.insert(id);
    memory.gap = None;
    memory.sent.insert(id, lane.clock.now());
    broadcast::broadcast(&lane.panel, &attempt).await;
    submitted.sent.extend(new.iter().map(|it| (it.job, id)));
    Ok(submitted)
}

/// What goes into a transaction, and what is known about it.
struct Plan {
    items: Vec<SignedAttestation>,
    forecast: Forecast,
    gas_limit: u64,
}

/// Takes what fits and would have an effect. What would have none is refused, and the others are looked at without it.
/// Nothing where nothing is left.
async fn plan(
    lane: &EvmSubmitter,
    memory: &mut LaneMemory,
    mut items: Vec<SignedAttestation>,
    refused: &mut Vec<(JobId, String)>,
) -> Result<Option<Plan>, SubmitError> {
    let rules = lane.config.gas;
    for _ in 0..MOST_FORECASTS {
        let Some(first) = items.first() else { return Ok(None) };
        lane.note_most_items(memory.bounds.most_items(first, rules, memory.item_gas));
        items.truncate(memory.bounds.fitting(&items, rules, memory.item_gas));
        let forecast = forecast::forecast(lane, &items).await?;
        memory.bounds = forecast.bounds;
        let failing = match &forecast.estimate {
            Err(error) if error.kind() == SubmitErrorKind::Rejected && items.len() > 1 => {
                forecast::suspects(lane, &items).await?
            }
            _ => forecast.failing.clone(),
        };
        if !failing.is_empty() {
            leave_out(lane, &mut items, failing, refused);
            continue;
        }
        let estimate = forecast.estimate?;
        let count = u64::try_from(items.len()).unwrap_or(u64::MAX);
        memory.item_gas = estimate.div_ceil(count.max(1));
        if lasting(lane, &forecast.market, &mut items)?
            || memory.bounds.fitting(&items, rules, memory.item_gas) < items.len()
        {
            continue;
        }
        let calldata = u64::try_from(transaction::execute_call(&items).len()).unwrap_or(u64::MAX);
        let gas_limit = rules.limit(estimate, batch::measured_gas(&items, rules), calldata);
        return Ok(Some(Plan { items, gas_limit, forecast: Forecast { estimate: Ok(estimate), ..forecast } }));
    }
    Err(lane.fail(SubmitErrorKind::Missing, "what would have an effect changes from look to look"))
}

/// Moves what would fail out of the batch.
fn leave_out(
    lane: &EvmSubmitter,
    items: &mut Vec<SignedAttestation>,
    failing: Vec<(usize, String)>,
    refused: &mut Vec<(JobId, String)>,
) {
    let chain = &lane.panel.chain().name;
    let mut failing = BTreeMap::from_iter(failing);
    for (position, item) in std::mem::take(items).into_iter().enumerate() {
        let Some(reason) = failing.remove(&position) else {
            items.push(item);
            continue;
        };
        let guid = item.attestation.claim.header.guid();
        tracing::warn!(chain, %guid, reason, "attestation would have no effect and is not sent");
        metrics::counter!("dvn_refused_items_total", "chain" => chain.clone()).increment(1);
        refused.push((item.job, reason));
    }
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

/// Leaves out what would expire on the way, and says whether that was anything; it is signed anew.
fn lasting(lane: &EvmSubmitter, market: &Market, items: &mut Vec<SignedAttestation>) -> Result<bool, SubmitError> {
    let bound = market.time.plus(lane.config.expiry_margin.as_secs());
    let before = items.len();
    items.retain(|it| it.attestation.expiration > bound);
    let left_out = before.saturating_sub(items.len());
    if items.is_empty() {
        let detail = format!("all {left_out} attestations expire before they could be mined");
        return Err(lane.fail(SubmitErrorKind::Rejected, detail));
    }
    if left_out > 0 {
        tracing::info!(chain = lane.panel.chain().name, left_out, "attestations expire too soon to be sent");
    }
    Ok(left_out > 0)
}

/// The gas limit of a plain call.
pub(super) async fn gas_limit(lane: &EvmSubmitter, to: Address, input: &Bytes) -> Result<u64, SubmitError> {
    let from = lane.sender.address();
    let ballot = lane
        .panel
        .gather(|seat| async move { seat.call::<U64>(Call::estimate_gas(from, to, input)).await.map(Some) })
        .await;
    let estimates = ballot.votes.iter().map(|vote| vote.value.to::<u64>());
    let Some(estimate) = forecast::largest_honest(estimates) else {
        return Err(forecast::refused(lane, None, &ballot));
    };
    Ok(lane.config.gas.limit(estimate, 0, u64::try_from(input.len()).unwrap_or(u64::MAX)))
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
