//! Two local chains, four nodes of the source that an attacker can get at, and our node, which asks all four.

mod watch;

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use alloy_primitives::{Address, B256, U256, keccak256};
use dvn_testkit::{
    devnet::{Chain, ChainSpec, Devnet, Mining, PacketFields, SentPacket},
    node::{NodeConfig, NodeProcess, NodeSeat, NodeSeats, free_port},
    proxy::{Client, Fault, FaultProxy, ForgedBranch, Rule},
    rpc::Rpc,
};

use super::naive::Node;
use crate::{
    Failure,
    command::{self, cargo, say, target},
    setup,
    stage::{failure, tail},
};

pub(super) use self::watch::Vote;

const SOURCE: &str = "ethereum";
const DESTINATION: &str = "conflux";
/// The source's nodes and who runs them; the first two are the ones that are taken over.
const NODES: [(&str, &str); 4] =
    [("own-1", "self"), ("own-2", "self"), ("provider-1", "acme"), ("provider-2", "foreign")];
const POISONED: usize = 2;
/// How many of them our node asks to say the same.
const THRESHOLD: usize = 3;
/// By this the nodes know the verifier: as by an address or a key.
const VERIFIER: &str = "client=verifier";

/// What the last genuine packet moves, in millionths of a token.
const SMALL: u64 = 6_000;
/// What the forged one moves.
pub(super) const LARGE: u64 = 116_500_000_000;
/// The number of the last genuine packet.
const LAST: u64 = 307;
/// Where `EndpointV2` keeps `outboundNonce`, a mapping from sender to destination to receiver.
const OUTBOUND_NONCE: u64 = 3;

/// The chains, the proxies in front of the source, and the node's files.
pub(super) struct Stage {
    devnet: Devnet,
    proxies: Vec<FaultProxy>,
    folder: PathBuf,
    node: NodeConfig,
}

/// What the poisoned nodes say.
pub(super) struct Forged {
    /// Where their branch leaves the chain.
    pub(super) height: u64,
    /// The packet that nobody sent.
    pub(super) fields: PacketFields,
}

