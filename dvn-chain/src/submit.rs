//! Asks a destination what it knows and puts signed attestations on it.

mod batch;
mod broadcast;
mod cancel;
mod fees;
mod forecast;
mod gap;
mod history;
mod lane;
mod looks;
mod outcome;
mod purse;
mod senders;
mod settle;
mod transaction;
mod view;

use std::{
    sync::{
        Arc, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use alloy::primitives::Address;
use async_trait::async_trait;
use dvn_core::{
    destination::DestinationView,
    error::{StoreError, SubmitError, SubmitErrorKind},
    ids::{BlockNumber, Confirmations, Eid, JobId},
    packet::Claim,
    ports::{
        Chain, Clock, Fence, Head, History, LaneId, Outbox, Settlement, SignedAttestation, Signer, SubmissionId,
        Submitted, Submitter,
    },
    signature::Committee,
};
use tokio::sync::Mutex;

pub use self::{fees::FeeCaps, purse::Purse, senders::SharedSubmitter};
use self::{lane::LaneMemory, looks::Looks};
use crate::{
    panel::{Panel, PanelError},
    profile::{Finality, GasRules},
    range::Stride,
};

/// How a destination is read and written.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a plain record of settings")]
pub struct SubmitterConfig {
    /// The EVM chain id that transactions are signed for.
    pub chain_id: u64,
    /// `EndpointV2`.
    pub endpoint: Address,
    /// The `ReceiveUln302`s that the configuration knows.
    pub receive_libs: Vec<Address>,
    /// Our DVN contract.
    pub dvn: Address,
    /// Which tag settles a block.
    pub finality: Finality,
    /// The operator's confirmations: with [`Finality::Latest`] they alone settle a block.
    pub floor: Confirmations,
    /// How many blocks one `eth_getLogs` asks for at first.
    pub log_range: u64,
    /// How gas is bought.
    pub gas: GasRules,
    /// The most that may be paid.
    pub fees: FeeCaps,
    /// Age at which a transaction that is next in its lane gets a higher price.
    pub replace_after: Duration,
    /// Least pause between two broadcasts of one transaction.
    pub resend_after: Duration,
    /// An attestation that expires sooner than this is not sent any more.
    pub expiry_margin: Duration,
}

/// Submits to one destination from one sending key.
#[derive(Debug)]
pub struct EvmSubmitter {
    panel: Arc<Panel>,
    config: SubmitterConfig,
    sender: Arc<dyn Signer>,
    outbox: Arc<dyn Outbox>,
    clock: Arc<dyn Clock>,
    /// Held while nonces are given out or open transactions looked after.
    lane: Mutex<LaneMemory>,
    /// How many blocks of history are asked for at once.
    stride: Stride,
    /// Under which lease the outbox is written.
    fence: std::sync::Mutex<Option<Fence>>,
    purse: Purse,
    /// How many attestations fit in one transaction, as far as is known.
    most_items: AtomicUsize,
    looks: Looks,
}

impl EvmSubmitter {
    /// A submitter over this panel's chain. `sender` pays gas and needs the DVN contract's `ADMIN_ROLE`.
    #[must_use]
    pub fn new(
        panel: Arc<Panel>,
        config: SubmitterConfig,
        sender: Arc<dyn Signer>,
        outbox: Arc<dyn Outbox>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let stride = Stride::new(config.log_range);
        let (fence, most_items) = (std::sync::Mutex::default(), AtomicUsize::new(usize::MAX));
        Self {
            panel,
            config,
            sender,
            outbox,
            clock,
            lane: Mutex::default(),
            stride,
            fence,
            purse: Purse::default(),
            most_items,
            looks: Looks::default(),
        }
    }

    /// Lets what was read of the destination at its newest height serve all who ask for so long, and puts the questions of those
    /// who ask at the same time into one request. By default everybody asks anew.
    #[must_use]
    pub const fn with_shared_looks(mut self, fresh: Duration) -> Self {
        self.looks.share_for(fresh);
        self
    }

    /// Bounds what is spent, and says when a balance is low. By default there is no bound.
    #[must_use]
    pub const fn with_purse(mut self, purse: Purse) -> Self {
        self.purse = purse;
        self
    }

    fn fence(&self) -> Option<Fence> {
        self.fence.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note_most_items(&self, most: usize) {
        self.most_items.store(most, Ordering::Relaxed);
    }

    fn eid(&self) -> Eid {
        self.panel.chain().eid
    }

    fn lane_id(&self) -> LaneId {
        LaneId { dst_eid: self.eid(), sender: self.sender.address() }
    }

    fn fail(&self, kind: SubmitErrorKind, detail: impl Into<String>) -> SubmitError {
        SubmitError::new(kind).chain(&self.panel.chain().name).because(detail)
    }

    /// At the tip seats may honestly stand on two sides of a reorg, so that a dissent there is a missing answer.
    fn missing(&self, error: &PanelError) -> SubmitError {
        self.fail(SubmitErrorKind::Missing, error.to_string())
    }

    fn store(&self, error: StoreError) -> SubmitError {
        SubmitError::new(SubmitErrorKind::Store).chain(&self.panel.chain().name).caused_by(error)
    }
}

#[async_trait]
impl Submitter for EvmSubmitter {
    fn chain(&self) -> &Chain {
        self.panel.chain()
    }

    fn lead(&self, fence: Fence) {
        *self.fence.lock().unwrap_or_else(PoisonError::into_inner) = Some(fence);
    }

    async fn committee(&self, candidates: &[Address]) -> Result<Committee, SubmitError> {
        self.looks.committee(&self.panel, self.config.dvn, candidates).await.map_err(|it| self.missing(&it))
    }

    async fn view(&self, claim: &Claim) -> Result<DestinationView, SubmitError> {
        if claim.header.dst_eid != self.eid() {
            return Err(self.fail(SubmitErrorKind::Bug, format!("asked about eid {}", claim.header.dst_eid)));
        }
        self.looks.view(&self.panel, &self.config, claim).await.map_err(|it| self.missing(&it))
    }

    async fn submit(&self, batch: Vec<SignedAttestation>) -> Result<Submitted, SubmitError> {
        let mut memory = self.lane.lock().await;
        lane::submit(self, &mut memory, batch).await
    }

    fn most_items(&self) -> usize {
        self.most_items.load(Ordering::Relaxed)
    }

    async fn has_room(&self) -> Result<bool, SubmitError> {
        let open = self.outbox.open(self.lane_id()).await.map_err(|it| self.store(it))?;
        Ok(open.len() < lane::MOST_OPEN)
    }

    async fn settle(&self) -> Result<Vec<Settlement>, SubmitError> {
        let mut memory = self.lane.lock().await;
        settle::settle(self, &mut memory).await
    }

    async fn cancel(&self, jobs: &[JobId]) -> Result<(), SubmitError> {
        let mut memory = self.lane.lock().await;
        cancel::cancel(self, &mut memory, jobs).await
    }

    async fn close(&self, submission: SubmissionId) -> Result<(), SubmitError> {
        let mut memory = self.lane.lock().await;
        self.outbox.close(submission).await.map_err(|it| self.store(it))?;
        memory.forget(submission);
        Ok(())
    }

    async fn is_busy(&self) -> Result<bool, SubmitError> {
        let open = self.outbox.open(self.lane_id()).await.map_err(|it| self.store(it))?;
        Ok(!open.is_empty())
    }

    async fn history(&self, from: BlockNumber, to: BlockNumber) -> Result<History, SubmitError> {
        history::history(self, from, to).await
    }

    async fn head(&self) -> Result<Head, SubmitError> {
        let head = self.looks.head(&self.panel, &self.config).await;
        head.map_err(|it| self.missing(&it))
    }
}
