//! What comes of a question besides a fact: too few votes, or votes that differ.

use std::fmt;

use alloy::primitives::keccak256;
use dvn_core::{
    ports::{Chain, EvidenceBundle},
    quorum::{ElectorateError, Shortfall},
};
use serde_json::json;
use thiserror::Error;

use crate::seat::SeatError;

/// Why seats and a threshold do not make a panel.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PanelSetupError {
    /// Seats, threshold and quotas do not fit together.
    #[error(transparent)]
    Electorate(#[from] ElectorateError),
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

impl Absence {
    /// A stable word for metrics.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Failed(error) => error.name(),
            Self::Abstained => "behind",
            Self::Late => "late",
        }
    }
}

/// Why a question has no agreed answer.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum PanelError {
    /// Too few usable answers, or from too few kinds of seats.
    #[error("{question}: {lack}{}", Reasons(absent))]
    Missing {
        /// What was asked.
        question: &'static str,
        /// What is missing.
        lack: Shortfall,
        /// Seats without a vote, with the reason.
        absent: Vec<(String, Absence)>,
    },
    /// Two well-formed answers that differ.
    #[error("{question}: {}", Said(votes))]
    Contradiction {
        /// What was asked.
        question: &'static str,
        /// Who said what, as it came.
        votes: Vec<(String, String)>,
        /// Seats without a vote, with the reason.
        absent: Vec<(String, Absence)>,
    },
}

impl PanelError {
    /// No block was ever called final.
    pub(crate) const fn unsettled() -> Self {
        Self::Missing { question: "final block", lack: Shortfall::Votes { have: 0, need: 1 }, absent: Vec::new() }
    }

    /// Whether seats contradict each other.
    #[must_use]
    pub const fn is_contradiction(&self) -> bool {
        matches!(self, Self::Contradiction { .. })
    }

    /// The answers behind a contradiction, seat by seat, for the record of a halt.
    #[must_use]
    pub fn evidence(&self, chain: &Chain) -> Option<EvidenceBundle> {
        let Self::Contradiction { question, votes, absent } = self else {
            return None;
        };
        let votes: Vec<_> = votes
            .iter()
            .map(|(seat, answer)| json!({ "seat": seat, "answer": kept(answer), "keccak256": keccak256(answer) }))
            .collect();
        let absent: Vec<_> =
            absent.iter().map(|(seat, why)| json!({ "seat": seat, "reason": why.to_string() })).collect();
        let document = json!({
            "kind": "contradiction",
            "chain": { "name": chain.name, "eid": chain.eid.0 },
            "question": question,
            "votes": votes,
            "absent": absent,
        });
        Some(EvidenceBundle::new(document.to_string()))
    }
}

/// An answer up to a quarter of a mebibyte; the hash beside it names the whole.
fn kept(answer: &str) -> &str {
    const MOST: usize = 256 * 1024;
    let mut end = answer.len().min(MOST);
    while !answer.is_char_boundary(end) {
        end = end.saturating_sub(1);
    }
    answer.get(..end).unwrap_or_default()
}

/// Prints the reasons for missing votes.
struct Reasons<'a>(&'a [(String, Absence)]);

impl fmt::Display for Reasons<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|(seat, absence)| write!(f, "; {seat}: {absence}"))
    }
}

/// Prints who said what, shortened.
struct Said<'a>(&'a [(String, String)]);

impl fmt::Display for Said<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MOST: usize = 200;
        for (position, (seat, answer)) in self.0.iter().enumerate() {
            let between = if position == 0 { "" } else { "; " };
            let short: String = answer.chars().take(MOST).collect();
            write!(f, "{between}{seat} says {short}")?;
        }
        Ok(())
    }
}
