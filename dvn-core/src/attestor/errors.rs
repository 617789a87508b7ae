//! What became of a proposal, as its proposer is told.

use crate::{
    assess::AssessError,
    error::{
        CosignError, CosignErrorKind, JournalError, JournalErrorKind, SignError, SignErrorKind, SubmitErrorKind,
        VerifyErrorKind,
    },
};

pub(super) fn refused(detail: impl Into<String>) -> CosignError {
    CosignError::new(CosignErrorKind::Refused).because(detail)
}

pub(super) fn from_assess(error: AssessError) -> CosignError {
    let kind = match &error {
        AssessError::Source(error) => match error.kind() {
            VerifyErrorKind::Missing | VerifyErrorKind::Recovering | VerifyErrorKind::Store => {
                CosignErrorKind::Unavailable
            }
            VerifyErrorKind::Contradiction => CosignErrorKind::Contradiction,
            VerifyErrorKind::Foreign => CosignErrorKind::Refused,
            VerifyErrorKind::Bug => CosignErrorKind::Bug,
        },
        AssessError::Destination(error) => match error.kind() {
            SubmitErrorKind::Contradiction => CosignErrorKind::Contradiction,
            SubmitErrorKind::Bug => CosignErrorKind::Bug,
            SubmitErrorKind::Missing
            | SubmitErrorKind::FeeCap
            | SubmitErrorKind::Budget
            | SubmitErrorKind::Underfunded
            | SubmitErrorKind::Signer
            | SubmitErrorKind::Store
            | SubmitErrorKind::Rejected => CosignErrorKind::Unavailable,
        },
        AssessError::Paths(_) => CosignErrorKind::Unavailable,
    };
    CosignError::new(kind).shown_by(error.evidence().cloned()).caused_by(error)
}

pub(super) fn from_journal(error: JournalError) -> CosignError {
    let kind = match error.kind() {
        JournalErrorKind::Equivocation => CosignErrorKind::Equivocation,
        // The earlier signature expires, and then the slot may be signed with other confirmations.
        JournalErrorKind::Confirmations => CosignErrorKind::NotYet,
        // This node stops itself until there is room again.
        JournalErrorKind::NoSpace => CosignErrorKind::Halted,
        JournalErrorKind::Storage => CosignErrorKind::Unavailable,
        JournalErrorKind::Tampered | JournalErrorKind::Missing => CosignErrorKind::Key,
    };
    CosignError::new(kind).caused_by(error)
}

pub(super) fn from_sign(error: SignError) -> CosignError {
    let kind = match error.kind() {
        SignErrorKind::Unavailable | SignErrorKind::Timeout | SignErrorKind::Throttled => CosignErrorKind::Unavailable,
        SignErrorKind::Auth | SignErrorKind::Key | SignErrorKind::Integrity => CosignErrorKind::Key,
        SignErrorKind::Bug => CosignErrorKind::Bug,
    };
    CosignError::new(kind).caused_by(error)
}
