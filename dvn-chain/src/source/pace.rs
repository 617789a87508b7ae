//! When heads are asked for: once a block by the clock, or when enough seats pushed a new one; then the clock waits longer.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use dvn_core::ids::BlockNumber;
use tokio::time::Instant;

/// Looks at the same pushed height that may follow each other without the clock.
const MOST_LOOKS: u32 = 2;
/// Looks that may follow each other when blocks come all at once.
const BURST: u32 = 8;
/// The shortest pause that is learned of seats which push a block before they serve it.
const SHORTEST_LAG: Duration = Duration::from_millis(20);

/// The moments of looks at the head.
#[derive(Debug)]
pub(super) struct Pace {
    /// Between two looks by the clock.
    interval: Duration,
    /// So many new blocks are one look's worth.
    stride: u64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    begun: Option<Instant>,
    /// What was pushed when the last looks began, and how many they were.
    pushed: Option<BlockNumber>,
    looks: u32,
    /// The last look saw more than was pushed.
    is_lossy: bool,
    /// How long after a push the seats mostly have the block.
    lag: Duration,
    /// When all looks so far would have been due at the fastest pace.
    owed: Option<Instant>,
}

impl Pace {
    pub(super) fn new(interval: Duration, stride: u64) -> Self {
        Self { interval, stride, state: Mutex::default() }
    }

    /// When the clock asks for a look; nothing means now. Pushes let it wait longer, unless they missed a block.
    pub(super) fn due(&self, pushes: bool) -> Option<Instant> {
        let state = self.state();
        let interval = if pushes && !state.is_lossy {
            // A little more than two blocks, so that it does not compete with the second block's push.
            self.interval.saturating_mul(9).checked_div(4).unwrap_or(self.interval)
        } else {
            self.interval
        };
        state.begun?.checked_add(interval)
    }

    /// Whether a pushed height asks for a look at heads newer than `seen`.
    pub(super) fn is_news(&self, pushed: BlockNumber, seen: BlockNumber) -> bool {
        let state = self.state();
        pushed >= seen.above(self.stride) && (state.pushed != Some(pushed) || state.looks < MOST_LOOKS)
    }

    /// When a pushed height may be looked at: after the pause that was learned, and but for [`BURST`] looks not more than twice
    /// as often as by the clock, so that a flood of pushes costs no more than that.
    pub(super) fn admitted(&self) -> Instant {
        let (state, now) = (self.state(), Instant::now());
        let settled = now.checked_add(state.lag).unwrap_or(now);
        let owed = state.owed.and_then(|owed| owed.checked_sub(self.gap().saturating_mul(BURST)));
        owed.map_or(settled, |owed| owed.max(settled))
    }

    /// A look begins, while this height was pushed.
    pub(super) fn begin(&self, pushed: Option<BlockNumber>) {
        let (mut state, now) = (self.state(), Instant::now());
        state.looks = if state.pushed == pushed { state.looks.saturating_add(1) } else { 1 };
        state.pushed = pushed;
        state.begun = Some(now);
        let from = state.owed.map_or(now, |owed| owed.max(now));
        state.owed = from.checked_add(self.gap());
    }

    /// A look ended at this height.
    pub(super) fn end(&self, pushed: Option<BlockNumber>, latest: BlockNumber) {
        let mut state = self.state();
        let Some(pushed) = pushed else {
            state.is_lossy = false;
            return;
        };
        state.is_lossy = latest > pushed;
        state.lag = if latest < pushed {
            state
                .lag
                .saturating_mul(2)
                .clamp(SHORTEST_LAG, self.interval.checked_div(4).unwrap_or_default().max(SHORTEST_LAG))
        } else {
            // Slowly, since a look that comes too early costs every seat a call.
            state.lag.saturating_sub(state.lag.checked_div(64).unwrap_or_default())
        };
    }

    fn gap(&self) -> Duration {
        self.interval.checked_div(2).unwrap_or_default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Each change is whole by itself.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLOCK: Duration = Duration::from_secs(12);

    fn pushed(number: u64) -> Option<BlockNumber> {
        Some(BlockNumber(number))
    }

    fn wait(pace: &Pace) -> Duration {
        pace.admitted().saturating_duration_since(Instant::now())
    }

    #[tokio::test(start_paused = true)]
    async fn pushes_let_the_clock_wait_longer_until_they_miss_a_block() {
        let pace = Pace::new(BLOCK, 1);
        assert_eq!(pace.due(true), None, "nobody has looked yet");
        let now = Instant::now();
        pace.begin(pushed(7));
        pace.end(pushed(7), BlockNumber(7));
        assert_eq!(pace.due(false), Some(now + BLOCK));
        assert_eq!(pace.due(true), Some(now + BLOCK * 9 / 4));
        // The clock's look finds a block that nobody pushed.
        pace.begin(pushed(7));
        pace.end(pushed(7), BlockNumber(8));
        assert_eq!(pace.due(true), Some(now + BLOCK));
        pace.end(pushed(9), BlockNumber(9));
        assert_eq!(pace.due(true), Some(now + BLOCK * 9 / 4));
    }

    #[tokio::test(start_paused = true)]
    async fn a_height_is_looked_at_twice_at_most() {
        let pace = Pace::new(BLOCK, 1);
        assert!(!pace.is_news(BlockNumber(7), BlockNumber(7)), "what is seen is no news");
        for _ in 0..2 {
            assert!(pace.is_news(BlockNumber(8), BlockNumber(7)));
            pace.begin(pushed(8));
            pace.end(pushed(8), BlockNumber(7));
        }
        assert!(!pace.is_news(BlockNumber(8), BlockNumber(7)));
        assert!(pace.is_news(BlockNumber(9), BlockNumber(7)));
        let rare = Pace::new(BLOCK, 3);
        assert!(!rare.is_news(BlockNumber(9), BlockNumber(7)));
        assert!(rare.is_news(BlockNumber(10), BlockNumber(7)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_is_looked_at_twice_as_often_as_by_the_clock() {
        let pace = Pace::new(BLOCK, 1);
        let begun = Instant::now();
        let mut looks: u32 = 0;
        while begun.elapsed() < BLOCK * 100 {
            tokio::time::sleep_until(pace.admitted()).await;
            pace.begin(pushed(u64::from(looks)));
            pace.end(pushed(u64::from(looks)), BlockNumber(u64::from(looks)));
            looks += 1;
        }
        assert!((200..=210).contains(&looks), "{looks}");
    }

    #[tokio::test(start_paused = true)]
    async fn blocks_at_their_time_are_never_kept_waiting() {
        let pace = Pace::new(BLOCK, 1);
        for number in 0..100 {
            assert_eq!(wait(&pace), Duration::ZERO);
            pace.begin(pushed(number));
            pace.end(pushed(number), BlockNumber(number));
            tokio::time::advance(BLOCK * 2 / 3).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_pause_grows_while_seats_push_too_early_and_is_bounded() {
        let pace = Pace::new(BLOCK, 1);
        for expected in [20, 40, 80] {
            pace.end(pushed(8), BlockNumber(7));
            assert_eq!(wait(&pace), Duration::from_millis(expected));
        }
        (0..100).for_each(|_| pace.end(pushed(8), BlockNumber(7)));
        assert_eq!(wait(&pace), BLOCK / 4);
        (0..2_000).for_each(|_| pace.end(pushed(8), BlockNumber(8)));
        assert!(wait(&pace) < Duration::from_millis(1));
    }
}
