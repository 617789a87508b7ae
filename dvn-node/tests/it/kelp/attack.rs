//! One source chain whose only node is asked through four seats, and what an attacker does to these.

use std::{collections::BTreeSet, ops::Range, time::Duration};

use alloy_primitives::{Address, B256, U64, U256};
use dvn_chain::proof::outbound_nonce_slot;
use dvn_testkit::{
    devnet::{ChainSpec, DevnetBuilder, PacketFields, SentPacket},
    keys,
    node::{NodeProcess, NodeSeat, NodeSeats},
    proxy::{Client, Fault, FaultProxy, ForgedBranch, Rule},
    rpc::Rpc,
};
use serde_json::Value;

use crate::setup::{Net, Node, PATIENCE, URL_SECRET};

/// The seats that the attacker owns.
pub(super) const LIARS: Range<usize> = 0..2;
/// The seats that the attacker can only knock out.
pub(super) const HONEST: Range<usize> = 2..4;
const OPERATORS: [&str; 4] = ["self", "other-self", "acme", "foreign"];

/// How long the node verifies nothing after an outage.
pub(super) const COOL_DOWN: Duration = Duration::from_secs(6);

/// 0.006 tokens of six decimals: what the last genuine packet moved.
pub(super) const SMALL: u64 = 6_000;
/// 116,500 tokens.
const LARGE: u64 = 116_500_000_000;
/// The number of the last genuine packet.
const LAST: u64 = 307;
/// Where `EndpointV2` keeps `outboundNonce`.
const OUTBOUND_NONCE: u64 = 3;

pub(super) struct Stage {
    pub(super) net: Net,
    pub(super) node: Node,
    proxies: Vec<FaultProxy>,
}

/// What the liars say.
pub(super) struct Forged {
    /// Where their branch leaves the chain.
    pub(super) height: u64,
    /// The packet that nobody sent.
    pub(super) fields: PacketFields,
}

impl Stage {
    /// A node that believes what `threshold` of its four seats say.
    pub(super) async fn set(test: &str, threshold: usize) -> Option<Self> {
        Self::set_with(test, threshold, OPERATORS.len()).await
    }

    /// A node whose voting seats are the attacker's own, and whose others audit.
    pub(super) async fn set_audited(test: &str) -> Option<Self> {
        Self::set_with(test, LIARS.len(), LIARS.len()).await
    }

    async fn set_with(test: &str, threshold: usize, voting: usize) -> Option<Self> {
        let specs = vec![ChainSpec::ethereum().with_confirmations(2), ChainSpec::conflux()];
        let submitters = |builder: DevnetBuilder| builder.submitters([0, 1].map(|at| keys::submitter(at).address()));
        let net = Net::start_with(test, specs, submitters).await?;
        let (url, mut node) = (net.chain("ethereum").url().clone(), Node::of(&net));
        let (mut proxies, mut seats) = (Vec::new(), Vec::new());
        for operator in OPERATORS {
            let proxy = FaultProxy::start(url.clone()).await.unwrap();
            seats.push(NodeSeat { url: proxy.url().clone(), operator: operator.to_owned(), client: "geth".to_owned() });
            proxies.push(proxy);
        }
        node.config.seats.insert("ethereum".to_owned(), NodeSeats { threshold, audit: seats.split_off(voting), seats });
        node.config.cool_down_ms = u64::try_from(COOL_DOWN.as_millis()).unwrap();
        node.text = node.config.for_devnet(&net.devnet, &["conflux"]).unwrap();
        Some(Self { net, node, proxies })
    }

    /// Packets 306 and 307 of a path that was in use for long, attested.
    pub(super) async fn genuine_history(&self) -> Vec<SentPacket> {
        let (source, destination) = (self.net.chain("ethereum"), self.net.chain("conflux"));
        let [sender, receiver] = [source, destination].map(|chain| chain.addresses().oapp);
        let slot = outbound_nonce_slot(sender, destination.eid(), receiver.into_word(), OUTBOUND_NONCE);
        let count = B256::from(U256::from(LAST - 2));
        let _: Value =
            source.anvil().rpc("anvil_setStorageAt", (source.addresses().endpoint, slot, count)).await.unwrap();
        let genuine = vec![self.send(SMALL).await, self.send(SMALL).await];
        assert_eq!(genuine[1].fields.nonce, LAST);
        self.net.until_exactly(&genuine).await;
        genuine
    }

    /// Moves so many millionths of a token.
    pub(super) async fn send(&self, amount: u64) -> SentPacket {
        let (source, destination) = (self.net.chain("ethereum"), self.net.chain("conflux"));
        self.net.devnet.send(source, destination, &[transfer(amount)]).await.unwrap().packets.remove(0)
    }

    /// From a block on that is about to come, both liars show the node packet 308.
    pub(super) async fn poison(&self, genuine: &[SentPacket]) -> Forged {
        let source = self.net.chain("ethereum");
        let last = &genuine.last().unwrap().fields;
        let fields = PacketFields { nonce: last.nonce + 1, message: transfer(LARGE).into(), ..last.clone() };
        let height = source.rpc().block_number().await.unwrap() + 3;
        let branch = ForgedBranch::at(height).packet(source, &fields);
        for liar in &self.proxies[LIARS] {
            liar.add(Rule::new(Fault::Forge(branch.clone())).from(Client::query(URL_SECRET)));
        }
        Forged { height, fields }
    }

    /// Keeps the node from these seats: they are as overloaded as this fault is.
    pub(super) fn knock_out(&self, seats: Range<usize>, fault: &Fault) {
        for seat in &self.proxies[seats] {
            seat.add(Rule::new(fault.clone()).from(Client::query(URL_SECRET)));
        }
    }

