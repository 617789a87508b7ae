//! A chain's seats and the threshold of equal answers that makes a fact.

mod error;
mod identity;

use std::{fmt::Debug, future::Future, sync::Arc, time::Duration};

use dvn_core::{
    ports::Chain,
    quorum::{Domain, Electorate, Poll, Quotas, Shortfall, Threshold},
};
use futures::stream::{FuturesUnordered, StreamExt};
use rand::seq::SliceRandom;
use tokio::time::{Instant, timeout_at};

pub use self::error::{Absence, PanelError, PanelSetupError};
use self::identity::Identity;
use crate::seat::{Seat, SeatError};

/// How long one seat's evidence is waited for before the next seat is asked too.
const HEDGE: Duration = Duration::from_secs(2);
/// The operator's word for itself.
const OWN: &str = "self";
/// The word for a client family that is not known.
const UNKNOWN: &str = "unknown";

/// Seats of one chain, the threshold and the quotas: constants of the configuration, whoever is reachable.
#[derive(Debug)]
pub struct Panel {
    chain: Chain,
    seats: Vec<Arc<Seat>>,
    electorate: Electorate,
    identity: Option<Identity>,
    deadline: Duration,
    grace: Duration,
}

/// What one seat said.
#[derive(Clone, Debug)]
pub(crate) struct Vote<T> {
    /// The seat's position in its panel.
    pub(crate) seat: usize,
    pub(crate) label: String,
    pub(crate) value: T,
}

/// All that the seats said to one question.
#[derive(Debug)]
pub(crate) struct Ballot<T> {
    pub(crate) votes: Vec<Vote<T>>,
    pub(crate) absent: Vec<(String, Absence)>,
}

/// A fact with those who vouch for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Agreed<T> {
    pub(crate) value: T,
    pub(crate) voters: Vec<String>,
}

impl<T> Agreed<T> {
    pub(crate) fn map<U>(self, with: impl FnOnce(T) -> U) -> Agreed<U> {
        Agreed { value: with(self.value), voters: self.voters }
    }
}

impl Panel {
    /// A panel of these seats.
    ///
    /// # Errors
    /// [`PanelSetupError`].
    pub fn try_new(chain: Chain, seats: Vec<Arc<Seat>>, threshold: Threshold) -> Result<Self, PanelSetupError> {
        for (at, seat) in seats.iter().enumerate() {
            if seats.iter().take(at).any(|earlier| earlier.same_endpoint(seat)) {
                return Err(PanelSetupError::Duplicate(seat.label().to_owned()));
            }
        }
        let electorate = Electorate::try_new(threshold, Quotas::default(), domains(&seats))?;
        let (deadline, grace) = (Duration::from_secs(10), Duration::from_millis(250));
        Ok(Self { chain, seats, electorate, identity: None, deadline, grace })
    }

    /// Asks for more than a number of votes: who must be among those who agree. A seat whose operator is `self` is one of
    /// our own; a client `unknown` counts for no quota.
    ///
    /// # Errors
    /// [`PanelSetupError::Electorate`] where not even all seats meet a quota.
    pub fn with_quotas(mut self, quotas: Quotas) -> Result<Self, PanelSetupError> {
        self.electorate = Electorate::try_new(self.electorate.threshold(), quotas, domains(&self.seats))?;
        Ok(self)
    }

    /// Lets no seat vote that is on another chain: its chain id is compared with this one, and its first block's hash with
    /// that of the others, at first, after its connection broke, and every ten minutes.
    #[must_use]
    pub fn with_chain_id(mut self, chain_id: u64) -> Self {
        self.identity = Some(Identity::new(chain_id, self.seats.len()));
        self
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
        self.electorate.threshold()
    }

    /// The seats, in their order.
    pub(crate) fn seats(&self) -> &[Arc<Seat>] {
        &self.seats
    }

    /// Whose votes make a fact.
    pub(crate) const fn electorate(&self) -> &Electorate {
        &self.electorate
    }

