//! How much one seat is asked: so many calls a second, beyond which questions wait their turn, and so many a day, beyond which
//! the seat has no vote until midnight. Neither changes what the others must agree on.

use std::{
    num::{NonZeroU32, NonZeroU64},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, UNIX_EPOCH},
};

use dvn_core::ports::{Clock, SystemClock};
use tokio::time::{Instant, sleep};

use super::SeatError;

const DAY: u64 = 86_400;
const NANOS: u64 = 1_000_000_000;

/// What a seat's contract allows, in calls; each call of a batch counts. By default nothing is limited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a plain record of settings")]
pub struct SeatLimits {
    /// Calls a second. More wait, first come first served.
    pub rate: Option<NonZeroU32>,
    /// Calls that need not wait after a pause; by default those of one second.
    pub burst: Option<NonZeroU32>,
    /// Calls in a day of UTC, counted from the start of the process. Beyond them the seat is not asked and has no vote.
    pub daily_budget: Option<NonZeroU64>,
}

/// The counters behind the limits.
#[derive(Debug)]
pub(super) struct Meter {
    bucket: Option<Bucket>,
    budget: Option<Budget>,
}

impl Meter {
    pub(super) fn new(limits: SeatLimits) -> Self {
        let bucket = limits.rate.map(|rate| Bucket::new(rate, limits.burst.unwrap_or(rate)));
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let budget = limits.daily_budget.map(|most| Budget { most: most.get(), clock, spent: Mutex::default() });
        Self { bucket, budget }
    }

    pub(super) fn with_clock(&mut self, clock: Arc<dyn Clock>) {
        self.budget.iter_mut().for_each(|budget| budget.clock = Arc::clone(&clock));
    }

    /// Waits until so many calls may go out.
    ///
    /// # Errors
    /// [`SeatError::Budget`] at once where the day's calls are used up.
    ///
    /// # Cancel safety
    /// Who is dropped while waiting takes nothing of the rate, only of the budget.
    pub(super) async fn admit(&self, calls: usize) -> Result<(), SeatError> {
        let calls = u64::try_from(calls).unwrap_or(u64::MAX);
        if let Some(budget) = &self.budget {
            budget.spend(calls)?;
        }
        if let Some(bucket) = &self.bucket {
            bucket.take(calls).await;
        }
        Ok(())
    }

    /// What is left of the day's budget, if there is one.
    pub(super) fn left(&self) -> Option<u64> {
        self.budget.as_ref().map(Budget::left)
    }
}

/// A bucket that fills at a steady rate.
#[derive(Debug)]
struct Bucket {
    /// Nanoseconds that one call takes to be allowed again.
    each: u64,
    /// Nanoseconds' worth of calls in a full bucket.
    full: u64,
    /// When the bucket was, or will be, empty. The lock is fair, so that questions go out in their order.
    empty_at: tokio::sync::Mutex<Option<Instant>>,
}

impl Bucket {
    fn new(rate: NonZeroU32, burst: NonZeroU32) -> Self {
        let each = NANOS.checked_div(u64::from(rate.get())).unwrap_or(NANOS).max(1);
        let full = each.saturating_mul(u64::from(burst.get()));
        Self { each, full, empty_at: tokio::sync::Mutex::default() }
    }

    /// Takes calls once they, or a whole bucket where they are more, are there; a batch too large is owed afterwards.
    async fn take(&self, calls: u64) {
        let mut empty_at = self.empty_at.lock().await;
        let cost = Duration::from_nanos(self.each.saturating_mul(calls));
        let needed = cost.min(Duration::from_nanos(self.full));
        let now = Instant::now();
        // What was saved before a long pause is lost.
        let fullest = now.checked_sub(Duration::from_nanos(self.full)).unwrap_or(now);
        let from = empty_at.map_or(fullest, |at| at.max(fullest));
        let ready = from.checked_add(needed).unwrap_or(now);
        sleep(ready.saturating_duration_since(now)).await;
        *empty_at = from.checked_add(cost);
    }
}

