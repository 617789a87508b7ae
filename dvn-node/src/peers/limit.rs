//! How much one peer may ask.

use std::num::NonZeroU32;

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use tokio::sync::{Semaphore, SemaphorePermit};

/// Proposals per second. A quorum of busy nodes asks for some ten.
const PER_SECOND: NonZeroU32 = NonZeroU32::MIN.saturating_add(199);
/// Proposals that are looked at at once.
const AT_ONCE: usize = 64;

/// One peer's share. What is above it is refused at once, so that nothing piles up.
#[derive(Debug)]
pub(super) struct Limit {
    rate: DefaultDirectRateLimiter,
    slots: Semaphore,
}

impl Limit {
    pub(super) fn new() -> Self {
        Self { rate: RateLimiter::direct(Quota::per_second(PER_SECOND)), slots: Semaphore::new(AT_ONCE) }
    }

    /// A place for one proposal, while there is one.
    pub(super) fn take(&self) -> Option<SemaphorePermit<'_>> {
        self.rate.check().ok()?;
        self.slots.try_acquire().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_that_asks_too_much_is_refused_at_once() {
        let limit = Limit::new();
        let held: Vec<_> = std::iter::from_fn(|| limit.take()).take(1_000).collect();
        assert_eq!(held.len(), AT_ONCE);
        drop(held);
        let taken = std::iter::from_fn(|| limit.take().map(drop)).take(10_000).count();
        assert!(taken < 1_000, "{taken} within a moment");
    }
}
