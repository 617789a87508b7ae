use std::{
    fmt,
    time::{Duration, SystemTime},
};

use alloy_primitives::B256;
use async_trait::async_trait;

use crate::{
    error::StoreError,
    ids::{BlockNumber, BlockRef, Eid, Guid},
};

/// How far each source chain has been read.
#[async_trait]
pub trait Cursors: fmt::Debug + Send + Sync {
    /// The last block whose assignments are all stored, or nothing for a new chain.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn load(&self, eid: Eid) -> Result<Option<BlockNumber>, StoreError>;

    /// Moves the cursor; it never moves back.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn advance(&self, eid: Eid, through: BlockNumber) -> Result<(), StoreError>;
}

/// Hashes of blocks that were final: a chain may not change its mind about them.
#[async_trait]
pub trait FinalizedHashes: fmt::Debug + Send + Sync {
    /// Records the hash of a final block, or compares it with the one recorded before.
    ///
    /// # Errors
    /// [`StoreErrorKind::FinalityChanged`](crate::error::StoreErrorKind::FinalityChanged) where another hash is on
    /// record; the record stays.
    async fn record(&self, eid: Eid, block: BlockRef) -> Result<(), StoreError>;

    /// The highest block that is on record, or nothing for a new chain.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn newest(&self, eid: Eid) -> Result<Option<BlockRef>, StoreError>;
}

/// What a halt stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_enums, reason = "a chain or everything, there is no third")]
pub enum HaltScope {
    /// One chain, as source and as destination.
    Chain(Eid),
    /// Everything.
    All,
}

impl HaltScope {
    /// Whether it stops work between two chains.
    #[must_use]
    pub fn stops(self, src: Eid, dst: Eid) -> bool {
        match self {
            Self::All => true,
            Self::Chain(eid) => eid == src || eid == dst,
        }
    }
}

/// A persisted stop.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a plain record")]
pub struct Halt {
    /// What it stops.
    pub scope: HaltScope,
    /// Why, for people.
    pub reason: String,
    /// Digest of the evidence that is stored for it, if any.
    pub evidence: Option<B256>,
    /// Since when.
    pub since: SystemTime,
}

/// Stops that survive restarts; only an operator clears them.
#[async_trait]
pub trait Halts: fmt::Debug + Send + Sync {
    /// Raises a halt. One that stands for the same scope stays as it is, with its first reason.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn raise(&self, halt: Halt) -> Result<(), StoreError>;

    /// The halts that stand.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn standing(&self) -> Result<Vec<Halt>, StoreError>;

    /// Lifts a halt, by an operator's word. Says whether there was one.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn clear(&self, scope: HaltScope) -> Result<bool, StoreError>;
}

/// What convinced a verifier, as a JSON document with the hash that names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvidenceBundle {
    digest: B256,
    json: String,
}

impl EvidenceBundle {
    /// Names a document by its `keccak256`.
    #[must_use]
    pub fn new(json: impl Into<String>) -> Self {
        let json = json.into();
        Self { digest: alloy_primitives::keccak256(json.as_bytes()), json }
    }

    /// `keccak256` of the document.
    #[must_use]
    pub const fn digest(&self) -> B256 {
        self.digest
    }

    /// The document.
    #[must_use]
    pub fn json(&self) -> &str {
        &self.json
    }
}

/// Evidence by packet, and of halts by its digest.
#[async_trait]
pub trait Evidence: fmt::Debug + Send + Sync {
    /// Keeps a bundle for a packet; the same bundle twice is kept once.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn put(&self, guid: Guid, bundle: &EvidenceBundle, at: SystemTime) -> Result<(), StoreError>;

    /// All bundles of a packet, oldest first.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn of_packet(&self, guid: Guid) -> Result<Vec<EvidenceBundle>, StoreError>;

    /// Keeps what a halt is based on; the same bundle twice is kept once.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn put_halt(&self, bundle: &EvidenceBundle, at: SystemTime) -> Result<(), StoreError>;

    /// What a halt is based on, by its digest.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn of_halt(&self, digest: B256) -> Result<Option<EvidenceBundle>, StoreError>;
}

/// Something that was decided.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a plain record")]
pub struct AuditEntry {
    /// When.
    pub at: SystemTime,
    /// Which part decided: listener, verifier, attestor, submitter, operator.
    pub actor: String,
    /// What it decided, as a stable word.
    pub action: String,
    /// The packet, where it is about one.
    pub guid: Option<Guid>,
    /// Inputs and reasons as a JSON object, without secrets.
    pub detail: String,
}

/// An entry as it stands in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a plain record")]
pub struct AuditRow {
    /// Position, from 1, without gaps.
    pub sequence: u64,
    /// What was decided.
    pub entry: AuditEntry,
    /// Hash over the row before and this row's content.
    pub row_hash: B256,
}

/// The record of every decision, each row chained to the one before.
#[async_trait]
pub trait AuditLog: fmt::Debug + Send + Sync {
    /// Appends entries in order.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn append(&self, entries: &[AuditEntry]) -> Result<(), StoreError>;

    /// All rows of a packet, oldest first.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn of_packet(&self, guid: Guid) -> Result<Vec<AuditRow>, StoreError>;
}

/// A right that one process holds for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a plain pair")]
pub struct Lease {
    /// Grows with every change of holder.
    pub fence: u64,
    /// When it ends unless renewed.
    pub until: SystemTime,
}

/// Leases, so that of several processes on one store one leads.
#[async_trait]
pub trait Leases: fmt::Debug + Send + Sync {
    /// Takes or renews a lease; nothing where somebody else holds it.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn acquire(
        &self,
        name: &str,
        holder: &str,
        now: SystemTime,
        ttl: Duration,
    ) -> Result<Option<Lease>, StoreError>;

    /// Gives a lease back early; does nothing where somebody else holds it.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn release(&self, name: &str, holder: &str) -> Result<(), StoreError>;
}
