//! Work that several processes of one store share through Redis Streams.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use dvn_core::{
    error::QueueError,
    ports::{Due, Entry, JobQueue},
};
use tokio::task::AbortHandle;

mod given;
mod link;
mod options;
mod reader;
mod session;
mod shared;
mod streams;
mod writer;

pub use options::{RedisKind, RedisOptions, RedisOptionsError, RedisTls};
use shared::Shared;

/// A [`JobQueue`] in Redis, for processes that share one store: each job goes to one of them.
///
/// It is a hint like every queue, and trusts Redis with nothing else. Workers never wait for Redis: two tasks exchange
/// entries with it, and workers take from a [`LocalQueue`](dvn_core::ports::LocalQueue) that they fill. While Redis does not answer, jobs go into that
/// queue at once, and the process works on as one without Redis does. A job that was given to Redis and is still due
/// [`RedisOptions::visibility`] later is done by this process, whoever swallowed it.
///
/// Entries hold a job's id in hexadecimal and nothing else. Whatever does not look like that is removed and counted.
///
/// # Metrics
/// - `dvn_queue_up`: 1 while Redis is used, 0 while the process works without.
/// - `dvn_queue_rejected_total`: entries that are none of ours.
/// - `dvn_queue_overdue_total`: jobs that Redis had for longer than `visibility`.
pub struct RedisQueue {
    shared: Arc<Shared>,
    task: AbortHandle,
}

impl RedisQueue {
    /// A queue that connects by itself, now and whenever the connection is lost. Works before that, too.
    ///
    /// # Errors
    /// [`RedisOptionsError`], which names the option. That Redis does not answer is none.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn start(options: RedisOptions) -> Result<Self, RedisOptionsError> {
        let target = options.target()?;
        let shared = Arc::new(Shared::new(options));
        let task = tokio::spawn(session::run(Arc::clone(&shared), target)).abort_handle();
        Ok(Self { shared, task })
    }

    /// Whether Redis is used at this moment.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.shared.is_up()
    }
}

impl Drop for RedisQueue {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl fmt::Debug for RedisQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisQueue").field("options", &self.shared.options).field("is_up", &self.is_up()).finish()
    }
}

#[async_trait]
impl JobQueue for RedisQueue {
    async fn push(&self, due: Due) -> Result<(), QueueError> {
        self.shared.push(due)
    }

    async fn pop(&self) -> Result<Entry, QueueError> {
        let entry = self.shared.local.pop().await?;
        self.shared.taken.notify_one();
        Ok(entry)
    }

    async fn ack(&self, entry: Entry) -> Result<(), QueueError> {
        self.shared.ack(entry);
        Ok(())
    }
}
