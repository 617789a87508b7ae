//! A full disk stops signing before it stops recording.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use alloy_primitives::Bytes;
use async_trait::async_trait;
use dvn_core::{
    error::{JournalError, JournalErrorKind},
    ids::{BlockNumber, Eid, Guid},
    ports::{Intent, Journal, JournalHead, JournalId, JournalRow, JournalState, Purpose, Quarantine},
};

/// How much room there is for what the store writes.
pub trait Space: fmt::Debug + Send + Sync {
    /// Bytes that this process may still write.
    ///
    /// # Errors
    /// Whatever the system says.
    fn free(&self) -> io::Result<u64>;
}

/// The room of the file system that a folder is on, without what is kept for the superuser.
#[derive(Clone, Debug)]
pub struct FreeSpace(PathBuf);

impl FreeSpace {
    /// Of the file system of this folder.
    #[must_use]
    pub fn of(folder: &Path) -> Self {
        Self(folder.to_owned())
    }
}

impl Space for FreeSpace {
    #[cfg(unix)]
    fn free(&self) -> io::Result<u64> {
        let stat = rustix::fs::statvfs(&self.0)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    /// Elsewhere nobody is asked, and nothing is held back.
    #[cfg(not(unix))]
    fn free(&self) -> io::Result<u64> {
        Ok(u64::MAX)
    }
}

/// A journal that takes no intent to attest while less than a floor is free, so that halts, jobs, transactions and the audit
/// log go on being recorded in what is left.
///
/// A retraction still goes through, and so does what is recorded without using a key: the reserve is for them.
#[derive(Debug)]
pub struct DiskGuard {
    inner: Arc<dyn Journal>,
    space: Arc<dyn Space>,
    floor: u64,
}

impl DiskGuard {
    /// Guards a journal; `floor` is in bytes.
    #[must_use]
    pub fn new(inner: Arc<dyn Journal>, space: Arc<dyn Space>, floor: u64) -> Self {
        Self { inner, space, floor }
    }

    /// What cannot be asked may be full.
    async fn require_room(&self) -> Result<(), JournalError> {
        let space = Arc::clone(&self.space);
        let unknown = || JournalError::new(JournalErrorKind::NoSpace).because("nobody knows how much is left");
        // A file system that hangs must not hold up the tasks of this thread.
        let asked = tokio::task::spawn_blocking(move || space.free()).await;
        let free = asked.map_err(|error| unknown().caused_by(error))?.map_err(|error| unknown().caused_by(error))?;
        if free >= self.floor {
            return Ok(());
        }
        let detail = format!("{free} bytes are free, `service.min_free_disk` asks for {}", self.floor);
        Err(JournalError::new(JournalErrorKind::NoSpace).because(detail))
    }
}

#[async_trait]
impl Journal for DiskGuard {
    async fn admits(&self) -> Result<(), JournalError> {
        self.require_room().await?;
        self.inner.admits().await
    }

    async fn intend(&self, intent: &Intent) -> Result<JournalHead, JournalError> {
        if intent.purpose == Purpose::Sign && !intent.attestation.is_retraction() {
            self.require_room().await?;
        }
        self.inner.intend(intent).await
    }

    async fn signed(&self, sequence: u64, signature: &Bytes) -> Result<(), JournalError> {
        self.inner.signed(sequence, signature).await
    }

    async fn slot(&self, guid: Guid) -> Result<Vec<JournalRow>, JournalError> {
        self.inner.slot(guid).await
    }

    async fn rows(&self, after: u64, limit: usize) -> Result<Vec<JournalRow>, JournalError> {
        self.inner.rows(after, limit).await
    }

    async fn row(&self, sequence: u64) -> Result<Option<JournalRow>, JournalError> {
        self.inner.row(sequence).await
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
