//! What transactions call, of which only their hashes are known.

use std::sync::Arc;

use alloy::{
    consensus::{Transaction, TxEnvelope},
    eips::eip2718::Decodable2718,
    primitives::{Address, B256, Bytes, keccak256},
};
use dvn_core::{error::SubmitError, ids::BlockNumber, ports::Submitter, quorum::Poll};

use super::contradicted;
use crate::{
    call::Call,
    panel::contradiction,
    rpc::RpcTransaction,
    seat::{Seat, SeatError, Told},
    submit::EvmSubmitter,
};

const TRANSACTION: &str = "transaction";

/// Whom a transaction calls, and with what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sent {
    /// Nothing where it makes a contract.
    pub(super) to: Option<Address>,
    pub(super) input: Bytes,
}

/// What a transaction calls, or nothing where the seats agree on a log of it and none of them keeps the transaction.
pub(super) async fn sent(lane: &EvmSubmitter, tx_hash: B256, block: BlockNumber) -> Result<Option<Sent>, SubmitError> {
    // An encoding with this hash is the transaction, whoever gives it. Not all nodes give it, and not all chains' are known
    // here; then the seats vote.
    let question = |seat: Arc<Seat>| async move { encoded(&seat, tx_hash).await };
    match lane.panel.first("raw transaction", question).await {
        Ok(proven) => Ok(Some(proven.value)),
        Err(_) => voted(lane, tx_hash, block).await,
    }
}

async fn encoded(seat: &Seat, tx_hash: B256) -> Result<Option<Sent>, SeatError> {
    let raw: Option<Bytes> = seat.call(Call::raw_transaction(tx_hash)).await?;
    Ok(raw.and_then(|raw| decoded(&raw, tx_hash)))
}

/// What an encoding calls, if it is the one with this hash and of a known kind.
fn decoded(raw: &Bytes, tx_hash: B256) -> Option<Sent> {
    if keccak256(raw) != tx_hash {
        return None;
    }
    let envelope = TxEnvelope::decode_2718_exact(raw).ok()?;
    Some(Sent { to: envelope.to(), input: envelope.input().clone() })
}

async fn voted(lane: &EvmSubmitter, tx_hash: B256, block: BlockNumber) -> Result<Option<Sent>, SubmitError> {
    let panel = &lane.panel;
    let question = |seat: Arc<Seat>| async move { told(&seat, tx_hash).await.map(Some) };
    let mut ballot = panel.ask(question, |votes| panel.has_agreement(votes)).await;
    let nobody_has_it = panel.suffices(&ballot.votes) && ballot.votes.iter().all(|vote| vote.value.value.is_none());
    // Who does not keep a transaction says nothing about it.
    ballot.votes.retain(|vote| vote.value.value.is_some());
    match panel.electorate().poll(ballot.votes.iter().map(|vote| (vote.seat, &vote.value))) {
        Poll::Agreed(told) => return Ok(told.value.clone()),
        Poll::Missing(_) if !nobody_has_it => return Err(lane.missing(&panel.missing(TRANSACTION, &ballot))),
        Poll::Missing(_) | Poll::Split(_) => {}
    }
    let is_settled = block <= lane.head().await?.settled;
    match (is_settled, nobody_has_it) {
        (false, true) => Err(lane.missing(&panel.missing(TRANSACTION, &ballot))),
        (false, false) => Err(lane.missing(&contradiction(TRANSACTION, &ballot))),
        (true, false) => Err(contradicted(lane, &contradiction(TRANSACTION, &ballot))),
        (true, true) => {
            tracing::warn!(chain = panel.chain().name, %tx_hash, "no seat keeps a transaction of our DVN contract");
            Ok(None)
        }
    }
}

async fn told(seat: &Seat, tx_hash: B256) -> Result<Told<Option<Sent>>, SeatError> {
    let told: Told<Option<RpcTransaction>> = seat.told(Call::transaction(tx_hash)).await?;
    if told.value.as_ref().is_some_and(|transaction| transaction.hash != tx_hash) {
        return Err(SeatError::malformed("another transaction"));
    }
    Ok(told.map(|transaction| transaction.map(|RpcTransaction { to, input, .. }| Sent { to, input })))
}

#[cfg(test)]
mod tests;
