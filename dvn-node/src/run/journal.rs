//! The journal, before any key is opened.

use std::sync::Arc;

use dvn_core::ports::Store;
use dvn_store::{AuditedOutbox, Comparison, DiskGuard, FreeSpace, Mirror, MirrorError, Mirrored, OpenError};
use tracing::info;

use super::RunError;
use crate::{config::Config, storage::Storage};

/// The store with a journal that is whole and goes with its mirror, held by this process alone.
pub(crate) async fn open(config: &Config) -> Result<(Storage, Store), RunError> {
    let path = &config.signing.journal_mirror;
    let storage = match Storage::existing(config).await {
        Ok(storage) => storage,
        Err(missing @ (OpenError::Missing { .. } | OpenError::Absent { .. })) => {
            Comparison::without_journal(Mirror::read(path)?).accept(path)?;
            return Err(missing.into());
        }
        Err(error) => return Err(error.into()),
    };
    let mut store = storage.store();
    // The mirror knows one row alone; what is before it the chain shows.
    let head = store.journal.verify().await?;
    let mirrored = Arc::new(Mirrored::open(store.journal, path).await?);
    let space = Arc::new(FreeSpace::of(&config.service.data_dir));
    store.journal = Arc::new(DiskGuard::new(mirrored, space, config.service.min_free_disk));
    store.outbox = Arc::new(AuditedOutbox::new(store.outbox, Arc::clone(&store.audit)));
    let id = store.journal.state().await?.id;
    info!(rows = head.rows, hash = %head.hash, %id, mirror = %path.display(), "journal is intact");
    Ok((storage, store))
}

/// Whether it says that the journal may have forgotten something, or that somebody else has it.
pub(crate) const fn is_refusal(error: &MirrorError) -> bool {
    match error {
        MirrorError::Locked { .. } | MirrorError::Unreadable { .. } => true,
        MirrorError::Journal(error) => super::is_lost(error),
        _ => false,
    }
}
