use std::{
    collections::{HashSet, VecDeque},
    fmt,
    sync::{Mutex, PoisonError},
};

use async_trait::async_trait;
use tokio::sync::Notify;

use crate::{
    error::{QueueError, QueueErrorKind},
    ids::JobId,
};

/// Hands job ids to workers. It is a hint: losing, repeating or reordering entries costs time and nothing else, because
/// the store refills it.
#[async_trait]
pub trait JobQueue: fmt::Debug + Send + Sync {
    /// Adds a job; one that is queued already stays queued once.
    ///
    /// # Errors
    /// [`QueueErrorKind::Full`], which a caller may ignore.
    async fn push(&self, id: JobId) -> Result<(), QueueError>;

    /// Waits for a job.
    ///
    /// # Errors
    /// [`QueueError`].
    ///
    /// # Cancel safety
    /// Nothing is taken when the future is dropped before it is ready.
    async fn pop(&self) -> Result<JobId, QueueError>;
}

/// A bounded queue inside the process, first in, first out.
#[derive(Debug)]
pub struct LocalQueue {
    inner: Mutex<Inner>,
    filled: Notify,
    capacity: usize,
}

#[derive(Debug, Default)]
struct Inner {
    order: VecDeque<JobId>,
    members: HashSet<JobId>,
}

impl LocalQueue {
    /// A queue that takes up to `capacity` ids and refuses more.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self { inner: Mutex::default(), filled: Notify::new(), capacity }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        // The queue holds hints only, so what a panicked holder left behind is as good as any.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl JobQueue for LocalQueue {
    async fn push(&self, id: JobId) -> Result<(), QueueError> {
        let mut inner = self.lock();
        if inner.members.contains(&id) {
            return Ok(());
        }
        if inner.order.len() >= self.capacity {
            return Err(QueueError::new(QueueErrorKind::Full));
        }
        inner.members.insert(id);
        inner.order.push_back(id);
        drop(inner);
        self.filled.notify_one();
        Ok(())
    }

    async fn pop(&self) -> Result<JobId, QueueError> {
        loop {
            let filled = self.filled.notified();
            {
                let mut inner = self.lock();
                if let Some(id) = inner.order.pop_front() {
                    inner.members.remove(&id);
                    if !inner.order.is_empty() {
                        self.filled.notify_one();
                    }
                    return Ok(id);
                }
            }
            filled.await;
        }
    }
}
