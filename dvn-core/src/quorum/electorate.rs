//! Whose votes make a fact: the threshold, and who must be among those who agree.

use std::collections::BTreeSet;

use thiserror::Error;

use super::{Poll, Threshold};

/// What a seat shares with others, so that both may fail or lie together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a plain record")]
pub struct Domain {
    /// Who runs it.
    pub operator: String,
    /// Its client software's family; nothing where it is not known, which counts for no quota.
    pub client: Option<String>,
    /// Whether the DVN's own operator runs it.
    pub own: bool,
}

/// Who must be among those who agree; 0, the default, asks for nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a plain record of numbers")]
pub struct Quotas {
    /// Different operators.
    pub operators: usize,
    /// Different client families.
    pub clients: usize,
    /// Seats that the DVN's operator runs.
    pub own: usize,
    /// Seats that somebody else runs.
    pub third_party: usize,
}

/// Why a set of voters does not make a fact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Shortfall {
    /// Too few votes.
    #[error("{have} of {need} votes")]
    Votes {
        /// Votes that came.
        have: usize,
        /// The threshold.
        need: usize,
    },
    /// Enough votes, from too few kinds of seats.
    #[error("domain_quota: {have} of {need} {what} among those who agree")]
    Quota {
        /// Which quota, in words.
        what: &'static str,
        /// What the voters have.
        have: usize,
        /// What is asked for.
        need: usize,
    },
}

/// Why seats, threshold and quotas do not fit together.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ElectorateError {
    /// The threshold was made for another number of seats.
    #[error("{seats} seats, but the threshold counts {counted}")]
    SeatCount {
        /// Seats given.
        seats: usize,
        /// Seats that the threshold was made for.
        counted: usize,
    },
    /// Not even all seats together meet a quota.
    #[error("quota of {need} {what}, but the seats have only {have}")]
    Unreachable {
        /// Which quota, in words.
        what: &'static str,
        /// What all seats have.
        have: usize,
        /// What is asked for.
        need: usize,
    },
}

/// The seats of a chain, their domains, the threshold and the quotas: constants of the configuration, whoever answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Electorate {
    threshold: Threshold,
    quotas: Quotas,
    domains: Vec<Domain>,
}

impl Electorate {
    /// Seats with these domains, in their order.
    ///
    /// # Errors
    /// [`ElectorateError`] where the numbers do not fit or a quota can never be met.
    pub fn try_new(threshold: Threshold, quotas: Quotas, domains: Vec<Domain>) -> Result<Self, ElectorateError> {
        if domains.len() != threshold.seats() {
            return Err(ElectorateError::SeatCount { seats: domains.len(), counted: threshold.seats() });
        }
        let electorate = Self { threshold, quotas, domains };
        match electorate.unmet_quota(&(0..threshold.seats()).collect()) {
            Some((what, have, need)) => Err(ElectorateError::Unreachable { what, have, need }),
            None => Ok(electorate),
        }
    }

    /// The threshold.
    #[must_use]
    pub const fn threshold(&self) -> Threshold {
        self.threshold
    }

    /// What these voters, by their seats' positions, lack to make a fact; nothing where they suffice. A seat counts once.
    #[must_use]
    pub fn shortfall(&self, voters: impl IntoIterator<Item = usize>) -> Option<Shortfall> {
        let voters: BTreeSet<usize> = voters.into_iter().filter(|seat| *seat < self.domains.len()).collect();
        let (have, need) = (voters.len(), self.threshold.need());
        if have < need {
            return Some(Shortfall::Votes { have, need });
        }
        self.unmet_quota(&voters).map(|(what, have, need)| Shortfall::Quota { what, have, need })
    }

    /// Counts the votes of one question about one fact, each with its seat's position. Seats that gave no usable answer
    /// are left out by the caller and so are missing votes.
    #[must_use]
    pub fn poll<T: PartialEq>(&self, votes: impl IntoIterator<Item = (usize, T)>) -> Poll<T> {
        let (mut voters, mut values) = (Vec::new(), Vec::new());
        for (seat, vote) in votes {
            voters.push(seat);
            if !values.contains(&vote) {
                values.push(vote);
            }
        }
        if values.len() > 1 {
            return Poll::Split(values);
        }
        match (self.shortfall(voters), values.pop()) {
            (None, Some(value)) => Poll::Agreed(value),
            (shortfall, _) => Poll::Missing(shortfall.unwrap_or(self.nobody())),
        }
    }

    /// The greatest height that voters who suffice have reached.
    #[must_use]
    pub fn reached<T: Ord + Copy>(&self, heights: impl IntoIterator<Item = (usize, T)>) -> Option<T> {
        let mut heights: Vec<(usize, T)> = heights.into_iter().collect();
        heights.sort_unstable_by(|(_, a), (_, b)| b.cmp(a));
        let mut voters = Vec::new();
        for (seat, height) in heights {
            voters.push(seat);
            if self.shortfall(voters.iter().copied()).is_none() {
                return Some(height);
            }
        }
        None
    }

    const fn nobody(&self) -> Shortfall {
        Shortfall::Votes { have: 0, need: self.threshold.need() }
    }

