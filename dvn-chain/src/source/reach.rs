//! How many blocks' logs one seat gives at a time, learned from what it refuses and what it answers.

use std::sync::{Mutex, MutexGuard, PoisonError};

use dvn_core::ids::BlockNumber;

/// Steps at what a seat gives at most, after which more is asked for once again: limits are lifted, and results grow rarer.
const PATIENCE: u32 = 64;

/// Doubles while the seat answers, up to what it refused last; halves when it refuses or is too slow.
#[derive(Debug)]
pub(super) struct Reach {
    most: u64,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    now: u64,
    /// Refused last; nothing while nothing was.
    refused: Option<u64>,
    answered_below: u32,
}

impl Reach {
    /// Begins with `first` blocks, and asks for eight times as many at most.
    pub(super) fn new(first: u64) -> Self {
        let first = first.max(1);
        let state = State { now: first, refused: None, answered_below: 0 };
        Self { most: first.saturating_mul(8), state: Mutex::new(state) }
    }

    /// How many blocks are asked for at the moment.
    pub(super) fn blocks(&self) -> u64 {
        self.state().now
    }

    /// The last block of a question from `from` on, at most `to`.
    pub(super) fn end(&self, from: BlockNumber, to: BlockNumber) -> BlockNumber {
        from.above(self.blocks().saturating_sub(1)).min(to)
    }

    /// So many blocks were answered for.
    pub(super) fn grow(&self, asked: u64) {
        let mut state = self.state();
        // A short question, at a range's end, says nothing about longer ones.
        if asked < state.now {
            return;
        }
        let doubled = state.now.saturating_mul(2).min(self.most);
        match state.refused.filter(|refused| *refused <= doubled) {
            None => state.now = doubled,
            Some(_) if state.answered_below >= PATIENCE => {
                (state.refused, state.answered_below) = (None, 0);
                state.now = doubled;
            }
            Some(_) => state.answered_below = state.answered_below.saturating_add(1),
        }
    }

    /// So many blocks were too many. Whether fewer can be asked for.
    pub(super) fn shrink(&self, asked: u64) -> bool {
        let mut state = self.state();
        let half = asked.checked_div(2).unwrap_or_default().max(1);
        if half < state.now {
            state.now = half;
        }
        (state.refused, state.answered_below) = (Some(asked), 0);
        half < asked
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Each change is whole by itself.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sizes of so many questions to a seat that gives at most `most` blocks.
    fn asked(reach: &Reach, most: u64, questions: usize) -> Vec<u64> {
        let ask = |_| {
            let blocks = reach.blocks();
            if blocks <= most {
                reach.grow(blocks)
            } else {
                _ = reach.shrink(blocks)
            }
            blocks
        };
        (0..questions).map(ask).collect()
    }

    #[test]
    fn it_grows_to_what_the_seat_gives_and_rarely_asks_for_more() {
        let reach = Reach::new(2_000);
        let asked = asked(&reach, 5_000, 200);
        assert_eq!(asked[..4], [2_000, 4_000, 8_000, 4_000]);
        let refused = asked.iter().filter(|blocks| **blocks > 5_000).count();
        assert!((2..=4).contains(&refused), "{refused} of 200 questions were refused");
    }

    #[test]
    fn it_halves_down_to_one_and_grows_back_when_the_limit_is_gone() {
        let reach = Reach::new(64);
        assert_eq!(asked(&reach, 1, 8)[..7], [64, 32, 16, 8, 4, 2, 1]);
        assert!(!reach.shrink(1));
        asked(&reach, u64::MAX, 500);
        assert_eq!(reach.blocks(), 512, "eight times the first question at most");
    }

    #[test]
    fn a_short_question_teaches_nothing() {
        let reach = Reach::new(100);
        reach.grow(10);
        assert_eq!(reach.blocks(), 100);
        assert_eq!(reach.end(BlockNumber(1), BlockNumber(50)), BlockNumber(50));
        assert_eq!(reach.end(BlockNumber(1), BlockNumber(500)), BlockNumber(100));
    }
}
