//! Opens the configured keys and says whose they are, or whether they sign.

use std::{io::Write, sync::Arc};

use clap::Subcommand;
use dvn_core::ports::Signer;

use super::{CliError, provision};
use crate::{
    build::open_key,
    config::{Config, Key},
    run::RunError,
};

/// What to ask of the keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Subcommand)]
#[non_exhaustive]
pub enum SignerCommand {
    /// Print the address of every configured key.
    Address,
    /// Let every configured key sign a harmless text and check the signature.
    Selftest,
    /// Make the attesting key on its token, or say how its vendor's tools make it.
    Provision,
}

pub(super) async fn obey(command: SignerCommand, config: &Config, out: &mut dyn Write) -> Result<(), CliError> {
    if command == SignerCommand::Provision {
        return provision::obey(&config.hsm, out).await;
    }
    for (path, key) in keys(config) {
        let signer = open_key(key, path.clone()).await.map_err(RunError::from)?;
        match command {
            SignerCommand::Selftest => {
                selftest(&path, &signer).await?;
                writeln!(out, "{path} {} signs", signer.address())?;
            }
            SignerCommand::Address | SignerCommand::Provision => writeln!(out, "{path} {}", signer.address())?,
        }
    }
    Ok(())
}

async fn selftest(path: &str, signer: &Arc<dyn Signer>) -> Result<(), CliError> {
    signer.check().await.map_err(|source| CliError::Selftest { path: path.to_owned(), source })
}

/// Every configured key with its place in the file.
fn keys(config: &Config) -> Vec<(String, &Key)> {
    let mut keys = vec![("hsm".to_owned(), &config.hsm)];
    for target in &config.targets {
        let path = format!("target_chains.{}", target.network.name);
        keys.extend(target.signer.iter().map(|key| (format!("{path}.signer"), key)));
        keys.extend(target.senders());
    }
    keys
}
