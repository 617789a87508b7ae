//! From a height to the hash of the block that stands there. Everything else about a block follows from its hash.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use dvn_core::ids::{BlockNumber, BlockRef, ChainTime};

use crate::{
    call::Call,
    headers::Headers,
    panel::{Agreed, Panel, PanelError},
    rpc::RpcBlock,
    seat::SeatError,
};

/// A block with those who vouch for its hash.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "what an anchor, an embedder's too, has to say")]
pub struct Authentic {
    /// The block.
    pub block: BlockRef,
    /// Seats, or whatever else knows: for people and for the evidence.
    pub vouched_by: Vec<String>,
}

/// Says which block stands at a height, on whatever authority: the threshold of seats, a light client, a sequencer's
/// signature. A verifier asks all of its anchors; every one must name the same hash.
#[async_trait]
pub trait Anchor: fmt::Debug + Send + Sync {
    /// The block at this height.
    ///
    /// # Errors
    /// [`PanelError::Missing`] while it does not know; [`PanelError::Contradiction`] where its own sources differ.
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped.
    async fn at(&self, number: BlockNumber) -> Result<Authentic, PanelError>;
}

/// The threshold of seats.
#[derive(Debug)]
pub(crate) struct Seats {
    panel: Arc<Panel>,
    /// Where headers can be hashed, one that does not hash to its name is no vote.
    headers: Option<Arc<Headers>>,
}

impl Seats {
    pub(crate) const fn new(panel: Arc<Panel>, headers: Option<Arc<Headers>>) -> Self {
        Self { panel, headers }
    }
}

#[async_trait]
impl Anchor for Seats {
    async fn at(&self, number: BlockNumber) -> Result<Authentic, PanelError> {
        let headers = self.headers.as_deref();
        let agreed = self
            .panel
            .agree("block hash", |seat| async move {
                let told = Headers::told(headers, &seat, Call::block_by_number(number)).await?;
                told.map(|told| told.try_map(|block| anchored(&block, number).map(|it| it.block))).transpose()
            })
            .await?;
        Ok(Authentic { block: agreed.value.value, vouched_by: agreed.voters })
    }
}

/// Several anchors that must all name the same block: the first one leads, each other can only veto.
#[derive(Debug)]
pub(crate) struct All {
    first: Seats,
    more: Vec<Arc<dyn Anchor>>,
}

impl All {
    pub(crate) const fn new(first: Seats) -> Self {
        Self { first, more: Vec::new() }
    }

    pub(crate) fn and(&mut self, anchor: Arc<dyn Anchor>) {
        self.more.push(anchor);
    }

    /// Adds the other anchors' word to what the seats said already.
    pub(crate) async fn confirm(&self, mut authentic: Authentic) -> Result<Authentic, PanelError> {
        for anchor in &self.more {
            let other = anchor.at(authentic.block.number).await?;
            if other.block != authentic.block {
                let said = |it: &Authentic| (it.vouched_by.join(", "), it.block.to_string());
                let votes = vec![said(&authentic), said(&other)];
                return Err(PanelError::Contradiction { question: "block hash", votes, absent: Vec::new() });
            }
            authentic.vouched_by.extend(other.vouched_by);
        }
        Ok(authentic)
    }
}

#[async_trait]
impl Anchor for All {
    async fn at(&self, number: BlockNumber) -> Result<Authentic, PanelError> {
        let authentic = self.first.at(number).await?;
        self.confirm(authentic).await
    }
}

/// A block that the threshold of seats agrees on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Anchored {
    pub(crate) block: BlockRef,
    pub(crate) time: ChainTime,
}

/// The block at a height with its time. A seat that is not there yet abstains.
pub(crate) async fn block_at(panel: &Panel, number: BlockNumber) -> Result<Agreed<Anchored>, PanelError> {
    let question = |seat: Arc<crate::seat::Seat>| async move {
        let told = seat.told::<Option<RpcBlock>>(Call::block_by_number(number)).await?.transpose();
        told.map(|told| told.try_map(|block| anchored(&block, number))).transpose()
    };
    let agreed = panel.agree("block hash", question).await?;
    Ok(agreed.map(|told| told.value))
}

/// Takes a block only for the height that was asked for.
pub(crate) fn anchored(block: &RpcBlock, number: BlockNumber) -> Result<Anchored, SeatError> {
    if block.number() != number {
        return Err(SeatError::malformed("block of another height"));
    }
    Ok(Anchored { block: block.reference(), time: ChainTime(block.timestamp.to()) })
}
