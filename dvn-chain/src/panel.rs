//! A chain's seats and the threshold of equal answers that makes a fact.

use std::{
    fmt::{self, Debug},
    future::Future,
    sync::Arc,
    time::Duration,
};

use dvn_core::{
    ports::Chain,
    quorum::{self, Poll, Threshold},
};
use futures::stream::{FuturesUnordered, StreamExt};
use thiserror::Error;
use tokio::time::{Instant, timeout_at};

use crate::seat::{Seat, SeatError};

/// Why seats and a threshold do not make a panel.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PanelSetupError {
    /// The threshold was made for another number of seats.
    #[error("{seats} seats, but the threshold counts {counted}")]
    SeatCount {
        /// Seats given.
        seats: usize,
        /// Seats that the threshold was made for.
        counted: usize,
    },
    /// One endpoint would vote twice.
    #[error("two seats are the same endpoint at {0}; give each seat its own")]
    Duplicate(String),
}

/// Why a seat's vote is missing.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Absence {
    /// It failed.
    #[error(transparent)]
    Failed(SeatError),
    /// It does not know what was asked about, or is behind.
    #[error("does not have it yet")]
    Abstained,
    /// The others agreed, or the deadline passed, before it answered.
    #[error("too late")]
    Late,
}

/// Why a question has no agreed answer.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PanelError {
    /// Too few usable answers.
    #[error("{question}: {have} of {need} votes{}", Reasons(absent))]
    Missing {
        /// What was asked.
        question: &'static str,
        /// Votes that came.
        have: usize,
        /// The threshold.
        need: usize,
        /// Seats without a vote, with the reason.
        absent: Vec<(String, Absence)>,
    },
    /// Two well-formed answers that differ.
    #[error("{question}: {votes}")]
    Contradiction {
        /// What was asked.
        question: &'static str,
        /// Who said what.
        votes: String,
    },
}

/// How long one seat's evidence is waited for before the next seat is asked too.
const HEDGE: Duration = Duration::from_secs(2);

/// Seats of one chain and the threshold: constants of the configuration, whoever is reachable.
#[derive(Debug)]
pub struct Panel {
    chain: Chain,
    seats: Vec<Arc<Seat>>,
    threshold: Threshold,
    deadline: Duration,
    grace: Duration,
}

/// All that the seats said to one question.
#[derive(Debug)]
pub(crate) struct Ballot<T> {
    pub(crate) votes: Vec<(String, T)>,
    pub(crate) absent: Vec<(String, Absence)>,
}

/// A fact with those who vouch for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Agreed<T> {
    pub(crate) value: T,
    pub(crate) voters: Vec<String>,
}

impl Panel {
    /// A panel of these seats.
    ///
    /// # Errors
    /// [`PanelSetupError`].
    pub fn try_new(chain: Chain, seats: Vec<Arc<Seat>>, threshold: Threshold) -> Result<Self, PanelSetupError> {
        if seats.len() != threshold.seats() {
            return Err(PanelSetupError::SeatCount { seats: seats.len(), counted: threshold.seats() });
        }
        for (at, seat) in seats.iter().enumerate() {
            if seats.iter().take(at).any(|earlier| earlier.same_endpoint(seat)) {
                return Err(PanelSetupError::Duplicate(seat.label().to_owned()));
            }
        }
        Ok(Self { chain, seats, threshold, deadline: Duration::from_secs(10), grace: Duration::from_millis(250) })
    }

    /// Sets the longest wait for a question, and for stragglers once the threshold agrees. The default is 10 seconds and
    /// 250 milliseconds.
    #[must_use]
    pub const fn with_patience(mut self, deadline: Duration, grace: Duration) -> Self {
        self.deadline = deadline;
        self.grace = grace;
        self
    }

    /// The chain.
    #[must_use]
    pub const fn chain(&self) -> &Chain {
        &self.chain
    }

    /// The threshold.
    #[must_use]
    pub const fn threshold(&self) -> Threshold {
        self.threshold
    }

