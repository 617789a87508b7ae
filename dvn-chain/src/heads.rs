//! How far a source chain is: its newest block, and the newest final one with the hash that the threshold of seats gives it.
//! One poll serves everybody: whoever follows the head and every packet that waits for it.

mod board;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use alloy::primitives::B256;
use dvn_core::{
    ids::{BlockNumber, BlockRef, Confirmations},
    ports::Head,
};
use tokio::time::Instant;

use self::board::Board;
pub(crate) use self::board::Tip;
use crate::{
    anchor::{Authentic, anchored},
    call::{Answers, Call},
    headers::Headers,
    panel::{Absence, Ballot, Panel, PanelError},
    profile::Finality,
    rpc::RpcBlock,
    seat::{Seat, SeatError, Told},
};

/// What the seats said last, and what follows from it.
#[derive(Debug)]
pub(crate) struct Heads {
    panel: Arc<Panel>,
    finality: Finality,
    floor: Confirmations,
    headers: Option<Arc<Headers>>,
    board: Arc<Mutex<Board>>,
}

/// What one seat calls its newest and its final block.
#[derive(Clone, Debug)]
pub(super) struct Report {
    pub(super) latest: Told<Named>,
    /// Nothing where finality is a matter of depth.
    pub(super) settled: Option<Told<Named>>,
}

/// A block as a seat names it. Where headers cannot be hashed, its parent is voted on with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) block: BlockRef,
    pub(crate) parent: Option<B256>,
}

/// What a poll came to.
#[derive(Clone, Debug)]
pub(crate) struct Polled {
    pub(crate) latest: BlockNumber,
    /// The final block, if its hash is agreed and it is newer than the one before, and its parent's hash.
    pub(crate) advanced: Option<(Authentic, Option<B256>)>,
}

impl Heads {
    pub(crate) fn new(
        panel: Arc<Panel>,
        finality: Finality,
        floor: Confirmations,
        headers: Option<Arc<Headers>>,
    ) -> Self {
        Self { panel, finality, floor, headers, board: Arc::default() }
    }

    /// The head that was agreed last, unless that is longer ago than `most`.
    pub(crate) fn fresh(&self, most: Duration) -> Option<(Head, BlockRef)> {
        self.board().fresh(most)
    }

    /// The final block that was agreed last.
    pub(crate) fn anchor(&self) -> Option<BlockRef> {
        self.board().anchor()
    }

    /// Who vouched for a final block when it was agreed; nobody of those from before the last start.
    pub(crate) fn vouched_by(&self, block: BlockRef) -> Vec<String> {
        self.board().vouched_by(block)
    }

    /// The head and the final block that were agreed last, however long ago.
    pub(crate) fn current(&self) -> Option<(Head, BlockRef)> {
        self.board().current()
    }

    /// The newest block, at least this high, that most seats named in the last poll.
    pub(crate) fn tip(&self, at_least: BlockNumber) -> Option<Tip> {
        self.board().tip(at_least)
    }

    /// Asks all seats where they are, and about the hash of the newest final block.
    ///
    /// # Errors
    /// [`PanelError`]; a contradiction also where a seat denies what it or others said of a final block before.
    pub(crate) async fn poll(&self, before: Option<BlockRef>) -> Result<Polled, PanelError> {
        self.check_dissent()?;
        let ballot = self.panel.ask(|seat| self.report(seat), |votes| self.panel.suffices(votes)).await;
        let ballot = self.take(ballot);
        self.check_dissent()?;
        let latest = self.panel.reached("newest block", &ballot, |it| it.latest.value.block.number)?;
        let suffice = |seats: &[usize]| self.panel.electorate().shortfall(seats.iter().copied()).is_none();
        self.board().note_tips(ballot.votes.iter().map(|vote| (vote.seat, vote.value.latest.value.block)), suffice);
        let settled = self.settled(&ballot, latest)?;
        // What is only on record, from before the last start, is voted on once more.
        let is_known = |before: BlockRef| match self.anchor() {
            Some(_) => settled <= before.number,
            None => settled < before.number,
        };
        if before.is_some_and(is_known) {
            return Ok(Polled { latest, advanced: None });
        }
        let (authentic, parent) = self.vote(&ballot, settled).await?;
        self.board().agree(&authentic)?;
        Ok(Polled { latest, advanced: Some((authentic, parent)) })
    }

    /// Makes a poll's result the head.
    pub(crate) fn settle(&self, latest: BlockNumber, anchor: BlockRef) -> Head {
        let head = Head { latest: latest.max(anchor.number), settled: anchor.number };
        self.board().settle(head, anchor);
        head
    }

    fn settled(&self, ballot: &Ballot<Report>, latest: BlockNumber) -> Result<BlockNumber, PanelError> {
        if matches!(self.finality, Finality::Latest) {
            return Ok(latest.below(self.floor.0));
        }
        let number = |it: &Report| it.settled.as_ref().map_or(BlockNumber(0), |told| told.value.block.number);
        Ok(self.panel.reached("final block", ballot, number)?.min(latest))
    }

