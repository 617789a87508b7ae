//! The stage that demo and soak play on: local chains with the real contracts, keys, a configuration file, the node's
//! program.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use dvn_testkit::{
    devnet::{ChainSpec, Devnet, Mining},
    keys,
    node::{NodeConfig, NodeKeys, NodeProcess, free_port},
    softhsm::SoftHsm,
};

use crate::{
    Failure,
    command::{self, cargo, say, target},
    setup,
};

/// The one destination.
pub(crate) const DESTINATION: &str = "conflux";
/// Both sources.
pub(crate) const SOURCES: [&str; 2] = ["ethereum", "arbitrum"];

/// Everything that is needed to start a node, and the chains that it works on.
pub(crate) struct Stage {
    pub(crate) devnet: Devnet,
    pub(crate) folder: PathBuf,
    pub(crate) config: PathBuf,
    binary: PathBuf,
    node: NodeConfig,
    log: PathBuf,
}

impl Stage {
    /// Builds the node, installs what is missing, and starts the chains.
    pub(crate) async fn set(name: &str) -> Result<Self, Failure> {
        say("building dvn-node");
        command::run(cargo().args(["build", "--quiet", "--locked", "--package", "dvn-node"]))?;
        say("preparing the local nodes and contracts");
        let toolchain = setup::toolchain()?;
        let folder = target().join(name);
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).map_err(|error| failure(&error))?;
        let keys = node_keys(&folder)?;

        say("starting three chains and deploying LayerZero's contracts");
        let devnet = Devnet::builder()
            .chain(ChainSpec::ethereum().with_confirmations(2))
            .chain(ChainSpec::arbitrum().with_confirmations(2))
            .chain(ChainSpec::conflux())
            .mining(Mining::Interval(Duration::from_secs(1)))
            .start(&toolchain)
            .await
            .map_err(|error| failure(&error))?;
        for chain in devnet.chains() {
            say(&format!("  {} (chain id {}, eid {}) at {}", chain.name(), chain.chain_id(), chain.eid(), chain.url()));
        }

        let port = free_port().map_err(|error| failure(&error))?;
        let mut node = NodeConfig::new(folder.join("data"), port);
        node.keys = keys;
        let text = node.for_devnet(&devnet, &[DESTINATION]).map_err(|error| failure(&error))?;
        let config = folder.join("config.yaml");
        std::fs::write(&config, &text).map_err(|error| failure(&error))?;
        say(&format!("\nthe node's configuration, {}:\n", config.display()));
        for line in text.lines() {
            say(&format!("    {line}"));
        }
        say("");
        let (binary, log) = (target().join("debug").join("dvn-node"), folder.join("node.log"));
        Ok(Self { devnet, folder, config, binary, node, log })
    }

    /// Starts the node and waits until it is ready.
    pub(crate) async fn start_node(&self) -> Result<NodeProcess, Failure> {
        let environment = self.node.environment();
        let spawned = NodeProcess::spawn(&self.binary, &self.config, &environment, self.node.port, &self.log);
        let mut node = spawned.await.map_err(|error| failure(&error))?;
        if let Err(error) = node.until_ready(Duration::from_secs(60)).await {
            say(&tail(&node.log().await.unwrap_or_default(), 20));
            return Err(failure(&error));
        }
        Ok(node)
    }

    /// The node's log file.
    pub(crate) fn log(&self) -> &Path {
        &self.log
    }
}

/// Keys on a fresh SoftHSM token where it is installed, else the development keys.
fn node_keys(folder: &Path) -> Result<NodeKeys, Failure> {
    if !setup::has_soft_hsm() {
        say("SoftHSM is not installed, so the keys are development keys from the environment");
        return Ok(NodeKeys::local());
    }
    say("making a SoftHSM token with the attesting key and the sender's key");
    let [signing, sending] = NodeKeys::LABELS;
    let (signer, sender) = (keys::signer(0), keys::submitter(0));
    let token = SoftHsm::create(&folder.join("hsm"), "demo-pin-271828", &[(signing, &signer), (sending, &sender)]);
    Ok(NodeKeys::SoftHsm(token.map_err(|error| failure(&error))?))
}

/// An error with its causes, in one line.
pub(crate) fn failure(error: &(dyn std::error::Error + 'static)) -> Failure {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    Failure::new(text)
}

pub(crate) fn tail(text: &str, lines: usize) -> String {
    let all: Vec<&str> = text.lines().collect();
    all.get(all.len().saturating_sub(lines)..).unwrap_or_default().join("\n")
}
