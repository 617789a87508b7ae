//! The description of a network, and its start.

use std::{collections::HashSet, sync::Arc, time::Duration};

use alloy_primitives::{Address, U256};
use futures::future::try_join_all;

use super::{Chain, Devnet, DevnetError, deployment};
use crate::{
    anvil::{Anvil, AnvilOptions},
    contracts::Contracts,
    keys,
    toolchain::Toolchain,
};

/// What a submitter is given for gas: 1000 ether.
const SUBMITTER_BALANCE: U256 = U256::from_limbs([0x35C9_ADC5_DEA0_0000, 0x36, 0, 0]);

/// One chain to start.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ChainSpec {
    /// A name for people, unique in its network.
    pub name: String,
    /// The LayerZero endpoint id, unique in its network.
    pub eid: u32,
    /// Confirmations that packets from this chain need, by default. At least 1.
    pub confirmations: u64,
    /// How its node is started.
    pub anvil: AnvilOptions,
}

impl ChainSpec {
    /// A chain whose packets need one confirmation.
    pub fn new(name: impl Into<String>, chain_id: u64, eid: u32) -> Self {
        Self { name: name.into(), eid, confirmations: 1, anvil: AnvilOptions::new(chain_id) }
    }

    /// Named and numbered like Ethereum.
    pub fn ethereum() -> Self {
        Self::new("ethereum", 1, 30101)
    }

    /// Named and numbered like Arbitrum One.
    pub fn arbitrum() -> Self {
        Self::new("arbitrum", 42161, 30110)
    }

    /// Named and numbered like Conflux eSpace.
    pub fn conflux() -> Self {
        Self::new("conflux", 1030, 30212)
    }

    /// Sets how many confirmations packets from this chain need.
    #[must_use]
    pub const fn with_confirmations(mut self, confirmations: u64) -> Self {
        self.confirmations = confirmations;
        self
    }

    /// Sets how the node is started.
    #[must_use]
    pub fn with_anvil(mut self, anvil: AnvilOptions) -> Self {
        self.anvil = anvil;
        self
    }
}

/// When blocks are mined once the contracts are deployed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Mining {
    /// A block as soon as there is a transaction. (What does not fit that block waits for the next transaction; this
    /// takes several million-gas transactions at the same moment.)
    #[default]
    Automatic,
    /// One block every so often, in whole seconds and rounded up.
    Interval(Duration),
    /// Only when [`Anvil::mine`] asks for it.
    Manual,
}

/// Describes a network of any number of chains, and starts it.
///
/// Without more, the DVN of every chain has the single signer [`keys::signer`]`(0)`, and [`keys::submitter`]`(0)` may
/// call its `execute`.
#[derive(Debug, Clone)]
pub struct DevnetBuilder {
    chains: Vec<ChainSpec>,
    pub(super) signers: Vec<Address>,
    pub(super) quorum: u64,
    pub(super) submitters: Vec<Address>,
    mining: Mining,
}

impl Default for DevnetBuilder {
    fn default() -> Self {
        Self {
            chains: Vec::new(),
            signers: vec![keys::signer(0).address()],
            quorum: 1,
            submitters: vec![keys::submitter(0).address()],
            mining: Mining::default(),
        }
    }
}

impl DevnetBuilder {
    /// Adds a chain. Every chain is a source and a destination for every other.
    #[must_use]
    pub fn chain(mut self, chain: ChainSpec) -> Self {
        self.chains.push(chain);
        self
    }

    /// Sets who attests for our DVN on every chain, and how many of them it takes.
    #[must_use]
    pub fn signers(mut self, signers: impl IntoIterator<Item = Address>, quorum: u64) -> Self {
        self.signers = signers.into_iter().collect();
        self.quorum = quorum;
        self
    }

    /// Sets who holds the DVN's `ADMIN_ROLE` on every chain. They are given gas.
    #[must_use]
    pub fn submitters(mut self, submitters: impl IntoIterator<Item = Address>) -> Self {
        self.submitters = submitters.into_iter().collect();
        self
    }

    /// Sets how blocks are mined after the deployment.
    #[must_use]
    pub const fn mining(mut self, mining: Mining) -> Self {
        self.mining = mining;
        self
    }

