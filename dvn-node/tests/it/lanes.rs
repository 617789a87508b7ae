//! A node's lane in trouble: dropped transactions, a shared key, fees that rise, and another admin that is faster.

use std::time::{Duration, Instant};

use alloy_primitives::{Bytes, U64, U128, U256};
use dvn_testkit::{
    devnet::{Chain, SentPacket},
    keys,
    node::{NodeEvent, NodeProcess},
};
use serde_json::Value;

use crate::setup::{Net, Node, PATIENCE, TEMPTATION};

/// What a node may pay for a unit of gas, in gwei and in wei.
const CAP_GWEI: u64 = 20;
const CAP: u128 = 20_000_000_000;
/// Fifty times what a local chain begins with.
const DEAR: u64 = 50_000_000_000;

/// A node that pays no more than the cap.
fn thrifty(net: &Net) -> Node {
    let mut node = Node::of(net);
    let fees = format!("    fees: {{ max_fee_gwei: {CAP_GWEI}, max_priority_gwei: 1 }}\n    sender:\n");
    node.text = node.text.replacen("    sender:\n", &fees, 1);
    node
}

async fn count(chain: &Chain, tag: &str) -> u64 {
    let sender = keys::submitter(0).address();
    chain.anvil().rpc::<U64>("eth_getTransactionCount", (sender, tag)).await.unwrap().to()
}

/// Makes gas dear on the destination, and keeps it so: nothing is mined there until the network goes on.
async fn make_dear(net: &Net) {
    net.pause();
    let anvil = net.chain("conflux").anvil();
    anvil.set_automine(false).await.unwrap();
    let _: Value = anvil.rpc("anvil_setNextBlockBaseFeePerGas", (U64::from(DEAR),)).await.unwrap();
    anvil.mine(1).await.unwrap();
}

/// Sends packets and makes them final.
async fn send(net: &Net, messages: usize) -> Vec<SentPacket> {
    let packets = net.send("ethereum", messages).await;
    net.chain("ethereum").anvil().mine(20).await.unwrap();
    packets
}

async fn until_metric(process: &NodeProcess, line: &str) {
    until(process, "metrics", |metrics| metrics.lines().any(|it| it.starts_with(line))).await;
}

