//! Pauses between attempts: doubling, capped, never zero.

use std::time::Duration;

/// A pause that doubles with every failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    first: Duration,
    most: Duration,
}

impl Backoff {
    /// Starts at `first` and stops growing at `most`.
    #[must_use]
    pub const fn new(first: Duration, most: Duration) -> Self {
        Self { first, most }
    }

    /// The pause after this many failures; the first failure is 1.
    #[must_use]
    pub fn after(self, failures: u32) -> Duration {
        let doublings = failures.saturating_sub(1).min(20);
        self.first.saturating_mul(2_u32.saturating_pow(doublings)).min(self.most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_cap() {
        let backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(5));
        let pauses: Vec<u64> = (0..6).map(|failures| backoff.after(failures).as_secs()).collect();
        assert_eq!(pauses, [1, 1, 2, 4, 5, 5]);
        assert_eq!(backoff.after(u32::MAX), Duration::from_secs(5));
    }
}
