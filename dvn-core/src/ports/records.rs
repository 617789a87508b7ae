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

    /// Up to `limit` bundles after this position that were put before `before` and whose packets are done: every job of the
    /// packet, of which there is one, is committed or refused. In the order in which they were put.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn of_done(&self, before: SystemTime, after: u64, limit: usize) -> Result<Vec<OldEvidence>, StoreError>;

    /// Removes a bundle that [`Evidence::of_done`] gives for `before`; any other stays. The digest stays wherever else it is
    /// written. Says whether it was removed.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn remove_done(&self, before: SystemTime, position: u64) -> Result<bool, StoreError>;
}

/// A bundle that is not needed any more to go on.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a plain record")]
pub struct OldEvidence {
    /// Where it stands among all bundles.
    pub position: u64,
    /// The packet.
    pub guid: Guid,
    /// When it was put.
    pub at: SystemTime,
    /// The bundle.
    pub bundle: EvidenceBundle,
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

/// A lease as whoever writes under it names it: whatever it guards refuses a holder that was replaced meanwhile.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a plain pair")]
pub struct Fence {
    /// The lease's name.
    pub lease: String,
    /// Its [`Lease::fence`] when it was taken.
    pub number: u64,
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
