//! A circuit breaker: after failures in a row nobody is let through for a while, then one, and its fate decides.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use dvn_core::backoff::Backoff;
use tokio::time::Instant;

#[derive(Debug)]
pub(super) struct Breaker {
    /// Failures in a row that open it.
    most: u32,
    /// How long it stays open, by how often it opened in a row.
    open: Backoff,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    failures: u32,
    openings: u32,
    /// Not before then; `None` while closed.
    until: Option<Instant>,
    /// Whether the one probe is on its way.
    is_probing: bool,
}

/// Leave for one attempt, whose fate must be told. Dropped without, as when the caller gave up, it lets the next one
/// probe.
#[derive(Debug)]
pub(super) struct Pass<'a> {
    breaker: &'a Breaker,
    is_probe: bool,
}

impl Breaker {
    pub(super) fn new(most: u32, open: Backoff) -> Self {
        Self { most: most.max(1), open, state: Mutex::default() }
    }

    /// Leave for an attempt, or how long nobody is let through.
    pub(super) fn pass(&self, now: Instant) -> Result<Pass<'_>, Duration> {
        let mut state = self.state();
        let Some(until) = state.until else { return Ok(Pass { breaker: self, is_probe: false }) };
        let wait = until.saturating_duration_since(now);
        if !wait.is_zero() || state.is_probing {
            return Err(wait);
        }
        state.is_probing = true;
        Ok(Pass { breaker: self, is_probe: true })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pass<'_> {
    /// The service answered, whatever it said.
    pub(super) fn answered(self) {
        let mut state = self.breaker.state();
        // One that left before the breaker opened must not close it behind the probe's back.
        if state.until.is_none() || self.is_probe {
            *state = State::default();
        }
    }

    /// The service failed; true if that opened the breaker.
    pub(super) fn failed(self, now: Instant) -> bool {
        let mut state = self.breaker.state();
        state.failures = state.failures.saturating_add(1);
        let opens = if state.until.is_some() { self.is_probe } else { state.failures >= self.breaker.most };
        if opens {
            state.openings = state.openings.saturating_add(1);
            state.until = now.checked_add(self.breaker.open.after(state.openings));
        }
        opens
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        if self.is_probe {
            self.breaker.state().is_probing = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn opened(now: Instant) -> Breaker {
        let breaker = Breaker::new(3, Backoff::new(SECOND, Duration::from_secs(3)));
        assert_eq!([(); 3].map(|()| breaker.pass(now).unwrap().failed(now)), [false, false, true]);
        breaker
    }

    #[test]
    fn failures_in_a_row_open_it() {
        let now = Instant::now();
        let breaker = opened(now);
        assert_eq!(breaker.pass(now).unwrap_err(), SECOND);
        let patient = Breaker::new(2, Backoff::new(SECOND, SECOND));
        for _ in 0..4 {
            assert!(!patient.pass(now).unwrap().failed(now));
            patient.pass(now).unwrap().answered();
        }
    }

    #[test]
    fn one_probe_decides() {
        let now = Instant::now();
        let breaker = opened(now);
        let later = now + SECOND;
        let probe = breaker.pass(later).unwrap();
        assert!(breaker.pass(later).is_err(), "one at a time");
        probe.answered();
        assert!(breaker.pass(later).is_ok() && breaker.pass(later).is_ok(), "closed");
    }

    #[test]
    fn a_failed_probe_opens_it_for_longer() {
        let mut now = Instant::now();
        let breaker = opened(now);
        for seconds in [2, 3, 3] {
            now += breaker.pass(now).unwrap_err();
            assert!(breaker.pass(now).unwrap().failed(now));
            assert_eq!(breaker.pass(now).unwrap_err(), SECOND * seconds);
        }
    }

    #[test]
    fn a_probe_that_gave_up_makes_room_for_the_next() {
        let now = Instant::now();
        let breaker = opened(now);
        let later = now + SECOND;
        drop(breaker.pass(later).unwrap());
        assert!(breaker.pass(later).is_ok());
    }

    #[test]
    fn stragglers_neither_close_nor_prolong_it() {
        let now = Instant::now();
        let breaker = Breaker::new(1, Backoff::new(SECOND, SECOND));
        let stragglers = [(); 2].map(|()| breaker.pass(now).unwrap());
        assert!(breaker.pass(now).unwrap().failed(now));
        let [answered, failed] = stragglers;
        answered.answered();
        assert!(!failed.failed(now + SECOND / 2));
        assert_eq!(breaker.pass(now).unwrap_err(), SECOND);
    }
}
