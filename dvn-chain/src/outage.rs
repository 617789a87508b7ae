//! After seats were out of reach, nothing is verified for a while: whoever knocked the honest ones out may not be gone with
//! the first good answer, and what they have to say of the blocks meanwhile shall be heard before anything is signed.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// Outages shorter than this are daily business: a restarted node, a lost connection.
const TOLERATED: Duration = Duration::from_secs(5);

/// When too few seats could be heard, and until when nothing is verified because of it.
#[derive(Debug)]
pub(crate) struct Outages {
    chain: String,
    cool_down: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// When the first question was asked that too few answered.
    since: Option<Instant>,
    /// Until when nothing is verified.
    until: Option<Instant>,
}

impl Outages {
    pub(crate) fn new(chain: &str, cool_down: Duration) -> Self {
        Self { chain: chain.to_owned(), cool_down, state: Mutex::default() }
    }

    /// Too few seats answered a question of this moment.
    pub(crate) fn failed(&self, asked: Instant) {
        self.state().since.get_or_insert(asked);
    }

    /// Enough seats answered. Whether that ended an outage that was not tolerated, so that what was learned before it is to
    /// be learned anew.
    pub(crate) fn heard(&self) -> bool {
        let mut state = self.state();
        let now = Instant::now();
        if state.until.is_some_and(|until| until <= now) {
            state.until = None;
            self.tell(false);
            tracing::info!(chain = self.chain, "packets are verified again");
        }
        let Some(lasted) = state.since.take().map(|since| now.saturating_duration_since(since)) else { return false };
        if lasted < TOLERATED || self.cool_down.is_zero() {
            return false;
        }
        state.until = now.checked_add(self.cool_down);
        self.tell(true);
        let (outage, cool_down) = (lasted.as_secs(), self.cool_down.as_secs());
        tracing::warn!(
            chain = self.chain,
            outage,
            cool_down,
            "seats are back, packets are verified after the cool-down"
        );
        true
    }

    /// How long nothing is to be verified, if so.
    pub(crate) fn left(&self) -> Option<Duration> {
        let left = self.state().until?.saturating_duration_since(Instant::now());
        (!left.is_zero()).then_some(left)
    }

    fn tell(&self, is_cooling: bool) {
        let gauge = metrics::gauge!("dvn_source_cooling_down", "chain" => self.chain.clone());
        gauge.set(if is_cooling { 1.0 } else { 0.0 });
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_long_outage_is_followed_by_the_cool_down_and_a_short_one_is_not() {
        let outages = Outages::new("ethereum", Duration::from_secs(30));
        for (seconds, is_long) in [(4, false), (5, true)] {
            let started = Instant::now();
            outages.failed(started);
            tokio::time::advance(Duration::from_secs(seconds - 1)).await;
            outages.failed(Instant::now());
            assert_eq!(outages.left(), None, "an outage by itself is not the cool-down");
            tokio::time::advance(Duration::from_secs(1)).await;
            assert_eq!(outages.heard(), is_long, "{seconds} s");
            assert_eq!(outages.left().is_some(), is_long);
        }
        tokio::time::advance(Duration::from_secs(29)).await;
        assert!(!outages.heard());
        assert_eq!(outages.left(), Some(Duration::from_secs(1)));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(outages.left(), None);
        outages.heard();
        assert_eq!(outages.state().until, None);
    }

    #[tokio::test(start_paused = true)]
    async fn an_outage_within_the_cool_down_begins_it_anew() {
        let outages = Outages::new("ethereum", Duration::from_secs(30));
        for _ in 0..2 {
            outages.failed(Instant::now());
            tokio::time::advance(Duration::from_secs(20)).await;
            assert!(outages.heard());
            assert_eq!(outages.left(), Some(Duration::from_secs(30)));
        }
    }
}
