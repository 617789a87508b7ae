//! `journal init`.

use std::{io::Write, path::Path, sync::Arc, time::SystemTime};

use dvn_core::ports::{Clock, Journal, JournalHead, JournalId, Quarantine, Store};
use dvn_store::{Comparison, Mirror, MirrorError, OpenError};
use serde_json::json;

use super::{CliError, InitOptions, JournalCommandError, record};
use crate::{config::Config, storage::Storage, time::Stamp};

/// What stands where the journal is to begin.
enum Found {
    /// Nothing, and there never was.
    Nothing,
    /// A journal that needs no beginning.
    Intact { rows: u64 },
    /// Something that says that there was more.
    Lost(String),
}

pub(super) async fn obey(
    options: &InitOptions,
    config: &Config,
    clock: &dyn Clock,
    out: &mut dyn Write,
) -> Result<(), CliError> {
    let path = &config.signing.journal_mirror;
    // Nothing is made before it is known what is there.
    let opened = match Storage::existing(config).await {
        Ok(storage) => Some(storage),
        Err(OpenError::Missing { .. } | OpenError::Absent { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    let found = look(opened.as_ref().map(|storage| storage.store().journal).as_deref(), path).await?;
    permit(options, &found)?;
    let storage = match opened {
        Some(storage) => storage,
        None => Storage::create(config).await?,
    };
    let store = storage.store();
    let mirror = Mirror::seize(path)?;
    let quarantine = quarantine(options, config, clock.now());
    let (id, head) = begin(options, &found, quarantine.clone(), &store, mirror, clock).await?;
    tell(&found, quarantine.as_ref(), id, head, path, out)
}

async fn look(journal: Option<&dyn Journal>, path: &Path) -> Result<Found, CliError> {
    let rows = match journal {
        Some(journal) => journal.verify().await.map_err(JournalCommandError::Edited)?.rows,
        None => 0,
    };
    let kept = match Mirror::read(path) {
        Ok(kept) => kept,
        Err(error @ MirrorError::Unreadable { .. }) => return Ok(Found::Lost(error.to_string())),
        Err(error) => return Err(error.into()),
    };
    let comparison = match journal {
        Some(journal) => Comparison::of(journal, kept).await?,
        None => Comparison::without_journal(kept),
    };
    Ok(match comparison {
        Comparison::Nothing if rows == 0 => Found::Nothing,
        Comparison::Nothing => Found::Lost(format!("there are {rows} rows of a journal without a name")),
        Comparison::Fits { .. } | Comparison::New => Found::Intact { rows },
        lost => Found::Lost(described(&lost, path)),
    })
}

fn described(lost: &Comparison, path: &Path) -> String {
    let path = path.display();
    match lost {
        Comparison::JournalGone { kept } => {
            format!("there is no journal, and its mirror {path} knows one of {} rows", kept.head.rows)
        }
        Comparison::MirrorGone { place } => format!("the journal had a mirror at {place}, and there is none at {path}"),
        Comparison::Shortened { kept, rows } => {
            format!("the journal has {rows} rows, and had {} when its mirror {path} was written", kept.rows)
        }
        Comparison::Forked { kept, .. } => {
            format!("row {} of the journal is another one than when its mirror {path} was written", kept.rows)
        }
        Comparison::Another { kept, found } => format!("the journal is {found}, and {path} is the mirror of {kept}"),
        Comparison::Fits { .. } | Comparison::New | Comparison::Nothing => "nothing is lost".to_owned(),
    }
}

fn permit(options: &InitOptions, found: &Found) -> Result<(), JournalCommandError> {
    match found {
        Found::Intact { rows } => Err(JournalCommandError::Exists { rows: *rows }),
        Found::Lost(found) if options.key_is_new => Err(JournalCommandError::NotNew { found: found.clone() }),
        Found::Lost(found) if !options.accept_loss => Err(JournalCommandError::Loss { found: found.clone() }),
        Found::Lost(_) | Found::Nothing => Ok(()),
    }
}

fn quarantine(options: &InitOptions, config: &Config, now: SystemTime) -> Option<Quarantine> {
    if options.key_is_new {
        return None;
    }
    let length = dvn_core::longest_life(config.signing.expiration).max(options.quarantine.unwrap_or_default());
    let until = now.checked_add(length).unwrap_or(now);
    Some(Quarantine { until, reason: options.reason.clone() })
}

/// On record first, so that no journal begins without a trace; then once more with its name.
async fn begin(
    options: &InitOptions,
    found: &Found,
    quarantine: Option<Quarantine>,
    store: &Store,
    mirror: Mirror,
    clock: &dyn Clock,
) -> Result<(JournalId, JournalHead), CliError> {
    let lost = match found {
        Found::Lost(found) => Some(found),
        Found::Nothing | Found::Intact { .. } => None,
    };
    let until = quarantine.as_ref().map(|it| Stamp(it.until).to_string());
    let InitOptions { key_is_new, reason, .. } = options;
    let detail = json!({ "reason": reason, "key_is_new": key_is_new, "lost": lost, "quarantine_until": until });
    record(store, clock, "journal_init", None, detail).await?;
    let id = store.journal.begin(quarantine).await?;
    let journal = mirror.dangerous_adopt(Arc::clone(&store.journal)).await?;
    let head = journal.head().await?;
    record(store, clock, "journal_begun", None, json!({ "id": id.to_string(), "rows": head.rows })).await?;
    Ok((id, head))
}

fn tell(
    found: &Found,
    quarantine: Option<&Quarantine>,
    id: JournalId,
    head: JournalHead,
    path: &Path,
    out: &mut dyn Write,
) -> Result<(), CliError> {
    if let Found::Lost(found) = found {
        writeln!(out, "{found}.")?;
        writeln!(out, "The {} rows that are there stay. What came after them is forgotten for good.", head.rows)?;
    }
    writeln!(out, "journal  {id}, {} rows", head.rows)?;
    writeln!(out, "mirror   {}", path.display())?;
    match quarantine {
        None => writeln!(out, "signs    at once: this key has never signed, as you say")?,
        Some(Quarantine { until, .. }) => {
            let until = Stamp(*until);
            writeln!(out, "signs    from {until} on: whatever this key signed before has expired by then")?;
        }
    }
    if matches!(found, Found::Lost(_)) {
        writeln!(out, "Peers that knew the journal by its old name refuse this node until they are started again.")?;
    }
    Ok(())
}
