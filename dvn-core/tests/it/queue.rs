//! What the engine does with its queue, whatever the queue does.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU32, Ordering},
};

use async_trait::async_trait;
use dvn_core::{
    error::{QueueError, QueueErrorKind},
    job::State,
    ports::{Due, Entry, JobQueue, LocalQueue, Store},
};

use crate::{
    engine::Setup,
    world::{Chains, Running, for_a_while, until, until_state},
};

/// T45, T46: entries that are repeated, replayed or invented cost one look into the store each.
#[tokio::test]
async fn t45_a_job_that_is_not_due_is_left_alone() {
    let setup = Setup::new().await;
    let claim = Chains::packet(1, b"hello");
    setup.world.lock().send(claim, 95);
    let queue = Arc::new(LocalQueue::new(100));
    let dvn = setup.world.builder(&setup.store, setup.signer.clone()).queue(queue.clone()).build().unwrap();
    let running = Running::start(dvn);
    let waiting = until_state(&setup.store, claim, State::Waiting).await;
    for _repeat in 0..10 {
        for state in [State::Observed, State::Verified, State::Attested] {
            queue.push(Due { state, version: waiting.version, id: waiting.id }).await.unwrap();
        }
        for_a_while().await;
    }
    assert_eq!(setup.store.jobs.load(waiting.id).await.unwrap(), Some(waiting), "nobody looked at the chain for it");
    setup.world.lock().mine(30);
    until_state(&setup.store, claim, State::Committed).await;
    running.stop().await;
    assert_eq!((setup.signer.calls(), setup.executed()), (1, 1));
}

/// A queue that fails at first, and notes how far a job is when its entry is acknowledged.
#[derive(Debug)]
struct Watched {
    inner: LocalQueue,
    store: Store,
    acknowledged: Mutex<Vec<(Entry, u64)>>,
    fails: AtomicU32,
}

#[async_trait]
impl JobQueue for Watched {
    async fn push(&self, due: Due) -> Result<(), QueueError> {
        self.inner.push(due).await
    }

    async fn pop(&self) -> Result<Entry, QueueError> {
        if self.fails.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok() {
            return Err(QueueError::new(QueueErrorKind::Unavailable));
        }
        self.inner.pop().await
    }

    async fn ack(&self, entry: Entry) -> Result<(), QueueError> {
        let version = self.store.jobs.load(entry.id).await.unwrap().unwrap().version;
        self.acknowledged.lock().unwrap().push((entry, version));
        Err(QueueError::new(QueueErrorKind::Unavailable))
    }
}

/// The acknowledgement follows the store's commit, so that a crash in between repeats work and loses none; and a queue
/// that fails at times is asked again.
#[tokio::test]
async fn entries_are_acknowledged_once_their_step_is_durable() {
    let setup = Setup::new().await;
    let claim = Chains::packet(1, b"hello");
    setup.world.lock().send(claim, 70);
    let queue = Arc::new(Watched {
        inner: LocalQueue::new(100),
        store: setup.store.clone(),
        acknowledged: Mutex::default(),
        fails: AtomicU32::new(3),
    });
    let dvn = setup.world.builder(&setup.store, setup.signer.clone()).queue(queue.clone()).build().unwrap();
    let running = Running::start(dvn);
    until_state(&setup.store, claim, State::Committed).await;
    until(&setup.store, claim, |_| queue.acknowledged.lock().unwrap().len() > 1).await;
    running.stop().await;
    let acknowledged = queue.acknowledged.lock().unwrap();
    let (first, version) = &acknowledged[0];
    assert_eq!(first.id, claim.job_id());
    assert!(*version > 0, "the first look is saved before it is acknowledged");
}