    /// Asks all seats at once. A seat that answers `None` abstains. Waits for everybody up to the deadline, and only a
    /// short grace once the votes are `enough`.
    pub(crate) async fn ask<T, F, A>(&self, question: F, enough: impl Fn(&[(String, T)]) -> bool) -> Ballot<T>
    where
        F: Fn(Arc<Seat>) -> A,
        A: Future<Output = Result<Option<T>, SeatError>>,
    {
        let mut pending: FuturesUnordered<_> = self.seats.iter().map(|seat| asked(seat, &question)).collect();
        let mut ballot = Ballot { votes: Vec::new(), absent: Vec::new() };
        let mut until = after(self.deadline);
        let mut is_enough = false;
        while let Ok(Some((label, answer))) = timeout_at(until, pending.next()).await {
            match answer {
                Ok(Some(vote)) => ballot.votes.push((label, vote)),
                Ok(None) => ballot.absent.push((label, Absence::Abstained)),
                Err(error) => ballot.absent.push((label, Absence::Failed(error))),
            }
            if !is_enough && enough(&ballot.votes) {
                is_enough = true;
                until = until.min(after(self.grace));
            }
        }
        self.note_late(&mut ballot);
        ballot
    }

    /// Asks all seats until the threshold has answered anything at all.
    pub(crate) async fn gather<T, F, A>(&self, question: F) -> Ballot<T>
    where
        F: Fn(Arc<Seat>) -> A,
        A: Future<Output = Result<Option<T>, SeatError>>,
    {
        let need = self.threshold.need();
        self.ask(question, |votes| votes.len() >= need).await
    }

