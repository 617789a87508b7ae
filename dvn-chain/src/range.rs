//! Reads logs of a range of blocks: as many blocks at once as the nodes bear.

use std::{
    ops::RangeInclusive,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use dvn_core::ids::BlockNumber;

use crate::{
    panel::{Absence, Ballot, Panel, PanelError, Vote},
    seat::{Seat, SeatError},
};

/// One seat alone cannot push the step below this; only a lack of votes does.
const LEAST_FOR_ONE: u64 = 64;

/// Asks all seats about the blocks from `from` on, and about fewer of them while the nodes want that. Gives the last block
/// that was asked about, with the votes of voters who suffice; what they say is not compared here. Waits for stragglers
/// only a grace once the votes are `enough`.
///
/// # Errors
/// [`PanelError::Missing`] where too few seats answered for the step.
pub(crate) async fn step<T, F, A>(
    panel: &Panel,
    stride: &Stride,
    (from, to): (BlockNumber, BlockNumber),
    question: F,
    enough: impl Fn(&[Vote<T>]) -> bool,
) -> Result<(BlockNumber, Ballot<T>), PanelError>
where
    F: Fn(Arc<Seat>, RangeInclusive<BlockNumber>) -> A,
    A: Future<Output = Result<Option<T>, SeatError>>,
{
    loop {
        let end = stride.end(from, to);
        let asked = end.0.saturating_sub(from.0).saturating_add(1);
        let ballot = panel.ask(|seat| question(seat, from..=end), &enough).await;
        let suffices = panel.suffices(&ballot.votes);
        let refused = absent(&ballot, SeatError::is_too_large);
        if refused && (!suffices || asked > LEAST_FOR_ONE) && stride.shrink(asked) {
            continue;
        }
        if suffices {
            stride.grow();
            return Ok((end, ballot));
        }
        if absent(&ballot, |error| *error == SeatError::Timeout) {
            // Perhaps there was too much to read; the caller's next try asks for less.
            stride.shrink(asked);
        }
        return Err(panel.missing("logs", &ballot));
    }
}

/// Whether a seat is missing for such a reason.
pub(crate) fn absent<T>(ballot: &Ballot<T>, is: impl Fn(&SeatError) -> bool) -> bool {
    ballot.absent.iter().any(|(_, absence)| matches!(absence, Absence::Failed(error) if is(error)))
}

/// A step that halves when nodes refuse and doubles again, up to where it began, when they answer.
#[derive(Debug)]
pub(crate) struct Stride {
    now: AtomicU64,
    most: u64,
}

impl Stride {
    pub(crate) const fn new(most: u64) -> Self {
        let most = if most == 0 { 1 } else { most };
        Self { now: AtomicU64::new(most), most }
    }

    fn blocks(&self) -> u64 {
        self.now.load(Ordering::Relaxed)
    }

    /// The last block of the step from `from` on, at most `to`.
    pub(crate) fn end(&self, from: BlockNumber, to: BlockNumber) -> BlockNumber {
        from.above(self.blocks().saturating_sub(1)).min(to)
    }

    pub(crate) fn grow(&self) {
        self.now.store(self.blocks().saturating_mul(2).min(self.most), Ordering::Relaxed);
    }

    /// Halves what was asked for, and says whether that is less.
    pub(crate) fn shrink(&self, asked: u64) -> bool {
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
