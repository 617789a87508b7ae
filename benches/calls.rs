//! What a source chain's seats are asked: calls and bytes per idle block, per block with packets and per packet, by method.
//! The whole DVN runs in this process on local chains with LayerZero's own contracts; a proxy in front of each seat counts.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::arithmetic_side_effects,
    clippy::cast_precision_loss,
    reason = "a benchmark prints and stops when something is off"
)]

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use dvn_chain::{
    ChainClass, EvmReader, EvmSource, EvmSubmitter, EvmVerifier, FeeCaps, Finality, Panel, RedactedUrl, Seat,
    SeatConfig, SourceConfig, SourceContracts, SubmitterConfig,
};
use dvn_core::{
    Destination, Dvn, Source,
    ids::{Confirmations, Eid},
    ports::{Chain, Store, SystemClock},
    quorum::Threshold,
};
use dvn_hsm::LocalSigner;
use dvn_store::Sqlite;
use dvn_testkit::{
    devnet::{self, ChainSpec, Devnet},
    keys::{self, Key},
    proxy::{Exchange, FaultProxy},
    toolchain::Toolchain,
};
use tokio_util::sync::CancellationToken;
use url::Url;

const SEATS: usize = 3;
const BLOCK: Duration = Duration::from_millis(250);
const IDLE_BLOCKS: u32 = 60;
const HEADS: &str = "eth_getBlockByNumber";
const PACKETS: [usize; 3] = [1, 10, 100];

#[tokio::main]
async fn main() {
    let toolchain = Toolchain::install(|line| println!("{line}")).unwrap();
    for class in [ChainClass::Ethereum, ChainClass::Conflux] {
        for pushes in [false, true] {
            measure(&toolchain, class, pushes).await;
        }
    }
}

async fn measure(toolchain: &Toolchain, class: ChainClass, pushes: bool) {
    let builder = Devnet::builder().chain(ChainSpec::ethereum().with_confirmations(2)).chain(ChainSpec::conflux());
    let devnet = builder.start(toolchain).await.unwrap();
    let (ethereum, conflux) = (devnet.chain("ethereum").unwrap(), devnet.chain("conflux").unwrap());
    let mut proxies = Vec::new();
    for _ in 0..SEATS {
        proxies.push(FaultProxy::start(ethereum.url().clone()).await.unwrap());
    }
    let store = Sqlite::in_memory().await.unwrap().store();
    let stop = CancellationToken::new();
    let running = tokio::spawn(compose(&devnet, &proxies, &store, (class, pushes)).run(stop.clone()));
    mine(&devnet, 12).await;

    let followed = if pushes { "that push heads" } else { "that are polled" };
    println!("\nclass {class:?}, {SEATS} seats {followed}, per seat");
    proxies.iter().for_each(FaultProxy::forget_traffic);
    let started = Instant::now();
    mine(&devnet, IDLE_BLOCKS).await;
    let block_time = started.elapsed() / IDLE_BLOCKS;
    let idle = Tally::of(&proxies).per(f64::from(IDLE_BLOCKS));
    idle.print("idle block");
    for packets in PACKETS {
        proxies.iter().for_each(FaultProxy::forget_traffic);
        let started = Instant::now();
        let before = conflux.payload_verified_logs().await.unwrap().len();
        devnet.send(ethereum, conflux, &vec![b"hello".to_vec(); packets]).await.unwrap();
        while conflux.payload_verified_logs().await.unwrap().len() < before + packets {
            mine(&devnet, 1).await;
        }
        let blocks = started.elapsed().as_secs_f64() / block_time.as_secs_f64();
        let all = Tally::of(&proxies);
        let extra = all.beyond(&idle, blocks);
        extra.print(&format!("block with {packets} packets, beyond idle ones"));
        println!("    heads meanwhile, {blocks:.1} blocks{:>26.2} calls", all.heads());
        let each = extra.per(packets as f64);
        let what = format!("per packet at {packets} a block");
        println!("    {what:<40} {:>8.2} calls {:>10.0} bytes", each.calls(), each.bytes());
    }
    stop.cancel();
    running.await.unwrap().unwrap();
}

async fn mine(devnet: &Devnet, blocks: u32) {
    for _ in 0..blocks {
        for chain in devnet.chains() {
            chain.anvil().mine(1).await.unwrap();
        }
        tokio::time::sleep(BLOCK).await;
    }
}

/// Calls and bytes of one seat on average, by method.
struct Tally(BTreeMap<String, (f64, f64)>);

impl Tally {
    fn of(proxies: &[FaultProxy]) -> Self {
        let mut methods = BTreeMap::<String, (f64, f64)>::new();
        for Exchange { method, request_bytes, response_bytes, .. } in proxies.iter().flat_map(FaultProxy::traffic) {
            let (calls, bytes) = methods.entry(method).or_default();
            *calls += 1.0 / SEATS as f64;
            *bytes += (request_bytes + response_bytes) as f64 / SEATS as f64;
        }
        Self(methods)
    }

