//! A nonce that the chain waits for and that no transaction of ours has: everything behind it is stuck until somebody uses it.

use alloy::primitives::Bytes;
use dvn_core::{
    error::SubmitError,
    ids::BlockNumber,
    ports::{NewTransaction, OutboxTransaction},
};

use super::{
    EvmSubmitter, broadcast, fees,
    lane::{self, LaneMemory},
    purse,
    transaction::Order,
};

/// How long a gap must have stood, in blocks, before it counts as one and not as a seat that lags.
const BLOCKS: u64 = 8;

/// Notes a nonce that the chain waits for while nobody has it.
pub(super) fn note(
    lane: &EvmSubmitter,
    memory: &mut LaneMemory,
    (head, count): (BlockNumber, u64),
    open: &[OutboxTransaction],
) {
    let chain = &lane.panel.chain().name;
    let is_there = open.iter().all(|it| it.nonce > count);
    metrics::gauge!("dvn_nonce_gap", "chain" => chain.clone()).set(if is_there { 1.0 } else { 0.0 });
    if !is_there {
        memory.gap = None;
        return;
    }
    if memory.gap.is_none_or(|(nonce, _)| nonce != count) {
        tracing::warn!(chain, nonce = count, "open transactions wait behind a nonce that nobody has");
        memory.gap = Some((count, head));
    }
}

/// The gap's nonce, once it stood long enough not to be a seat's lag.
pub(super) fn standing(memory: &LaneMemory, head: BlockNumber) -> Option<u64> {
    memory.gap.filter(|(_, since)| head >= since.above(BLOCKS)).map(|(nonce, _)| nonce)
}

/// Uses up a gap that nothing came to fill, by a transaction to ourselves that does nothing.
pub(super) async fn fill(lane: &EvmSubmitter, memory: &mut LaneMemory, head: BlockNumber) -> Result<(), SubmitError> {
    let Some(nonce) = standing(memory, head) else { return Ok(()) };
    let chain = &lane.panel.chain().name;
    let market = fees::market(&lane.panel, lane.config.gas).await.map_err(|it| lane.missing(&it))?;
    let Ok(price) = fees::fresh(&market, lane.config.gas, lane.config.fees) else {
        tracing::debug!(chain, nonce, "the gap is not filled while fees are above the cap");
        return Ok(());
    };
    let (to, input) = (lane.sender.address(), Bytes::new());
    let gas_limit = lane::gas_limit(lane, to, &input).await?;
    let order = Order { chain_id: lane.config.chain_id, nonce, gas_limit, to, input };
    let attempt = order.signed(price, &*lane.sender, &*lane.clock).await.map_err(|it| lane::signer_error(lane, it))?;
    let kept = NewTransaction { lane: lane.lane_id(), nonce, items: Vec::new(), attempt: attempt.clone() };
    let id = lane.outbox.put(kept, lane.fence().as_ref()).await.map_err(|it| lane.store(it))?;
    tracing::warn!(chain, nonce, tx_hash = %attempt.tx_hash, "a gap is filled by a transaction that does nothing");
    purse::charge(lane, id, purse::cost(gas_limit, price)).await?;
    memory.gap = None;
    memory.charged.insert(id);
    memory.sent.insert(id, attempt.at);
    broadcast::broadcast(&lane.panel, &attempt).await;
    Ok(())
}