    /// Starts the nodes and deploys everything, on all chains at the same time.
    ///
    /// # Errors
    /// When the description is invalid, a node does not come up, or a step of the deployment fails.
    ///
    /// # Cancel safety
    /// Dropping the future kills the nodes.
    pub async fn start(self, toolchain: &Toolchain) -> Result<Devnet, DevnetError> {
        self.validate()?;
        let contracts = Arc::new(self.load_contracts(toolchain).await?);
        let chains = self.chains.iter().zip(0..).map(|(spec, index)| {
            let contracts = Arc::clone(&contracts);
            self.start_chain(toolchain, contracts, spec, index)
        });
        Ok(Devnet { chains: try_join_all(chains).await? })
    }

    async fn load_contracts(&self, toolchain: &Toolchain) -> Result<Contracts, DevnetError> {
        let toolchain = toolchain.clone();
        let loading = tokio::task::spawn_blocking(move || Contracts::load(&toolchain)).await;
        Ok(loading.map_err(|e| DevnetError::Invalid { reason: format!("loading the contracts panicked: {e}") })??)
    }

    async fn start_chain(
        &self,
        toolchain: &Toolchain,
        contracts: Arc<Contracts>,
        spec: &ChainSpec,
        index: u64,
    ) -> Result<Chain, DevnetError> {
        let anvil = Anvil::spawn(&toolchain.anvil()?, &spec.anvil).await?;
        for submitter in &self.submitters {
            anvil.rpc::<serde_json::Value>("anvil_setBalance", (submitter, SUBMITTER_BALANCE)).await?;
        }
        let remotes: Vec<_> = self.chains.iter().filter(|remote| remote.eid != spec.eid).collect();
        let addresses = deployment::run(&anvil, &contracts, spec, &remotes, self, index).await?;
        match self.mining {
            Mining::Automatic => anvil.set_automine(true).await?,
            Mining::Interval(interval) => anvil.set_interval_mining(interval).await?,
            Mining::Manual => anvil.set_interval_mining(Duration::ZERO).await?,
        }
        Ok(Chain::new(spec.clone(), anvil, addresses, contracts))
    }

    fn validate(&self) -> Result<(), DevnetError> {
        let names: HashSet<_> = self.chains.iter().map(|c| &c.name).collect();
        let eids: HashSet<_> = self.chains.iter().map(|c| c.eid).collect();
        let signers: HashSet<_> = self.signers.iter().collect();
        let count = u64::try_from(self.signers.len()).unwrap_or(u64::MAX);
        let reason = if self.chains.is_empty() {
            "add at least one chain"
        } else if names.len() < self.chains.len() || eids.len() < self.chains.len() {
            "give every chain its own name and eid"
        } else if self.chains.iter().any(|c| c.confirmations == 0) {
            "a default of 0 confirmations cannot be set; use at least 1"
        } else if self.quorum == 0 || self.quorum > count || signers.len() < self.signers.len() {
            "the quorum must be from 1 to the number of different signers"
        } else if self.submitters.is_empty() {
            "name at least one submitter"
        } else {
            return Ok(());
        };
        Err(DevnetError::Invalid { reason: reason.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(builder: &DevnetBuilder) -> Option<String> {
        builder.validate().err().map(|e| e.to_string())
    }

    #[test]
    fn a_network_needs_different_chains_and_a_reachable_quorum() {
        let two = Devnet::builder().chain(ChainSpec::ethereum()).chain(ChainSpec::conflux());
        assert_eq!(reason(&two), None);
        assert!(reason(&Devnet::builder()).unwrap().contains("at least one chain"));
        assert!(reason(&two.clone().chain(ChainSpec::ethereum())).unwrap().contains("its own name"));
        assert!(reason(&two.clone().signers([Address::ZERO], 2)).unwrap().contains("quorum"));
        assert!(reason(&two.clone().signers([Address::ZERO, Address::ZERO], 2)).unwrap().contains("different"));
        assert!(reason(&two.submitters([])).unwrap().contains("submitter"));
    }

    #[test]
    fn the_balance_is_a_thousand_ether() {
        assert_eq!(SUBMITTER_BALANCE, U256::from(1_000_000_000_000_000_000_000_u128));
    }
}
