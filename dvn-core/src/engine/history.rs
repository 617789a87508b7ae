//! Compares what each destination shows in our name with what this node remembers: before anything is signed, from where it was
//! last compared, and as long as the node runs. A signature of ours that the journal does not know means that the journal was
//! rolled back or that somebody else uses the key.

mod changes;
mod explain;
mod rollback;

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use alloy_primitives::B256;
use thiserror::Error;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::{Engine, Lane, pause, record::chain_of};
use crate::{
    error::{Disposition, JournalError, StoreError, SubmitError},
    hashchain,
    ids::{BlockNumber, Eid},
    packet::Claim,
    ports::{ContractChange, Head, History, Shown},
};

/// How long to leave a destination alone that cannot be compared.
const EVERY: Duration = Duration::from_secs(2);
/// A destination is compared once in so many polls, which are three blocks: a look is six calls, and a block may cost two.
const POLLS: u32 = 6;
/// Events near the tip that are remembered as explained; beyond, remembering begins anew, which only costs time.
const MOST: usize = 10_000;

/// Why a destination could not be compared.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum HistoryError {
    /// It could not be read.
    #[error("destination could not be read")]
    Destination(#[from] SubmitError),
    /// The journal could not be read or written.
    #[error("journal failed")]
    Journal(#[from] JournalError),
    /// Jobs or halts could not be read or written.
    #[error("store failed")]
    Store(#[from] StoreError),
}

impl HistoryError {
    const fn disposition(&self) -> Disposition {
        match self {
            Self::Destination(error) => error.disposition(),
            Self::Journal(error) => error.disposition(),
            Self::Store(error) => error.disposition(),
        }
    }
}

/// What is remembered about one destination between two looks.
#[derive(Debug, Default)]
struct Watched {
    /// Events above the settled height that need no second explanation.
    explained: HashSet<B256>,
    /// Packets that peers attested and this node has not found yet.
    open: HashMap<Claim, Open>,
    tip: Option<BlockNumber>,
}

/// A packet that waits to be found.
#[derive(Clone, Copy, Debug)]
struct Open {
    since: Instant,
    /// How far its source was read then.
    cursor: Option<BlockNumber>,
}

pub(crate) async fn run(engine: Arc<Engine>, eid: Eid, stop: CancellationToken) {
    let Some(lane) = engine.lanes.get(&eid) else {
        return;
    };
    let mut watched = Watched::default();
    let mut quiet = Duration::ZERO;
    loop {
        if let Err(error) = engine.look_at_history(eid, lane, &mut watched).await {
            let chain = &lane.submitter.chain().name;
            warn!(chain, error = chain_of(&error), "what the destination shows in our name is not compared");
            quiet = match error.disposition() {
                Disposition::Retry { after } => after,
                Disposition::Reject | Disposition::Halt => EVERY,
            };
            if let (HistoryError::Destination(error), Disposition::Halt) = (&error, error.disposition())
                && let Err(error) = engine.halt_chain(eid, &chain_of(error), error.evidence()).await
            {
                warn!(chain, error = chain_of(&error), "halt could not be recorded");
            }
        }
        let often = lane.poll.saturating_mul(POLLS).max(engine.tuning.history);
        let every = if engine.attestor.is_reconciled(eid) { often } else { lane.poll };
        if !pause(&stop, every.max(std::mem::take(&mut quiet))).await {
            return;
        }
    }
}

impl Engine {
    pub(crate) async fn reconcile_all(&self) -> Result<(), HistoryError> {
        for (eid, lane) in &self.lanes {
            let head = lane.submitter.head().await?;
            self.reconcile(*eid, lane, head, &mut Watched::default()).await?;
        }
        Ok(())
    }

    /// Reads what settled since the last time, for good, and what is newer as a hint.
    async fn look_at_history(&self, eid: Eid, lane: &Lane, watched: &mut Watched) -> Result<(), HistoryError> {
        let head = lane.submitter.head().await?;
        self.reconcile(eid, lane, head, watched).await?;
        self.look_at_tip(eid, lane, head, watched).await?;
        self.explain_open(eid, watched).await
    }

    /// Compares every settled block since the anchor. The destination's gate opens once that is done.
    async fn reconcile(&self, eid: Eid, lane: &Lane, head: Head, watched: &mut Watched) -> Result<(), HistoryError> {
        let mut from = self.history_from(eid, lane, head).await?;
        while from <= head.settled {
            let history = lane.submitter.history(from, head.settled).await?;
            self.explain_all(eid, lane, &history, watched).await?;
            self.store.journal.set_anchor(eid, history.through).await?;
            debug!(chain = lane.submitter.chain().name, through = history.through.0, "history was compared");
            from = history.through.above(1);
        }
        if self.attestor.reconciled(eid) {
            info!(
                chain = lane.submitter.chain().name,
                through = head.settled.0,
                "the journal agrees with the destination"
            );
        }
        Ok(())
    }

    async fn explain_all(
        &self,
        eid: Eid,
        lane: &Lane,
        history: &History,
        watched: &mut Watched,
    ) -> Result<(), HistoryError> {
        for shown in &history.shown {
            self.explain(eid, shown, watched).await?;
        }
        for change in &history.changes {
            self.explain_change(eid, lane, change, watched).await?;
        }
        Ok(())
    }

    /// The first block that was not compared yet. A key that never signed has no history before its first start; where the
    /// journal's past is uncertain, all of it is read.
    async fn history_from(&self, eid: Eid, lane: &Lane, head: Head) -> Result<BlockNumber, HistoryError> {
        if let Some(anchor) = self.store.journal.anchor(eid).await? {
            return Ok(anchor.above(1));
        }
        if self.store.journal.state().await?.quarantine.is_some() {
            return Ok(lane.history_start);
        }
        self.store.journal.set_anchor(eid, head.settled).await?;
        Ok(head.settled.above(1))
    }

    async fn look_at_tip(&self, eid: Eid, lane: &Lane, head: Head, watched: &mut Watched) -> Result<(), HistoryError> {
        if head.latest <= head.settled || watched.tip == Some(head.latest) {
            return Ok(());
        }
        let mut from = head.settled.above(1);
        while from <= head.latest {
            let history = match lane.submitter.history(from, head.latest).await {
                Ok(history) => history,
                // At the tip seats may stand on two sides of a reorg; what settles is read again.
                Err(error) if matches!(error.disposition(), Disposition::Retry { .. }) => {
                    debug!(error = chain_of(&error), "the newest blocks are left to the next look");
                    return Ok(());
                }
                Err(error) => return Err(error.into()),
            };
            self.explain_all(eid, lane, &history, watched).await?;
            from = history.through.above(1);
        }
        watched.tip = Some(head.latest);
        Ok(())
    }
}

impl Watched {
    /// Whether an event is met for the first time.
    fn is_new(&mut self, key: B256) -> bool {
        if self.explained.len() >= MOST {
            self.explained.clear();
        }
        self.explained.insert(key)
    }
}

/// Names an event, so that it is explained once although it is read twice.
fn key_of_shown(shown: &Shown) -> B256 {
    let Shown { block, tx_hash, claim, confirmations, target, .. } = shown;
    hashchain::link(
        block.hash,
        [tx_hash.as_slice(), claim.job_id().0.as_slice(), &confirmations.0.to_be_bytes(), target.as_slice()],
    )
}

fn key_of_change(change: &ContractChange) -> B256 {
    hashchain::link(change.block.hash, [change.tx_hash.as_slice(), format!("{:?}", change.kind).as_bytes()])
}
