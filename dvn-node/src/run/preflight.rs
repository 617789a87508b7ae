//! Does the configuration agree with the chains? A silent seat delays its chain and never the start; a fact that
//! contradicts, by threshold, ends it.

use std::{fmt, time::Duration};

use dvn_chain::preflight::{self, Finding};
use tracing::{info, warn};

use super::shared_keys::SharedKeys;
use crate::build::Check;

/// How long a silent chain is left alone.
const AGAIN: Duration = Duration::from_secs(10);

/// What chains contradict, each with its key in the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Contradiction {
    /// One line each.
    pub findings: Vec<String>,
}

impl fmt::Display for Contradiction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the chains contradict the configuration:")?;
        self.findings.iter().try_for_each(|finding| write!(f, "\n  {finding}"))
    }
}

impl std::error::Error for Contradiction {}

/// Checks that are not settled yet.
pub(super) struct Preflight {
    open: Vec<Check>,
    shared_keys: SharedKeys,
}

impl Preflight {
    pub(super) const fn new(checks: Vec<Check>, shared_keys: SharedKeys) -> Self {
        Self { open: checks, shared_keys }
    }

    /// Asks every open chain once, all at the same time, and keeps those that said too little.
    pub(super) async fn round(&mut self) -> Result<(), Contradiction> {
        let asked = self.open.iter().map(|check| preflight::check(&check.panel, &check.expected));
        let answers = futures::future::join_all(asked).await;
        let (mut fatal, mut silent) = (Vec::new(), Vec::new());
        for (check, findings) in std::mem::take(&mut self.open).into_iter().zip(answers) {
            let unknown = findings.iter().any(|finding| finding.found.is_none());
            for finding in findings {
                let line = described(&check, &finding);
                if finding.fatal {
                    fatal.push(line);
                } else {
                    warn!(finding = line, "start check");
                }
            }
            if unknown {
                silent.push(check);
            } else {
                info!(chain = check.path, "chain agrees with the configuration");
            }
        }
        self.open = silent;
        fatal.extend(self.shared_keys.round().await);
        if fatal.is_empty() { Ok(()) } else { Err(Contradiction { findings: fatal }) }
    }

    /// Goes on until every chain has answered.
    pub(super) async fn rest(&mut self) -> Result<(), Contradiction> {
        while !(self.open.is_empty() && self.shared_keys.are_known()) {
            tokio::time::sleep(AGAIN).await;
            self.round().await?;
        }
        Ok(())
    }
}

fn described(check: &Check, finding: &Finding) -> String {
    let Finding { key, message, expected, found, .. } = finding;
    let path = if key == "signer" { check.signer_path.clone() } else { format!("{}.{key}", check.path) };
    match found {
        Some(found) => format!("{path}: {message}: configured {expected}, found {found}"),
        None => format!("{path}: {message}"),
    }
}
