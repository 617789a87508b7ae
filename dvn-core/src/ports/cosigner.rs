use std::fmt;

use alloy_primitives::{Address, Signature};
use async_trait::async_trait;

use crate::{
    error::CosignError,
    ids::{ChainTime, Confirmations, Eid},
    job::Location,
    packet::Claim,
};

/// What a cosigner is asked to attest, in meaning and never in bytes: the cosigner reads the packet itself, and builds
/// call data and digest from its own pinned contracts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_structs, reason = "what goes over the wire")]
pub struct Proposal {
    /// The packet.
    pub location: Location,
    /// Where it goes.
    pub dst_eid: Eid,
    /// What to state.
    pub confirmations: Confirmations,
    /// Until when.
    pub expiration: ChainTime,
}

/// What a cosigner is asked to take back: `verify(header, payloadHash, 0)`, which makes our record of a packet insufficient.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_structs, reason = "what goes over the wire")]
pub struct Retraction {
    /// Slot and payload that were attested.
    pub claim: Claim,
    /// Where the proposer once saw the packet. The cosigner looks there too; zero where it never saw it.
    pub location: Location,
    /// Until when.
    pub expiration: ChainTime,
}

/// Something that verifies a proposal by its own observation and returns one signature: this node's attestor, or a peer.
#[async_trait]
pub trait Cosigner: fmt::Debug + Send + Sync {
    /// A name for logs and metrics.
    fn name(&self) -> &str;

    /// The address it signs with for this destination, or nothing where it does not serve it.
    fn address(&self, dst_eid: Eid) -> Option<Address>;

    /// Whether it was there when it was last looked for. Others propose at once in the place of one that was not.
    fn is_healthy(&self) -> bool {
        true
    }

    /// Verifies and signs.
    ///
    /// # Errors
    /// [`CosignError`], which says whether asking again can help.
    ///
    /// # Cancel safety
    /// The cosigner may have signed, and journaled, when the future is dropped; asking again is safe.
    async fn cosign(&self, proposal: &Proposal) -> Result<Signature, CosignError>;

    /// Signs a retraction of what the destination shows, unless it can verify the packet itself at that moment. Halts do not
    /// stop it.
    ///
    /// # Errors
    /// [`CosignError`].
    ///
    /// # Cancel safety
    /// As [`Cosigner::cosign`].
    async fn take_back(&self, retraction: &Retraction) -> Result<Signature, CosignError>;
}
