//! `dvn-node store`: what keeps everything, and its way from the embedded store to PostgreSQL.

use std::io::Write;

use clap::Subcommand;
use dvn_core::ports::Clock;
use dvn_store::{CopyError, OpenError, Postgres, Sqlite, copy_store};
use serde::Serialize;
use serde_json::json;
use thiserror::Error;

use super::{CliError, Exit, operator, write_json};
use crate::{
    config::Config,
    storage::{self, Storage},
};

/// What to do about the store.
#[derive(Clone, Debug, Subcommand)]
#[non_exhaustive]
pub enum StoreCommand {
    /// Make what is missing and bring the schema up to date; `run` does so as well.
    Migrate,
    /// Open it as it is, compute the chains of the journal and of the audit log again, and say how it stands.
    Check {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Copy the embedded store in `service.data_dir` into the empty database of `postgres`, compare, and put the embedded one out of
    /// use. The node must not run.
    Copy {
        /// Why, for the record.
        #[arg(long)]
        reason: String,
    },
}

/// Why a command about the store was refused.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StoreCommandError {
    /// There is nowhere to copy to.
    #[error("postgres: missing: `store copy` copies the embedded store into the database that this block names")]
    NoPostgres,
    /// The copy failed.
    #[error(transparent)]
    Copy(#[from] CopyError),
}

impl StoreCommandError {
    /// The exit code's meaning.
    pub(in crate::cli) const fn exit(&self) -> Exit {
        match self {
            Self::NoPostgres => Exit::Usage,
            Self::Copy(CopyError::NotEmpty { .. }) => Exit::Refused,
            Self::Copy(_) => Exit::Failed,
        }
    }
}

pub(super) async fn obey(
    command: StoreCommand,
    config: &Config,
    clock: &dyn Clock,
    out: &mut dyn Write,
) -> Result<(), CliError> {
    match command {
        StoreCommand::Migrate => {
            Storage::create(config).await?.close().await;
            Ok(writeln!(out, "{} has the schema of this release", storage::place(config))?)
        }
        StoreCommand::Check { json } => check(config, json, out).await,
        StoreCommand::Copy { reason } => copy(&reason, config, clock, out).await,
    }
}

/// How a store stands.
#[derive(Debug, Serialize)]
struct Report {
    place: String,
    journal: Chain,
    audit: Chain,
}

#[derive(Debug, Serialize)]
struct Chain {
    rows: u64,
    head: String,
}

/// Whatever is wrong with the server or the schema shows when it is opened.
async fn check(config: &Config, json: bool, out: &mut dyn Write) -> Result<(), CliError> {
    let storage = Storage::read_only(config).await?;
    let store = storage.store();
    let (journal, audit) = (store.journal.verify().await?, store.audit.verify().await?);
    let report = Report {
        place: storage::place(config),
        journal: Chain { rows: journal.rows, head: journal.hash.to_string() },
        audit: Chain { rows: audit.rows, head: audit.hash.to_string() },
    };
    storage.close().await;
    if json {
        return write_json(&report, out);
    }
    writeln!(out, "store    {}", report.place)?;
    writeln!(out, "journal  intact, {} rows, {}", report.journal.rows, report.journal.head)?;
    Ok(writeln!(out, "audit    intact, {} rows, {}", report.audit.rows, report.audit.head)?)
}

async fn copy(reason: &str, config: &Config, clock: &dyn Clock, out: &mut dyn Write) -> Result<(), CliError> {
    let options = storage::postgres(config).ok_or(StoreCommandError::NoPostgres)?;
    let data_dir = &config.service.data_dir;
    // It holds the folder's lock, so that no node writes meanwhile.
    let from = Sqlite::open_existing(data_dir).await?;
    let to = Postgres::open(&options).await?;
    let copied = copy_store(&from, &to).await.map_err(StoreCommandError::from)?;
    let rows: serde_json::Map<_, _> =
        copied.iter().map(|(table, rows)| ((*table).to_owned(), (*rows).into())).collect();
    let place = storage::place(config);
    let detail = json!({ "reason": reason, "from": data_dir.display().to_string(), "to": place, "rows": rows });
    operator::record(&to.store(), clock, "store_copied", None, detail).await?;
    to.close().await;
    let retired = from.retire(data_dir).await.map_err(|source| OpenError::Folder { path: data_dir.clone(), source })?;
    for (table, rows) in copied.iter().filter(|(_, rows)| *rows > 0) {
        writeln!(out, "{rows:>10}  {table}")?;
    }
    writeln!(out, "The store is in {place} now, and both chains are the same there.")?;
    Ok(writeln!(out, "The embedded one is out of use, as {}; keep it as a backup.", retired.display())?)
}
