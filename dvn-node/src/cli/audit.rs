//! `dvn-node audit`: whether the log is what was written, its rows on the way out, and what people ask of it.

mod error;
mod export;
mod line;
mod prune;
mod query;
mod verify;

use std::{io::Write, path::PathBuf};

use alloy_primitives::B256;
use clap::Subcommand;
use dvn_core::ports::Clock;

pub use self::error::AuditCommandError;
use super::{
    CliError,
    when::{self, When},
};
use crate::{config::Config, storage::Storage};

/// What to do about the record of every decision.
#[derive(Clone, Debug, Subcommand)]
#[non_exhaustive]
pub enum AuditCommand {
    /// Compute the chain of rows again, compare it with the head that is kept and show how it stands.
    Verify {
        /// As JSON.
        #[arg(long)]
        json: bool,
        /// A head that was kept elsewhere, in place of `service.audit_head_file`.
        #[arg(long, value_name = "FILE")]
        head: Option<PathBuf>,
    },
    /// Write rows as JSON Lines, in the format of docs/audit.md, which can be checked without this program.
    Export(ExportOptions),
    /// Show the rows that fit, oldest first.
    Query(QueryOptions),
    /// Take the oldest rows out of the log, once they are in a file.
    Prune(PruneOptions),
}

/// Which rows to write, and where to.
#[derive(Clone, Debug, clap::Args)]
#[non_exhaustive]
pub struct ExportOptions {
    /// From this time on: RFC 3339, a date, or how long ago.
    #[arg(long, value_name = "TIME", value_parser = when::parse)]
    pub since: Option<When>,
    /// Before this time.
    #[arg(long, value_name = "TIME", value_parser = when::parse)]
    pub until: Option<When>,
    /// Of one packet, by its guid.
    #[arg(long, value_name = "GUID")]
    pub packet: Option<B256>,
    /// A new file; standard output without it.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// Which rows to show.
#[derive(Clone, Debug, clap::Args)]
#[non_exhaustive]
pub struct QueryOptions {
    /// Of packets that this application sends or receives: 20 or 32 bytes.
    #[arg(long, value_name = "ADDRESS", value_parser = query::oapp)]
    pub oapp: Option<B256>,
    /// Of one packet, by its guid.
    #[arg(long, value_name = "GUID")]
    pub packet: Option<B256>,
    /// From this time on: RFC 3339, a date, or how long ago.
    #[arg(long, value_name = "TIME", value_parser = when::parse)]
    pub since: Option<When>,
    /// Before this time.
    #[arg(long, value_name = "TIME", value_parser = when::parse)]
    pub until: Option<When>,
    /// Decided by this part: listener, verifier, attestor, cosigner, submitter, auditor, engine, operator.
    #[arg(long)]
    pub actor: Option<String>,
    /// What was decided.
    #[arg(long)]
    pub action: Option<String>,
    /// After this row.
    #[arg(long, value_name = "ROW", default_value_t = 0)]
    pub after: u64,
    /// At most so many rows.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub limit: u32,
    /// As JSON.
    #[arg(long)]
    pub json: bool,
}

/// What goes, and where to.
#[derive(Clone, Debug, clap::Args)]
#[non_exhaustive]
pub struct PruneOptions {
    /// Rows before this time go, up to the first one that is not: RFC 3339, a date, or how long ago.
    #[arg(long, value_name = "TIME", value_parser = when::parse)]
    pub before: When,
    /// A new file that holds them from then on.
    #[arg(long, value_name = "FILE")]
    pub archive: PathBuf,
    /// The documents of packets that are done go as well.
    #[arg(long)]
    pub evidence: bool,
    /// Why, for the record.
    #[arg(long)]
    pub reason: String,
}

/// Obeys, beside a running node or without one.
pub(super) async fn obey(
    command: AuditCommand,
    config: &Config,
    clock: &dyn Clock,
    out: &mut dyn Write,
) -> Result<(), CliError> {
    match command {
        AuditCommand::Verify { json, head } => {
            let path = head.as_deref().unwrap_or(&config.service.audit_head_file);
            // The head first: the log only grows.
            let kept = crate::audit_head::KeptHead::read(path);
            let store = Storage::read_only(config).await?.store();
            verify::obey(&*store.audit, path, kept, json, out).await
        }
        AuditCommand::Export(options) => {
            let store = Storage::read_only(config).await?.store();
            export::obey(&options, &*store.audit, clock, out).await
        }
        AuditCommand::Query(options) => {
            let store = Storage::read_only(config).await?.store();
            query::obey(&options, &*store.audit, clock, out).await
        }
        AuditCommand::Prune(options) => {
            let store = Storage::shared(config).await?.store();
            prune::obey(&options, &store, clock, out).await
        }
    }
}

#[cfg(test)]
mod tests;
