//! What is spent and what is left: a budget for any 24 hours, the sender's balance, and the alarms of both.

use std::time::Duration;

use alloy::primitives::U256;
use dvn_core::{
    error::{SubmitError, SubmitErrorKind},
    ports::{Attempt, OutboxTransaction, SubmissionId},
};

use super::{EvmSubmitter, fees::Price, lane::LaneMemory, transaction::Order};
use crate::call::Call;

/// What an account may spend, in wei.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a plain pair of settings")]
pub struct Purse {
    /// The most that attestations of this destination may take in any 24 hours; no bound where there is none. Taking one back
    /// and cancelling are not held up by it, and count.
    pub daily_budget: Option<u128>,
    /// The balance below which an alarm is raised; by default what the newest transaction may take, 50 times.
    pub low_balance: Option<u128>,
}

const DAY: Duration = Duration::from_hours(24);
/// The default alarm: so many transactions like the newest one are left.
const LOW_TRANSACTIONS: u128 = 50;
/// How often the balance of an idle lane is looked at.
const IDLE_LOOK: Duration = Duration::from_secs(600);

/// The most that an attempt can take, in wei.
pub(super) fn most(attempt: &Attempt) -> u128 {
    let gas = Order::kept(&attempt.raw).map_or(0, |order| order.gas_limit);
    u128::from(gas).saturating_mul(attempt.max_fee)
}

/// The most that a transaction can take in any of its forms.
pub(super) fn most_of(transaction: &OutboxTransaction) -> u128 {
    transaction.attempts.iter().map(most).max().unwrap_or_default()
}

/// What a new transaction can take at most.
pub(super) fn cost(gas_limit: u64, price: Price) -> u128 {
    u128::from(gas_limit).saturating_mul(price.max_fee)
}

/// Notes what a transaction takes.
pub(super) async fn charge(lane: &EvmSubmitter, id: SubmissionId, wei: u128) -> Result<(), SubmitError> {
    lane.outbox.charge(id, wei, lane.clock.now()).await.map_err(|it| lane.store(it))
}

/// Whether `more` may be spent on top of what the last 24 hours took. Always where there is no budget.
pub(super) async fn allows(lane: &EvmSubmitter, memory: &mut LaneMemory, more: u128) -> Result<bool, SubmitError> {
    let Some(budget) = lane.purse.daily_budget else { return Ok(true) };
    let since = lane.clock.now().checked_sub(DAY).unwrap_or(std::time::UNIX_EPOCH);
    let spent = lane.outbox.charged(lane.eid(), since).await.map_err(|it| lane.store(it))?;
    let allowed = spent.saturating_add(more) <= budget;
    gauge(lane, "dvn_budget_wei", budget);
    gauge(lane, "dvn_spent_wei", spent);
    note_used_up(lane, memory, !allowed, spent, budget);
    Ok(allowed)
}

/// What stops a new transaction.
pub(super) fn used_up(lane: &EvmSubmitter, more: u128) -> SubmitError {
    let budget = lane.purse.daily_budget.unwrap_or_default();
    let detail = format!(
        "the next transaction may take {more} wei, more than is left of {budget} for 24 hours; raise fees.daily_budget or wait"
    );
    lane.fail(SubmitErrorKind::Budget, detail)
}

fn note_used_up(lane: &EvmSubmitter, memory: &mut LaneMemory, is: bool, spent: u128, budget: u128) {
    let chain = &lane.panel.chain().name;
    gauge(lane, "dvn_budget_used_up", u128::from(is));
    if is && !memory.is_used_up {
        tracing::error!(chain, spent, budget, "daily budget is used up; attestations stay queued");
    }
    memory.is_used_up = is;
}

/// Stops what the account could not pay for together with all that is open. Conflux mines a transaction whose sender cannot pay,
/// and takes its nonce and what is left.
pub(super) fn afford(
    lane: &EvmSubmitter,
    open: &[OutboxTransaction],
    cost: u128,
    balance: U256,
) -> Result<(), SubmitError> {
    let committed = open.iter().map(most_of).fold(cost, u128::saturating_add);
    if balance >= U256::from(committed) {
        return Ok(());
    }
    let sender = lane.sender.address();
    let detail = format!("{sender} has {balance} wei, this and what is open may take {committed}; send it more");
    Err(lane.fail(SubmitErrorKind::Underfunded, detail))
}

/// Tells of a balance, and raises the alarm where it is low.
pub(super) fn note_balance(lane: &EvmSubmitter, memory: &mut LaneMemory, balance: U256) {
    memory.balance_seen = Some(lane.clock.now());
    let (chain, sender) = (&lane.panel.chain().name, lane.sender.address());
    gauge(lane, "dvn_sender_balance_wei", balance.saturating_to());
    let enough = lane.purse.low_balance.unwrap_or_else(|| memory.newest_cost.saturating_mul(LOW_TRANSACTIONS));
    let is_low = balance < U256::from(enough);
    gauge(lane, "dvn_sender_balance_low", u128::from(is_low));
    if is_low && !memory.is_low {
        tracing::error!(chain, %sender, %balance, enough, "sender's balance is low; send it more");
    }
    memory.is_low = is_low;
}

/// Looks at the balance of a lane that nothing happens in, once in a while.
pub(super) async fn look(lane: &EvmSubmitter, memory: &mut LaneMemory) {
    let since = |at| lane.clock.now().duration_since(at).unwrap_or_default();
    if memory.balance_seen.is_some_and(|at| since(at) < IDLE_LOOK) {
        return;
    }
    // Seats that do not answer are not asked at every look.
    memory.balance_seen = Some(lane.clock.now());
    let sender = lane.sender.address();
    let ballot =
        lane.panel.gather(|seat| async move { seat.call::<U256>(Call::balance(sender)).await.map(Some) }).await;
    if let Ok(balance) = lane.panel.reached("sender's balance", &ballot, |balance| *balance) {
        note_balance(lane, memory, balance);
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a gauge is a floating-point number; a balance's last digits do not matter"
)]
fn gauge(lane: &EvmSubmitter, name: &'static str, value: u128) {
    let chain = lane.panel.chain().name.clone();
    let sender = lane.sender.address().to_string();
    metrics::gauge!(name, "chain" => chain, "sender" => sender).set(value as f64);
}
