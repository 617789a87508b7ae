//! A network that mines by itself, and a node on it.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Output,
    sync::Arc,
    time::Duration,
};

use dvn_testkit::{
    devnet::{Chain, ChainSpec, Devnet, DevnetBuilder, SentPacket, SentPackets},
    node::{NodeConfig, NodeProcess, free_port},
    toolchain::Toolchain,
};
use tempfile::TempDir;
use tokio::task::JoinHandle;

/// How long anything may take before a test gives up; no test passes or fails by it otherwise.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// How long a node is given to do what it must not do.
pub(crate) const TEMPTATION: Duration = Duration::from_secs(3);
/// What providers put into their URLs, and what must never be printed.
pub(crate) const URL_SECRET: &str = "apikey=Sup3rSecretUrlKey";

/// Chains that mine a block every so often.
pub(crate) struct Net {
    pub(crate) devnet: Arc<Devnet>,
    miner: JoinHandle<()>,
}

impl Net {
    /// The chains named, wired to each other; nothing where the toolchain is missing and may be.
    pub(crate) async fn start(test: &str, specs: Vec<ChainSpec>) -> Option<Self> {
        Self::start_with(test, specs, |builder| builder).await
    }

    /// The same, with contracts that are made in another way.
    pub(crate) async fn start_with(
        test: &str,
        specs: Vec<ChainSpec>,
        change: impl FnOnce(DevnetBuilder) -> DevnetBuilder,
    ) -> Option<Self> {
        let toolchain = Toolchain::for_test(test)?;
        let mut builder = change(Devnet::builder());
        for spec in specs {
            builder = builder.chain(spec);
        }
        let devnet = Arc::new(builder.start(&toolchain).await.unwrap());
        let mut net = Self { devnet, miner: tokio::spawn(async {}) };
        net.resume();
        Some(net)
    }

    /// One source and one destination.
    pub(crate) async fn pair(test: &str) -> Option<Self> {
        Self::start(test, vec![ChainSpec::ethereum().with_confirmations(2), ChainSpec::conflux()]).await
    }

    pub(crate) fn chain(&self, name: &str) -> &Chain {
        self.devnet.chain(name).unwrap()
    }

    /// Stops mining, so that a test moves the chains itself.
    pub(crate) fn pause(&self) {
        self.miner.abort();
    }

    pub(crate) fn resume(&mut self) {
        self.miner.abort();
        let devnet = Arc::clone(&self.devnet);
        self.miner = tokio::spawn(async move {
            loop {
                for chain in devnet.chains() {
                    let _ = chain.anvil().mine(1).await;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        });
    }

    pub(crate) async fn send(&self, source: &str, messages: usize) -> Vec<SentPacket> {
        self.send_together(source, messages).await.packets
    }

    /// So many packets in one transaction.
    pub(crate) async fn send_together(&self, source: &str, messages: usize) -> SentPackets {
        let messages: Vec<_> = (0..messages).map(|index| format!("{source} {index}").into_bytes()).collect();
        self.devnet.send(self.chain(source), self.chain("conflux"), &messages).await.unwrap()
    }

    /// How often each header was verified by our DVN, as the destination tells it.
    pub(crate) async fn verified(&self) -> BTreeMap<Vec<u8>, usize> {
        let mut counts = BTreeMap::new();
        for log in self.chain("conflux").payload_verified_logs().await.unwrap() {
            *counts.entry(log.header.to_vec()).or_default() += 1;
        }
        counts
    }

    /// Waits until every packet is verified on the destination, then says that each was exactly once and nothing else.
    pub(crate) async fn until_exactly(&self, packets: &[SentPacket]) {
        let all = async {
            loop {
                let verified = self.verified().await;
                if packets.iter().all(|packet| verified.contains_key(packet.header.as_ref())) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        assert!(tokio::time::timeout(PATIENCE, all).await.is_ok(), "not all of {} are verified", packets.len());
        self.assert_exactly(packets).await;
    }

    /// Says that these packets were verified once each, and nothing else.
    pub(crate) async fn assert_exactly(&self, packets: &[SentPacket]) {
        let verified = self.verified().await;
        let expected: BTreeMap<_, _> = packets.iter().map(|packet| (packet.header.to_vec(), 1)).collect();
        assert_eq!(verified, expected);
    }

    /// Plays the executor.
    pub(crate) async fn deliver(&self, packets: &[SentPacket]) {
        for packet in packets {
            self.devnet.deliver(packet).await.unwrap();
        }
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        self.miner.abort();
    }
}

/// A node's folder: configuration, data and log.
pub(crate) struct Node {
    folder: TempDir,
    pub(crate) config: NodeConfig,
    pub(crate) text: String,
    /// Beside what the keys need.
    pub(crate) environment: Vec<(String, String)>,
}

impl Node {
    /// A node that watches every chain but the destination.
    pub(crate) fn of(net: &Net) -> Self {
        Self::with(net, |_| {})
    }

    /// The same, with other settings.
    pub(crate) fn with(net: &Net, change: impl FnOnce(&mut NodeConfig)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut config = NodeConfig::new(folder.path().join("data"), free_port().unwrap());
        config.block_time_ms = 100;
        config.url_query = Some(URL_SECRET.to_owned());
        change(&mut config);
        let text = config.for_devnet(&net.devnet, &["conflux"]).unwrap();
        Self { folder, config, text, environment: Vec::new() }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self) -> PathBuf {
        let path = self.path("config.yaml");
        std::fs::write(&path, &self.text).unwrap();
        path
    }

    pub(crate) async fn spawn(&self) -> NodeProcess {
        let (binary, mut environment) = (Path::new(env!("CARGO_BIN_EXE_dvn-node")), self.config.environment());
        environment.extend(self.environment.clone());
        let log = self.path("node.log");
        NodeProcess::spawn(binary, &self.write(), &environment, self.config.port, &log).await.unwrap()
    }

    pub(crate) async fn start(&self) -> NodeProcess {
        let mut node = self.spawn().await;
        if let Err(error) = node.until_ready(PATIENCE).await {
            panic!("{error}\n{}", self.log());
        }
        node
    }

    /// Runs another command of the program with this configuration.
    pub(crate) fn command(&self, line: &[&str]) -> Output {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_dvn-node"));
        command.arg("--config").arg(self.write()).args(line).envs(self.config.environment());
        command.output().unwrap()
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.path("node.log")).unwrap_or_default()
    }

    /// Says that nothing secret was ever printed.
    pub(crate) fn assert_no_secrets(&self) {
        let log = self.log();
        assert!(!log.is_empty());
        for secret in self.config.secrets() {
            assert!(!log.to_lowercase().contains(&secret.to_lowercase()), "a secret is in the log");
        }
    }
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
