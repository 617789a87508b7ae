//! Several nodes of one DVN, each with a key, a store and a certificate of its own, whose contracts ask for two signatures.

mod fooled;
mod hostile;
mod journals;
mod kills;
mod proposer;

use std::time::Duration;

use alloy_primitives::B256;
use dvn_testkit::{
    devnet::{ChainSpec, DevnetBuilder, SentPacket},
    keys,
    node::{NodeKeys, NodePeer, NodeProcess, NodeQuorum, free_port},
    tls::Authority,
};
use serde_json::{Value, json};

use crate::setup::{Net, Node, TEMPTATION};

const NODES: usize = 3;
const QUORUM: usize = 2;

/// Three nodes that are ready to start.
struct Trio {
    net: Net,
    nodes: Vec<Node>,
    authority: Authority,
}

fn name(index: usize) -> String {
    format!("dvn-node-{}", index + 1)
}

fn specs() -> Vec<ChainSpec> {
    vec![ChainSpec::ethereum().with_confirmations(2), ChainSpec::conflux()]
}

impl Trio {
    async fn set(test: &str) -> Option<Self> {
        let [signers, submitters] =
            [keys::signer, keys::submitter].map(|key| (0..NODES).map(move |at| key(at).address()));
        let quorum = u64::try_from(QUORUM).unwrap();
        let contracts = |builder: DevnetBuilder| builder.signers(signers, quorum).submitters(submitters);
        let net = Net::start_with(test, specs(), contracts).await?;
        let authority = Authority::new().unwrap();
        let ports: Vec<u16> = (0..NODES).map(|_| free_port().unwrap()).collect();
        let nodes = (0..NODES).map(|index| member(&net, &authority, &ports, index)).collect();
        Some(Self { net, nodes, authority })
    }

    async fn start(&self) -> Vec<NodeProcess> {
        let mut processes = Vec::new();
        for node in &self.nodes {
            processes.push(node.spawn().await);
        }
        for (process, node) in processes.iter_mut().zip(&self.nodes) {
            assert!(process.until_ready(crate::setup::PATIENCE).await.is_ok(), "{}", node.log());
        }
        processes
    }

    /// Says that the audit logs tell of every packet that some node cosigned it, and for whom.
    fn assert_told(&self, packets: &[SentPacket]) {
        let of_packet = |packet: &SentPacket| {
            let guid = packet.guid.to_string();
            let told = |node: &Node| {
                let told = node.command(&["audit", "query", "--packet", &guid, "--actor", "cosigner", "--json"]);
                let told: Value = serde_json::from_slice(&told.stdout).unwrap();
                told["rows"].as_array().unwrap().clone()
            };
            self.nodes.iter().flat_map(told).collect::<Vec<_>>()
        };
        for packet in packets {
            let rows = of_packet(packet);
            let cosigned = rows.iter().find(|row| row["action"] == "cosigned");
            let peer = cosigned.and_then(|row| row["detail"]["peer"].as_str()).unwrap_or_default();
            assert!(peer.starts_with("dvn-node-"), "{rows:?}");
        }
    }

    /// How many packets each node's log says it signed for a peer.
    fn cosigned(&self) -> Vec<usize> {
        self.nodes.iter().map(|node| node.log().matches("\"message\":\"cosigned\"").count()).collect()
    }
}

fn member(net: &Net, authority: &Authority, ports: &[u16], index: usize) -> Node {
    let mut node = Node::of(net);
    node.config.name = name(index);
    node.config.keys =
        NodeKeys::Local { signer: Box::new(keys::signer(index)), sender: Box::new(keys::submitter(index)) };
    let peer =
        |other: usize| NodePeer { name: name(other), port: ports[other], address: keys::signer(other).address() };
    node.config.quorum = Some(NodeQuorum {
        quorum: QUORUM,
        port: ports[index],
        tls: authority.issue(&name(index), node.folder()).unwrap(),
        peers: (0..NODES).filter(|other| *other != index).map(peer).collect(),
    });
    node.text = node.config.for_devnet(&net.devnet, &["conflux"]).unwrap();
    node
}

/// Packets one after the other, so that they are in blocks of their own.
async fn send(net: &Net, count: usize) -> Vec<SentPacket> {
    let mut packets = Vec::new();
    for _ in 0..count {
        packets.extend(net.send("ethereum", 1).await);
    }
    packets
}

