//! Crashes at a chosen place: from there on nothing more is done by this process, and its files are as they were.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::SystemTime,
};

use alloy_primitives::{Address, B256, Bytes, Signature};
use async_trait::async_trait;
use dvn_core::{
    error::{JournalError, JournalErrorKind, SignError, SignErrorKind, StoreError, StoreErrorKind},
    ids::{BlockNumber, Eid, Guid},
    ports::{
        Evidence, EvidenceBundle, Intent, Journal, JournalHead, JournalId, JournalRow, JournalState, OldEvidence,
        Quarantine, Signer,
    },
};

/// Where a process may die on the way to a signature, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum At {
    EvidencePut,
    EvidenceIsThere,
    StateRead,
    Intend,
    Commit,
    Committed,
    Mirrored,
    Sign,
    Signed,
    AddSignature,
    SignatureCommitted,
    SignatureAdded,
}

impl At {
    pub(super) const ALL: [Self; 12] = [
        Self::EvidencePut,
        Self::EvidenceIsThere,
        Self::StateRead,
        Self::Intend,
        Self::Commit,
        Self::Committed,
        Self::Mirrored,
        Self::Sign,
        Self::Signed,
        Self::AddSignature,
        Self::SignatureCommitted,
        Self::SignatureAdded,
    ];
}

/// One process's life.
#[derive(Debug, Default)]
pub(super) struct Life {
    dies_at: Mutex<Option<At>>,
    is_over: AtomicBool,
}

impl Life {
    pub(super) fn dies_at(&self, at: Option<At>) {
        *self.dies_at.lock().unwrap() = at;
    }

    pub(super) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::SeqCst)
    }

    /// Whether the process gets past this place.
    fn passes(&self, at: At) -> bool {
        if *self.dies_at.lock().unwrap() == Some(at) {
            self.is_over.store(true, Ordering::SeqCst);
        }
        !self.is_over()
    }

    fn journal(&self, at: At) -> Result<(), JournalError> {
        self.passes(at).then_some(()).ok_or_else(|| JournalError::new(JournalErrorKind::Storage))
    }

    fn store(&self, at: At) -> Result<(), StoreError> {
        self.passes(at).then_some(()).ok_or_else(|| StoreError::new(StoreErrorKind::Storage))
    }

    fn signer(&self, at: At) -> Result<(), SignError> {
        self.passes(at).then_some(()).ok_or_else(|| SignError::new(SignErrorKind::Unavailable))
    }
}

/// What dies before, and what after, a journal's two writes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Around {
    intend: (Option<At>, At),
    signed: (Option<At>, At),
}

/// Around the database.
pub(super) const DATABASE: Around =
    Around { intend: (Some(At::Commit), At::Committed), signed: (None, At::SignatureCommitted) };
/// Around the database and its mirror.
pub(super) const WHOLE: Around =
    Around { intend: (Some(At::Intend), At::Mirrored), signed: (Some(At::AddSignature), At::SignatureAdded) };

#[derive(Debug)]
pub(super) struct MortalJournal {
    pub(super) inner: Arc<dyn Journal>,
    pub(super) life: Arc<Life>,
    pub(super) around: Around,
}

#[async_trait]
impl Journal for MortalJournal {
    async fn intend(&self, intent: &Intent) -> Result<JournalHead, JournalError> {
        let (before, after) = self.around.intend;
        before.map_or(Ok(()), |at| self.life.journal(at))?;
        let head = self.inner.intend(intent).await?;
        self.life.journal(after)?;
        Ok(head)
    }
    async fn signed(&self, sequence: u64, signature: &Bytes) -> Result<(), JournalError> {
        let (before, after) = self.around.signed;
        before.map_or(Ok(()), |at| self.life.journal(at))?;
        self.inner.signed(sequence, signature).await?;
        self.life.journal(after)
    }
    async fn slot(&self, guid: Guid) -> Result<Vec<JournalRow>, JournalError> {
        self.inner.slot(guid).await
    }
    async fn rows(&self, after: u64, limit: usize) -> Result<Vec<JournalRow>, JournalError> {
        self.inner.rows(after, limit).await
    }
    async fn head(&self) -> Result<JournalHead, JournalError> {
        self.inner.head().await
    }
    async fn verify(&self) -> Result<JournalHead, JournalError> {
        self.inner.verify().await
    }
    async fn begin(&self, quarantine: Option<Quarantine>) -> Result<JournalId, JournalError> {
        self.inner.begin(quarantine).await
    }
    async fn state(&self) -> Result<JournalState, JournalError> {
        self.life.journal(At::StateRead)?;
        self.inner.state().await
    }
    async fn quarantine(&self, quarantine: Quarantine) -> Result<(), JournalError> {
        self.inner.quarantine(quarantine).await
    }
    async fn set_mirror(&self, place: &str) -> Result<(), JournalError> {
        self.inner.set_mirror(place).await
    }
    async fn anchor(&self, dst_eid: Eid) -> Result<Option<BlockNumber>, JournalError> {
        self.inner.anchor(dst_eid).await
    }
    async fn set_anchor(&self, dst_eid: Eid, through: BlockNumber) -> Result<(), JournalError> {
        self.inner.set_anchor(dst_eid, through).await
    }
}

#[derive(Debug)]
pub(super) struct MortalEvidence {
    pub(super) inner: Arc<dyn Evidence>,
    pub(super) life: Arc<Life>,
}

#[async_trait]
impl Evidence for MortalEvidence {
    async fn put(&self, guid: Guid, bundle: &EvidenceBundle, at: SystemTime) -> Result<(), StoreError> {
        self.life.store(At::EvidencePut)?;
        self.inner.put(guid, bundle, at).await?;
        self.life.store(At::EvidenceIsThere)
    }
    async fn of_packet(&self, guid: Guid) -> Result<Vec<EvidenceBundle>, StoreError> {
        self.inner.of_packet(guid).await
    }
    async fn put_halt(&self, bundle: &EvidenceBundle, at: SystemTime) -> Result<(), StoreError> {
        self.inner.put_halt(bundle, at).await
    }
    async fn of_halt(&self, digest: B256) -> Result<Option<EvidenceBundle>, StoreError> {
        self.inner.of_halt(digest).await
    }
    async fn of_done(&self, before: SystemTime, after: u64, limit: usize) -> Result<Vec<OldEvidence>, StoreError> {
        self.inner.of_done(before, after, limit).await
    }
    async fn remove_done(&self, before: SystemTime, position: u64) -> Result<bool, StoreError> {
        self.inner.remove_done(before, position).await
    }
}

/// The device, which outlives every process and remembers what it signed.
#[derive(Debug)]
pub(super) struct Device {
    pub(super) key: Arc<dyn Signer>,
    pub(super) signed: Mutex<Vec<B256>>,
}

/// The device as one process reaches it.
#[derive(Debug)]
pub(super) struct MortalSigner {
    pub(super) device: Arc<Device>,
    pub(super) life: Arc<Life>,
}

#[async_trait]
impl Signer for MortalSigner {
    fn address(&self) -> Address {
        self.device.key.address()
    }

    async fn sign_digest(&self, digest: B256) -> Result<Signature, SignError> {
        self.life.signer(At::Sign)?;
        let signature = self.device.key.sign_digest(digest).await?;
        self.device.signed.lock().unwrap().push(digest);
        self.life.signer(At::Signed)?;
        Ok(signature)
    }
}