/// A day's calls.
#[derive(Debug)]
struct Budget {
    most: u64,
    clock: Arc<dyn Clock>,
    spent: Mutex<Spent>,
}

#[derive(Debug, Default)]
struct Spent {
    day: u64,
    calls: u64,
}

impl Budget {
    fn spend(&self, calls: u64) -> Result<(), SeatError> {
        self.today(|spent| {
            let all = spent.calls.saturating_add(calls);
            if all > self.most {
                return Err(SeatError::Budget(self.most));
            }
            spent.calls = all;
            Ok(())
        })
    }

    fn left(&self) -> u64 {
        self.today(|spent| self.most.saturating_sub(spent.calls))
    }

    fn today<T>(&self, with: impl FnOnce(&mut Spent) -> T) -> T {
        let day = self.clock.now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() / DAY;
        // Each change is whole by itself.
        let mut spent = self.spent.lock().unwrap_or_else(PoisonError::into_inner);
        // A clock that is set back does not give a day's calls twice.
        if day > spent.day {
            *spent = Spent { day, calls: 0 };
        }
        with(&mut spent)
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    #[derive(Debug)]
    struct ManualClock(Mutex<SystemTime>);

    impl Clock for ManualClock {
        fn now(&self) -> SystemTime {
            *self.0.lock().unwrap()
        }
    }

    fn bucket(rate: u32, burst: u32) -> Bucket {
        Bucket::new(NonZeroU32::new(rate).unwrap(), NonZeroU32::new(burst).unwrap())
    }

    /// How long taking so many calls takes.
    async fn taken(bucket: &Bucket, calls: u64) -> Duration {
        let begun = Instant::now();
        bucket.take(calls).await;
        begun.elapsed()
    }

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[tokio::test(start_paused = true)]
    async fn calls_beyond_the_burst_wait_for_the_rate() {
        let bucket = bucket(10, 5);
        for expected in [0, 0, 0, 0, 0, 100, 100] {
            assert_eq!(taken(&bucket, 1).await, ms(expected));
        }
        tokio::time::advance(ms(10_000)).await;
        assert_eq!(taken(&bucket, 5).await, ms(0), "a pause fills the bucket and no more");
        assert_eq!(taken(&bucket, 2).await, ms(200));
    }

    #[tokio::test(start_paused = true)]
    async fn a_batch_beyond_the_burst_goes_out_and_is_owed() {
        let bucket = bucket(10, 5);
        assert_eq!(taken(&bucket, 25).await, ms(0));
        assert_eq!(taken(&bucket, 1).await, ms(2_100));
    }

    #[tokio::test(start_paused = true)]
    async fn who_gives_up_waiting_takes_nothing() {
        let bucket = bucket(10, 1);
        bucket.take(1).await;
        for _ in 0..100 {
            assert!(tokio::time::timeout(ms(0), bucket.take(1)).await.is_err());
        }
        assert_eq!(taken(&bucket, 1).await, ms(100));
    }

    #[test]
    fn a_days_calls_end_and_come_back_with_the_day() {
        let clock = Arc::new(ManualClock(Mutex::new(UNIX_EPOCH + Duration::from_secs(100 * DAY + 5))));
        let budget = Budget { most: 10, clock: Arc::<ManualClock>::clone(&clock), spent: Mutex::default() };
        assert_eq!(budget.spend(8), Ok(()));
        assert_eq!(budget.spend(3), Err(SeatError::Budget(10)));
        assert_eq!((budget.spend(2), budget.left()), (Ok(()), 0));
        *clock.0.lock().unwrap() -= Duration::from_secs(DAY);
        assert_eq!(budget.left(), 0, "a clock that goes back gives nothing");
        *clock.0.lock().unwrap() += Duration::from_secs(2 * DAY - 5);
        assert_eq!((budget.left(), budget.spend(10)), (10, Ok(())));
    }
}
