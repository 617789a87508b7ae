//! Puts a transaction that does nothing in the place of one that must not be mined any more.

use dvn_core::{
    error::SubmitError,
    ids::JobId,
    ports::{Attempt, OutboxTransaction},
};

use super::{
    EvmSubmitter, broadcast,
    fees::{self, FeeCaps, Price},
    lane::{self, LaneMemory},
    purse,
    transaction::{self, Order},
};

/// In a halt a cancellation may cost so many times the configured cap: gas for a plain transfer is nothing beside what is at
/// stake.
const OVER_CAP: u128 = 2;

pub(super) async fn cancel(lane: &EvmSubmitter, memory: &mut LaneMemory, jobs: &[JobId]) -> Result<(), SubmitError> {
    let open = lane.outbox.open(lane.lane_id()).await.map_err(|it| lane.store(it))?;
    for transaction in open.iter().filter(|it| it.items.iter().any(|item| jobs.contains(&item.job))) {
        if let Some(newest) = transaction.attempts.last()
            && !is_cancellation(lane, newest)
        {
            replace(lane, memory, transaction, newest).await?;
        }
    }
    Ok(())
}

/// Whether an attempt is one that does nothing: sent to the sender itself.
pub(super) fn is_cancellation(lane: &EvmSubmitter, attempt: &Attempt) -> bool {
    Order::kept(&attempt.raw).is_ok_and(|order| order.to == lane.sender.address())
}

async fn replace(
    lane: &EvmSubmitter,
    memory: &mut LaneMemory,
    transaction: &OutboxTransaction,
    newest: &Attempt,
) -> Result<(), SubmitError> {
    let (chain, nonce) = (&lane.panel.chain().name, transaction.nonce);
    let legacy = transaction::is_legacy(&newest.raw);
    let old = Price { max_fee: newest.max_fee, priority_fee: newest.priority_fee, legacy };
    let market = fees::market(&lane.panel, lane.config.gas).await.map_err(|it| lane.missing(&it))?;
    let FeeCaps { max_fee, max_priority_fee } = lane.config.fees;
    let caps = FeeCaps {
        max_fee: max_fee.saturating_mul(OVER_CAP),
        max_priority_fee: max_priority_fee.saturating_mul(OVER_CAP),
    };
    let fresh = fees::fresh(&market, lane.config.gas, caps).unwrap_or(old);
    let Some(price) = fees::replacement(old, fresh, caps) else {
        tracing::error!(
            chain,
            nonce,
            max_fee = old.max_fee,
            "transaction cannot be cancelled: its price is at twice the cap"
        );
        return Ok(());
    };
    let to = lane.sender.address();
    let input = alloy::primitives::Bytes::new();
    let gas_limit = lane::gas_limit(lane, to, &input).await?;
    let order = Order { chain_id: lane.config.chain_id, nonce, gas_limit, to, input };
    let attempt = order.signed(price, &*lane.sender, &*lane.clock).await.map_err(|it| lane::signer_error(lane, it))?;
    // Durable first, as every form that may be mined.
    lane.outbox.replace(transaction.id, attempt.clone(), lane.fence().as_ref()).await.map_err(|it| lane.store(it))?;
    let most = purse::most_of(transaction).max(purse::most(&attempt));
    purse::charge(lane, transaction.id, most).await?;
    tracing::warn!(chain, nonce, tx_hash = %attempt.tx_hash, cancels = %newest.tx_hash, "transaction is cancelled");
    memory.sent.insert(transaction.id, attempt.at);
    broadcast::broadcast(&lane.panel, &attempt).await;
    Ok(())
}
