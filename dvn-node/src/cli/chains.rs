use std::fmt;

use dvn_core::ids::Eid;
use serde::Serialize;

use super::CliError;
use crate::config::Config;

/// The configured chains: their names for people, their eids for the store.
#[derive(Clone, Debug)]
pub(super) struct Chains(Vec<Chain>);

/// One configured chain.
#[derive(Clone, Debug)]
pub(super) struct Chain {
    pub(super) name: String,
    pub(super) eid: Eid,
    pub(super) role: Role,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Role {
    Source,
    Target,
    Both,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Source => "source",
            Self::Target => "target",
            Self::Both => "both",
        })
    }
}

impl Chains {
    /// Sources first, each chain once.
    pub(super) fn of(config: &Config) -> Self {
        let is_target = |eid| config.targets.iter().any(|target| target.network.eid == eid);
        let is_source = |eid| config.sources.iter().any(|source| source.network.eid == eid);
        let sources = config.sources.iter().map(|source| &source.network);
        let targets = config.targets.iter().map(|target| &target.network).filter(|network| !is_source(network.eid));
        let chain = |network: &crate::config::Network| {
            let role = match (is_source(network.eid), is_target(network.eid)) {
                (true, true) => Role::Both,
                (true, false) => Role::Source,
                (false, _) => Role::Target,
            };
            Chain { name: network.name.clone(), eid: network.eid, role }
        };
        Self(sources.chain(targets).map(chain).collect())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Chain> {
        self.0.iter()
    }

    /// The name of a chain, or its eid where the configuration has it no more.
    pub(super) fn name(&self, eid: Eid) -> String {
        self.0.iter().find(|chain| chain.eid == eid).map_or_else(|| eid.to_string(), |chain| chain.name.clone())
    }

    /// A chain by its name or eid.
    pub(super) fn eid(&self, word: &str) -> Result<Eid, CliError> {
        let found = self.0.iter().find(|chain| chain.name == word || chain.eid.to_string() == word);
        found.map(|chain| chain.eid).ok_or_else(|| CliError::UnknownChain {
            name: word.to_owned(),
            known: self.0.iter().map(|chain| chain.name.as_str()).collect::<Vec<_>>().join(", "),
        })
    }
}
