//! What the workers' side and the tasks that talk to Redis have in common.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use dvn_core::{
    error::{QueueError, QueueErrorKind},
    ports::{Due, Entry, LocalQueue, Receipt},
};
use tokio::{sync::Notify, time::Instant};
use tracing::{info, warn};

use super::{
    RedisOptions,
    given::{Given, Push},
};

/// How many jobs wait in this process at most, by stage, while it works alone.
const LOCAL: usize = 10_000;
/// How many pushes, and how many acknowledgements, wait to be sent at most.
const OUTGOING: usize = 10_000;

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) options: RedisOptions,
    /// What workers take from.
    pub(super) local: LocalQueue,
    /// Rung when there is something to send.
    pub(super) outgoing: Notify,
    /// Rung when a worker took an entry.
    pub(super) taken: Notify,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Nothing is known until the first connection stands or fails.
    link: Link,
    given: Given,
    pushes: VecDeque<Due>,
    acks: VecDeque<Entry>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Link {
    #[default]
    Unknown,
    Up,
    Down,
}

/// What is to be sent.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) pushes: Vec<Due>,
    pub(super) acks: Vec<Entry>,
}

impl Shared {
    pub(super) fn new(options: RedisOptions) -> Self {
        let (outgoing, taken) = (Notify::new(), Notify::new());
        Self { options, local: LocalQueue::new(LOCAL), outgoing, taken, state: Mutex::default() }
    }

    pub(super) fn is_up(&self) -> bool {
        self.state().link == Link::Up
    }

    pub(super) fn push(&self, due: Due) -> Result<(), QueueError> {
        let mut state = self.state();
        if state.link != Link::Up {
            drop(state);
            return self.work_here(due);
        }
        match state.given.push(due, Instant::now(), &self.options.pace()) {
            Push::Give if state.pushes.len() < OUTGOING => state.pushes.push_back(due),
            Push::Give => {
                state.given.forget(due.id);
                return Err(QueueError::new(QueueErrorKind::Full));
            }
            Push::Known => return Ok(()),
            Push::Overdue => {
                drop(state);
                metrics::counter!("dvn_queue_overdue_total").increment(1);
                return self.work_here(due);
            }
        }
        drop(state);
        self.outgoing.notify_one();
        Ok(())
    }

    pub(super) fn ack(&self, entry: Entry) {
        let mut state = self.state();
        state.given.forget(entry.id);
        self.finish(state, entry);
    }

    /// Has an entry removed from Redis whose job nobody needs to look at.
    pub(super) fn discard(&self, entry: Entry) {
        self.finish(self.state(), entry);
    }

    /// An entry that is not of this process only, or that cannot be removed, comes again and is found to be done.
    fn finish(&self, mut state: MutexGuard<'_, State>, entry: Entry) {
        let is_of_redis = !entry.receipt.as_str().is_empty();
        if is_of_redis && state.link == Link::Up && state.acks.len() < OUTGOING {
            state.acks.push_back(entry);
            drop(state);
            self.outgoing.notify_one();
        }
    }

    /// What is to be sent now, up to so many of each.
    pub(super) fn batch(&self, limit: usize) -> Batch {
        let mut state = self.state();
        let (pushes, acks) = (state.pushes.len().min(limit), state.acks.len().min(limit));
        Batch { pushes: state.pushes.drain(..pushes).collect(), acks: state.acks.drain(..acks).collect() }
    }

    /// What could not be sent is worked on here.
    pub(super) fn unsent(&self, pushes: impl IntoIterator<Item = Due>) {
        for due in pushes {
            // Where there is no room, the sweeper brings it back.
            let _ = self.work_here(due);
        }
    }

    /// Redis is there. Everything that is due is given to it anew, since it may have forgotten.
    pub(super) fn up(&self) {
        let mut state = self.state();
        state.given.clear();
        let before = std::mem::replace(&mut state.link, Link::Up);
        drop(state);
        metrics::gauge!("dvn_queue_up").set(1.0);
        if before != Link::Up {
            info!("the queue is in Redis");
        }
    }

    /// Redis is not there, and what it was given may be lost.
    pub(super) fn down(&self, reason: &str) {
        let mut state = self.state();
        state.given.clear();
        state.acks.clear();
        let unsent = std::mem::take(&mut state.pushes);
        let before = std::mem::replace(&mut state.link, Link::Down);
        drop(state);
        metrics::gauge!("dvn_queue_up").set(0.0);
        if before != Link::Down {
            warn!(reason, "the queue in Redis is not available; working from the store alone until it is");
        }
        self.unsent(unsent);
    }

    /// The streams were lost with what was in them.
    pub(super) fn lost(&self) {
        self.state().given.clear();
    }

    /// Forgets what has not been due for long, so that the memory is bounded.
    pub(super) fn tidy(&self) {
        self.state().given.tidy(Instant::now(), &self.options.pace());
    }

    fn work_here(&self, due: Due) -> Result<(), QueueError> {
        self.local.insert(Entry { stage: due.stage(), id: due.id, receipt: Receipt::default() }).map(drop)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // The queue holds hints only, so what a panicked holder left behind is as good as any.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
