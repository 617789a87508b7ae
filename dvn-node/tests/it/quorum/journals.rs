//! Two journals behind one signer: a copy of a node beside it, a node that was put back from an older copy, and somebody who
//! has a peer's certificate.

use std::{path::Path, time::Duration};

use alloy_primitives::{B256, U64};
use dvn_core::{
    ids::{BlockNumber, Eid},
    rank,
};
use dvn_testkit::{
    devnet::{Chain, SentPacket, SentPackets},
    keys,
    node::{NodeProcess, free_port},
};
use serde_json::{Value, json};

use super::{Trio, proposer};
use crate::setup::{Node, PATIENCE};

/// What the journal of a node shows at the address where peers ask it.
async fn shown(trio: &Trio, index: usize) -> Value {
    let [asked, asking] =
        [index, (index + 1) % trio.nodes.len()].map(|it| trio.nodes[it].config.quorum.as_ref().unwrap());
    proposer::health(asked.port, &asking.tls).await.unwrap()["journal"].clone()
}

/// Waits until this node's status names a conflict of its first or second peer, and returns it.
async fn until_alarm(process: &NodeProcess, peer: &str) -> String {
    let look = async {
        loop {
            let (_, body) = process.fetch("status.json").await.unwrap();
            let status: Value = serde_json::from_str(&body).unwrap();
            let found = status["peers"].as_array().unwrap().iter().find(|it| it["name"] == peer).cloned();
            if let Some(alarm) = found.and_then(|it| it["alarm"].as_str().map(str::to_owned)) {
                return alarm;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    // Without an alarm there is nothing to return.
    tokio::time::timeout(PATIENCE, look).await.unwrap()
}

/// Two nodes may submit the same, which costs gas and nothing else; none of them may be missing.
async fn until_attested(trio: &Trio, packets: &[SentPacket]) {
    let all = async {
        loop {
            let verified = trio.net.verified().await;
            if packets.iter().all(|packet| verified.contains_key(packet.header.as_ref())) {
                return verified.len();
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let verified = tokio::time::timeout(PATIENCE, all).await.unwrap();
    assert_eq!(verified, packets.len(), "and nothing else is");
}

async fn assert_paged(process: &NodeProcess, node: &Node, peer: &str) {
    let (_, metrics) = process.fetch("metrics").await.unwrap();
    let counter = format!("dvn_peer_journal_conflicts_total{{peer=\"{peer}\"}} 1");
    assert!(metrics.contains(&counter), "{counter} is not in\n{metrics}");
    assert!(node.log().contains("peer_journal_conflict"), "{}", node.log());
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

fn proposal(sent: &SentPackets, ethereum: &Chain, conflux: &Chain, now: u64, journal: Value) -> Value {
    json!({
        "src_eid": ethereum.eid(), "block": sent.block_number, "block_hash": sent.block_hash,
        "tx_hash": sent.transaction, "log_index": sent.packets[0].log_index, "dst_eid": conflux.eid(),
        "confirmations": 2, "expiration": now + 900, "journal": journal,
    })
}

/// Somebody with a peer's certificate shows another journal than the peer does, and gets nothing; from then on nobody does
/// who calls himself that peer.
#[tokio::test(flavor = "multi_thread")]
async fn a_proposal_whose_journal_is_not_the_peers_is_refused() {
    for (what, edit) in [
        ("another name", json!({ "id": B256::repeat_byte(7), "rows": 0, "head": B256::ZERO })),
        ("a row that the peer does not have", json!({ "rows": 1_000_000, "head": B256::repeat_byte(7) })),
        ("a row with another hash", json!({ "head": B256::repeat_byte(7) })),
    ] {
        let Some(trio) = Trio::set("a stranger's journal").await else { return };
        let processes = trio.start().await;
        let first = trio.net.send("ethereum", 1).await;
        until_attested(&trio, &first).await;
        let sent = trio.net.send_together("ethereum", 1).await;
        let (ethereum, conflux) = (trio.net.chain("ethereum"), trio.net.chain("conflux"));
        let now = conflux.timestamp().await.unwrap();
        let [asked, certified] = [0, 1].map(|index: usize| trio.nodes[index].config.quorum.as_ref().unwrap().clone());
        let mut journal = shown(&trio, 1).await;
        if journal["rows"] == 0 {
            // Without rows any head is as good.
            journal["rows"] = json!(1);
        }
        let genuine = journal.clone();
        edit.as_object().unwrap().iter().for_each(|(key, value)| journal[key] = value.clone());
        let proposal = |journal: &Value| proposal(&sent, ethereum, conflux, now, journal.clone());
        let (status, answer) = proposer::propose(asked.port, &certified.tls, &proposal(&journal)).await;
        assert_eq!((status, &answer["refused"]), (409, &json!("Refused")), "{what}: {answer}");
        assert!(answer["reason"].as_str().unwrap().contains("this peer's"), "{what}: {answer}");
        until_alarm(&processes[0], "dvn-node-2").await;
        assert_paged(&processes[0], &trio.nodes[0], "dvn-node-2").await;
        let (status, answer) = proposer::propose(asked.port, &certified.tls, &proposal(&genuine)).await;
        assert_eq!((status, &answer["refused"]), (409, &json!("Refused")), "{what}: {answer}");
        // Nor is the peer itself asked any more, and the quorum is reached without it.
        let asked = || trio.nodes[1].log().matches("\"message\":\"cosigned\",\"peer\":\"dvn-node-1\"").count();
        let before = asked();
        until_first(&trio, 0).await;
        let more = trio.net.send("ethereum", 1).await;
        until_attested(&trio, &[first, sent.packets, more].concat()).await;
        assert_eq!(asked(), before, "{what}");
        for process in processes {
            assert!(process.stop().await.unwrap().success());
        }
    }
}

/// One row more than the original: whatever a copy signs or learns by itself.
async fn diverge(data_dir: &Path) {
    let sqlite = dvn_store::Sqlite::open(data_dir).await.unwrap();
    let journal = sqlite.store().journal;
    let mut intent = journal.rows(0, 1).await.unwrap()[0].intent.clone();
    intent.purpose = dvn_core::ports::Purpose::Recovered;
    intent.attestation.claim.header.nonce.0 = 1_000_000;
    journal.intend(&intent).await.unwrap();
    sqlite.close().await;
}

/// Waits for a block of the source from which on this node proposes for a while.
async fn until_first(trio: &Trio, index: usize) {
    let (ethereum, conflux) = (trio.net.chain("ethereum"), trio.net.chain("conflux"));
    let signers = [0, 1, 2].map(|index| keys::signer(index).address());
    loop {
        let latest: U64 = ethereum.anvil().rpc("eth_blockNumber", ()).await.unwrap();
        let next = latest.to::<u64>() + 2;
        let order = rank::order(Eid(ethereum.eid()), Eid(conflux.eid()), BlockNumber(next), signers);
        if order[0] == signers[index] && next % 32 < 24 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// T25, two journals: a copy of node 2 with its key and its certificate is started beside it. Its proposals are refused and
/// node 1 pages; the others go on.
#[tokio::test(flavor = "multi_thread")]
async fn t25_a_copy_of_a_node_beside_it_is_refused_and_paged() {
    let Some(trio) = Trio::set("a copy beside the node").await else { return };
    let mut processes = trio.start().await;
    let mut packets = Vec::new();
    while packets.is_empty() || shown(&trio, 1).await["rows"] == 0 {
        packets.extend(trio.net.send("ethereum", 1).await);
        until_attested(&trio, &packets).await;
    }
    assert!(processes.remove(1).stop().await.unwrap().success());
    let copied = trio.nodes[1].folder().join("copy");
    copy(&trio.nodes[1].config.data_dir, &copied);
    diverge(&copied).await;
    processes.insert(1, trio.nodes[1].start().await);

    let mut clone = Node::of(&trio.net);
    clone.config = trio.nodes[1].config.clone();
    (clone.config.data_dir, clone.config.port) = (copied, free_port().unwrap());
    clone.config.quorum.as_mut().unwrap().port = free_port().unwrap();
    clone.text = clone.config.for_devnet(&trio.net.devnet, &["conflux"]).unwrap();
    let copy = clone.start().await;

    let proposing = async {
        loop {
            until_first(&trio, 1).await;
            packets.extend(trio.net.send("ethereum", 1).await);
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    let alarm = tokio::select! {
        alarm = until_alarm(&processes[0], "dvn-node-2") => alarm,
        () = proposing => unreachable!("packets are sent for ever"),
    };
    assert!(alarm.contains("of this peer's journal"), "{alarm}");
    assert_paged(&processes[0], &trio.nodes[0], "dvn-node-2").await;
    let refused = async {
        while !trio.nodes[0].log().contains("a peer's proposal is refused") {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(PATIENCE, refused).await.unwrap();
    packets.extend(trio.net.send("ethereum", 2).await);
    until_attested(&trio, &packets).await;
    copy.kill().await.unwrap();
    for process in processes {
        assert!(process.stop().await.unwrap().success());
    }
}

/// T23 among peers: a node whose folder, mirror and all, is put back from an older copy does not see it; the others do.
#[tokio::test(flavor = "multi_thread")]
async fn t23_a_peer_that_forgot_rows_is_noticed() {
    let Some(trio) = Trio::set("a peer that forgot").await else { return };
    let mut processes = trio.start().await;
    let mut packets = trio.net.send("ethereum", 1).await;
    until_attested(&trio, &packets).await;
    assert!(processes.remove(1).stop().await.unwrap().success());
    let (data, yesterday) = (trio.nodes[1].config.data_dir.clone(), trio.nodes[1].folder().join("yesterday"));
    copy(&data, &yesterday);
    processes.insert(1, trio.nodes[1].start().await);
    let before = shown(&trio, 1).await["rows"].as_u64().unwrap();
    while shown(&trio, 1).await["rows"].as_u64().unwrap() == before {
        packets.extend(trio.net.send("ethereum", 1).await);
        until_attested(&trio, &packets).await;
    }
    // Long enough for a look.
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(processes.remove(1).stop().await.unwrap().success());
    std::fs::remove_dir_all(&data).unwrap();
    copy(&yesterday, &data);
    processes.insert(1, trio.nodes[1].spawn().await);
    for (process, node) in [(&processes[0], &trio.nodes[0]), (&processes[2], &trio.nodes[2])] {
        let alarm = until_alarm(process, "dvn-node-2").await;
        assert!(alarm.contains("of this peer's journal"), "{alarm}");
        assert_paged(process, node, "dvn-node-2").await;
    }
    packets.extend(trio.net.send("ethereum", 2).await);
    until_attested(&trio, &packets).await;
    for process in processes {
        assert!(process.stop().await.unwrap().success());
    }
}
