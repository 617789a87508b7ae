//! `journal mirror`.

use std::{io::Write, path::Path, sync::Arc};

use dvn_core::ports::{Clock, Journal};
use dvn_store::{Comparison, Mirror};
use serde_json::json;

use super::{CliError, JournalCommandError, record};
use crate::{config::Config, storage::Storage};

/// Whichever mirror is there, at the old place or the new one, has to go with the journal.
pub(super) async fn obey(
    is_replica: bool,
    reason: &str,
    config: &Config,
    clock: &dyn Clock,
    out: &mut dyn Write,
) -> Result<(), CliError> {
    let path = &config.signing.journal_mirror;
    let storage = Storage::existing(config).await?;
    let store = storage.store();
    store.journal.verify().await?;
    let old = if is_replica { new_beside_others(config, path)? } else { check(&*store.journal, path).await? };
    let mirror = Mirror::lock(path)?;
    record(&store, clock, "journal_mirror", None, json!({ "reason": reason, "path": path.display().to_string() }))
        .await?;
    let head = mirror.dangerous_adopt(Arc::clone(&store.journal)).await?.head().await?;
    writeln!(out, "mirror   {}, {} rows, {}", path.display(), head.rows, head.hash)?;
    if let Some(old) = old {
        writeln!(out, "The file at {old} is not written any more; remove it, so that nobody takes it for the mirror.")?;
    }
    Ok(())
}

/// A replica that never ran has nothing to compare, and the mirrors of the others are on their hosts.
fn new_beside_others(config: &Config, path: &Path) -> Result<Option<String>, CliError> {
    if config.postgres.is_none() {
        return Err(JournalCommandError::Alone.into());
    }
    if Mirror::read(path)?.is_some() {
        return Err(JournalCommandError::HasMirror { path: path.to_owned() }.into());
    }
    Ok(None)
}

/// Refuses unless the mirror that the journal had last goes with it. Says where that is, if it is another place.
async fn check(journal: &dyn Journal, path: &Path) -> Result<Option<String>, CliError> {
    let kept = Mirror::read(path)?;
    let place = journal.state().await?.mirror;
    let is_elsewhere = |place: &String| std::path::absolute(path).is_ok_and(|path| path != Path::new(place));
    let Some(old) = place.filter(is_elsewhere) else {
        Comparison::of(journal, kept).await?.accept(path)?;
        return Ok(None);
    };
    let at_old = Mirror::read(Path::new(&old))?;
    match (at_old, kept) {
        (None, kept) => Comparison::of(journal, kept).await?.accept(path)?,
        (Some(at_old), kept) => {
            Comparison::of(journal, Some(at_old)).await?.accept(Path::new(&old))?;
            if kept.is_some() {
                Comparison::of(journal, kept).await?.accept(path)?;
            }
        }
    }
    Ok(at_old.map(|_| old))
}
