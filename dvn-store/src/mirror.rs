//! A journal whose head is kept in a second place, so that a journal that was shortened, replaced or copied shows.
//!
//! The chain of rows shows every edit but two: rows that were cut off at the end, and a whole file that was replaced by an
//! older one. Against these the head is written to a file on another path after each commit and before the key is used.
//! That file's lock also keeps a copy of the store from being used beside the original.

mod file;
mod kept;
mod line;
mod media;

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use alloy_primitives::Bytes;
use async_trait::async_trait;
use dvn_core::{
    error::{JournalError, JournalErrorKind},
    ids::{BlockNumber, Eid, Guid},
    ports::{Intent, Journal, JournalHead, JournalId, JournalRow, JournalState, Quarantine},
};
use tokio::task::spawn_blocking;

pub use self::kept::{Comparison, KeptHead};
use self::{file::Writer, media::LockedFile};

/// Why a mirror cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MirrorError {
    /// Another process holds it: a copy of this store, most likely.
    #[error(
        "another process keeps its journal's head in {}: stop it if it is this node, and if it is another one, which must \
         not have this node's key, give it a mirror of its own (`signing.journal_mirror`)", path.display()
    )]
    Locked {
        /// The file.
        path: PathBuf,
    },
    /// It cannot be read or written.
    #[error(
        "the journal's mirror {} (`signing.journal_mirror`) cannot be used; it has to be a file in a folder that is there \
         and that this process may write", path.display()
    )]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// It does not hold what a mirror holds.
    #[error("line {line} of the journal's mirror {} is not one: it was edited, or the path is another file's", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
    },
    /// The journal failed, or does not go with its mirror.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

/// The file in which a journal's head is kept, held by this process alone.
#[derive(Debug)]
pub struct Mirror {
    path: PathBuf,
    media: LockedFile,
    kept: Option<KeptHead>,
}

impl Mirror {
    /// Reads what is kept, beside the process that holds the file or without one; nothing where there is no file, or none
    /// that was ever written.
    ///
    /// # Errors
    /// [`MirrorError::File`] or [`MirrorError::Unreadable`].
    pub fn read(path: &Path) -> Result<Option<KeptHead>, MirrorError> {
        match std::fs::read(path) {
            Ok(content) => newest(path, &content),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(MirrorError::File { path: path.to_owned(), source }),
        }
    }

    /// Takes the file, and makes an empty one where there is none. The system gives it back when the process ends, however
    /// it ends.
    ///
    /// # Errors
    /// [`MirrorError::Locked`] while another process has it, or another [`MirrorError`].
    pub fn lock(path: &Path) -> Result<Self, MirrorError> {
        let mut mirror = Self::seize(path)?;
        let content = mirror.media.content().map_err(|source| MirrorError::File { path: path.to_owned(), source })?;
        mirror.kept = newest(path, &content)?;
        Ok(mirror)
    }

    /// As [`Mirror::lock`], for one whose content is not believed any more.
    ///
    /// # Errors
    /// As [`Mirror::lock`].
    pub fn seize(path: &Path) -> Result<Self, MirrorError> {
        let media = LockedFile::open(path).map_err(|error| match error {
            media::OpenError::Locked => MirrorError::Locked { path: path.to_owned() },
            media::OpenError::Io(source) => MirrorError::File { path: path.to_owned(), source },
        })?;
        Ok(Self { path: path.to_owned(), media, kept: None })
    }

    /// What it keeps; nothing in a new one.
    #[must_use]
    pub const fn kept(&self) -> Option<KeptHead> {
        self.kept
    }

    /// Writes the head that the journal has now, whatever the mirror says, and keeps it there from now on. The caller has to
    /// know that the journal forgot nothing, or has put it into quarantine.
    ///
    /// # Errors
    /// [`MirrorError`].
    pub async fn dangerous_adopt(self, journal: Arc<dyn Journal>) -> Result<Mirrored, MirrorError> {
        let (state, head) = (journal.state().await?, journal.head().await?);
        let mut writer = Writer::new(Box::new(self.media), state.id);
        let path = self.path;
        writer.rewrite(head).map_err(|source| MirrorError::File { path: path.clone(), source })?;
        let place = std::path::absolute(&path).unwrap_or_else(|_| path.clone()).display().to_string();
        if state.mirror.as_deref() != Some(place.as_str()) {
            journal.set_mirror(&place).await?;
        }
        Ok(Mirrored::new(journal, writer, head))
    }
}

