//! Packets at a steady rate while the destination makes trouble: transactions are dropped, fees rise, its node is started again, three
//! blocks are replaced on either chain. In the end every packet is attested, no nonce is stuck and memory has not grown.
//! `cargo xtask soak --steady` does it for 20 minutes.

use std::{
    collections::BTreeMap,
    path::Path,
    time::{Duration, Instant},
};

use alloy_primitives::{B256, Bytes, U64};
use dvn_testkit::{
    anvil::AnvilOptions,
    devnet::{Chain, ChainSpec, SentPacket},
    keys,
    node::NodeProcess,
};
use serde_json::Value;

use crate::setup::{Net, Node};

/// Packets of one transaction.
const TOGETHER: usize = 5;
/// Time between two of them.
const PACE: Duration = Duration::from_secs(1);
/// How long nothing may come through at the end.
const SETTLING: Duration = Duration::from_secs(120);
/// Megabytes that a node may grow by after its first quarter, in which caches fill.
const GROWTH: u64 = 64;

/// Chains whose blocks are final eight later, so that three may be replaced.
async fn net(folder: &Path) -> Option<Net> {
    let spec = |spec: ChainSpec, id: u64, name: &str| {
        let mut anvil = AnvilOptions::new(id);
        anvil.slots_in_an_epoch = 4;
        anvil.state = Some(folder.join(name));
        spec.with_anvil(anvil)
    };
    let ethereum = spec(ChainSpec::ethereum().with_confirmations(2), 1, "ethereum.json");
    let net = Net::start("steady", vec![ethereum, spec(ChainSpec::conflux(), 1_030, "conflux.json")]).await?;
    // Transactions wait for the next block, so that there is something to drop.
    net.chain("conflux").anvil().set_automine(false).await.unwrap();
    Some(net)
}

/// Everything that goes wrong, one after the other.
async fn trouble(kind: usize, net: &mut Net) -> &'static str {
    let conflux = net.chain("conflux").anvil();
    match kind % 5 {
        0 => {
            for _ in 0..5 {
                let _: Value = conflux.rpc("anvil_dropAllTransactions", ()).await.unwrap();
                tokio::time::sleep(Duration::from_millis(130)).await;
            }
            "transactions were dropped"
        }
        1 => {
            for _ in 0..10 {
                // Five hundred gwei; a node pays two hundred at most.
                let dear = U64::from(500_000_000_000_u64);
                let _: Value = conflux.rpc("anvil_setNextBlockBaseFeePerGas", (dear,)).await.unwrap();
                tokio::time::sleep(Duration::from_millis(300)).await;
            }
            "fees rose above the cap"
        }
        2 => {
            net.pause();
            conflux.restart().await.unwrap();
            conflux.set_automine(false).await.unwrap();
            net.resume();
            "the destination's node was started again"
        }
        3 => {
            net.pause();
            conflux.reorg(3, &[]).await.unwrap();
            net.resume();
            "three blocks of the destination were replaced"
        }
        _ => {
            net.pause();
            move_three(net.chain("ethereum")).await;
            net.resume();
            "three blocks of the source were replaced"
        }
    }
}

/// Replaces three blocks by others with the same transactions, each in the block after its own where there is one.
async fn move_three(chain: &Chain) {
    let head = chain.rpc().block_number().await.unwrap();
    let mut moved: Vec<(Bytes, u64)> = Vec::new();
    for offset in 0..3 {
        let block: Value =
            chain.anvil().rpc("eth_getBlockByNumber", (U64::from(head - 2 + offset), false)).await.unwrap();
        for hash in block["transactions"].as_array().unwrap() {
            let hash: B256 = serde_json::from_value(hash.clone()).unwrap();
            moved.push((chain.anvil().raw_transaction(hash).await.unwrap(), (offset + 1).min(2)));
        }
    }
    chain.anvil().reorg(3, &moved).await.unwrap();
}

/// Commits what is verified, as executors do, so that the node need not look at it for ever.
async fn commit(net: &Net, sent: &[SentPacket], done: &mut usize) {
    let verified = net.verified().await;
    while let Some(packet) = sent.get(*done)
        && verified.contains_key(packet.header.as_ref())
    {
        // Whoever was verified before a reorg may not be now; it is verified again, and committed by nobody.
        let _ = tokio::time::timeout(Duration::from_secs(5), net.devnet.commit(packet)).await;
        *done += 1;
    }
}

fn megabytes(process: &NodeProcess) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.id().unwrap())).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("0");
    line.split_whitespace().next().and_then(|kib| kib.parse::<u64>().ok()).unwrap_or_default() / 1_024
}

#[tokio::test(flavor = "multi_thread")]
async fn a_steady_load_survives_what_a_destination_does() {
    let seconds = std::env::var("DVN_STEADY_SECONDS").map_or(30, |number| number.parse().unwrap());
    let length = Duration::from_secs(seconds);
    let folder = tempfile::tempdir().unwrap();
    let Some(mut net) = net(folder.path()).await else { return };
    let node = Node::of(&net);
    let process = node.start().await;
    let (begun, mut sent, mut troubles, mut quarter) = (Instant::now(), Vec::new(), 0, None);
    let (mut last_trouble, mut committed) = (Instant::now(), 0);
    while begun.elapsed() < length {
        sent.extend(net.send("ethereum", TOGETHER).await);
        if last_trouble.elapsed() > Duration::from_secs(4) {
            let what = trouble(troubles, &mut net).await;
            println!(
                "{:>6.1} s, {} packets, {} MB: {what}",
                begun.elapsed().as_secs_f64(),
                sent.len(),
                megabytes(&process)
            );
            (troubles, last_trouble) = (troubles + 1, Instant::now());
        }
        if quarter.is_none() && begun.elapsed() > length / 4 {
            quarter = Some(megabytes(&process));
        }
        commit(&net, &sent, &mut committed).await;
        tokio::time::sleep(PACE).await;
    }
    settle(&net, &node, &sent).await;
    let (before, after) = (quarter.unwrap_or_default(), megabytes(&process));
    println!(
        "{} packets, {troubles} troubles, {:.0} s: each attested; {before} MB after a quarter, {after} MB at the end",
        sent.len(),
        begun.elapsed().as_secs_f64()
    );
    assert!(after <= before + GROWTH, "{before} MB after a quarter, {after} MB at the end");
    let [latest, pending] = [count(&net, "latest").await, count(&net, "pending").await];
    assert_eq!(latest, pending, "no transaction waits");
    assert!(process.stop().await.unwrap().success());
}

async fn count(net: &Net, tag: &str) -> u64 {
    let sender = keys::submitter(0).address();
    net.chain("conflux").anvil().rpc::<U64>("eth_getTransactionCount", (sender, tag)).await.unwrap().to()
}

/// Waits while packets still come through, until each is attested in a block that stays.
async fn settle(net: &Net, node: &Node, sent: &[SentPacket]) {
    let (mut least, mut since) = (usize::MAX, Instant::now());
    loop {
        let verified: BTreeMap<_, _> = net.verified().await;
        let missing = sent.iter().filter(|packet| !verified.contains_key(packet.header.as_ref())).count();
        if missing == 0 {
            assert!(verified.len() == sent.len() && verified.values().all(|times| *times == 1), "{verified:?}");
            return;
        }
        if missing < least {
            (least, since) = (missing, Instant::now());
        }
        if since.elapsed() > SETTLING {
            let log = node.log();
            let lines: Vec<&str> = log.lines().collect();
            panic!(
                "{missing} of {} are not attested\n{}",
                sent.len(),
                lines[lines.len().saturating_sub(60)..].join("\n")
            );
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}
