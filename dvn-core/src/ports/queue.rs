//! Who hands jobs to workers.

use std::fmt;

use async_trait::async_trait;

use crate::{
    error::QueueError,
    ids::JobId,
    job::{Job, Stage, State},
};

mod local;

pub use local::LocalQueue;

/// A job that wants to be looked at now, as a store finds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_structs, reason = "a plain record")]
pub struct Due {
    /// Which.
    pub id: JobId,
    /// Where it stands.
    pub state: State,
    /// How often it was saved: the same job in the same version is the same piece of work.
    pub version: u64,
}

impl Due {
    /// Which kind of work it is.
    #[must_use]
    pub const fn stage(&self) -> Stage {
        self.state.stage()
    }
}

impl From<&Job> for Due {
    fn from(job: &Job) -> Self {
        Self { id: job.id, state: job.state, version: job.version }
    }
}

/// What a queue needs to know an entry by when its work is done. Opaque; empty where the queue needs nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Receipt(String);

impl Receipt {
    /// The queue's own name for an entry.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self(name.into())
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A job that a worker was handed. Nothing in it is to be believed: the job is whatever the store says.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a plain record")]
pub struct Entry {
    /// The kind of work that it was queued as.
    pub stage: Stage,
    /// Which job.
    pub id: JobId,
    /// For [`JobQueue::ack`].
    pub receipt: Receipt,
}

/// Hands jobs to workers. It is a hint: losing, repeating, reordering or inventing entries costs time and nothing else,
/// because the store refills it and a worker asks the store what there is to do.
///
/// `dvn_core::testing::queue_suite`, with the feature `test-util`, is what every queue has to do.
#[async_trait]
pub trait JobQueue: fmt::Debug + Send + Sync {
    /// Adds a job. One that is queued already stays queued once, as far as the queue can tell: the sweeper pushes the same
    /// job several times a second until it is done. Returns soon, also where the queue is out of reach.
    ///
    /// # Errors
    /// [`QueueErrorKind::Full`](crate::error::QueueErrorKind::Full), which a caller may ignore, or another
    /// [`QueueError`].
    async fn push(&self, due: Due) -> Result<(), QueueError>;

    /// Waits for a job. No stage starves another: while all have entries, fresh packets come more often than what is
    /// watched after its signature.
    ///
    /// # Errors
    /// [`QueueError`].
    ///
    /// # Cancel safety
    /// Nothing is taken when the future is dropped before it is ready.
    async fn pop(&self) -> Result<Entry, QueueError>;

    /// Says that the work on an entry has ended and what came of it is durable. An entry that is never acknowledged, since
    /// its worker died, comes again: by itself after a while or by the next sweep. Returns soon, also where the queue is out
    /// of reach.
    ///
    /// # Errors
    /// [`QueueError`]; the entry may come again then.
    async fn ack(&self, entry: Entry) -> Result<(), QueueError>;
}
