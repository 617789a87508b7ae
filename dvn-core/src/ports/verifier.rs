use std::fmt;

use async_trait::async_trait;

use super::{Chain, EvidenceBundle, Head};
use crate::{
    error::VerifyError,
    ids::Confirmations,
    job::{Location, Refusal},
    packet::Claim,
};

/// What a verifier found at a location.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "what a verifier, an embedder's too, has to say")]
pub struct Observation {
    /// Slot and payload, decoded from the log itself.
    pub claim: Claim,
    /// The location that was asked for.
    pub location: Location,
    /// Whether the fee event that belongs to the packet names our DVN, as required or optional or both.
    pub assigned: bool,
    /// `SendUln302.getUlnConfig(sender, dstEid).confirmations`, read at the newest block.
    pub send_confirmations: Confirmations,
    /// The chain's head as the verifier's own seats agree on it.
    pub head: Head,
    /// What convinced the verifier.
    pub evidence: EvidenceBundle,
}

/// A verifier's result.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "callers match on all of it, without a wildcard")]
pub enum Verification {
    /// The log is on the canonical chain.
    Found(Box<Observation>),
    /// The location's block is not on the canonical chain any more.
    Orphaned,
    /// The block is canonical, but the log is not a packet of ours to attest.
    Rejected {
        /// Why.
        refusal: Refusal,
        /// Whether the block is settled, so that this is the last word: before that a reorg may still put the same
        /// packet into another block, with another fee event.
        is_settled: bool,
    },
}

/// Turns a packet's location into evidence, or a reason not to.
///
/// Every call looks at the chain afresh as far as it can change; what a block hash fixes may be remembered.
#[async_trait]
pub trait Verifier: fmt::Debug + Send + Sync {
    /// The chain that it verifies.
    fn chain(&self) -> &Chain;

    /// Looks at the location. Depth and finality are reported, not judged: that is the policy's part.
    ///
    /// # Errors
    /// [`VerifyError`]: too few seats is retried, a contradiction halts the chain.
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped.
    async fn verify(&self, location: &Location) -> Result<Verification, VerifyError>;
}