/// Two of three sign; with one dead they go on, with two dead packets wait and are attested once somebody is back.
#[tokio::test(flavor = "multi_thread")]
async fn two_of_three_attest_and_one_may_die() {
    let Some(trio) = Trio::set("two of three").await else { return };
    let mut processes = trio.start().await;
    let mut packets = send(&trio.net, 6).await;
    trio.net.until_exactly(&packets).await;
    assert!(trio.cosigned().iter().sum::<usize>() >= packets.len(), "{:?}", trio.cosigned());
    trio.assert_told(&packets);

    processes.remove(0).kill().await.unwrap();
    packets.extend(send(&trio.net, 3).await);
    trio.net.until_exactly(&packets).await;

    processes.remove(0).kill().await.unwrap();
    let before = trio.net.verified().await.len();
    packets.extend(send(&trio.net, 2).await);
    tokio::time::sleep(TEMPTATION).await;
    assert_eq!(trio.net.verified().await.len(), before, "one signature is not two");
    let (_, metrics) = processes[0].fetch("metrics").await.unwrap();
    assert!(metrics.contains("dvn_peer_healthy{peer=\"dvn-node-1\"} 0"), "{metrics}");
    assert!(
        metrics.contains("dvn_signing_errors_total{chain=\"conflux\",error_type=\"PeerUnavailable\"}"),
        "{metrics}"
    );

    processes.push(trio.nodes[0].spawn().await);
    trio.net.until_exactly(&packets).await;
    for process in processes {
        assert!(process.stop().await.unwrap().success());
    }
    trio.nodes.iter().for_each(Node::assert_no_secrets);
}

/// A peer that is in wrong hands asks for whatever it likes and gets a signature for the genuine packet alone: what is signed
/// comes from this node's own look at both chains.
#[tokio::test(flavor = "multi_thread")]
async fn t33_a_compromised_proposer_gets_nothing_signed() {
    let Some(trio) = Trio::set("a compromised proposer").await else { return };
    let process = trio.nodes[0].start().await;
    let port = trio.nodes[0].config.quorum.as_ref().unwrap().port;
    let files = trio.nodes[1].config.quorum.as_ref().unwrap().tls.clone();
    let (ethereum, conflux) = (trio.net.chain("ethereum"), trio.net.chain("conflux"));
    let sent = trio.net.send_together("ethereum", 1).await;
    let now = conflux.timestamp().await.unwrap();
    let genuine = json!({
        "src_eid": ethereum.eid(), "block": sent.block_number, "block_hash": sent.block_hash,
        "tx_hash": sent.transaction, "log_index": sent.packets[0].log_index, "dst_eid": conflux.eid(),
        "confirmations": 2, "expiration": now + 900, "journal": proposer::journal(),
    });
    // Long enough for the packet to be final, and for many blocks more.
    let given = proposer::until_signed(port, &files, &genuine).await;
    let signature = alloy_primitives::hex::decode(given["signature"].as_str().unwrap()).unwrap();
    assert_eq!(signature.len(), 65);

    let nobody = B256::repeat_byte(7);
    // The transaction's hash is a label where logs are proven: the log's position in the block names the packet.
    for (what, key, value) in [
        ("a block of another branch", "block_hash", json!(nobody)),
        ("another log of the transaction", "log_index", json!(0)),
        ("another height", "block", json!(1)),
        ("a source that is not served", "src_eid", json!(1)),
        ("a destination that is not served", "dst_eid", json!(30_110)),
        ("the source as destination", "dst_eid", json!(ethereum.eid())),
        ("too few confirmations", "confirmations", json!(1)),
        ("a retraction of a good packet", "confirmations", json!(0)),
        ("more confirmations than there are", "confirmations", json!(1_000_000)),
        ("an expiration that is past", "expiration", json!(now - 1)),
        ("an expiration far ahead", "expiration", json!(now + 86_400)),
        ("an expiration beyond all bounds", "expiration", json!(u64::MAX)),
    ] {
        let mut asked = genuine.clone();
        asked[key] = value;
        let (status, answer) = proposer::propose(port, &files, &asked).await;
        assert_eq!(status, 409, "{what}: {answer}");
        assert!(answer["signature"].is_null() && !answer["reason"].as_str().unwrap().is_empty(), "{what}: {answer}");
    }
    // Bytes to sign are no part of a proposal.
    let mut asked = genuine.clone();
    asked["call_data"] = json!("0x00");
    let (status, answer) = proposer::propose(port, &files, &asked).await;
    assert!((400..500).contains(&status) && answer["signature"].is_null(), "{status} {answer}");
    // Nor is anything taken back at its word.
    let fields = &sent.packets[0].fields;
    let good = json!({
        "src_eid": fields.src_eid, "sender": fields.sender, "dst_eid": fields.dst_eid, "receiver": fields.receiver,
        "nonce": fields.nonce, "payload_hash": sent.packets[0].payload_hash, "block": sent.block_number,
        "block_hash": sent.block_hash, "tx_hash": sent.transaction, "log_index": sent.packets[0].log_index,
        "expiration": now + 900,
    });
    for (what, key, value) in [
        ("a good packet", "expiration", json!(now + 900)),
        ("a good packet, and nowhere to look for it", "block_hash", json!(nobody)),
        ("an expiration far ahead", "expiration", json!(now + 86_400)),
        ("a payload that nobody attested", "payload_hash", json!(nobody)),
        ("a packet that nobody attested", "nonce", json!(77)),
    ] {
        let mut asked = good.clone();
        asked[key] = value;
        let (status, answer) = proposer::post(port, &files, "/v1/retract", &asked).await;
        assert_eq!(status, 409, "{what}: {answer}");
        assert!(answer["signature"].is_null(), "{what}: {answer}");
    }
    let signed = trio.nodes[0].log().matches("\"message\":\"signed\"").count();
    let (_, again) = proposer::propose(port, &files, &genuine).await;
    assert!(again["signature"].is_string(), "the same once more is no second payload");
    assert_eq!(trio.nodes[0].log().matches("\"message\":\"signed\"").count(), signed + 1);
    trio.net.assert_exactly(&[]).await;
    assert!(process.stop().await.unwrap().success());
}

