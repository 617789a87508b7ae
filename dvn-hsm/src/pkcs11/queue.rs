//! Digests that wait for a session: bounded, and whoever adds one wakes one thread and no more.

use std::{
    collections::VecDeque,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
};

/// Why something was not added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// As many wait as may.
    Full,
    /// Nobody takes anything any more.
    Deserted,
}

/// Where things are added. Dropping it lets those who take finish what waits, and then end.
#[derive(Debug)]
pub(super) struct Entrance<T>(Arc<Shared<T>>);

/// Where things are taken. The last one that is dropped deserts the queue.
#[derive(Debug)]
pub(super) struct Exit<T>(Arc<Shared<T>>);

#[derive(Debug)]
struct Shared<T> {
    capacity: usize,
    state: Mutex<State<T>>,
    added: Condvar,
}

#[derive(Debug)]
struct State<T> {
    waiting: VecDeque<T>,
    closed: bool,
    exits: usize,
}

/// A queue of this capacity.
pub(super) fn bounded<T>(capacity: usize) -> (Entrance<T>, Exit<T>) {
    let state = Mutex::new(State { waiting: VecDeque::new(), closed: false, exits: 1 });
    let shared = Arc::new(Shared { capacity, state, added: Condvar::new() });
    (Entrance(Arc::clone(&shared)), Exit(shared))
}

impl<T> Entrance<T> {
    /// Adds it at the end, or drops it.
    pub(super) fn add(&self, it: T) -> Result<(), Refused> {
        let mut state = self.0.state();
        if state.exits == 0 {
            return Err(Refused::Deserted);
        }
        if state.waiting.len() >= self.0.capacity {
            return Err(Refused::Full);
        }
        state.waiting.push_back(it);
        drop(state);
        self.0.added.notify_one();
        Ok(())
    }
}

impl<T> Exit<T> {
    /// The one that waits longest, as soon as there is one; `None` when there will be none.
    pub(super) fn take(&self) -> Option<T> {
        let nothing = |state: &mut State<T>| state.waiting.is_empty() && !state.closed;
        let state = self.0.added.wait_while(self.0.state(), nothing);
        state.unwrap_or_else(PoisonError::into_inner).waiting.pop_front()
    }
}

impl<T> Shared<T> {
    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Clone for Exit<T> {
    fn clone(&self) -> Self {
        let mut state = self.0.state();
        state.exits = state.exits.saturating_add(1);
        drop(state);
        Self(Arc::clone(&self.0))
    }
}

impl<T> Drop for Exit<T> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.exits = state.exits.saturating_sub(1);
        // Nobody will take them; their callers learn it at once.
        let left = if state.exits == 0 { std::mem::take(&mut state.waiting) } else { VecDeque::new() };
        drop(state);
        drop(left);
    }
}

impl<T> Drop for Entrance<T> {
    fn drop(&mut self) {
        self.0.state().closed = true;
        self.0.added.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn what_is_full_takes_no_more() {
        let (entrance, exit) = bounded(2);
        assert_eq!([1, 2, 3].map(|it| entrance.add(it)), [Ok(()), Ok(()), Err(Refused::Full)]);
        assert_eq!(exit.take(), Some(1), "in their order");
        assert_eq!(entrance.add(4), Ok(()));
    }

    #[test]
    fn what_waits_is_taken_before_the_end() {
        let (entrance, exit) = bounded(2);
        entrance.add(1).unwrap();
        drop(entrance);
        assert_eq!([exit.take(), exit.take()], [Some(1), None]);
    }

    #[test]
    fn the_last_who_leaves_deserts_it() {
        let (entrance, exit) = bounded(2);
        let held = Arc::new(());
        entrance.add(Arc::clone(&held)).unwrap();
        let other = exit.clone();
        drop(exit);
        entrance.add(Arc::clone(&held)).unwrap();
        drop(other);
        assert_eq!(Arc::strong_count(&held), 1, "what waited is dropped");
        assert_eq!(entrance.add(held), Err(Refused::Deserted));
    }

    #[test]
    fn everybody_is_woken_at_the_end() {
        let (entrance, exit) = bounded::<u32>(2);
        thread::scope(|scope| {
            let waiting = [(); 3].map(|()| {
                let exit = exit.clone();
                scope.spawn(move || exit.take())
            });
            drop(entrance);
            assert_eq!(waiting.map(|thread| thread.join().unwrap()), [None; 3]);
        });
    }

    #[test]
    fn each_is_taken_once() {
        let (entrance, exit) = bounded(1_000);
        let sum = thread::scope(|scope| {
            let takers = [(); 4].map(|()| {
                let exit = exit.clone();
                scope.spawn(move || std::iter::from_fn(|| exit.take()).sum::<u64>())
            });
            (1..=1_000).for_each(|number| entrance.add(number).unwrap());
            drop(entrance);
            takers.map(|taker| taker.join().unwrap()).iter().sum::<u64>()
        });
        assert_eq!(sum, 500_500);
    }
}