    pub(super) fn heal(&self, seats: Range<usize>) {
        self.proxies[seats].iter().for_each(FaultProxy::clear);
    }

    /// Waits until the node itself says, everywhere it can, that it cannot follow the source.
    pub(super) async fn until_degraded(&self, process: &NodeProcess) {
        let told = async {
            loop {
                let (code, body) = process.fetch("ready").await.unwrap();
                let (_, metrics) = process.fetch("metrics").await.unwrap();
                let ready: Value = serde_json::from_str(&body).unwrap();
                let listed = ready["degraded"].as_array().unwrap().iter().any(|chain| chain == "ethereum");
                if code == 503 && listed && metrics.contains("dvn_source_degraded{chain=\"ethereum\"} 1") {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        assert!(tokio::time::timeout(PATIENCE, told).await.is_ok(), "nothing is said\n{}", self.node.log());
    }

    /// Waits until the node says that it follows the source again and verifies nothing yet.
    pub(super) async fn until_cooling_down(&self, process: &NodeProcess) {
        let told = async {
            while !process.fetch("metrics").await.unwrap().1.contains("dvn_source_cooling_down{chain=\"ethereum\"} 1") {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        assert!(tokio::time::timeout(PATIENCE, told).await.is_ok(), "there is no cool-down\n{}", self.node.log());
    }

    /// Waits until a block is final for whoever asks the chain's node itself.
    pub(super) async fn until_final(&self, height: u64) {
        let reached = async {
            while self.final_block().await < height {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        assert!(tokio::time::timeout(PATIENCE, reached).await.is_ok());
    }

    /// Says that the node attested these packets and did not sign the forged one.
    pub(super) async fn assert_only(&self, genuine: &[SentPacket], forged: &Forged) {
        self.net.assert_exactly(genuine).await;
        self.assert_payloads(genuine).await;
        assert!(genuine.iter().all(|packet| self.was_signed(packet.guid)), "the log does not tell of signatures");
        assert!(!self.was_signed(forged.fields.guid()), "{}", self.node.log());
    }

    /// Says that every payload on the destination is one of these packets'.
    pub(super) async fn assert_payloads(&self, genuine: &[SentPacket]) {
        for log in self.net.chain("conflux").payload_verified_logs().await.unwrap() {
            assert!(genuine.iter().any(|packet| packet.payload_hash == log.payload_hash), "{log:?}");
        }
    }

    /// Waits until the destination has the forged packet, verified by our DVN.
    pub(super) async fn until_fooled(&self, forged: &Forged) {
        let (conflux, payload) = (self.net.chain("conflux"), forged.fields.payload_hash());
        let fooled = async {
            while !conflux.payload_verified_logs().await.unwrap().iter().any(|log| log.payload_hash == payload) {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        assert!(tokio::time::timeout(PATIENCE, fooled).await.is_ok(), "the lie does not hold\n{}", self.node.log());
    }

    /// Whether the node's log tells of a signature for this packet.
    pub(super) fn was_signed(&self, guid: B256) -> bool {
        let guid = guid.to_string();
        self.node.log().lines().any(|line| line.contains(&guid) && line.contains("signed"))
    }

    /// Says that the liars' block and the chain's own at the same height are among the answers, as they came.
    pub(super) async fn assert_both_sides(&self, votes: &[(String, Value)], forged: &Forged) {
        let mut sides = BTreeSet::new();
        for (seat, answer) in votes {
            let number: U64 = serde_json::from_value(answer["number"].clone()).unwrap();
            assert!(number.to::<u64>() >= forged.height);
            let is_true = answer["hash"] == self.truth(number.to()).await.to_string();
            let is_honest = self.proxies[HONEST].iter().any(|proxy| label(proxy) == *seat);
            assert_eq!(is_true, is_honest, "{seat} says {answer}");
            sides.insert(is_true);
        }
        assert_eq!(sides.len(), 2, "{votes:?}");
    }

    /// How the node names its seats.
    pub(super) fn labels(&self) -> BTreeSet<String> {
        self.proxies.iter().map(label).collect()
    }

    /// Compares all four nodes as a monitor does that is not the verifier.
    pub(super) async fn assert_monitor_is_quiet(&self) {
        let height = self.final_block().await;
        assert_eq!(self.hashes(height, None).await, [self.truth(height).await; 4]);
    }

    /// The block's hash by the chain's own node.
    pub(super) async fn truth(&self, height: u64) -> B256 {
        hash(self.net.chain("ethereum").rpc(), height).await
    }

    /// The block's hash by each seat, for a client with this query.
    pub(super) async fn hashes(&self, height: u64, query: Option<&str>) -> Vec<B256> {
        let mut hashes = Vec::new();
        for proxy in &self.proxies {
            let mut url = proxy.url().clone();
            url.set_query(query);
            hashes.push(hash(&Rpc::new(url), height).await);
        }
        hashes
    }

    async fn final_block(&self) -> u64 {
        let block: Value =
            self.net.chain("ethereum").rpc().request("eth_getBlockByNumber", ("finalized", false)).await.unwrap();
        serde_json::from_value::<U64>(block["number"].clone()).unwrap().to()
    }
}

/// An OFT's message: to whom, and how much in shared decimals.
fn transfer(amount: u64) -> Vec<u8> {
    [Address::repeat_byte(0xab).into_word().as_slice(), &amount.to_be_bytes()].concat()
}

fn label(proxy: &FaultProxy) -> String {
    format!("{}:{}", proxy.url().host_str().unwrap(), proxy.url().port().unwrap())
}

async fn hash(rpc: &Rpc, height: u64) -> B256 {
    let block: Value = rpc.request("eth_getBlockByNumber", (U64::from(height), false)).await.unwrap();
    serde_json::from_value(block["hash"].clone()).unwrap()
}
