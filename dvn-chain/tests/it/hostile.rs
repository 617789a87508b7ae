//! Answers that are made to hurt their reader.

use std::{env, fs, process::Command, sync::Arc};

use dvn_chain::ChainClass;
use dvn_core::ids::BlockNumber;
use dvn_testkit::{
    devnet::SentPackets,
    proxy::{Exchange, Fault, FaultProxy, Hostile, Rule},
    rpc::Rpc,
};
use tokio::runtime::{Builder, Runtime};

use crate::proxied::{HASTY, Looker, Net};

const GIBI: u64 = 1 << 30;
/// What all bodies together may take at any moment.
const MOST_GROWTH: u64 = 200 << 20;
/// The seat that is hostile.
const SEAT: usize = 0;
/// Evidence is asked of seats in an order that is left to chance; so often at most until it is this one's turn.
const LOOKS: usize = 100;
/// Set where the test runs by itself.
const ALONE: &str = "DVN_T50_ALONE";

/// All but the bomb.
fn kinds() -> Vec<Hostile> {
    vec![
        Hostile::Oversized { bytes: GIBI },
        Hostile::Endless,
        Hostile::Slow,
        Hostile::Deep { levels: 1_000_000 },
        Hostile::WrongContentType,
        Hostile::WrongId,
        Hostile::Nan,
        Hostile::Truncated,
        Hostile::NotJson,
    ]
}

/// T50: whatever one seat of four sends for whatever it is asked, the others are heard and memory stays small.
#[test]
fn t50_hostile_bodies_take_no_memory_and_stall_nobody() {
    // In a process of its own, so that it measures nobody else's memory.
    if env::var_os(ALONE).is_some() {
        return measure();
    }
    let mut itself = Command::new(env::current_exe().unwrap());
    itself.args(["--exact", "hostile::t50_hostile_bodies_take_no_memory_and_stall_nobody", "--nocapture"]);
    let output = itself.env(ALONE, "1").output().unwrap();
    assert!(output.status.success(), "{}", [output.stdout, output.stderr].map(|it| text(&it)).concat());
}

fn text(output: &[u8]) -> String {
    String::from_utf8_lossy(output).into_owned()
}

fn measure() {
    // A bomb is made in steps that take long; the hostile node has a thread of its own for it.
    let (ours, theirs) = (runtime(), runtime());
    let Some(mut net) = ours.block_on(Net::start(4)) else { return };
    net.proxies[SEAT] = theirs.block_on(FaultProxy::start(net.source().url().clone())).unwrap();
    ours.block_on(hurt(&net));
}

fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

/// Two final blocks with a packet each. The first evidence fetched for the lower one is a header; for the other one it
/// is the receipts.
struct Blocks {
    below: SentPackets,
    settled: SentPackets,
}

async fn hurt(net: &Net) {
    let blocks = Blocks { below: net.send(1).await, settled: net.send(1).await };
    net.mine(2).await;
    let before = memory("VmRSS:");
    for kind in kinds() {
        for (sent, method) in [(&blocks.below, "eth_getBlockByHash"), (&blocks.settled, "eth_getBlockReceipts")] {
            let rule = Rule::new(Fault::Hostile { kind: kind.clone() });
            attempt(net, &blocks, sent, rule, method).await;
        }
    }
    for (sent, method) in [
        (&blocks.below, "eth_getBlockByNumber"),
        (&blocks.below, "eth_getBlockByHash"),
        (&blocks.settled, "eth_getBlockReceipts"),
    ] {
        // One at a time, since it takes its maker long without optimisation. Heads are two calls of one request.
        let bomb = Rule::new(Fault::Hostile { kind: Hostile::GzipBomb { bytes: GIBI } });
        attempt(net, &blocks, sent, bomb.method(method).times(2), method).await;
    }
    let growth = memory("VmHWM:").saturating_sub(before);
    assert!(growth < MOST_GROWTH, "memory grew by {growth} bytes");
}

/// Looks at a packet while the seat is hostile when it is asked this, and perhaps more.
async fn attempt(net: &Net, blocks: &Blocks, sent: &SentPackets, rule: Rule, method: &str) {
    let (proxy, what) = (&net.proxies[SEAT], format!("{rule:?}"));
    // Whatever it still makes for nobody is done with before it is asked again.
    Rpc::new(proxy.url().clone()).block_number().await.unwrap();
    net.forget();
    proxy.add(rule);
    let is_hit = |it: &Exchange| it.method == method && !it.fired.is_empty();
    // A seat that was slow about the head is asked last, and others have the evidence by then.
    let is_spared = what.contains("Slow");
    let mut looks = 0;
    while looks == 0 || !(is_spared || proxy.traffic().iter().any(is_hit)) {
        assert!(looks < LOOKS, "not asked for {method}: {what}");
        let served_by = look(net, sent, &blocks.settled, &what).await;
        // A bomb was for one question; to the others the seat has good answers.
        let may_serve = what.contains("Bomb") && method != "eth_getBlockReceipts";
        assert!(may_serve || !served_by.contains(&net.label(SEAT)), "{what}: {served_by}");
        looks += 1;
    }
    net.honest();
}

/// Head and packet are found; says which seats served the receipts.
async fn look(net: &Net, sent: &SentPackets, settled: &SentPackets, what: &str) -> String {
    let looker = Looker::new(Arc::new(net.panel(3, HASTY)), net.config(ChainClass::Ethereum));
    assert_eq!(looker.head().await.settled, BlockNumber(settled.block_number), "{what}");
    let evidence = looker.evidence(&net.location(sent, &sent.packets[0])).await;
    evidence["votes"]["receipts"]["served_by"].to_string()
}

/// What the process holds now, or held at most, where the system tells.
fn memory(field: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap_or_default();
    let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse().unwrap_or_default();
    kibibytes << 10
}
