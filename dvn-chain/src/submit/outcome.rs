//! What a mined transaction did for each of its instructions. A pure function of its logs.
//!
//! `DVN.execute` skips what it does not like and succeeds all the same, so that the transaction's status proves nothing:
//! an instruction worked where the receive library's own event says so, with exactly our values.

use alloy::{
    primitives::{Address, B256, U256},
    sol_types::SolEvent,
};
use dvn_core::{
    attestation::Attestation,
    ids::ChainTime,
    ports::{OutboxItem, Outcome},
};

use crate::{
    contracts::{Dvn, ReceiveUln},
    rpc::{Log, Receipt},
};

/// A mined transaction of ours, canonical when it was read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mined<'a> {
    pub(super) tx_hash: B256,
    pub(super) receipt: &'a Receipt,
    /// The time of its block, against which the contract compared expirations.
    pub(super) time: ChainTime,
}

/// Longest part of a revert's data that is shown.
const MOST_DATA: usize = 68;

/// The outcome of each item, in order.
pub(super) fn outcomes<'a>(
    items: &'a [OutboxItem],
    mined: Mined<'a>,
    dvn: Address,
) -> impl Iterator<Item = Outcome> + 'a {
    let Mined { tx_hash, receipt, .. } = mined;
    items.iter().enumerate().map(move |(index, item)| {
        let is_verified = |log: &Log| is_our_record(log, &item.attestation, dvn);
        if receipt.status != Some(0) && receipt.logs.iter().any(is_verified) {
            Outcome::Attested { block: receipt.block, tx_hash }
        } else {
            Outcome::Ineffective { reason: reason(index, &item.attestation, mined, dvn) }
        }
    })
}

fn is_our_record(log: &Log, attestation: &Attestation, dvn: Address) -> bool {
    if log.address != attestation.target {
        return false;
    }
    let Some(event) = decode::<ReceiveUln::PayloadVerified>(log) else {
        return false;
    };
    event.dvn == dvn
        && event.header == attestation.claim.header.encode()
        && event.proofHash == attestation.claim.payload_hash.0
        && event.confirmations == U256::from(attestation.confirmations.0)
}

/// Why there is no record, as far as the DVN contract's events tell; for some failures there are none.
fn reason(index: usize, attestation: &Attestation, mined: Mined<'_>, dvn: Address) -> String {
    let Mined { tx_hash, receipt, time } = mined;
    if receipt.status == Some(0) {
        return format!("transaction {tx_hash} reverted: too little gas, or the sender lacks ADMIN_ROLE");
    }
    let index = U256::from(index);
    for log in receipt.logs.iter().filter(|log| log.address == dvn) {
        if decode::<Dvn::VerifySignaturesFailed>(log).is_some_and(|event| event.idx == index) {
            return "the DVN contract refused the signatures".to_owned();
        }
        if let Some(event) = decode::<Dvn::ExecuteFailed>(log).filter(|event| event.index == index) {
            let data = event.data.get(..MOST_DATA).unwrap_or(&event.data);
            return format!("the receive library refused the call with 0x{}", alloy::hex::encode(data));
        }
    }
    if attestation.expiration <= time {
        return format!("expired at {}, mined at {time}", attestation.expiration);
    }
    "no event of the receive library: the vid is wrong, or there is no contract at the target".to_owned()
}

/// No field of these events is indexed, so there is exactly one topic.
fn decode<E: SolEvent>(log: &Log) -> Option<E> {
    if log.topics.len() != 1 {
        return None;
    }
    E::decode_raw_log_validate(log.topics.iter().copied(), &log.data).ok()
}

#[cfg(test)]
mod tests;