fn newest(path: &Path, content: &[u8]) -> Result<Option<KeptHead>, MirrorError> {
    line::newest(content).map_err(|line| MirrorError::Unreadable { path: path.to_owned(), line })
}

/// A journal whose head is on another path, synced, before [`Journal::intend`] returns.
///
/// Intents that come at the same time share one sync, since a later head covers the earlier ones. Where the file cannot be
/// written, nothing may be signed; the intents stand in the journal, which is the safe side.
#[derive(Debug)]
pub struct Mirrored {
    inner: Arc<dyn Journal>,
    /// The newest head that was committed, which whoever writes next writes.
    newest: Mutex<JournalHead>,
    writer: Arc<tokio::sync::Mutex<Writer>>,
}

impl Mirrored {
    /// Compares a journal with the mirror at `path` and keeps its head there from now on.
    ///
    /// A journal that is ahead of its mirror is fine: a crash between the two leaves it so. A journal that never had a
    /// mirror gets one.
    ///
    /// # Errors
    /// [`MirrorError::Locked`] while another process holds the file. [`MirrorError::Journal`] with
    /// [`JournalErrorKind::Tampered`] where the journal was shortened, forked or replaced, or its mirror is gone, and with
    /// [`JournalErrorKind::Missing`] where there is none. The file is left as it is then.
    pub async fn open(journal: Arc<dyn Journal>, path: &Path) -> Result<Self, MirrorError> {
        // Looked at before it is locked: to be locked it would have to be made.
        Comparison::of(&*journal, Mirror::read(path)?).await?.accept(path)?;
        let mirror = Mirror::lock(path)?;
        Comparison::of(&*journal, mirror.kept()).await?.accept(path)?;
        mirror.dangerous_adopt(journal).await
    }

    fn new(inner: Arc<dyn Journal>, writer: Writer, head: JournalHead) -> Self {
        Self { inner, newest: Mutex::new(head), writer: Arc::new(tokio::sync::Mutex::new(writer)) }
    }

    /// Returns once this head, or a later one, is durable. The write goes on when the caller is gone.
    async fn keep(&self, head: JournalHead) -> Result<(), JournalError> {
        {
            let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
            if head.rows > newest.rows {
                *newest = head;
            }
        }
        let mut writer = Arc::clone(&self.writer).lock_owned().await;
        if writer.covers(head) {
            return Ok(());
        }
        let newest = *self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        written(spawn_blocking(move || writer.write(newest)).await)
    }
}

fn written(result: Result<std::io::Result<()>, tokio::task::JoinError>) -> Result<(), JournalError> {
    let failed = |error: dvn_core::error::Source| {
        JournalError::new(JournalErrorKind::Storage).because("its mirror could not be written").caused_by(error)
    };
    match result {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(failed(error.into())),
        Err(error) => Err(failed(error.into())),
    }
}

#[async_trait]
impl Journal for Mirrored {
    async fn admits(&self) -> Result<(), JournalError> {
        self.inner.admits().await
    }

    async fn intend(&self, intent: &Intent) -> Result<JournalHead, JournalError> {
        let head = self.inner.intend(intent).await?;
        self.keep(head).await?;
        Ok(head)
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

    async fn head(&self) -> Result<JournalHead, JournalError> {
        self.inner.head().await
    }

    async fn verify(&self) -> Result<JournalHead, JournalError> {
        self.inner.verify().await
    }

    async fn begin(&self, quarantine: Option<Quarantine>) -> Result<JournalId, JournalError> {
        let mut writer = Arc::clone(&self.writer).lock_owned().await;
        let id = self.inner.begin(quarantine).await?;
        let head = self.inner.head().await?;
        writer.rename(id);
        written(spawn_blocking(move || writer.rewrite(head)).await)?;
        Ok(id)
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

#[cfg(test)]
mod tests;
