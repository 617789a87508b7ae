//! From an authentic block down to one of its ancestors: by parents' hashes, by a proof of the history contract of
//! EIP-2935, or, where headers cannot be hashed, by asking the anchor about that height as well.

use std::{fmt, sync::Arc};

use alloy::primitives::B256;
use async_trait::async_trait;
use dvn_core::ids::{BlockNumber, BlockRef};

use crate::{
    anchor::Anchor,
    call::Call,
    headers::Headers,
    panel::{Panel, PanelError},
    proof::{self, StorageProof},
    seat::{Seat, SeatError},
};

/// Says which block at a lower height an authentic block descends from.
#[async_trait]
pub(crate) trait Link: fmt::Debug + Send + Sync {
    /// The ancestor of `from` at `to`, which is not above it.
    ///
    /// # Errors
    /// [`PanelError::Missing`] while nobody can show it; [`PanelError::Contradiction`] where seats differ.
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped.
    async fn down(&self, from: BlockRef, to: BlockNumber) -> Result<BlockRef, PanelError>;
}

/// Headers fetched for one link before a proof of the history contract is tried.
const SHORT: u64 = 16;
/// Headers fetched for one link at all.
const LONG: u64 = 512;

/// By hashing alone: no seat is believed.
#[derive(Debug)]
pub(crate) struct Hashed {
    panel: Arc<Panel>,
    headers: Arc<Headers>,
    /// How many ancestors' hashes the history contract keeps; nothing where the chain has none.
    ring: Option<u64>,
    fallback: Arc<dyn Anchor>,
}

impl Hashed {
    pub(crate) const fn new(
        panel: Arc<Panel>,
        headers: Arc<Headers>,
        ring: Option<u64>,
        fallback: Arc<dyn Anchor>,
    ) -> Self {
        Self { panel, headers, ring, fallback }
    }

    /// Walks down over headers that are known or, up to so many, fetched. Ends where it has to.
    async fn walk(&self, from: BlockRef, to: BlockNumber, fetches: u64) -> Result<BlockRef, PanelError> {
        let mut at = from;
        let mut left = fetches;
        while at.number > to {
            let header = match self.headers.known(at.hash) {
                Some(header) => header,
                None if left == 0 => break,
                None => {
                    left = left.saturating_sub(1);
                    self.headers.fetched(&self.panel, at.hash).await?
                }
            };
            at = BlockRef { number: at.number.below(1), hash: header.parent_hash };
        }
        Ok(at)
    }

    /// The hash that the history contract has for `to` in the state of `from`, proven from `from`'s hash.
    async fn remembered(&self, from: BlockRef, to: BlockNumber, ring: u64) -> Result<BlockRef, PanelError> {
        let root = self.headers.fetched(&self.panel, from.hash).await?.state_root;
        let slot = proof::history_slot(to.0, ring);
        let question = |seat: Arc<Seat>| async move {
            let call = Call::proof(proof::HISTORY_CONTRACT, &[slot], from.number);
            let proof: StorageProof = seat.call(call).await?;
            let values = proof::prove_storage(root, proof::HISTORY_CONTRACT, &[slot], &proof)
                .map_err(|error| SeatError::malformed(error.to_string()))?;
            // A zero means that the contract does not have it, which says nothing about the block.
            Ok(values.first().filter(|hash| !hash.is_zero()).map(|hash| B256::from(*hash)))
        };
        let hash = self.panel.first("proof of an ancestor", question).await?.value;
        Ok(BlockRef { number: to, hash })
    }
}

#[async_trait]
impl Link for Hashed {
    async fn down(&self, from: BlockRef, to: BlockNumber) -> Result<BlockRef, PanelError> {
        let at = self.walk(from, to, 0).await?;
        let left = at.number.0.saturating_sub(to.0);
        if left <= SHORT {
            return self.walk(at, to, SHORT).await;
        }
        // The newest state is the likeliest to be served.
        let distance = from.number.0.saturating_sub(to.0);
        if let Some(ring) = self.ring.filter(|ring| distance <= *ring) {
            match self.remembered(from, to, ring).await {
                Ok(ancestor) => return Ok(ancestor),
                Err(error) => tracing::debug!(chain = self.panel.chain().name, %error, "no proof of an ancestor"),
            }
        }
        if left <= LONG {
            return self.walk(at, to, LONG).await;
        }
        Ok(self.fallback.at(to).await?.block)
    }
}

/// By the anchor's word about the lower height too.
#[derive(Debug)]
pub(crate) struct Voted(pub(crate) Arc<dyn Anchor>);

#[async_trait]
impl Link for Voted {
    async fn down(&self, from: BlockRef, to: BlockNumber) -> Result<BlockRef, PanelError> {
        if from.number == to {
            return Ok(from);
        }
        Ok(self.0.at(to).await?.block)
    }
}