    fn per(&self, count: f64) -> Self {
        Self(self.0.iter().map(|(method, (calls, bytes))| (method.clone(), (calls / count, bytes / count))).collect())
    }

    /// What is more than so many idle blocks would have taken, without the heads: those are asked for by the clock, and
    /// packets take a while to send and to attest, so that they are told apart.
    fn beyond(&self, idle: &Self, blocks: f64) -> Self {
        let more = |(method, (calls, bytes)): (&String, &(f64, f64))| {
            let (idle_calls, idle_bytes) = idle.0.get(method).copied().unwrap_or_default();
            let rest = (calls - idle_calls * blocks).max(0.0);
            // One poll more or less is the moment's chance.
            (method != HEADS && rest > idle_calls.max(0.1))
                .then(|| (method.clone(), (rest, (bytes - idle_bytes * blocks).max(0.0))))
        };
        Self(self.0.iter().filter_map(more).collect())
    }

    fn heads(&self) -> f64 {
        self.0.get(HEADS).map_or(0.0, |(calls, _)| *calls)
    }

    fn calls(&self) -> f64 {
        self.0.values().map(|(calls, _)| calls).sum()
    }

    fn bytes(&self) -> f64 {
        self.0.values().map(|(_, bytes)| bytes).sum()
    }

    fn print(&self, what: &str) {
        println!("  {what:<42} {:>8.2} calls {:>10.0} bytes", self.calls(), self.bytes());
        for (method, (calls, bytes)) in &self.0 {
            println!("    {method:<40} {calls:>8.2} calls {bytes:>10.0} bytes");
        }
    }
}

fn compose(devnet: &Devnet, proxies: &[FaultProxy], store: &Store, (class, pushes): (ChainClass, bool)) -> Dvn {
    let (source, destination) = (devnet.chain("ethereum").unwrap(), devnet.chain("conflux").unwrap());
    let urls: Vec<_> = proxies.iter().map(|proxy| (proxy.url().clone(), pushes.then(|| proxy.ws_url()))).collect();
    let at = source.addresses();
    let contracts =
        SourceContracts { endpoint: at.endpoint, send_libs: vec![at.send_lib], legacy_send_libs: vec![], dvn: at.dvn };
    let config = SourceConfig::new(contracts, &class.profile(), Confirmations(1));
    let config = SourceConfig { block_time: BLOCK, ..config };
    let reader = Arc::new(EvmReader::new(panel(source, &urls), config, Arc::clone(&store.finalized)));
    let from = Source::new(Arc::new(EvmSource::new(Arc::clone(&reader))), Arc::new(EvmVerifier::new(reader)));
    let to = Destination::new(Arc::new(submitter(destination, store)), signer(&keys::signer(0))).with_poll(BLOCK);
    Dvn::builder().source(from).destination(to).store(store.clone()).build().unwrap()
}

fn panel(chain: &devnet::Chain, urls: &[(Url, Option<Url>)]) -> Arc<Panel> {
    let seat = |(number, (url, ws)): (usize, &(Url, Option<Url>))| {
        let operator = format!("operator-{number}");
        let mut config = SeatConfig::new(url.as_str().parse().unwrap(), operator, "anvil".to_owned());
        config.ws = ws.as_ref().map(|ws| RedactedUrl::web_socket(ws.as_str()).unwrap());
        Arc::new(Seat::try_new(chain.name(), config).unwrap())
    };
    let seats: Vec<_> = urls.iter().enumerate().map(seat).collect();
    let threshold = Threshold::try_new(seats.len(), Threshold::safe(seats.len())).unwrap();
    let named = Chain { name: chain.name().to_owned(), eid: Eid(chain.eid()) };
    Arc::new(Panel::try_new(named, seats, threshold).unwrap().with_chain_id(chain.chain_id()))
}

fn signer(key: &Key) -> Arc<LocalSigner> {
    Arc::new(LocalSigner::from_hex_secret(key.secret().to_string().into()).unwrap())
}

fn submitter(chain: &devnet::Chain, store: &Store) -> EvmSubmitter {
    let config = SubmitterConfig {
        chain_id: chain.chain_id(),
        endpoint: chain.addresses().endpoint,
        receive_libs: vec![chain.addresses().receive_lib],
        dvn: chain.addresses().dvn,
        finality: Finality::Finalized,
        floor: Confirmations(1),
        log_range: ChainClass::Generic.profile().log_range,
        gas: ChainClass::Generic.profile().gas,
        fees: FeeCaps { max_fee: 1_000_000_000_000, max_priority_fee: 5_000_000_000 },
        replace_after: Duration::from_secs(60),
        resend_after: Duration::from_secs(60),
        expiry_margin: Duration::from_secs(30),
    };
    let panel = panel(chain, &[(chain.url().clone(), None)]);
    let (sender, outbox) = (signer(&keys::submitter(0)), Arc::clone(&store.outbox));
    EvmSubmitter::new(panel, config, sender, outbox, Arc::new(SystemClock::new()))
}