    /// All seats' word about the block at the final height; those that just named it are not asked again.
    async fn vote(
        &self,
        ballot: &Ballot<Report>,
        number: BlockNumber,
    ) -> Result<(Authentic, Option<B256>), PanelError> {
        let named = |position: usize| {
            let vote = ballot.votes.iter().find(|vote| vote.seat == position)?;
            let mut told = vote.value.settled.iter().chain([&vote.value.latest]);
            told.find(|told| told.value.block.number == number).cloned()
        };
        let headers = self.headers.as_deref();
        let question = |position: usize, seat: Arc<Seat>| {
            let named = named(position);
            async move {
                if named.is_some() {
                    return Ok(named);
                }
                let told = Headers::told(headers, &seat, Call::block_by_number(number)).await?;
                told.map(|told| told.try_map(|block| anchored(&block, number).map(|_| named_by(&block)))).transpose()
            }
        };
        let agreed = self.panel.agree_each("final block", question).await?;
        let Named { block, parent } = agreed.value.value;
        Ok((Authentic { block, vouched_by: agreed.voters }, parent))
    }

    async fn report(&self, seat: Arc<Seat>) -> Result<Option<Report>, SeatError> {
        report(&seat, self.finality, self.headers.as_deref()).await
    }

    /// Compares every report with what was said before. A seat that goes back on its own finality has no vote.
    fn take(&self, mut ballot: Ballot<Report>) -> Ballot<Report> {
        let mut board = self.board();
        for vote in std::mem::take(&mut ballot.votes) {
            match board.take(vote.seat, &vote.label, &vote.value) {
                Ok(()) => ballot.votes.push(vote),
                Err(error) => {
                    let (chain, seat) = (self.panel.chain().name.clone(), vote.label.clone());
                    tracing::warn!(chain, seat, %error, "seat lost its vote");
                    metrics::counter!("dvn_seat_faults_total", "chain" => chain, "seat" => seat, "reason" => error.name())
                        .increment(1);
                    ballot.absent.push((vote.label, Absence::Failed(error)));
                }
            }
        }
        ballot
    }

    fn check_dissent(&self) -> Result<(), PanelError> {
        self.board().dissent().map_or(Ok(()), Err)
    }

    fn board(&self) -> MutexGuard<'_, Board> {
        // Each change of a board is whole by itself.
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hears the seats that were too late for the last poll after all: what a slow seat denies is denied.
    pub(crate) fn hear_late(&self, waited: Duration) {
        for (position, seat) in self.panel.seats().iter().enumerate() {
            if !self.board().begin_late(position, waited) {
                continue;
            }
            let (label, panel, finality) = (seat.label().to_owned(), Arc::clone(&self.panel), self.finality);
            let (headers, board) = (self.headers.clone(), Arc::clone(&self.board));
            tokio::spawn(async move {
                let headers = headers.as_deref();
                let question = |_, seat: Arc<Seat>| async move { report(&seat, finality, headers).await };
                let told = panel.ask_one(position, question).await;
                let mut board = board.lock().unwrap_or_else(PoisonError::into_inner);
                board.end_late(position);
                if let Ok(Some(report)) = told {
                    // A fault costs a vote that this seat did not cast anyway.
                    _ = board.take(position, &label, &report);
                }
            });
        }
    }
}

/// One seat's newest and final block, in one request.
async fn report(seat: &Seat, finality: Finality, headers: Option<&Headers>) -> Result<Option<Report>, SeatError> {
    let tag = match finality {
        Finality::Finalized => Some("finalized"),
        Finality::Safe => Some("safe"),
        Finality::Latest => None,
    };
    let mut calls = vec![Call::block_by_tag("latest")];
    calls.extend(tag.map(Call::block_by_tag));
    let mut answers = Answers::new(seat.batch(calls).await?);
    let Some(latest) = block(&mut answers, headers)? else {
        return Ok(None);
    };
    seat.note_head(latest.value.block.number);
    let settled = match tag {
        None => None,
        Some(_) => match block(&mut answers, headers)? {
            Some(settled) => Some(settled),
            None => return Ok(None),
        },
    };
    Ok(Some(Report { latest, settled }))
}

fn block(answers: &mut Answers, headers: Option<&Headers>) -> Result<Option<Told<Named>>, SeatError> {
    let Some(told) = answers.next_told::<Option<RpcBlock>>()?.transpose() else {
        return Ok(None);
    };
    if let Some(headers) = headers {
        headers.learn(&told)?;
    }
    Ok(Some(told.map(|block| named_by(&block))))
}

fn named_by(block: &RpcBlock) -> Named {
    Named { block: block.reference(), parent: block.parent_hash }
}

/// A moment, as the board keeps it.
pub(super) fn now() -> Instant {
    Instant::now()
}