    /// The first quota that these voters do not meet: its name, what they have, what it asks for.
    fn unmet_quota(&self, voters: &BTreeSet<usize>) -> Option<(&'static str, usize, usize)> {
        let domains = || voters.iter().filter_map(|seat| self.domains.get(*seat));
        let operators: BTreeSet<&str> = domains().map(|it| it.operator.as_str()).collect();
        let clients: BTreeSet<&str> = domains().filter_map(|it| it.client.as_deref()).collect();
        let own = domains().filter(|it| it.own).count();
        let counts = [
            ("operators", operators.len(), self.quotas.operators),
            ("client families", clients.len(), self.quotas.clients),
            ("seats of our own", own, self.quotas.own),
            ("seats of third parties", domains().count().saturating_sub(own), self.quotas.third_party),
        ];
        counts.into_iter().find(|(_, have, need)| have < need)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn plain(seats: usize, need: usize) -> Electorate {
        let threshold = Threshold::try_new(seats, need).unwrap();
        Electorate::try_new(threshold, Quotas::default(), vec![Domain::default(); seats]).unwrap()
    }

    fn domain(operator: &str, client: &str) -> Domain {
        Domain { operator: operator.to_owned(), client: Some(client.to_owned()), own: operator == "self" }
    }

    /// Two of our own, two of others.
    fn mixed(quotas: Quotas) -> Result<Electorate, ElectorateError> {
        let domains =
            vec![domain("self", "geth"), domain("self", "nethermind"), domain("acme", "reth"), domain("other", "geth")];
        Electorate::try_new(Threshold::try_new(4, 3).unwrap(), quotas, domains)
    }

    fn votes<T: Copy>(values: &[T]) -> impl Iterator<Item = (usize, T)> {
        values.iter().copied().enumerate()
    }

    #[test]
    fn a_dissenter_splits_even_a_majority() {
        assert_eq!(plain(4, 3).poll(votes(&[7, 7, 7, 8])), Poll::Split(vec![7, 8]));
    }

    #[test]
    fn missing_votes_never_lower_the_bar() {
        assert_eq!(plain(4, 3).poll(votes(&[7, 7])), Poll::Missing(Shortfall::Votes { have: 2, need: 3 }));
        assert_eq!(plain(4, 3).poll(votes(&[7, 7, 7])), Poll::Agreed(7));
        assert_eq!(plain(4, 3).poll(votes::<u8>(&[])), Poll::Missing(Shortfall::Votes { have: 0, need: 3 }));
    }

    #[test]
    fn one_seat_has_one_vote() {
        let twice = [(0, 7), (0, 7), (1, 7)];
        assert_eq!(plain(4, 3).poll(twice), Poll::Missing(Shortfall::Votes { have: 2, need: 3 }));
        assert_eq!(plain(2, 1).poll([(9, 7)]), Poll::Missing(Shortfall::Votes { have: 0, need: 1 }));
    }

    #[test]
    fn a_height_is_reached_when_the_threshold_has_it() {
        assert_eq!(plain(4, 3).reached(votes(&[10, 12, 9, 12])), Some(10));
        assert_eq!(plain(4, 3).reached(votes(&[10, 12])), None);
    }

    #[test]
    fn quotas_are_part_of_the_threshold() {
        let quotas = Quotas { operators: 3, clients: 2, own: 1, third_party: 2 };
        let electorate = mixed(quotas).unwrap();
        assert_eq!(electorate.shortfall([0, 2, 3]), None);
        assert_eq!(electorate.shortfall([0, 1, 2]), Some(Shortfall::Quota { what: "operators", have: 2, need: 3 }));
        assert_eq!(
            electorate.poll([(0, 7), (1, 7), (2, 7)]),
            Poll::Missing(Shortfall::Quota { what: "operators", have: 2, need: 3 })
        );
        // A height that our own nodes alone have reached is not reached.
        assert_eq!(electorate.reached([(0, 20), (1, 20), (2, 20), (3, 5)]), Some(5));
        assert!(electorate.shortfall([0, 1, 2]).unwrap().to_string().starts_with("domain_quota"));
    }

    #[test]
    fn each_quota_is_counted() {
        for (quotas, what) in [
            (Quotas { clients: 3, ..Quotas::default() }, "client families"),
            (Quotas { own: 2, ..Quotas::default() }, "seats of our own"),
        ] {
            let electorate = mixed(quotas).unwrap();
            let short = electorate.shortfall([0, 2, 3]);
            assert!(matches!(short, Some(Shortfall::Quota { what: it, .. }) if it == what), "{short:?}");
        }
        let foreign = mixed(Quotas { third_party: 2, ..Quotas::default() }).unwrap();
        assert!(foreign.shortfall([0, 1, 2]).is_some());
        assert!(foreign.shortfall([0, 2, 3]).is_none());
    }

    #[test]
    fn a_quota_that_can_never_be_met_is_refused() {
        let error = mixed(Quotas { operators: 4, ..Quotas::default() }).unwrap_err();
        assert_eq!(error.to_string(), "quota of 4 operators, but the seats have only 3");
        let threshold = Threshold::try_new(2, 1).unwrap();
        assert!(Electorate::try_new(threshold, Quotas::default(), vec![Domain::default()]).is_err());
    }

    proptest! {
        #[test]
        fn agreement_needs_the_threshold_of_equal_votes(seats in 1usize..8, need in 1usize..8, values in prop::collection::vec(0u8..3, 0..8)) {
            prop_assume!(need <= seats && values.len() <= seats);
            let same = values.windows(2).all(|pair| pair[0] == pair[1]);
            let agreed = matches!(plain(seats, need).poll(votes(&values)), Poll::Agreed(_));
            prop_assert_eq!(agreed, same && values.len() >= need);
        }
    }
}
