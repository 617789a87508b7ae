//! What we sign: one `ReceiveUln302.verify(header, payloadHash, confirmations)` call, bound to a DVN contract's `vid`,
//! a target and an expiration (`DVN.sol`, `hashCallData`). This module is the EVM encoding; it can express nothing but
//! a verification, so no administrative call can be built from it.

use std::fmt;

use alloy_primitives::{Address, B256, Bytes, eip191_hash_message, keccak256};
use alloy_sol_types::SolCall;

use crate::{
    ids::{ChainTime, Confirmations, Vid},
    packet::Claim,
};

mod abi {
    alloy_sol_types::sol! {
        /// `ReceiveUln302`, selector 0x0223536e.
        function verify(bytes packetHeader, bytes32 payloadHash, uint64 confirmations);
    }
}

/// The meaning of one signature: "this packet is real and has this many confirmations", for one destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_structs, reason = "exactly what is hashed")]
pub struct Attestation {
    /// Slot and payload.
    pub claim: Claim,
    /// What is stated; 0 takes an earlier attestation back.
    pub confirmations: Confirmations,
    /// Last destination second before which the contract accepts the call (equal is too late).
    pub expiration: ChainTime,
    /// `vid` of the destination's DVN contract.
    pub vid: Vid,
    /// The destination's receive library.
    pub target: Address,
}

impl Attestation {
    /// ABI-encoded `verify` call.
    #[must_use]
    pub fn call_data(&self) -> Bytes {
        let call = abi::verifyCall {
            packetHeader: self.claim.header.encode(),
            payloadHash: self.claim.payload_hash.0,
            confirmations: self.confirmations.0,
        };
        call.abi_encode().into()
    }

    /// `DVN.hashCallData(vid, target, callData, expiration)`: `keccak256(vid ‖ target ‖ expiration ‖ callData)`, packed.
    #[must_use]
    pub fn hash(&self) -> B256 {
        let mut preimage = Vec::with_capacity(284);
        preimage.extend_from_slice(&self.vid.0.to_be_bytes());
        preimage.extend_from_slice(self.target.as_slice());
        preimage.extend_from_slice(&[0; 24]);
        preimage.extend_from_slice(&self.expiration.0.to_be_bytes());
        preimage.extend_from_slice(&self.call_data());
        keccak256(preimage)
    }

    /// The 32 bytes that a key signs: EIP-191 (`0x45`) over [`Attestation::hash`].
    #[must_use]
    pub fn digest(&self) -> B256 {
        eip191_hash_message(self.hash())
    }

    /// Whether this takes an earlier attestation back.
    #[must_use]
    pub const fn is_retraction(&self) -> bool {
        self.confirmations.0 == 0
    }
}

impl fmt::Display for Attestation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { claim, confirmations, expiration, .. } = self;
        write!(
            f,
            "guid {} payload {} confirmations {confirmations} until {expiration}",
            claim.header.guid(),
            claim.payload_hash
        )
    }
}

#[cfg(test)]
pub(crate) mod tests;
