//! What was ever said of final blocks lately, seat by seat, so that nobody can take it back unnoticed.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use alloy::primitives::B256;
use dvn_core::{
    ids::{BlockNumber, BlockRef},
    ports::Head,
};
use tokio::time::Instant;

use super::{Named, Report, now};
use crate::{
    anchor::Authentic,
    panel::PanelError,
    seat::{SeatError, Told},
};

/// Final heights that are remembered of each seat, and of what was agreed.
const REMEMBERED: usize = 256;

/// A newest block, how many seats name it, and whether they are enough to agree on a fact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tip {
    pub(crate) block: BlockRef,
    pub(crate) seats: usize,
    pub(crate) is_agreed: bool,
}

#[derive(Debug, Default)]
pub(super) struct Board {
    head: Option<(Head, BlockRef, Instant)>,
    tips: Vec<Tip>,
    seats: HashMap<usize, Memory>,
    agreed: BTreeMap<BlockNumber, (B256, Vec<String>)>,
    dissent: Option<PanelError>,
}

/// One seat's claims about final blocks.
#[derive(Debug, Default)]
struct Memory {
    label: String,
    highest: BlockNumber,
    claims: BTreeMap<BlockNumber, Told<Named>>,
    heard: Option<Instant>,
    is_asked: bool,
}

impl Board {
    pub(super) fn fresh(&self, most: Duration) -> Option<(Head, BlockRef)> {
        let (head, anchor, since) = self.head?;
        (since.elapsed() <= most).then_some((head, anchor))
    }

    pub(super) fn anchor(&self) -> Option<BlockRef> {
        self.head.map(|(_, anchor, _)| anchor)
    }

    pub(super) fn settle(&mut self, head: Head, anchor: BlockRef) {
        self.head = Some((head, anchor, now()));
    }

    pub(super) fn vouched_by(&self, block: BlockRef) -> Vec<String> {
        let agreed = self.agreed.get(&block.number).filter(|(hash, _)| *hash == block.hash);
        agreed.map(|(_, by)| by.clone()).unwrap_or_default()
    }

    pub(super) fn current(&self) -> Option<(Head, BlockRef)> {
        self.head.map(|(head, anchor, _)| (head, anchor))
    }

    pub(super) fn tip(&self, at_least: BlockNumber) -> Option<Tip> {
        self.tips.iter().filter(|tip| tip.block.number >= at_least).max_by_key(|tip| tip.seats).copied()
    }

    pub(super) fn note_tips(
        &mut self,
        told: impl Iterator<Item = (usize, BlockRef)>,
        suffice: impl Fn(&[usize]) -> bool,
    ) {
        let mut named = BTreeMap::<BlockRef, Vec<usize>>::new();
        told.for_each(|(seat, block)| named.entry(block).or_default().push(seat));
        let tip =
            |(block, seats): (BlockRef, Vec<usize>)| Tip { block, seats: seats.len(), is_agreed: suffice(&seats) };
        self.tips = named.into_iter().map(tip).collect();
    }

    /// Takes note of what a seat says now.
    pub(super) fn take(&mut self, position: usize, label: &str, report: &Report) -> Result<(), SeatError> {
        let memory = self.seats.entry(position).or_default();
        label.clone_into(&mut memory.label);
        memory.heard = Some(now());
        let Some(told) = &report.settled else {
            return Ok(());
        };
        let BlockRef { number, hash } = told.value.block;
        if let Some(before) = memory.claims.get(&number).filter(|before| before.value.block.hash != hash) {
            let votes = [before, told].map(|it| (label.to_owned(), it.raw.to_string()));
            return self.object("final block of one seat", votes.to_vec());
        }
        if let Some((agreed, by)) = self.agreed.get(&number).filter(|(agreed, _)| *agreed != hash) {
            let votes = vec![(by.join(", "), agreed.to_string()), (label.to_owned(), told.raw.to_string())];
            return self.object("final block", votes);
        }
        let (from, to) = (memory.highest.0, number.0);
        memory.claims.insert(number, told.clone());
        trim(&mut memory.claims);
        if to < from {
            return Err(SeatError::Regressed { from, to });
        }
        memory.highest = number;
        Ok(())
    }

    /// Remembers an agreed final block, unless a seat once said otherwise of that height.
    pub(super) fn agree(&mut self, authentic: &Authentic) -> Result<(), PanelError> {
        let BlockRef { number, hash } = authentic.block;
        let denied = self.seats.values().find_map(|memory| {
            let claim = memory.claims.get(&number).filter(|claim| claim.value.block.hash != hash)?;
            Some((memory.label.clone(), claim.raw.to_string()))
        });
        if let Some(denied) = denied {
            let votes = vec![(authentic.vouched_by.join(", "), authentic.block.to_string()), denied];
            return Err(PanelError::Contradiction { question: "final block", votes, absent: Vec::new() });
        }
        self.agreed.insert(number, (hash, authentic.vouched_by.clone()));
        trim(&mut self.agreed);
        Ok(())
    }

    /// The contradiction that was noticed since the last time, if any.
    pub(super) fn dissent(&mut self) -> Option<PanelError> {
        self.dissent.take()
    }

    /// Whether a seat that was not heard in this time is to be asked once more on its own.
    pub(super) fn begin_late(&mut self, position: usize, waited: Duration) -> bool {
        let memory = self.seats.entry(position).or_default();
        let is_late = memory.heard.is_none_or(|heard| heard.elapsed() > waited);
        let begins = is_late && !memory.is_asked;
        memory.is_asked |= begins;
        begins
    }

    pub(super) fn end_late(&mut self, position: usize) {
        self.seats.entry(position).or_default().is_asked = false;
    }

    /// A contradiction is told at the next look; the seat that showed it keeps its vote, so that it counts.
    fn object(&mut self, question: &'static str, votes: Vec<(String, String)>) -> Result<(), SeatError> {
        self.dissent = Some(PanelError::Contradiction { question, votes, absent: Vec::new() });
        Ok(())
    }
}

fn trim<T>(kept: &mut BTreeMap<BlockNumber, T>) {
    while kept.len() > REMEMBERED {
        kept.pop_first();
    }
}
