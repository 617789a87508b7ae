//! `dvn-node journal`: its beginning, its loss, its mirror, and its rows on the way to another folder.

mod begin;
mod document;
mod error;
mod export;
mod import;
mod mirror;
mod release;
mod verify;

use std::{io::Write, path::PathBuf, time::Duration};

use alloy_primitives::B256;
use clap::Subcommand;
use dvn_core::{ids::Guid, ports::Clock};

pub use self::error::JournalCommandError;
use super::{CliError, operator::record};
use crate::{config::Config, run, storage::Storage};

/// What to do about the record of what was ever signed. Each change is recorded in the audit log with its reason.
#[derive(Clone, Debug, Subcommand)]
#[non_exhaustive]
pub enum JournalCommand {
    /// Begin the journal of a new node, or begin it anew after a loss. Without a flag it signs nothing until whatever the
    /// key may have signed before has expired.
    Init(InitOptions),
    /// Compute the chain of rows again, compare it with the mirror and show how it stands.
    Verify {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Keep the journal's head at the configured place from now on, after `signing.journal_mirror` was changed.
    Mirror {
        /// This process is another one on a journal that several share, and never had a mirror.
        #[arg(long)]
        replica: bool,
        /// Why, for the record.
        #[arg(long)]
        reason: String,
    },
    /// Write all rows as JSON, in the format of docs/journal.md.
    Export {
        /// Where to; standard output without it.
        file: Option<PathBuf>,
    },
    /// Add what another journal's export says was signed. It only ever closes slots.
    Import {
        /// An export.
        file: PathBuf,
        /// Why, for the record.
        #[arg(long)]
        reason: String,
    },
    /// Let a packet that was taken back be signed again.
    Release {
        /// The packet's guid.
        guid: B256,
        /// Why it is safe, for the record.
        #[arg(long)]
        reason: String,
    },
}

/// How a journal begins.
#[derive(Clone, Debug, clap::Args)]
#[non_exhaustive]
pub struct InitOptions {
    /// The key has never signed anything, here or elsewhere: there is nothing to wait for.
    #[arg(long, conflicts_with_all = ["accept_loss", "quarantine"])]
    pub key_is_new: bool,
    /// A journal was here, and what it knew is lost for good.
    #[arg(long)]
    pub accept_loss: bool,
    /// Sign nothing for at least so long, where `signing.expiration` was longer once than it is now.
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub quarantine: Option<Duration>,
    /// Why, for the record.
    #[arg(long)]
    pub reason: String,
}

/// Obeys. What lowers protection needs the folder for itself.
pub(super) async fn obey(
    command: JournalCommand,
    config: &Config,
    clock: &dyn Clock,
    out: &mut dyn Write,
) -> Result<(), CliError> {
    match command {
        JournalCommand::Init(options) => begin::obey(&options, config, clock, out).await,
        JournalCommand::Verify { json } => {
            // The mirror first: what is in it is in the journal before.
            let kept = dvn_store::Mirror::read(&config.signing.journal_mirror);
            let store = Storage::read_only(config).await?.store();
            verify::obey(&store, &config.signing.journal_mirror, kept, clock, json, out).await
        }
        JournalCommand::Mirror { replica, reason } => mirror::obey(replica, &reason, config, clock, out).await,
        JournalCommand::Export { file } => {
            let store = Storage::read_only(config).await?.store();
            export::obey(&store, file.as_deref(), clock, out).await
        }
        JournalCommand::Import { file, reason } => {
            let document = document::Document::read(&file)?;
            let (_storage, store) = run::open_journal(config).await?;
            import::obey(document, &store, &reason, clock, out).await
        }
        JournalCommand::Release { guid, reason } => {
            let store = Storage::shared(config).await?.store();
            release::obey(Guid(guid), &store, &reason, clock, out).await
        }
    }
}

#[cfg(test)]
mod tests;