async fn until(process: &NodeProcess, page: &str, wanted: impl Fn(&str) -> bool) {
    let began = Instant::now();
    loop {
        let (_, body) = process.fetch(page).await.unwrap();
        if wanted(&body) {
            return;
        }
        assert!(began.elapsed() < PATIENCE, "it never came to\n{body}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The most that a mined transaction offered for a unit of gas.
async fn offered(chain: &Chain) -> Vec<u128> {
    let mut offers = Vec::new();
    for hash in chain.execute_transactions().await.unwrap() {
        let transaction: Value = chain.anvil().rpc("eth_getTransactionByHash", (hash,)).await.unwrap();
        offers.push(serde_json::from_value::<U128>(transaction["maxFeePerGas"].clone()).unwrap().to());
    }
    offers
}

#[tokio::test(flavor = "multi_thread")]
async fn t40_a_lane_recovers_from_dropped_transactions_a_kill_and_a_shared_key() {
    let Some(mut net) = Net::pair("a lane in trouble").await else { return };
    let node = Node::of(&net);
    let mut process = node.start().await;
    net.pause();
    let (anvil, began) = (net.chain("conflux").anvil(), Instant::now());
    anvil.set_automine(false).await.unwrap();
    let mut packets = send(&net, 2).await;
    let is_kept = |event: &NodeEvent| event.text("message") == "transaction kept";
    process.until_event(PATIENCE, is_kept).await.unwrap();
    // Killed as soon as the transaction is durable, whether or not it was sent; no node has it, and somebody with the same key
    // takes its nonce.
    process.kill().await.unwrap();
    let _: Value = anvil.rpc("anvil_dropAllTransactions", ()).await.unwrap();
    let key = keys::submitter(0);
    net.chain("conflux").submit(&key, key.address(), U256::ZERO, Bytes::new()).await.unwrap();
    anvil.mine(1).await.unwrap();
    assert_eq!(count(net.chain("conflux"), "latest").await, 1);
    let mut process = node.start().await;
    packets.extend(send(&net, 1).await);
    process.until_event(PATIENCE, is_kept).await.unwrap();
    let _: Value = anvil.rpc("anvil_dropAllTransactions", ()).await.unwrap();
    net.resume();
    net.until_exactly(&packets).await;
    assert!(began.elapsed() < Duration::from_secs(120));
    until_metric(&process, "dvn_foreign_transactions_total{chain=\"conflux\"} 1").await;
    // Nothing is left that waits behind a nonce.
    assert_eq!(count(net.chain("conflux"), "latest").await, count(net.chain("conflux"), "pending").await);
    packets.extend(net.send("ethereum", 1).await);
    net.until_exactly(&packets).await;
    assert!(process.stop().await.unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn t41_above_the_cap_work_waits_and_alarms_and_goes_on_when_fees_fall() {
    let Some(mut net) = Net::pair("fees above the cap").await else { return };
    let node = thrifty(&net);
    let process = node.start().await;
    let first = net.send("ethereum", 1).await;
    net.until_exactly(&first).await;
    let sent = count(net.chain("conflux"), "latest").await;
    make_dear(&net).await;
    let second = send(&net, 3).await;
    until_metric(&process, "dvn_lane_failures_total{chain=\"conflux\",kind=\"FeeCap\"}").await;
    until_metric(&process, "dvn_target_degraded{chain=\"conflux\"} 1").await;
    until(&process, "ready", |ready| ready.contains("fees are above the configured cap")).await;
    let status = node.command(&["status"]);
    assert!(String::from_utf8_lossy(&status.stdout).contains("fees are above the configured cap"), "{status:?}");
    tokio::time::sleep(TEMPTATION).await;
    assert_eq!(count(net.chain("conflux"), "pending").await, sent, "nothing was sent");
    // Empty blocks bring the fee down.
    net.resume();
    let all: Vec<SentPacket> = first.into_iter().chain(second).collect();
    net.until_exactly(&all).await;
    let offered = offered(net.chain("conflux")).await;
    assert!(offered.iter().all(|fee| *fee <= CAP), "{offered:?}");
    until_metric(&process, "dvn_target_degraded{chain=\"conflux\"} 0").await;
    assert!(process.stop().await.unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn t44_what_another_admin_put_on_chain_first_is_not_sent_again() {
    let Some(mut net) = Net::pair("another admin is faster").await else { return };
    let node = thrifty(&net);
    let mut process = node.start().await;
    let first = net.send("ethereum", 1).await;
    net.until_exactly(&first).await;
    let sent = count(net.chain("conflux"), "latest").await;
    // Signed, and kept back by the price; meanwhile somebody else has the same attestation executed.
    make_dear(&net).await;
    let second = send(&net, 1).await;
    until_metric(&process, "dvn_lane_failures_total{chain=\"conflux\",kind=\"FeeCap\"}").await;
    let conflux = net.chain("conflux");
    // The very signature of the node's: one that its journal does not know would be another story.
    let guid = second[0].guid.to_string();
    let moved = |to: &'static str| move |event: &NodeEvent| event.is_move_to(to) && event.text("guid") == guid;
    let signed = process.until_event(PATIENCE, moved.clone()("signed")).await.unwrap();
    let detail: Value = serde_json::from_str(&signed.text("detail")).unwrap();
    let mut attestation = conflux.attestation(&second[0], 2).await.unwrap();
    attestation.expiration = detail["expiration"].as_u64().unwrap();
    let signatures = attestation.sign(&[keys::signer(0)]);
    conflux.anvil().set_automine(true).await.unwrap();
    conflux.execute(conflux.addresses().dvn, &keys::deployer(), &[(attestation, signatures)]).await.unwrap();
    net.resume();
    let attested = process.until_event(PATIENCE, moved("attested")).await;
    assert!(attested.is_ok(), "{}", node.log());
    tokio::time::sleep(TEMPTATION).await;
    let all: Vec<SentPacket> = first.into_iter().chain(second).collect();
    net.assert_exactly(&all).await;
    assert_eq!(count(net.chain("conflux"), "pending").await, sent, "no transaction of ours");
    until_metric(&process, "dvn_target_degraded{chain=\"conflux\"} 0").await;
    assert!(process.stop().await.unwrap().success());
}
