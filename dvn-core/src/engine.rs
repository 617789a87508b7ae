//! Drives every job through the ports, from observed to committed, and resumes from the store wherever it was stopped.

mod audit;
mod calendar;
mod collect;
mod health;
mod history;
mod inherited;
mod lane;
mod observe;
mod progress;
mod record;
mod retract;
mod step;
mod sweep;
mod turn;
mod urgent;
mod watch;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use thiserror::Error;
use tokio::{sync::Notify, task::JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

pub use self::history::HistoryError;
pub use self::progress::{Backfill, Progress, ProgressReport, RecentMove, SourceProgress};
pub(crate) use self::{audit::Audits, calendar::Calendar, inherited::Own, turn::Turns};
use crate::{
    assess::Views,
    attestor::Attestor,
    backoff::Backoff,
    builder::{Batch, Source},
    ids::{BlockNumber, Eid, JobId},
    ports::{Clock, Cosigner, JobQueue, Store, Submitter},
};

/// A composed DVN, ready to run. Made by [`Dvn::builder`].
#[derive(Debug)]
pub struct Dvn {
    pub(crate) engine: Arc<Engine>,
    pub(crate) sources: Vec<Source>,
}

/// Why a running DVN stopped by itself.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RunError {
    /// A task panicked; a restart resumes from the store.
    #[error("task {task} died")]
    TaskDied {
        /// Which one.
        task: String,
    },
}

/// What all tasks share.
#[derive(Debug)]
pub(crate) struct Engine {
    pub(crate) views: Views,
    pub(crate) attestor: Arc<Attestor>,
    /// The attestor first, then the peers.
    pub(crate) cosigners: Vec<Arc<dyn Cosigner>>,
    pub(crate) turns: Turns,
    pub(crate) audits: Audits,
    pub(crate) lanes: BTreeMap<Eid, Lane>,
    pub(crate) store: Store,
    pub(crate) queue: Arc<dyn JobQueue>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) progress: Progress,
    pub(crate) tuning: Tuning,
    /// Jobs that a worker of this process holds.
    pub(crate) in_hand: Mutex<HashSet<JobId>>,
    /// Jobs that a worker shall look at before their time.
    pub(crate) called: Mutex<HashSet<JobId>>,
    /// How far each source is, as far as jobs were woken for it.
    pub(crate) calendar: Calendar,
    /// The destination height at which an attested packet was first seen as committed.
    pub(crate) committed_at: Mutex<HashMap<JobId, BlockNumber>>,
}

/// How one destination is written to.
#[derive(Debug)]
pub(crate) struct Lane {
    pub(crate) submitter: Arc<dyn Submitter>,
    pub(crate) batch: Batch,
    pub(crate) poll: Duration,
    /// How many signatures the contract is expected to ask for, where that is known.
    pub(crate) quorum: Option<usize>,
    /// Where the contract's history begins.
    pub(crate) history_start: BlockNumber,
    /// Rung when a job for this destination was signed.
    pub(crate) bell: Notify,
    /// What this process signed before the lane began.
    pub(crate) own: Own,
}

/// Times and sizes, see the builder's methods of the same names.
#[derive(Clone, Debug)]
pub(crate) struct Tuning {
    pub(crate) instance: String,
    pub(crate) life: Duration,
    pub(crate) timeout: Duration,
    pub(crate) workers: usize,
    pub(crate) sweep: Duration,
    pub(crate) resweep: Duration,
    pub(crate) key_check: Duration,
    pub(crate) takeover: Duration,
    pub(crate) history: Duration,
    pub(crate) unseen: Duration,
}

const RETRY: Backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(60));

impl Dvn {
    /// What the DVN is doing, for status pages; cheap to clone and to read at any time.
    #[must_use]
    pub fn progress(&self) -> Progress {
        self.engine.progress.clone()
    }

    /// This node's own cosigner, for a listener that answers peers.
    #[must_use]
    pub fn attestor(&self) -> Arc<Attestor> {
        Arc::clone(&self.engine.attestor)
    }

    /// Compares every destination's history with the journal, once, as [`Dvn::run`] does before anything is signed: only for whoever
    /// uses the [`Attestor`] without running the DVN.
    ///
    /// # Errors
    /// [`HistoryError`]; the attestor signs nothing for that destination then.
    ///
    /// # Cancel safety
    /// What was compared stays compared.
    pub async fn reconcile(&self) -> Result<(), HistoryError> {
        self.engine.reconcile_all().await
    }

    /// Runs until `stop` is cancelled: then nothing new is begun, what is in hand ends at its next durable step, and the
    /// call returns.
    ///
    /// # Errors
    /// [`RunError`] if a task died; the others are stopped first.
    ///
    /// # Cancel safety
    /// A dropped call leaves a consistent store, as a killed process does.
    pub async fn run(self, stop: CancellationToken) -> Result<(), RunError> {
        let stop = stop.child_token();
        let mut tasks = JoinSet::new();
        let mut names = HashMap::new();
        for (name, task) in self.tasks(&stop) {
            names.insert(tasks.spawn(task).id(), name);
        }
        info!(tasks = names.len(), "engine started");
        let mut result = Ok(());
        while let Some(ended) = tasks.join_next_with_id().await {
            let id = match &ended {
                Ok((id, ())) => *id,
                Err(failure) => failure.id(),
            };
            if !stop.is_cancelled() {
                let task = names.get(&id).cloned().unwrap_or_default();
                error!(task, "task died");
                result = Err(RunError::TaskDied { task });
                stop.cancel();
            }
        }
        info!("engine stopped");
        result
    }

    fn tasks(self, stop: &CancellationToken) -> Vec<(String, futures::future::BoxFuture<'static, ()>)> {
        let mut tasks: Vec<(String, futures::future::BoxFuture<'static, ()>)> = Vec::new();
        for source in self.sources {
            let name = format!("observe {}", source.scanner.chain().name);
            tasks.push((name, Box::pin(observe::run(Arc::clone(&self.engine), source, stop.clone()))));
        }
        for (eid, lane) in &self.engine.lanes {
            let name = format!("history {}", lane.submitter.chain().name);
            tasks.push((name, Box::pin(history::run(Arc::clone(&self.engine), *eid, stop.clone()))));
            let name = format!("submit {}", lane.submitter.chain().name);
            tasks.push((name, Box::pin(lane::run(Arc::clone(&self.engine), *eid, stop.clone()))));
        }
        for worker in 0..self.engine.tuning.workers {
            let name = format!("worker {worker}");
            tasks.push((name, Box::pin(step::run(Arc::clone(&self.engine), stop.clone()))));
        }
        let health = health::run(Arc::clone(&self.engine), stop.clone());
        tasks.push(("key health".to_owned(), Box::pin(health)));
        tasks.push(("sweep".to_owned(), Box::pin(sweep::run(self.engine, stop.clone()))));
        tasks
    }
}

/// Locks a map of hints; what a panicked holder left behind is as good as any.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Sleeps, or ends early when the engine stops. Says whether to go on.
pub(crate) async fn pause(stop: &CancellationToken, time: Duration) -> bool {
    tokio::select! {
        () = stop.cancelled() => false,
        () = tokio::time::sleep(time) => true,
    }
}
