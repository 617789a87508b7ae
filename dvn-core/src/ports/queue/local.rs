use std::{
    collections::{HashSet, VecDeque},
    sync::{Mutex, PoisonError},
};

use async_trait::async_trait;
use tokio::sync::Notify;

use super::{Due, Entry, JobQueue, Receipt};
use crate::{
    error::{QueueError, QueueErrorKind},
    ids::JobId,
    job::Stage,
};

/// Whose turn it is, over and over. What is nearest to its signature comes first, and what was attested still has a fifth
/// of the turns: it is there that a wrong attestation is found and taken back.
const TURNS: [Stage; 5] = [Stage::Sign, Stage::Verify, Stage::Sign, Stage::Verify, Stage::Watch];

/// A bounded queue inside the process. Each stage is first in, first out, and has a bound of its own, so that none fills up
/// the others.
#[derive(Debug)]
pub struct LocalQueue {
    inner: Mutex<Inner>,
    filled: Notify,
    capacity: usize,
}

#[derive(Debug, Default)]
struct Inner {
    stages: [VecDeque<(JobId, Receipt)>; Stage::ALL.len()],
    members: HashSet<JobId>,
    turn: usize,
}

impl LocalQueue {
    /// A queue that takes up to `capacity` ids for each stage and refuses more.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self { inner: Mutex::default(), filled: Notify::new(), capacity }
    }

    /// Adds an entry, with the receipt that [`JobQueue::pop`] shall return; says whether the job was not queued yet. For
    /// queues that are built on this one.
    ///
    /// # Errors
    /// [`QueueErrorKind::Full`].
    pub fn insert(&self, entry: Entry) -> Result<bool, QueueError> {
        let mut inner = self.lock();
        if inner.members.contains(&entry.id) {
            return Ok(false);
        }
        let capacity = self.capacity;
        let Some(order) = inner.stages.get_mut(entry.stage.index()).filter(|order| order.len() < capacity) else {
            return Err(QueueError::new(QueueErrorKind::Full));
        };
        order.push_back((entry.id, entry.receipt));
        inner.members.insert(entry.id);
        drop(inner);
        self.filled.notify_one();
        Ok(true)
    }

    /// How many entries of a stage wait.
    #[must_use]
    pub fn waiting(&self, stage: Stage) -> usize {
        self.lock().stages.get(stage.index()).map_or(0, VecDeque::len)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        // The queue holds hints only, so what a panicked holder left behind is as good as any.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// The next entry of the stage whose turn it is, or else of the next one that has any.
    fn take(&mut self) -> Option<Entry> {
        let turns = TURNS.iter().cycle().skip(self.turn).take(TURNS.len());
        let (passed, stage) = turns.enumerate().find(|(_, stage)| !self.is_empty(**stage))?;
        self.turn = self.turn.wrapping_add(passed).wrapping_add(1).checked_rem(TURNS.len()).unwrap_or_default();
        let (id, receipt) = self.stages.get_mut(stage.index())?.pop_front()?;
        self.members.remove(&id);
        Some(Entry { stage: *stage, id, receipt })
    }

    fn is_empty(&self, stage: Stage) -> bool {
        self.stages.get(stage.index()).is_none_or(VecDeque::is_empty)
    }
}

#[async_trait]
impl JobQueue for LocalQueue {
    async fn push(&self, due: Due) -> Result<(), QueueError> {
        self.insert(Entry { stage: due.stage(), id: due.id, receipt: Receipt::default() }).map(drop)
    }

    async fn pop(&self) -> Result<Entry, QueueError> {
        loop {
            let filled = self.filled.notified();
            {
                let mut inner = self.lock();
                if let Some(entry) = inner.take() {
                    if !inner.members.is_empty() {
                        self.filled.notify_one();
                    }
                    return Ok(entry);
                }
            }
            filled.await;
        }
    }

    /// Nothing to do: what was handed out is forgotten, and the sweeper brings back what was not finished.
    async fn ack(&self, _entry: Entry) -> Result<(), QueueError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::B256;

    use super::*;

    fn entry(stage: Stage, byte: u8) -> Entry {
        Entry { stage, id: JobId(B256::repeat_byte(byte)), receipt: Receipt::default() }
    }

    #[test]
    fn a_full_stage_leaves_room_in_the_others_and_is_not_passed_over() {
        let queue = LocalQueue::new(10);
        for byte in 0..10 {
            assert!(queue.insert(entry(Stage::Watch, byte)).unwrap());
        }
        assert_eq!(queue.insert(entry(Stage::Watch, 10)).unwrap_err().kind(), QueueErrorKind::Full);
        for byte in 20..30 {
            assert!(queue.insert(entry(Stage::Verify, byte)).unwrap());
            assert!(queue.insert(entry(Stage::Sign, byte + 20)).unwrap());
        }
        let taken = std::iter::from_fn(|| queue.lock().take()).map(|entry| entry.stage).collect::<Vec<_>>();
        assert_eq!(taken.len(), 30);
        let count = |stages: &[Stage], stage| stages.iter().filter(|it| **it == stage).count();
        for five in taken.chunks(5).take(5) {
            assert_eq!(Stage::ALL.map(|stage| count(five, stage)), [2, 2, 1]);
        }
        assert_eq!(taken[25..], [Stage::Watch; 5]);
    }

    #[test]
    fn a_stage_alone_has_every_turn() {
        let queue = LocalQueue::new(10);
        for byte in 0..5 {
            queue.insert(entry(Stage::Verify, byte)).unwrap();
        }
        let taken = std::iter::from_fn(|| queue.lock().take()).map(|entry| entry.id.0[0]).collect::<Vec<_>>();
        assert_eq!(taken, [0, 1, 2, 3, 4]);
    }
}
