//! The ports: what a DVN needs from the world. All are object-safe, async and `Debug + Send + Sync`.
//!
//! Four make a DVN: [`ChainSource`] hints, [`Verifier`] convinces, [`Signer`] signs, [`Submitter`] puts on chain.
//! The others are what it remembers by, gathered in [`Store`] so that an embedder replaces one and keeps the rest.

mod audit_log;
mod chain_source;
mod clock;
mod cosigner;
mod history;
mod journal;
mod outbox;
mod paths;
mod queue;
mod records;
mod signer;
mod store;
mod submitter;
mod verifier;

pub use audit_log::{AuditCut, AuditEntry, AuditHead, AuditLog, AuditQuery, AuditRow};
pub use chain_source::{Assignment, ChainSource, Head, Scan, Sighting};
pub use clock::{Clock, SystemClock};
pub use cosigner::{Cosigner, Proposal, Retraction};
pub use history::{Cause, ChangeKind, ContractChange, History, Shown};
pub use journal::{Intent, Journal, JournalHead, JournalId, JournalRow, JournalState, Purpose, Quarantine};
pub use outbox::{Attempt, LaneId, NewTransaction, Outbox, OutboxItem, OutboxTransaction, SubmissionId};
pub use paths::{Neighbours, Paths};
pub use queue::{Due, Entry, JobQueue, LocalQueue, Receipt};
pub use records::{
    Cursors, Evidence, EvidenceBundle, Fence, FinalizedHashes, Halt, HaltScope, Halts, Lease, Leases, OldEvidence,
};
pub use signer::Signer;
pub use store::{JobStore, Observed, Store, Tally};
pub use submitter::{Chain, Outcome, Settlement, SignedAttestation, Submitted, Submitter};
pub use verifier::{Observation, Verification, Verifier};
