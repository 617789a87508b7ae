//! Which signed calls of a transaction can have caused an event. Pure: asks nobody.

use alloy::{primitives::Address, sol_types::SolCall};
use dvn_core::{
    attestation::Attestation,
    ids::{ChainTime, Vid},
    ports::Cause,
    signature,
};

use super::{events::Verified, inputs::Sent};
use crate::contracts::{Dvn, ExecuteParam};

/// The calls of `DVN.execute` in a transaction, none where it is none of our contract's.
pub(super) fn calls(dvn: Address, sent: &Sent) -> Vec<ExecuteParam> {
    if sent.to != Some(dvn) {
        return Vec::new();
    }
    Dvn::executeCall::abi_decode(&sent.input).map(|call| call.params).unwrap_or_default()
}

/// Those of the calls that can have caused the event, with their signers.
pub(super) fn causes(calls: &[ExecuteParam], event: &Verified) -> Vec<Cause> {
    calls.iter().filter_map(|call| cause(call, event)).collect()
}

fn cause(call: &ExecuteParam, event: &Verified) -> Option<Cause> {
    let Verified { claim, confirmations, target } = *event;
    // An expiration beyond all time is none that we could have signed; it leaves the event without this cause.
    let expiration = ChainTime(u64::try_from(call.expiration).ok()?);
    let attestation = Attestation { claim, confirmations, expiration, vid: Vid(call.vid), target };
    if call.target != target || call.callData != attestation.call_data() {
        return None;
    }
    let signers = signature::recover_packed(attestation.digest(), &call.signatures);
    Some(Cause { attestation, signers })
}

#[cfg(test)]
mod tests;
