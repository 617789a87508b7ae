//! A token bucket: so many attempts per second, and a few at once after a quiet time.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// Hands out turns in the order in which they are asked for.
///
/// It keeps one time in place of a count of tokens: when the bucket will be full again. Who gives up while waiting has
/// used the turn; that errs on the side of the quota.
#[derive(Debug)]
pub(super) struct Bucket {
    /// Between two turns.
    interval: Duration,
    /// What may be taken from a full bucket without waiting, as time.
    depth: Duration,
    full_at: Mutex<Option<Instant>>,
}

impl Bucket {
    /// So many turns per second, of which so many may come at once; both are at least 1.
    pub(super) fn new(per_second: u32, at_once: u32) -> Self {
        let interval = Duration::from_secs(1).checked_div(per_second.max(1)).unwrap_or_default();
        let depth = interval.saturating_mul(at_once.saturating_sub(1));
        Self { interval, depth, full_at: Mutex::new(None) }
    }

    /// How long to wait for a turn. `None`, and no turn, where that would be longer than `most`, which bounds the queue.
    pub(super) fn turn(&self, now: Instant, most: Duration) -> Option<Duration> {
        let mut full_at = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        let owed = full_at.map_or(Duration::ZERO, |at| at.saturating_duration_since(now));
        let wait = owed.saturating_sub(self.depth);
        if wait > most {
            return None;
        }
        *full_at = now.checked_add(owed.saturating_add(self.interval));
        Some(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    fn waits(bucket: &Bucket, now: Instant, count: usize) -> Vec<u128> {
        (0..count).map(|_| bucket.turn(now, LONG).unwrap().as_millis()).collect()
    }

    #[test]
    fn a_few_at_once_and_then_one_by_one() {
        let (bucket, now) = (Bucket::new(10, 3), Instant::now());
        assert_eq!(waits(&bucket, now, 5), [0, 0, 0, 100, 200]);
    }

    #[test]
    fn a_quiet_time_fills_it_and_no_more() {
        let (bucket, now) = (Bucket::new(10, 3), Instant::now());
        waits(&bucket, now, 5);
        let later = now + Duration::from_secs(60);
        assert_eq!(waits(&bucket, later, 4), [0, 0, 0, 100]);
    }

    #[test]
    fn who_would_wait_too_long_takes_no_turn() {
        let (bucket, now) = (Bucket::new(10, 1), Instant::now());
        waits(&bucket, now, 3);
        assert_eq!(bucket.turn(now, Duration::from_millis(299)), None);
        assert_eq!(bucket.turn(now, Duration::from_millis(300)), Some(Duration::from_millis(300)));
    }
}