    /// A panel of the same seats whose chain nobody has checked yet, to ask them about it.
    pub(crate) fn unidentified(&self) -> Self {
        Self {
            chain: self.chain.clone(),
            seats: self.seats.clone(),
            electorate: self.electorate.clone(),
            identity: None,
            deadline: self.deadline,
            grace: self.grace,
        }
    }

    /// Asks all seats at once. A seat that answers `None` abstains. Waits for everybody up to the deadline, and only a
    /// short grace once the votes are `enough`.
    pub(crate) async fn ask<T, F, A>(&self, question: F, enough: impl Fn(&[Vote<T>]) -> bool) -> Ballot<T>
    where
        F: Fn(Arc<Seat>) -> A,
        A: Future<Output = Result<Option<T>, SeatError>>,
    {
        self.ask_each(|_, seat| question(seat), enough).await
    }

    /// As [`Panel::ask`]; the question knows the seat's position.
    pub(crate) async fn ask_each<T, F, A>(&self, question: F, enough: impl Fn(&[Vote<T>]) -> bool) -> Ballot<T>
    where
        F: Fn(usize, Arc<Seat>) -> A,
        A: Future<Output = Result<Option<T>, SeatError>>,
    {
        let mut pending: FuturesUnordered<_> =
            (0..self.seats.len()).map(|position| self.asked(position, &question)).collect();
        let mut ballot = Ballot { votes: Vec::new(), absent: Vec::new() };
        let mut until = after(self.deadline);
        let mut is_enough = false;
        while let Ok(Some((position, answer))) = timeout_at(until, pending.next()).await {
            ballot.take(position, self.label(position), answer);
            if !is_enough && enough(&ballot.votes) {
                is_enough = true;
                until = until.min(after(self.grace));
            }
        }
        self.dismiss_foreign(&mut ballot);
        self.note_late(&mut ballot);
        ballot
    }

    /// Asks all seats until voters who suffice have answered anything at all.
    pub(crate) async fn gather<T, F, A>(&self, question: F) -> Ballot<T>
    where
        F: Fn(Arc<Seat>) -> A,
        A: Future<Output = Result<Option<T>, SeatError>>,
    {
        self.ask(question, |votes| self.suffices(votes)).await
    }

    /// Whether these voters make a fact if they agree.
    pub(crate) fn suffices<T>(&self, votes: &[Vote<T>]) -> bool {
        self.electorate.shortfall(votes.iter().map(|vote| vote.seat)).is_none()
    }