impl Stage {
    pub(super) async fn set() -> Result<Self, Failure> {
        say("building dvn-node");
        command::run(cargo().args(["build", "--quiet", "--locked", "--package", "dvn-node"]))?;
        let toolchain = setup::toolchain()?;
        let folder = target().join("kelp");
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).map_err(|error| failure(&error))?;
        let devnet = Devnet::builder()
            .chain(ChainSpec::ethereum().with_confirmations(2))
            .chain(ChainSpec::conflux())
            .mining(Mining::Interval(Duration::from_secs(1)));
        let devnet = devnet.start(&toolchain).await.map_err(|error| failure(&error))?;
        let port = free_port().map_err(|error| failure(&error))?;
        let mut stage = Self { devnet, proxies: Vec::new(), node: NodeConfig::new(folder.join("data"), port), folder };
        stage.seat().await?;
        stage.age_path().await?;
        Ok(stage)
    }

    /// Puts the four nodes between our node and the source, and writes its configuration.
    async fn seat(&mut self) -> Result<(), Failure> {
        let mut seats = Vec::new();
        for (_, operator) in NODES {
            let proxy = FaultProxy::start(self.source()?.url().clone()).await.map_err(|error| failure(&error))?;
            let (url, operator) = (proxy.url().clone(), operator.to_owned());
            seats.push(NodeSeat { url, operator, client: "geth".to_owned() });
            self.proxies.push(proxy);
        }
        self.node.seats.insert(SOURCE.to_owned(), NodeSeats { threshold: THRESHOLD, seats, audit: Vec::new() });
        self.node.url_query = Some(VERIFIER.to_owned());
        let text = self.node.for_devnet(&self.devnet, &[DESTINATION]).map_err(|error| failure(&error))?;
        std::fs::write(self.config(), text).map_err(|error| failure(&error))?;
        say(&format!("{SOURCE} to {DESTINATION}, LayerZero's own contracts; our node believes {THRESHOLD} of four:"));
        for ((name, operator), proxy) in NODES.iter().zip(&self.proxies) {
            say(&format!("  {name:<11} {}  run by {operator}", proxy.url()));
        }
        say("");
        Ok(())
    }

    /// Makes the path one that was in use for long: its next packet is the last genuine one.
    async fn age_path(&self) -> Result<(), Failure> {
        let (source, destination) = (self.source()?, self.destination()?);
        let (sender, receiver) = (source.addresses().oapp, destination.addresses().oapp);
        let slot = outbound_nonce_slot(sender, destination.eid(), receiver);
        let count = B256::from(U256::from(LAST.saturating_sub(1)));
        let set = source.anvil().rpc("anvil_setStorageAt", (source.addresses().endpoint, slot, count)).await;
        set.map(|_: serde_json::Value| ()).map_err(|error| failure(&error))
    }

    /// Starts our node and waits until it is ready.
    pub(super) async fn start_node(&self) -> Result<NodeProcess, Failure> {
        let (environment, port) = (self.node.environment(), self.node.port);
        let spawned = NodeProcess::spawn(&binary(), &self.config(), &environment, port, &self.log()).await;
        let mut node = spawned.map_err(|error| failure(&error))?;
        if let Err(error) = node.until_ready(Duration::from_secs(60)).await {
            say(&tail(&node.log().await.unwrap_or_default(), 20));
            return Err(failure(&error));
        }
        Ok(node)
    }

    /// Sends the genuine packet.
    pub(super) async fn send(&self) -> Result<SentPacket, Failure> {
        let sent = self.devnet.send(self.source()?, self.destination()?, &[transfer(SMALL)]).await;
        let packet = sent.map_err(|error| failure(&error))?.packets.pop();
        packet.ok_or_else(|| Failure::new("no packet was sent"))
    }

    /// From a block on that is about to come, the poisoned nodes show the verifier the next packet of the path.
    pub(super) async fn poison(&self, genuine: &SentPacket) -> Result<Forged, Failure> {
        let source = self.source()?;
        let (nonce, message) = (genuine.fields.nonce.saturating_add(1), transfer(LARGE).into());
        let fields = PacketFields { nonce, message, ..genuine.fields.clone() };
        let height = source.rpc().block_number().await.map_err(|error| failure(&error))?.saturating_add(2);
        let branch = ForgedBranch::at(height).packet(source, &fields);
        for proxy in self.proxies.iter().take(POISONED) {
            proxy.add(Rule::new(Fault::Forge(branch.clone())).from(Client::query(VERIFIER)));
        }
        Ok(Forged { height, fields })
    }

    /// Floods the others.
    pub(super) fn knock_out(&self) {
        for proxy in self.proxies.iter().skip(POISONED) {
            proxy.add(Rule::new(Fault::Hang).from(Client::query(VERIFIER)));
        }
    }

    /// Ends the flood.
    pub(super) fn recover(&self) {
        self.proxies.iter().skip(POISONED).for_each(FaultProxy::clear);
    }

    /// The source's nodes as a verifier reaches them.
    pub(super) fn nodes(&self) -> Vec<Node> {
        let node = |((name, _), proxy): (&(&'static str, &str), &FaultProxy)| {
            let mut url = proxy.url().clone();
            url.set_query(Some(VERIFIER));
            Node { name, rpc: Rpc::new(url) }
        };
        NODES.iter().zip(&self.proxies).map(node).collect()
    }

    pub(super) fn source(&self) -> Result<&Chain, Failure> {
        self.devnet.chain(SOURCE).map_err(|error| failure(&error))
    }

    fn destination(&self) -> Result<&Chain, Failure> {
        self.devnet.chain(DESTINATION).map_err(|error| failure(&error))
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) fn log(&self) -> PathBuf {
        self.folder.join("node.log")
    }

    fn config(&self) -> PathBuf {
        self.folder.join("config.yaml")
    }

    /// Another command of our node's program.
    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command.arg("--config").arg(self.config()).args(words).envs(self.node.environment());
        command
    }
}

fn binary() -> PathBuf {
    target().join("debug").join("dvn-node")
}

/// An OFT's message: to whom, and how much in shared decimals.
fn transfer(amount: u64) -> Vec<u8> {
    [Address::repeat_byte(0xab).into_word().as_slice(), &amount.to_be_bytes()].concat()
}

fn outbound_nonce_slot(sender: Address, dst_eid: u32, receiver: Address) -> B256 {
    let of_sender = keccak256([sender.into_word().0, U256::from(OUTBOUND_NONCE).to_be_bytes()].concat());
    let of_destination = keccak256([U256::from(dst_eid).to_be_bytes(), of_sender.0].concat());
    keccak256([receiver.into_word().0, of_destination.0].concat())
}
