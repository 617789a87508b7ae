//! Which settled blocks of a source were read, and which were left for later: pure bookkeeping.

use std::ops::RangeInclusive;

use crate::ids::BlockNumber;

/// Everything up to `read` was read, but for the gaps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ledger {
    /// Unread blocks, ascending, none empty, no two of them touching.
    gaps: Vec<(u64, u64)>,
    read: u64,
    /// Blocks of gaps that were read so far.
    filled: u64,
}

impl Ledger {
    /// Nothing is missing up to the cursor.
    pub(super) const fn new(cursor: BlockNumber) -> Self {
        Self { gaps: Vec::new(), read: cursor.0, filled: 0 }
    }

    /// The last block before which nothing is missing, itself included.
    pub(super) fn cursor(&self) -> BlockNumber {
        BlockNumber(self.gaps.first().map_or(self.read, |(from, _)| from.saturating_sub(1)))
    }

    /// Leaves what was not read up to this block for later.
    pub(super) fn leave(&mut self, through: BlockNumber) {
        if through.0 > self.read {
            self.gaps.push((self.read.saturating_add(1), through.0));
            self.read = through.0;
        }
    }

    /// These blocks were read. Those above what was reached count once nothing lies between.
    pub(super) fn read(&mut self, from: BlockNumber, through: BlockNumber) {
        let before = self.left();
        self.gaps = without(&self.gaps, (from.0, through.0));
        self.filled = self.filled.saturating_add(before.saturating_sub(self.left()));
        if from.0 <= self.read.saturating_add(1) {
            self.read = self.read.max(through.0);
        }
    }

    /// How many blocks are left.
    pub(super) fn left(&self) -> u64 {
        let len = |(from, to): &(u64, u64)| to.saturating_sub(*from).saturating_add(1);
        self.gaps.iter().map(len).fold(0, u64::saturating_add)
    }

    /// How many blocks were left once and are read now.
    pub(super) const fn filled(&self) -> u64 {
        self.filled
    }

    /// The oldest blocks that are left and that nobody reads at the moment, at most so many.
    pub(super) fn next(
        &self,
        in_work: &[RangeInclusive<BlockNumber>],
        most: u64,
    ) -> Option<RangeInclusive<BlockNumber>> {
        let free = in_work.iter().fold(self.gaps.clone(), |gaps, it| without(&gaps, (it.start().0, it.end().0)));
        let (from, to) = free.first()?;
        Some(BlockNumber(*from)..=BlockNumber(from.saturating_add(most.saturating_sub(1)).min(*to)))
    }
}

/// The gaps less a range.
fn without(gaps: &[(u64, u64)], (from, to): (u64, u64)) -> Vec<(u64, u64)> {
    let left = |&(low, high): &(u64, u64)| {
        if from > to || to < low || high < from {
            return [Some((low, high)), None];
        }
        let below = (low < from).then(|| (low, from.saturating_sub(1)));
        let above = (to < high).then(|| (to.saturating_add(1), high));
        [below, above]
    };
    gaps.iter().flat_map(left).flatten().collect()
}

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "heights of tests are small")]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn range(from: u64, to: u64) -> RangeInclusive<BlockNumber> {
        BlockNumber(from)..=BlockNumber(to)
    }

    #[test]
    fn the_cursor_stays_before_the_oldest_gap_until_it_is_filled() {
        let mut ledger = Ledger::new(BlockNumber(10));
        ledger.leave(BlockNumber(100));
        ledger.read(BlockNumber(101), BlockNumber(105));
        assert_eq!((ledger.cursor(), ledger.left()), (BlockNumber(10), 90));
        assert_eq!(ledger.next(&[], 40), Some(range(11, 50)));
        assert_eq!(ledger.next(&[range(11, 50)], 40), Some(range(51, 90)));
        ledger.read(BlockNumber(51), BlockNumber(90));
        assert_eq!((ledger.cursor(), ledger.left(), ledger.filled()), (BlockNumber(10), 50, 40));
        assert_eq!(ledger.next(&[range(11, 50)], 40), Some(range(91, 100)));
        ledger.read(BlockNumber(11), BlockNumber(49));
        assert_eq!((ledger.cursor(), ledger.next(&[], 40)), (BlockNumber(49), Some(range(50, 50))));
        ledger.read(BlockNumber(50), BlockNumber(50));
        ledger.read(BlockNumber(91), BlockNumber(100));
        assert_eq!((ledger.cursor(), ledger.left(), ledger.next(&[], 40)), (BlockNumber(105), 0, None));
    }

    proptest! {
        /// Against a set of single blocks, whatever comes in whatever order.
        #[test]
        fn the_cursor_never_passes_an_unread_block(steps in prop::collection::vec((0_u64..120, 0_u64..40, any::<bool>()), 1..60)) {
            let mut ledger = Ledger::new(BlockNumber(9));
            let (mut unread, mut reached) = (BTreeSet::new(), 9_u64);
            for (from, length, leaves) in steps {
                let to = from + length;
                if leaves {
                    unread.extend(reached + 1..=to);
                    reached = reached.max(to);
                    ledger.leave(BlockNumber(to));
                } else {
                    (from..=to).for_each(|block| _ = unread.remove(&block));
                    if from <= reached + 1 {
                        reached = reached.max(to);
                    }
                    ledger.read(BlockNumber(from), BlockNumber(to));
                }
                let cursor = unread.first().map_or(reached, |first| first - 1);
                prop_assert_eq!(ledger.cursor(), BlockNumber(cursor));
                prop_assert_eq!(ledger.left(), unread.len() as u64);
                let next = ledger.next(&[], 7);
                prop_assert_eq!(next.as_ref().map(|it| it.start().0), unread.first().copied());
                let whole = next.is_none_or(|it| (it.start().0..=it.end().0).all(|block| unread.contains(&block)));
                prop_assert!(whole);
            }
        }
    }
}