    /// The fact that voters who suffice state and nobody denies.
    ///
    /// # Errors
    /// [`PanelError::Missing`] or [`PanelError::Contradiction`], the latter whoever has the majority.
    pub(crate) async fn agree<T, F, A>(&self, what: &'static str, question: F) -> Result<Agreed<T>, PanelError>
    where
        T: PartialEq + Debug,
        F: Fn(Arc<Seat>) -> A,
        A: Future<Output = Result<Option<T>, SeatError>>,
    {
        self.agree_each(what, |_, seat| question(seat)).await
    }

    /// As [`Panel::agree`]; the question knows the seat's position.
    pub(crate) async fn agree_each<T, F, A>(&self, what: &'static str, question: F) -> Result<Agreed<T>, PanelError>
    where
        T: PartialEq + Debug,
        F: Fn(usize, Arc<Seat>) -> A,
        A: Future<Output = Result<Option<T>, SeatError>>,
    {
        let ballot = self.ask_each(question, |votes| self.has_agreement(votes)).await;
        self.decide(what, ballot)
    }

    /// The first answer to a question whose answers prove themselves. The seat that begins is chosen by chance, and the next one is asked when those before it failed or take long; those that let others wait lately come
    /// last and are not waited for as long.
    ///
    /// # Errors
    /// [`PanelError::Missing`].
    pub(crate) async fn first<T, F, A>(&self, what: &'static str, question: F) -> Result<Agreed<T>, PanelError>
    where
        F: Fn(Arc<Seat>) -> A,
        A: Future<Output = Result<Option<T>, SeatError>>,
    {
        let question = |_, seat| question(seat);
        let mut waiting = self.order();
        let mut pending = FuturesUnordered::new();
        let mut ballot = Ballot::<T> { votes: Vec::new(), absent: Vec::new() };
        let until = after(self.deadline);
        let mut last = None;
        loop {
            let next = waiting.pop();
            last = next.and_then(|position| self.seats.get(position)).or(last);
            pending.extend(next.map(|position| self.asked(position, &question)));
            let is_last_hope = waiting.is_empty() && last.is_some_and(|seat| !seat.is_slow());
            let patience = if is_last_hope { until } else { until.min(after(HEDGE)) };
            match timeout_at(patience, pending.next()).await {
                Ok(Some((position, answer))) => {
                    ballot.take(position, self.label(position), answer);
                    if let Some(Vote { label, value, .. }) = ballot.votes.pop() {
                        self.note_absent(&ballot.absent);
                        return Ok(Agreed { value, voters: vec![label] });
                    }
                }
                Ok(None) => break,
                Err(_) if waiting.is_empty() => break,
                Err(_) => last.into_iter().for_each(|seat| seat.note_slow(true)),
            }
        }
        self.note_late(&mut ballot);
        let lack = Shortfall::Votes { have: 0, need: 1 };
        Err(PanelError::Missing { question: what, lack, absent: ballot.absent })
    }

    /// Counts a ballot about one fact.
    pub(crate) fn decide<T: PartialEq + Debug>(
        &self,
        what: &'static str,
        ballot: Ballot<T>,
    ) -> Result<Agreed<T>, PanelError> {
        match self.electorate.poll(ballot.votes.iter().map(|vote| (vote.seat, &vote.value))) {
            Poll::Agreed(_) => {}
            Poll::Missing(lack) => return Err(self.lacking(what, lack, ballot.absent)),
            Poll::Split(_) => return Err(contradiction(what, &ballot)),
        }
        let voters = ballot.votes.iter().map(|vote| vote.label.clone()).collect();
        // An agreed poll has at least one vote, and all are equal.
        let nobody = Shortfall::Votes { have: 0, need: self.threshold().need() };
        let value = ballot.votes.into_iter().next().map(|vote| vote.value);
        let value = value.ok_or_else(|| self.lacking(what, nobody, ballot.absent))?;
        Ok(Agreed { value, voters })
    }

    /// The greatest value that voters who suffice have reached, of values that only grow.
    pub(crate) fn reached<T, V: Ord + Copy>(
        &self,
        what: &'static str,
        ballot: &Ballot<T>,
        value: impl Fn(&T) -> V,
    ) -> Result<V, PanelError> {
        let values = ballot.votes.iter().map(|vote| (vote.seat, value(&vote.value)));
        self.electorate.reached(values).ok_or_else(|| self.missing(what, ballot))
    }

    pub(crate) fn missing<T>(&self, question: &'static str, ballot: &Ballot<T>) -> PanelError {
        let (have, need) = (ballot.votes.len(), self.threshold().need());
        let lack = self.electorate.shortfall(ballot.votes.iter().map(|vote| vote.seat));
        self.lacking(question, lack.unwrap_or(Shortfall::Votes { have, need }), ballot.absent.clone())
    }

    fn lacking(&self, question: &'static str, lack: Shortfall, absent: Vec<(String, Absence)>) -> PanelError {
        let chain = self.chain.name.clone();
        metrics::counter!("dvn_votes_missing_total", "chain" => chain, "question" => question).increment(1);
        PanelError::Missing { question, lack, absent }
    }

    /// Asks one seat alone.
    pub(crate) async fn ask_one<T, F, A>(&self, position: usize, question: F) -> Result<Option<T>, SeatError>
    where
        F: Fn(usize, Arc<Seat>) -> A,
        A: Future<Output = Result<Option<T>, SeatError>>,
    {
        self.asked(position, &question).await.1
    }

    async fn asked<T, F, A>(&self, position: usize, question: &F) -> (usize, Result<Option<T>, SeatError>)
    where
        F: Fn(usize, Arc<Seat>) -> A,
        A: Future<Output = Result<Option<T>, SeatError>>,
    {
        let Some(seat) = self.seats.get(position) else {
            return (position, Ok(None));
        };
        if let Some(identity) = &self.identity
            && let Err(error) = identity.check(position, seat, &self.electorate).await
        {
            return (position, Err(error));
        }
        let answer = question(position, Arc::clone(seat)).await;
        seat.note_slow(matches!(answer, Err(SeatError::Timeout)));
        (position, answer)
    }

    fn label(&self, position: usize) -> String {
        self.seats.get(position).map_or_else(String::new, |seat| seat.label().to_owned())
    }

    /// Whether voters who suffice say the same already.
    pub(crate) fn has_agreement<T: PartialEq>(&self, votes: &[Vote<T>]) -> bool {
        votes.iter().any(|one| {
            let same = votes.iter().filter(|other| other.value == one.value).map(|other| other.seat);
            self.electorate.shortfall(same).is_none()
        })
    }

    /// The seats' positions, the one to ask first at the end: shuffled for every question, so that no seat can tell when it
    /// is its turn, slow ones last.
    fn order(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.seats.len()).collect();
        order.shuffle(&mut rand::rng());
        order.sort_by_key(|position| !self.seats.get(*position).is_some_and(|seat| seat.is_slow()));
        order
    }

    /// What the first block of a chain is may be known only once all have answered.
    fn dismiss_foreign<T>(&self, ballot: &mut Ballot<T>) {
        let Some(identity) = &self.identity else {
            return;
        };
        for vote in std::mem::take(&mut ballot.votes) {
            match identity.check_genesis(vote.seat) {
                Ok(()) => ballot.votes.push(vote),
                Err(error) => ballot.absent.push((vote.label, Absence::Failed(error))),
            }
        }
    }

    fn note_late<T>(&self, ballot: &mut Ballot<T>) {
        // Two seats may share a label; then the count decides which of them is still missing.
        let mut heard: Vec<&str> = ballot.votes.iter().map(|vote| vote.label.as_str()).collect();
        heard.extend(ballot.absent.iter().map(|(label, _)| label.as_str()));
        let mut late = Vec::new();
        for seat in &self.seats {
            match heard.iter().position(|label| *label == seat.label()) {
                Some(at) => _ = heard.swap_remove(at),
                None => {
                    seat.note_slow(true);
                    late.push((seat.label().to_owned(), Absence::Late));
                }
            }
        }
        ballot.absent.extend(late);
        self.note_absent(&ballot.absent);
    }

    /// Reports every seat that gave no vote.
    fn note_absent(&self, absent: &[(String, Absence)]) {
        for (seat, absence) in absent {
            tracing::debug!(chain = self.chain.name, seat, %absence, "seat gave no vote");
            let labels =
                [("chain", self.chain.name.clone()), ("seat", seat.clone()), ("reason", absence.name().to_owned())];
            metrics::counter!("dvn_seat_faults_total", &labels).increment(1);
        }
    }
}

impl<T> Ballot<T> {
    fn take(&mut self, seat: usize, label: String, answer: Result<Option<T>, SeatError>) {
        match answer {
            Ok(Some(value)) => self.votes.push(Vote { seat, label, value }),
            Ok(None) => self.absent.push((label, Absence::Abstained)),
            Err(error) => self.absent.push((label, Absence::Failed(error))),
        }
    }
}

/// Votes that differ, as they came.
pub(crate) fn contradiction<T: Debug>(question: &'static str, ballot: &Ballot<T>) -> PanelError {
    let votes = ballot.votes.iter().map(|vote| (vote.label.clone(), format!("{:?}", vote.value))).collect();
    PanelError::Contradiction { question, votes, absent: ballot.absent.clone() }
}

fn domains(seats: &[Arc<Seat>]) -> Vec<Domain> {
    let domain = |seat: &Arc<Seat>| Domain {
        operator: seat.operator().to_owned(),
        client: Some(seat.client().to_owned()).filter(|client| client != UNKNOWN),
        own: seat.operator() == OWN,
    };
    seats.iter().map(domain).collect()
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