    /// The fact that at least the threshold of seats states and nobody denies.
    ///
    /// # Errors
    /// [`PanelError::Missing`] or [`PanelError::Contradiction`], the latter whoever has the majority.
    pub(crate) async fn agree<T, F, A>(&self, what: &'static str, question: F) -> Result<Agreed<T>, PanelError>
    where
        T: PartialEq + Debug,
        F: Fn(Arc<Seat>) -> A,
        A: Future<Output = Result<Option<T>, SeatError>>,
    {
        let need = self.threshold.need();
        let ballot = self.ask(question, |votes| has_agreement(need, votes)).await;
        self.decide(what, ballot)
    }

    /// The first answer to a question whose answers prove themselves. Seats are asked in their order, the next one when
    /// those before it failed or take long.
    ///
    /// # Errors
    /// [`PanelError::Missing`].
    pub(crate) async fn first<T, F, A>(&self, what: &'static str, question: F) -> Result<Agreed<T>, PanelError>
    where
        F: Fn(Arc<Seat>) -> A,
        A: Future<Output = Result<Option<T>, SeatError>>,
    {
        let mut waiting = self.seats.iter();
        let mut pending = FuturesUnordered::new();
        let mut ballot = Ballot::<()> { votes: Vec::new(), absent: Vec::new() };
        let until = after(self.deadline);
        loop {
            pending.extend(waiting.next().map(|seat| asked(seat, &question)));
            let patience = if waiting.len() == 0 { until } else { until.min(after(HEDGE)) };
            match timeout_at(patience, pending.next()).await {
                Ok(Some((label, Ok(Some(value))))) => return Ok(Agreed { value, voters: vec![label] }),
                Ok(Some((label, Ok(None)))) => ballot.absent.push((label, Absence::Abstained)),
                Ok(Some((label, Err(error)))) => ballot.absent.push((label, Absence::Failed(error))),
                Ok(None) => break,
                Err(_) if patience == until => break,
                Err(_) => {}
            }
        }
        self.note_late(&mut ballot);
        Err(PanelError::Missing { question: what, have: 0, need: 1, absent: ballot.absent })
    }

    /// Counts a ballot about one fact.
    pub(crate) fn decide<T: PartialEq + Debug>(
        &self,
        what: &'static str,
        ballot: Ballot<T>,
    ) -> Result<Agreed<T>, PanelError> {
        match quorum::poll(self.threshold, ballot.votes.iter().map(|(_, vote)| vote)) {
            Poll::Agreed(_) => {}
            Poll::Missing { .. } => return Err(self.missing(what, &ballot)),
            Poll::Split(_) => {
                return Err(PanelError::Contradiction { question: what, votes: described(&ballot.votes) });
            }
        }
        let voters = ballot.votes.iter().map(|(label, _)| label.clone()).collect();
        // An agreed poll has at least one vote, and all are equal.
        let missing = self.missing::<T>(what, &Ballot { votes: Vec::new(), absent: Vec::new() });
        let value = ballot.votes.into_iter().next().map(|(_, vote)| vote).ok_or(missing)?;
        Ok(Agreed { value, voters })
    }

    /// The greatest value that the threshold of seats has reached, of values that only grow.
    pub(crate) fn reached<T, V: Ord + Copy>(
        &self,
        what: &'static str,
        ballot: &Ballot<T>,
        value: impl Fn(&T) -> V,
    ) -> Result<V, PanelError> {
        let values = ballot.votes.iter().map(|(_, vote)| value(vote));
        quorum::reached(self.threshold, values).ok_or_else(|| self.missing(what, ballot))
    }

    pub(crate) fn missing<T>(&self, question: &'static str, ballot: &Ballot<T>) -> PanelError {
        let absent = ballot.absent.clone();
        PanelError::Missing { question, have: ballot.votes.len(), need: self.threshold.need(), absent }
    }

    fn note_late<T>(&self, ballot: &mut Ballot<T>) {
        // Two seats may share a label; then the count decides which of them is still missing.
        let mut heard: Vec<&str> = ballot.votes.iter().map(|(label, _)| label.as_str()).collect();
        heard.extend(ballot.absent.iter().map(|(label, _)| label.as_str()));
        let mut late = Vec::new();
        for seat in &self.seats {
            match heard.iter().position(|label| *label == seat.label()) {
                Some(at) => _ = heard.swap_remove(at),
                None => late.push((seat.label().to_owned(), Absence::Late)),
            }
        }
        ballot.absent.extend(late);
        for (seat, absence) in &ballot.absent {
            tracing::debug!(chain = self.chain.name, seat, %absence, "seat gave no vote");
        }
    }
}

/// The middle of several measurements, so that no minority moves it beyond what the others said.
pub(crate) fn median<T: Ord + Copy>(values: impl IntoIterator<Item = T>) -> Option<T> {
    let mut values: Vec<T> = values.into_iter().collect();
    values.sort_unstable();
    values.get(values.len() / 2).copied()
}

/// The moment this far ahead; one beyond all bounds counts as now, which only costs votes.
fn after(pause: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(pause).unwrap_or(now)
}

async fn asked<T, F, A>(seat: &Arc<Seat>, question: &F) -> (String, Result<Option<T>, SeatError>)
where
    F: Fn(Arc<Seat>) -> A,
    A: Future<Output = Result<Option<T>, SeatError>>,
{
    (seat.label().to_owned(), question(Arc::clone(seat)).await)
}

fn has_agreement<T: PartialEq>(need: usize, votes: &[(String, T)]) -> bool {
    votes.iter().any(|(_, vote)| votes.iter().filter(|(_, other)| other == vote).count() >= need)
}

fn described<T: Debug>(votes: &[(String, T)]) -> String {
    const MOST: usize = 200;
    let one = |(seat, vote): &(String, T)| {
        let text: String = format!("{vote:?}").chars().take(MOST).collect();
        format!("{seat} says {text}")
    };
    votes.iter().map(one).collect::<Vec<_>>().join("; ")
}

/// Prints the reasons for missing votes.
struct Reasons<'a>(&'a [(String, Absence)]);

impl fmt::Display for Reasons<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|(seat, absence)| write!(f, "; {seat}: {absence}"))
    }
}
