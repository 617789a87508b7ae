//! Fixed seats and a fixed threshold: what counts as an answer of a chain. A missing answer is a missing vote, and the
//! threshold never shrinks to those who are left.

use thiserror::Error;

/// How many seats there are and how many must agree. Constants of the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Threshold {
    seats: usize,
    need: usize,
}

/// A threshold that no answers could meet, or any could.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ThresholdError {
    /// Nobody to ask.
    #[error("no seats")]
    NoSeats,
    /// Nothing would be asked for.
    #[error("threshold is 0, must be from 1 to {seats}")]
    Zero {
        /// Seats there are.
        seats: usize,
    },
    /// It can never be met.
    #[error("threshold is {need}, but there are only {seats} seats")]
    AboveSeats {
        /// What was asked for.
        need: usize,
        /// Seats there are.
        seats: usize,
    },
}

impl Threshold {
    /// `need` of `seats`.
    ///
    /// # Errors
    /// [`ThresholdError`] unless `1 <= need <= seats`.
    pub const fn try_new(seats: usize, need: usize) -> Result<Self, ThresholdError> {
        match (seats, need) {
            (0, _) => Err(ThresholdError::NoSeats),
            (_, 0) => Err(ThresholdError::Zero { seats }),
            _ if need > seats => Err(ThresholdError::AboveSeats { need, seats }),
            _ => Ok(Self { seats, need }),
        }
    }

    /// The least that is safe while fewer than a third of the seats lie: `n − ⌊(n − 1) / 3⌋`.
    #[must_use]
    pub const fn safe(seats: usize) -> usize {
        // Division by a constant and a difference that is never negative.
        seats.saturating_sub(seats.saturating_sub(1) / 3)
    }

    /// Seats there are.
    #[must_use]
    pub const fn seats(self) -> usize {
        self.seats
    }

    /// Votes that are needed.
    #[must_use]
    pub const fn need(self) -> usize {
        self.need
    }
}

/// What a poll of all seats says.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "callers match on all of it, without a wildcard")]
pub enum Poll<T> {
    /// At least the threshold gave this value and nobody gave another.
    Agreed(T),
    /// Nobody disagreed, but too few answered.
    Missing {
        /// Votes that came.
        have: usize,
        /// The threshold.
        need: usize,
    },
    /// Two seats gave different values, whoever has the majority.
    Split(Vec<T>),
}

/// Counts the votes of one question about one fact. Seats that gave no usable answer are left out by the caller and so
/// are missing votes.
#[must_use]
pub fn poll<T: PartialEq>(threshold: Threshold, votes: impl IntoIterator<Item = T>) -> Poll<T> {
    let mut have: usize = 0;
    let mut values: Vec<T> = Vec::new();
    for vote in votes {
        have = have.saturating_add(1);
        if !values.contains(&vote) {
            values.push(vote);
        }
    }
    if values.len() > 1 {
        return Poll::Split(values);
    }
    match values.pop() {
        Some(value) if have >= threshold.need => Poll::Agreed(value),
        _ => Poll::Missing { have, need: threshold.need },
    }
}

/// The greatest height that at least the threshold of seats has reached.
#[must_use]
pub fn reached<T: Ord + Copy>(threshold: Threshold, heights: impl IntoIterator<Item = T>) -> Option<T> {
    let mut heights: Vec<T> = heights.into_iter().collect();
    heights.sort_unstable_by(|a, b| b.cmp(a));
    heights.get(threshold.need.saturating_sub(1)).copied()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn threshold(seats: usize, need: usize) -> Threshold {
        Threshold::try_new(seats, need).unwrap()
    }

    #[test]
    fn impossible_thresholds_are_refused() {
        assert_eq!(Threshold::try_new(0, 1), Err(ThresholdError::NoSeats));
        assert_eq!(Threshold::try_new(3, 0), Err(ThresholdError::Zero { seats: 3 }));
        assert_eq!(Threshold::try_new(3, 4), Err(ThresholdError::AboveSeats { need: 4, seats: 3 }));
    }

    #[test]
    fn the_safe_threshold_follows_the_formula() {
        let safe: Vec<usize> = (1..=10).map(Threshold::safe).collect();
        assert_eq!(safe, [1, 2, 3, 3, 4, 5, 5, 6, 7, 7]);
    }

    #[test]
    fn a_dissenter_splits_even_a_majority() {
        assert_eq!(poll(threshold(4, 3), [7, 7, 7, 8]), Poll::Split(vec![7, 8]));
    }

    #[test]
    fn missing_votes_never_lower_the_bar() {
        assert_eq!(poll(threshold(4, 3), [7, 7]), Poll::Missing { have: 2, need: 3 });
        assert_eq!(poll(threshold(4, 3), [7, 7, 7]), Poll::Agreed(7));
    }

    #[test]
    fn a_height_is_reached_when_the_threshold_has_it() {
        assert_eq!(reached(threshold(4, 3), [10, 12, 9, 12]), Some(10));
        assert_eq!(reached(threshold(4, 3), [10, 12]), None);
    }

    proptest! {
        #[test]
        fn agreement_needs_the_threshold_of_equal_votes(seats in 1usize..8, need in 1usize..8, votes in prop::collection::vec(0u8..3, 0..8)) {
            prop_assume!(need <= seats && votes.len() <= seats);
            let same = votes.windows(2).all(|pair| pair[0] == pair[1]);
            let agreed = matches!(poll(threshold(seats, need), votes.clone()), Poll::Agreed(_));
            prop_assert_eq!(agreed, same && votes.len() >= need);
        }
    }
}
