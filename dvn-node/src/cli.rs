//! The command line.
//!
//! Exit codes: 0 done, 1 failed, 2 bad usage or configuration, 3 refused for safety.
//!
//! Answers go to one writer and errors to another, so that a pipe gets answers alone. Commands that only read open the
//! store beside a running node.

mod audit;
mod chains;
mod check;
mod error;
mod gap;
mod halt;
mod heads;
mod journal;
mod operator;
mod packet;
mod provision;
mod signer;
mod status;
mod store;
mod table;
mod when;

use std::{io::Write, path::PathBuf};

use alloy_primitives::B256;
use clap::{Parser, Subcommand};
use dvn_core::{
    ids::Guid,
    ports::{Store, SystemClock},
};

pub use self::{
    audit::{AuditCommand, AuditCommandError, ExportOptions, PruneOptions, QueryOptions},
    error::{CliError, Exit},
    gap::GapCommand,
    halt::HaltCommand,
    journal::{InitOptions, JournalCommand, JournalCommandError},
    signer::SignerCommand,
    store::{StoreCommand, StoreCommandError},
    when::When,
};
use self::{chains::Chains, packet::Query};
use crate::{
    config::{Config, Env},
    run, signals,
    storage::Storage,
};

/// A LayerZero V2 DVN node.
#[derive(Clone, Debug, Parser)]
#[command(name = "dvn-node", version)]
#[non_exhaustive]
pub struct Args {
    /// The configuration file.
    #[arg(long, value_name = "FILE", default_value = "config.yaml")]
    pub config: PathBuf,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Clone, Debug, Subcommand)]
#[non_exhaustive]
pub enum Command {
    /// Run the node until SIGTERM or SIGINT.
    Run,
    /// Check the configuration file, offline, and say what the node would do.
    Check,
    /// Show chains, jobs by state and halts.
    Status {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Tell one packet's whole story.
    Packet {
        /// The packet's guid.
        #[arg(required_unless_present = "tx", conflicts_with = "tx")]
        guid: Option<B256>,
        /// The source transaction that sent it, instead of its guid.
        #[arg(long, value_name = "HASH")]
        tx: Option<B256>,
        /// As JSON.
        #[arg(long)]
        json: bool,
        /// With the evidence that convinced the verifier.
        #[arg(long)]
        evidence: bool,
    },
    /// Check, show, export and shorten the record of every decision.
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Show, raise and lift persisted stops.
    #[command(subcommand)]
    Halt(HaltCommand),
    /// Account for packets that were never seen before one that is held.
    #[command(subcommand)]
    Gap(GapCommand),
    /// Begin, check and move the record of what was ever signed.
    #[command(subcommand)]
    Journal(JournalCommand),
    /// Check, bring up to date and move what keeps everything.
    #[command(subcommand)]
    Store(StoreCommand),
    /// Ask the configured keys who they are and whether they sign.
    #[command(subcommand)]
    Signer(SignerCommand),
}

/// Obeys a command line; errors are written to `err`.
///
/// # Cancel safety
/// Only for ending the process: what a command began to write may be incomplete.
pub async fn execute(args: Args, env: &dyn Env, out: &mut dyn Write, err: &mut dyn Write) -> Exit {
    match obey(args, env, out).await {
        Ok(()) => Exit::Done,
        Err(error) => {
            // Where standard error is gone there is nobody left to tell.
            let _ = error.write_to(err);
            error.exit()
        }
    }
}

async fn obey(args: Args, env: &dyn Env, out: &mut dyn Write) -> Result<(), CliError> {
    let config = Config::load(&args.config, env)?;
    match args.command {
        Command::Run => Ok(run::run(config, signals::stop_on_signal()?).await?),
        Command::Check => Ok(check::write(&config, out)?),
        Command::Status { json } => {
            let report =
                status::Report::read(&reader(&config).await?, &config, heads::ask(&config).await, &SystemClock::new())
                    .await?;
            if json { write_json(&report, out) } else { Ok(report.write(out)?) }
        }
        Command::Packet { guid, tx, json, evidence } => {
            let query =
                guid.map(|guid| Query::Guid(Guid(guid))).or(tx.map(Query::Transaction)).ok_or(CliError::NoQuery)?;
            let stories = packet::read(&reader(&config).await?, query, evidence).await?;
            if json { write_json(&stories, out) } else { Ok(packet::write(&stories, &Chains::of(&config), out)?) }
        }
        Command::Audit(command) => audit::obey(command, &config, &SystemClock::new(), out).await,
        Command::Journal(command) => journal::obey(command, &config, &SystemClock::new(), out).await,
        Command::Store(command) => store::obey(command, &config, &SystemClock::new(), out).await,
        Command::Signer(command) => signer::obey(command, &config, out).await,
        Command::Gap(command) => {
            let storage = Storage::shared(&config).await?;
            gap::obey(command, &storage.store(), &SystemClock::new(), out).await
        }
        Command::Halt(command) => {
            let storage = Storage::shared(&config).await?;
            halt::obey(command, &storage.store(), &Chains::of(&config), &SystemClock::new(), out).await
        }
    }
}

async fn reader(config: &Config) -> Result<Store, CliError> {
    Ok(Storage::read_only(config).await?.store())
}

fn write_json(value: &impl serde::Serialize, out: &mut dyn Write) -> Result<(), CliError> {
    serde_json::to_writer_pretty(&mut *out, value).map_err(std::io::Error::from)?;
    Ok(writeln!(out)?)
}

#[cfg(test)]
mod tests;
