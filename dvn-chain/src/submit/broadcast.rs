//! Sends a raw transaction to every seat. A refusal here decides nothing: the outcome is read from the chain.

use std::sync::Arc;

use alloy::primitives::B256;
use dvn_core::ports::Attempt;

use crate::{
    call::Call,
    panel::{Absence, Panel},
    seat::Seat,
};

/// Hands the transaction to all seats and waits until one took it, with a short grace for the others.
pub(super) async fn broadcast(panel: &Panel, attempt: &Attempt) {
    let question = |seat: Arc<Seat>| {
        let call = Call::broadcast(&attempt.raw);
        async move {
            match seat.call::<B256>(call).await {
                Ok(_) => Ok(Some(())),
                Err(error) if error.is_known_transaction() => Ok(Some(())),
                Err(error) => Err(error),
            }
        }
    };
    let ballot = panel.ask(question, |votes| !votes.is_empty()).await;
    let (chain, tx_hash) = (&panel.chain().name, attempt.tx_hash);
    for (seat, absence) in &ballot.absent {
        if let Absence::Failed(error) = absence {
            tracing::warn!(chain, seat, %tx_hash, %error, "seat did not take a transaction");
        }
    }
    if ballot.votes.is_empty() {
        tracing::warn!(chain, %tx_hash, "no seat took a transaction; it is sent again");
    }
}
