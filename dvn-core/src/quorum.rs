//! Fixed seats and a fixed threshold: what counts as an answer of a chain. A missing answer is a missing vote, and the
//! threshold never shrinks to those who are left.

use thiserror::Error;

mod electorate;

pub use electorate::{Domain, Electorate, ElectorateError, Quotas, Shortfall};

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
    /// Voters who suffice gave this value and nobody gave another.
    Agreed(T),
    /// Nobody disagreed, but too few answered, or too few kinds of seats.
    Missing(Shortfall),
    /// Two seats gave different values, whoever has the majority.
    Split(Vec<T>),
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
