//! A cold node catches up: 200,000 blocks with 2,000 packets in them, read by the whole DVN into its store on disk, beside a
//! bare loop that asks the same node for the same ranges one after the other and keeps nothing.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::arithmetic_side_effects,
    reason = "a benchmark prints and stops when something is off"
)]

mod node;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use dvn_chain::{
    ChainClass, EvmReader, EvmSource, EvmSubmitter, FeeCaps, Finality, Panel, Seat, SeatConfig, SourceConfig,
    SourceContracts, SubmitterConfig,
};
use dvn_core::{
    Destination, Dvn, Source,
    error::{VerifyError, VerifyErrorKind},
    ids::{BlockNumber, Confirmations, Eid},
    job::Location,
    ports::{Chain, SystemClock, Verification, Verifier},
    quorum::Threshold,
};
use dvn_hsm::LocalSigner;
use dvn_store::Sqlite;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use self::node::{BLOCKS, DST, Node, PACKETS, SRC};

#[tokio::main]
async fn main() {
    println!("{BLOCKS} blocks, {PACKETS} packets\n");
    println!("{:<6} {:>12} {:>10} {:>12} {:>8} {:>8}", "seats", "node answers", "ranges", "bare loop", "ours", "ratio");
    for seats in [1, 3] {
        for pause in [0, 25, 100, 250] {
            measure(seats, Duration::from_millis(pause)).await;
        }
    }
}

async fn measure(seats: usize, pause: Duration) {
    let mut nodes = Vec::new();
    for _ in 0..seats {
        nodes.push(Node::start(pause).await);
    }
    let ours = ours(&nodes).await;
    let ranges = nodes[0].ranges();
    let bare = bare(&nodes[0], &ranges).await;
    let ratio = ours.as_secs_f64() / bare.as_secs_f64();
    let (ours, bare) = (format!("{ours:.2?}"), format!("{bare:.2?}"));
    println!("{seats:<6} {:>12} {:>10} {bare:>12} {ours:>8} {ratio:>8.2}", format!("{pause:?}"), ranges.len());
}

/// From the start to the moment when nothing is left to read and every packet is in the store.
async fn ours(nodes: &[Node]) -> Duration {
    let folder = tempfile::tempdir().unwrap();
    let store = Sqlite::open(&folder.path().join("dvn.sqlite")).await.unwrap().store();
    let dvn = compose(nodes, &store);
    let progress = dvn.progress();
    let stop = CancellationToken::new();
    let begun = Instant::now();
    let running = tokio::spawn(dvn.run(stop.clone()));
    loop {
        tokio::time::sleep(Duration::from_millis(5)).await;
        let report = progress.report();
        let Some(source) = report.sources.get(&SRC) else { continue };
        if source.cursor >= source.head.map(|head| head.settled) && source.head.is_some() {
            break;
        }
    }
    let lasted = begun.elapsed();
    let stored: u64 = store.jobs.tally().await.unwrap().iter().map(|tally| tally.count).sum();
    assert_eq!(stored, PACKETS);
    stop.cancel();
    running.await.unwrap().unwrap();
    lasted
}

/// The same questions one after the other, each answer parsed and dropped.
async fn bare(node: &Node, ranges: &[Value]) -> Duration {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let begun = Instant::now();
    let mut logs = 0;
    for filter in ranges {
        let question = json!({ "jsonrpc": "2.0", "id": 1, "method": "eth_getLogs", "params": [filter] });
        let answer: Value = client.post(&node.url).json(&question).send().await.unwrap().json().await.unwrap();
        logs += answer["result"].as_array().unwrap().len();
    }
    assert!(logs as u64 >= 2 * PACKETS, "{logs} logs");
    begun.elapsed()
}

/// Packets are found and not verified: this is about reading.
#[derive(Debug)]
struct Later(Chain);

#[async_trait]
impl Verifier for Later {
    fn chain(&self) -> &Chain {
        &self.0
    }

    async fn verify(&self, _: &Location) -> Result<Verification, VerifyError> {
        Err(VerifyError::new(VerifyErrorKind::Missing))
    }
}

fn compose(nodes: &[Node], store: &dvn_core::ports::Store) -> Dvn {
    let contracts = SourceContracts {
        endpoint: node::ENDPOINT,
        send_libs: vec![node::SEND_LIB],
        legacy_send_libs: vec![],
        dvn: node::DVN,
    };
    let config = SourceConfig::new(contracts, &ChainClass::Generic.profile(), Confirmations(1));
    let reader = EvmReader::new(panel("source", SRC, nodes), config, Arc::clone(&store.finalized));
    let later = Later(Chain { name: "source".to_owned(), eid: SRC });
    let from =
        Source::new(Arc::new(EvmSource::new(Arc::new(reader))), Arc::new(later)).with_start_block(BlockNumber(1));
    let signer = || Arc::new(LocalSigner::from_hex_secret(format!("{:064x}", 7).into()).unwrap());
    let config = SubmitterConfig {
        chain_id: 2,
        endpoint: node::ENDPOINT,
        receive_libs: vec![node::SEND_LIB],
        dvn: node::DVN,
        finality: Finality::Finalized,
        floor: Confirmations(1),
        log_range: 2_000,
        gas: ChainClass::Generic.profile().gas,
        fees: FeeCaps { max_fee: 1, max_priority_fee: 1 },
        replace_after: Duration::from_secs(60),
        resend_after: Duration::from_secs(60),
        expiry_margin: Duration::from_secs(30),
    };
    let to = panel("target", DST, &nodes[..1]);
    let submitter = EvmSubmitter::new(to, config, signer(), Arc::clone(&store.outbox), Arc::new(SystemClock::new()));
    let to = Destination::new(Arc::new(submitter), signer());
    Dvn::builder().source(from).destination(to).store(store.clone()).build().unwrap()
}

fn panel(name: &str, eid: Eid, nodes: &[Node]) -> Arc<Panel> {
    let seat = |node: &Node| {
        let config = SeatConfig::new(node.url.parse().unwrap(), "acme".to_owned(), "geth".to_owned());
        Arc::new(Seat::try_new(name, config).unwrap())
    };
    let threshold = Threshold::try_new(nodes.len(), Threshold::safe(nodes.len())).unwrap();
    Arc::new(Panel::try_new(Chain { name: name.to_owned(), eid }, nodes.iter().map(seat).collect(), threshold).unwrap())
}
