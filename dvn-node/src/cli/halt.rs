use std::io::Write;

use clap::Subcommand;
use dvn_core::ports::{Clock, Halt, HaltScope, Store};
use serde_json::json;

use super::{
    CliError,
    chains::Chains,
    operator,
    status::{halts, write_halts},
    write_json,
};

/// What to do about persisted stops. Each change is recorded in the audit log with its reason.
#[derive(Clone, Debug, Subcommand)]
#[non_exhaustive]
pub enum HaltCommand {
    /// Show the halts that stand.
    List {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show what a halt is based on: who answered what, as it came.
    Evidence {
        /// `all`, or a chain's name in the configuration.
        scope: String,
    },
    /// Stop everything.
    All {
        /// Why, for the record.
        #[arg(long)]
        reason: String,
    },
    /// Stop one chain, as source and as destination.
    Chain {
        /// Its name in the configuration.
        name: String,
        /// Why, for the record.
        #[arg(long)]
        reason: String,
    },
    /// Lift a halt, once its cause is understood.
    Clear {
        /// `all`, or a chain's name in the configuration.
        scope: String,
        /// Why it is safe, for the record.
        #[arg(long)]
        reason: String,
    },
}

/// Obeys, on a store that may be written beside a running node.
pub(super) async fn obey(
    command: HaltCommand,
    store: &Store,
    chains: &Chains,
    clock: &dyn Clock,
    out: &mut dyn Write,
) -> Result<(), CliError> {
    match command {
        HaltCommand::List { json } => {
            let halts = halts(store, chains).await?;
            if json { write_json(&halts, out) } else { Ok(write_halts(&halts, out)?) }
        }
        HaltCommand::Evidence { scope } => evidence(&scope, store, chains, out).await,
        HaltCommand::All { reason } => raise(HaltScope::All, "all", reason, store, clock, out).await,
        HaltCommand::Chain { name, reason } => {
            let scope = HaltScope::Chain(chains.eid(&name)?);
            raise(scope, &name, reason, store, clock, out).await
        }
        HaltCommand::Clear { scope: word, reason } => {
            let scope = named(&word, chains)?;
            if !store.halts.standing().await?.iter().any(|halt| halt.scope == scope) {
                return Err(CliError::NotHalted(word));
            }
            // On record first, so that no halt ends without a trace.
            record(store, clock, "halt_cleared", &word, &reason).await?;
            store.halts.clear(scope).await?;
            Ok(writeln!(out, "cleared: {word}")?)
        }
    }
}

fn named(word: &str, chains: &Chains) -> Result<HaltScope, CliError> {
    Ok(if word == "all" { HaltScope::All } else { HaltScope::Chain(chains.eid(word)?) })
}

async fn evidence(word: &str, store: &Store, chains: &Chains, out: &mut dyn Write) -> Result<(), CliError> {
    let scope = named(word, chains)?;
    let halt = store.halts.standing().await?.into_iter().find(|halt| halt.scope == scope);
    let halt = halt.ok_or_else(|| CliError::NotHalted(word.to_owned()))?;
    let bundle = match halt.evidence {
        Some(digest) => store.evidence.of_halt(digest).await?,
        None => None,
    };
    let bundle = bundle.ok_or_else(|| CliError::NoEvidence(word.to_owned()))?;
    let document: serde_json::Value = serde_json::from_str(bundle.json()).map_err(std::io::Error::from)?;
    write_json(&document, out)
}

async fn raise(
    scope: HaltScope,
    word: &str,
    reason: String,
    store: &Store,
    clock: &dyn Clock,
    out: &mut dyn Write,
) -> Result<(), CliError> {
    let stood = store.halts.standing().await?.iter().any(|halt| halt.scope == scope);
    // The stop comes before the record of it: a failing audit log must not keep a node signing.
    store.halts.raise(Halt { scope, reason: reason.clone(), evidence: None, since: clock.now() }).await?;
    record(store, clock, "halt", word, &reason).await?;
    let text = if stood { "was halted already, with its first reason" } else { "halted" };
    Ok(writeln!(out, "{text}: {word}")?)
}

async fn record(store: &Store, clock: &dyn Clock, action: &str, scope: &str, reason: &str) -> Result<(), CliError> {
    operator::record(store, clock, action, None, json!({ "scope": scope, "reason": reason })).await
}
