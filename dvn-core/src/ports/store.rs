use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use alloy_primitives::B256;
use async_trait::async_trait;

use super::{AuditLog, Cursors, Due, Evidence, FinalizedHashes, Halts, Head, Journal, Leases, Outbox, Paths};
use crate::{
    error::StoreError,
    ids::{Eid, Guid, JobId},
    job::{Job, State},
};

/// What a store made of an observation.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "new or known")]
pub enum Observed {
    /// The job is new.
    New,
    /// The job was there; this is how it stands, unchanged.
    Known(Box<Job>),
}

/// A count of jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a plain record")]
pub struct Tally {
    /// Source.
    pub src_eid: Eid,
    /// Destination.
    pub dst_eid: Eid,
    /// State, with its reason.
    pub state: State,
    /// How many.
    pub count: u64,
}

/// Jobs, one per claim.
#[async_trait]
pub trait JobStore: fmt::Debug + Send + Sync {
    /// Inserts a job unless its id is known.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn observe(&self, job: &Job) -> Result<Observed, StoreError>;

    /// As [`JobStore::observe`], for many at once and in their order: a store may make them durable together.
    ///
    /// # Errors
    /// [`StoreError`]; some may be inserted then.
    async fn observe_all(&self, jobs: &[Job]) -> Result<Vec<Observed>, StoreError> {
        let mut observed = Vec::with_capacity(jobs.len());
        for job in jobs {
            observed.push(self.observe(job).await?);
        }
        Ok(observed)
    }

    /// One job.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn load(&self, id: JobId) -> Result<Option<Job>, StoreError>;

    /// Loads a job to work on it, unless another of the processes that share the store does. A claim ends with the next
    /// [`JobStore::save`] of the job, and after `ttl` at the latest; it is a matter of cost alone, and need not survive a crash of
    /// the store. One that has a process for itself just loads.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn claim(
        &self,
        id: JobId,
        _holder: &str,
        _now: SystemTime,
        _ttl: Duration,
    ) -> Result<Option<Job>, StoreError> {
        self.load(id).await
    }

    /// Saves a job that was loaded, if nobody saved it in between, and counts its version up, here and in the store.
    ///
    /// # Errors
    /// [`StoreErrorKind::Conflict`](crate::error::StoreErrorKind::Conflict) where somebody did.
    async fn save(&self, job: &mut Job) -> Result<(), StoreError>;

    /// Jobs whose [`Wake::At`](crate::job::Wake::At) has come, earliest first.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn due(&self, now: SystemTime, limit: usize) -> Result<Vec<Due>, StoreError>;

    /// A source's jobs whose [`Wake::AtHead`](crate::job::Wake::AtHead) is at most `head.latest` and whose block is
    /// at most `head.settled`, lowest block first.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn ripe(&self, src_eid: Eid, head: Head, limit: usize) -> Result<Vec<Due>, StoreError>;

    /// Of the jobs that are [`JobStore::ripe`] under `head`, at least those that were not under `since`, lowest block first. The engine
    /// asks this for every new head, so that it should not cost more where more jobs wait; by default it is all that are ripe.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn ripened(&self, src_eid: Eid, _since: Head, head: Head, limit: usize) -> Result<Vec<Due>, StoreError> {
        self.ripe(src_eid, head, limit).await
    }

    /// Jobs for a destination in one state, oldest first by observation.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn in_state(&self, dst_eid: Eid, state: State, limit: usize) -> Result<Vec<Job>, StoreError>;

    /// All jobs of a slot.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn by_guid(&self, guid: Guid) -> Result<Vec<Job>, StoreError>;

    /// All jobs of a source transaction, by log index.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn by_transaction(&self, tx_hash: B256) -> Result<Vec<Job>, StoreError>;

    /// Counts by path and state; states without jobs are left out.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn tally(&self) -> Result<Vec<Tally>, StoreError>;
}

/// Everything durable. Replace one port and keep the rest.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "a plain bundle whose fields users replace")]
pub struct Store {
    /// Jobs.
    pub jobs: Arc<dyn JobStore>,
    /// How far each source is read.
    pub cursors: Arc<dyn Cursors>,
    /// Which nonces of each path were seen.
    pub paths: Arc<dyn Paths>,
    /// Hashes of final blocks.
    pub finalized: Arc<dyn FinalizedHashes>,
    /// What was ever signed.
    pub journal: Arc<dyn Journal>,
    /// Stops.
    pub halts: Arc<dyn Halts>,
    /// Transactions.
    pub outbox: Arc<dyn Outbox>,
    /// What convinced us.
    pub evidence: Arc<dyn Evidence>,
    /// What was decided.
    pub audit: Arc<dyn AuditLog>,
    /// Who leads.
    pub leases: Arc<dyn Leases>,
}