/// A certificate of another authority, or of ours for a name that is no peer's, opens no connection; nor does none.
#[tokio::test(flavor = "multi_thread")]
async fn strangers_are_not_answered() {
    let Some(trio) = Trio::set("strangers").await else { return };
    let process = trio.nodes[0].start().await;
    let port = trio.nodes[0].config.quorum.as_ref().unwrap().port;
    let folder = tempfile::tempdir().unwrap();
    let other = Authority::new().unwrap();
    let right = trio.authority.issue(&name(1), folder.path()).unwrap();
    assert_eq!(proposer::health(port, &right).await.unwrap()["name"], name(0));
    for (authority, name) in [(&other, name(1)), (&trio.authority, name(0)), (&trio.authority, "stranger".to_owned())] {
        let mut files = authority.issue(&name, folder.path()).unwrap();
        files.ca = trio.authority.issue("ca", folder.path()).unwrap().ca;
        assert!(proposer::health(port, &files).await.is_err(), "{name}");
    }
    assert!(proposer::health_without_certificate(port, &right).await.is_err());
    assert!(process.stop().await.unwrap().success());
}

/// Where a peer should be, another node of the quorum answers: its certificate is good, and not for that name.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_of_another_name_is_not_believed() {
    let Some(mut trio) = Trio::set("another peer's server").await else { return };
    let [right, wrong] = [1, 2].map(|index: usize| trio.nodes[index].config.quorum.as_ref().unwrap().port.to_string());
    trio.nodes[0].text = trio.nodes[0].text.replacen(&format!("127.0.0.1:{right}"), &format!("127.0.0.1:{wrong}"), 1);
    let third = format!("https://127.0.0.1:{wrong}\", address: \"{}\"", keys::signer(2).address());
    trio.nodes[0].text = trio.nodes[0].text.replace(&third, &third.replace(&wrong, &right));
    let processes = trio.start().await;
    let told = async {
        loop {
            let (_, body) = processes[0].fetch("status.json").await.unwrap();
            let status: Value = serde_json::from_str(&body).unwrap();
            // Before it listens the connection itself is refused.
            if status["peers"][0]["error"].as_str().is_some_and(|error| error.contains("certificate")) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(crate::setup::PATIENCE, told).await.unwrap();
    for process in processes {
        assert!(process.stop().await.unwrap().success());
    }
}

/// A node whose key file is another certificate's, or whose certificate is for another name, does not start.
#[tokio::test(flavor = "multi_thread")]
async fn certificates_that_do_not_fit_stop_the_start() {
    let Some(mut trio) = Trio::set("certificates").await else { return };
    let tls = |trio: &Trio, index: usize| trio.nodes[index].config.quorum.as_ref().unwrap().tls.clone();
    let (own, other) = (tls(&trio, 0), tls(&trio, 1));
    let path = |path: &std::path::Path| path.display().to_string();
    let cases = [
        (path(&own.cert), path(&other.cert), "signing.tls.cert: the certificate is not for dvn-node-1"),
        (path(&own.key), path(&other.key), "`cert` and `key_file` do not fit each other"),
        (path(&own.ca), path(&own.key), "signing.tls.ca"),
        (path(&own.cert), "/nowhere.pem".to_owned(), "signing.tls.cert: /nowhere.pem"),
    ];
    let text = trio.nodes[0].text.clone();
    for (right, wrong, told) in cases {
        trio.nodes[0].text = text.replace(&right, &wrong);
        let mut process = trio.nodes[0].spawn().await;
        let ended = tokio::time::timeout(Duration::from_secs(60), process.wait()).await.unwrap().unwrap();
        assert_eq!(ended.code(), Some(2), "{told}");
        assert!(trio.nodes[0].log().contains(told), "{told} is not in\n{}", trio.nodes[0].log());
    }
}
