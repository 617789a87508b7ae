//! How many blocks to ask for at once: as many as the nodes bear.

use std::sync::atomic::{AtomicU64, Ordering};

use dvn_core::ids::BlockNumber;

/// A step that halves when nodes refuse and doubles again, up to where it began, when they answer.
#[derive(Debug)]
pub(super) struct Stride {
    now: AtomicU64,
    most: u64,
}

impl Stride {
    pub(super) const fn new(most: u64) -> Self {
        let most = if most == 0 { 1 } else { most };
        Self { now: AtomicU64::new(most), most }
    }

    pub(super) fn blocks(&self) -> u64 {
        self.now.load(Ordering::Relaxed)
    }

    /// The last block of the step from `from` on, at most `to`.
    pub(super) fn end(&self, from: BlockNumber, to: BlockNumber) -> BlockNumber {
        from.above(self.blocks().saturating_sub(1)).min(to)
    }

    pub(super) fn grow(&self) {
        self.now.store(self.blocks().saturating_mul(2).min(self.most), Ordering::Relaxed);
    }

    /// Halves what was asked for, and says whether that is less.
    pub(super) fn shrink(&self, asked: u64) -> bool {
        let half = (asked / 2).max(1);
        self.now.store(half, Ordering::Relaxed);
        half < asked
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_halves_down_to_one_and_grows_back_to_where_it_began() {
        let stride = Stride::new(5);
        assert_eq!(stride.end(BlockNumber(10), BlockNumber(100)), BlockNumber(14));
        assert!(stride.shrink(5));
        assert_eq!(stride.blocks(), 2);
        assert!(stride.shrink(2));
        assert!(!stride.shrink(1));
        for expected in [2, 4, 5, 5] {
            stride.grow();
            assert_eq!(stride.blocks(), expected);
        }
    }

    #[test]
    fn a_step_never_passes_the_end() {
        assert_eq!(Stride::new(1000).end(BlockNumber(10), BlockNumber(12)), BlockNumber(12));
        assert_eq!(Stride::new(0).end(BlockNumber(10), BlockNumber(12)), BlockNumber(10));
    }
}
