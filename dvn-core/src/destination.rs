//! What a destination already knows about a packet, and what follows from it.

use alloy_primitives::{Address, B256};

use crate::{
    ids::{BlockRef, ChainTime, Confirmations, Nonce},
    job::Hold,
    packet::Claim,
};

/// What the receiver's ULN configuration asks, as read from the receive library.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "what the contract says")]
pub struct ReceiveConfig {
    /// Confirmations that a DVN's record needs to count. May be 0 (`NIL`).
    pub confirmations: Confirmations,
    /// Whether our DVN contract is in the required or the optional list.
    pub lists_us: bool,
}

/// One destination's knowledge of one claim, read by quorum at one block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "the inputs of the decision table")]
pub struct DestinationView {
    /// The block that was read.
    pub at: BlockRef,
    /// Its timestamp.
    pub time: ChainTime,
    /// `EndpointV2.getReceiveLibrary(receiver, srcEid)`.
    pub receive_lib: Address,
    /// Whether the configuration names that library.
    pub receive_lib_known: bool,
    /// `ReceiveUln302.getUlnConfig(receiver, srcEid)`, or nothing where it reverts.
    pub config: Option<ReceiveConfig>,
    /// `EndpointV2.inboundPayloadHash(receiver, srcEid, sender, nonce)`.
    pub stored: B256,
    /// `EndpointV2.lazyInboundNonce(receiver, srcEid, sender)`.
    pub lazy_nonce: Nonce,
    /// `ReceiveUln302.hashLookup(headerHash, payloadHash, ourDvn)`: the confirmations we stated, if we did.
    pub record: Option<Confirmations>,
}

/// What to do about a claim on its destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "callers match on all of it, without a wildcard")]
pub enum Decision {
    /// The endpoint holds this very payload, or is past the nonce.
    Committed,
    /// Our record is there with enough confirmations; watch until it is committed.
    Attested,
    /// Send our verification.
    Submit(ReceiveConfig),
    /// Do nothing for now.
    Hold(Hold),
}

/// `EndpointV2`'s marker for a nilified packet.
pub const NIL_PAYLOAD_HASH: B256 = B256::repeat_byte(0xff);

impl DestinationView {
    /// Whether a record of ours stands that vouches for the claim; one of 0 takes back.
    #[must_use]
    pub fn shows_attestation(&self) -> bool {
        self.record.is_some_and(|stated| stated > Confirmations(0))
    }

    /// Whether the endpoint holds the claim or is past its nonce, so that nothing of it can be taken back any more.
    #[must_use]
    pub fn is_past(&self, claim: &Claim) -> bool {
        self.stored == claim.payload_hash.0 || claim.header.nonce <= self.lazy_nonce
    }

    /// Whether our record was taken back: what is attested states at least 1.
    #[must_use]
    pub fn is_taken_back(&self) -> bool {
        self.record == Some(Confirmations(0))
    }

    /// The decision table: read the endpoint before the library, since a commit deletes the library's records.
    #[must_use]
    pub fn decide(&self, claim: &Claim) -> Decision {
        // What the endpoint holds comes first: it stays true whichever library the receiver uses now.
        if self.stored == claim.payload_hash.0 {
            return Decision::Committed;
        }
        if self.stored == NIL_PAYLOAD_HASH {
            return Decision::Hold(Hold::Nilified);
        }
        if self.stored != B256::ZERO {
            return Decision::Hold(Hold::ForeignPayload);
        }
        if claim.header.nonce <= self.lazy_nonce {
            return Decision::Committed;
        }
        if !self.receive_lib_known {
            return Decision::Hold(Hold::UnknownReceiveLibrary);
        }
        let Some(config) = self.config else {
            return Decision::Hold(Hold::NoReceiveConfig);
        };
        if !config.lists_us {
            return Decision::Hold(Hold::NotListed);
        }
        match self.record {
            Some(stated) if stated >= config.confirmations => Decision::Attested,
            _ => Decision::Submit(config),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
