//! The chains, which all cases share, and one case's DVN on them.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use alloy_primitives::{Address, B256, Signature};
use async_trait::async_trait;
use dvn_chain::{
    ChainClass, EvmReader, EvmSource, EvmSubmitter, EvmVerifier, FeeCaps, Finality, Panel, Seat, SeatConfig,
    SourceConfig, SourceContracts, SubmitterConfig,
};
use dvn_core::{
    Destination, Dvn, RunError, Source,
    error::SignError,
    ids::{Confirmations, Eid, Guid},
    ports::{Chain, Signer, Store, SystemClock},
    quorum::Threshold,
};
use dvn_hsm::LocalSigner;
use dvn_store::Sqlite;
use dvn_testkit::{
    devnet::{self, ChainSpec, Devnet, PacketFields},
    keys,
    proxy::{FaultProxy, ForgedBranch},
    toolchain::Toolchain,
};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::schedule::{SEATS, Step};

const SOURCE: &str = "ethereum";
const DESTINATION: &str = "conflux";
/// How long a step lasts: several polls, some of which wait for silent seats.
const STEP: Duration = Duration::from_millis(700);

/// Two chains, and a proxy in front of the source for each seat.
pub(super) struct Stage {
    devnet: Devnet,
    proxies: Vec<FaultProxy>,
    cases: AtomicU64,
}

impl Stage {
    pub(super) async fn set(test: &str) -> Option<Self> {
        let toolchain = Toolchain::for_test(test)?;
        let builder = Devnet::builder().chain(ChainSpec::ethereum().with_confirmations(2)).chain(ChainSpec::conflux());
        let devnet = builder.start(&toolchain).await.unwrap();
        let mut proxies = Vec::new();
        for _ in 0..SEATS {
            let upstream = devnet.chain(SOURCE).unwrap().url().clone();
            proxies.push(FaultProxy::start(upstream).await.unwrap());
        }
        Some(Self { devnet, proxies, cases: AtomicU64::new(0) })
    }

    fn source(&self) -> &devnet::Chain {
        self.devnet.chain(SOURCE).unwrap()
    }

    fn destination(&self) -> &devnet::Chain {
        self.devnet.chain(DESTINATION).unwrap()
    }

    async fn mine(&self) {
        self.source().anvil().mine(3).await.unwrap();
        self.destination().anvil().mine(1).await.unwrap();
    }
}

/// A key that counts what it signs.
#[derive(Debug)]
struct Counting {
    key: LocalSigner,
    signed: AtomicU64,
}

#[async_trait]
impl Signer for Counting {
    fn address(&self) -> Address {
        self.key.address()
    }

    async fn sign_digest(&self, digest: B256) -> Result<Signature, SignError> {
        self.signed.fetch_add(1, Ordering::SeqCst);
        self.key.sign_digest(digest).await
    }
}

/// One DVN with a store of its own, a genuine packet on its way, and a forged one that follows it.
pub(super) struct Case<'a> {
    stage: &'a Stage,
    store: Store,
    signer: Arc<Counting>,
    branch: ForgedBranch,
    forged: Guid,
    number: u64,
    running: Running,
}

struct Running {
    stop: CancellationToken,
    task: JoinHandle<Result<(), RunError>>,
}

impl<'a> Case<'a> {
    pub(super) async fn begin(stage: &'a Stage) -> Self {
        stage.proxies.iter().for_each(FaultProxy::clear);
        let number = stage.cases.fetch_add(1, Ordering::Relaxed);
        let store = Sqlite::in_memory().await.unwrap().store();
        let key = LocalSigner::from_hex_secret(keys::signer(0).secret().to_string().into()).unwrap();
        let signer = Arc::new(Counting { key, signed: AtomicU64::new(0) });
        let running = start(stage, &store, &signer, number);
        let genuine = stage.devnet.send(stage.source(), stage.destination(), &[b"genuine".to_vec()]).await.unwrap();
        let genuine = genuine.packets[0].fields.clone();
        let fields =
            PacketFields { nonce: genuine.nonce + 1, message: b"drain everything".as_slice().into(), ..genuine };
        let next = stage.source().rpc().block_number().await.unwrap() + 1;
        let branch = ForgedBranch::at(next).packet(stage.source(), &fields);
        let forged = Guid(fields.guid());
        Self { stage, store, signer, branch, forged, number, running }
    }

    /// Makes every seat behave so for a while in which blocks are mined.
    pub(super) async fn play(&self, step: &Step) {
        for (proxy, conduct) in self.stage.proxies.iter().zip(step) {
            proxy.clear();
            if let Some(rule) = conduct.rule(&self.branch) {
                proxy.add(rule);
            }
        }
        for _ in 0..2 {
            self.stage.mine().await;
            tokio::time::sleep(STEP / 2).await;
        }
    }

    /// What the journal has for the forged packet's slot. (The next case's genuine packet has the same one, and another
    /// store.)
    pub(super) async fn forgeries_signed(&self) -> usize {
        self.store.journal.slot(self.forged).await.unwrap().len()
    }

    pub(super) async fn is_halted(&self) -> bool {
        !self.store.halts.standing().await.unwrap().is_empty()
    }

    pub(super) fn signed(&self) -> u64 {
        self.signer.signed.load(Ordering::SeqCst)
    }

    /// How much was signed, once what was in hand when the halt was raised is through.
    pub(super) async fn signed_when_quiet(&self) -> u64 {
        tokio::time::sleep(STEP).await;
        self.signed()
    }

    /// Ends the DVN as a crash does and starts it anew, with every seat honest.
    pub(super) async fn restart_healthy(&mut self) {
        self.running.task.abort();
        self.stage.proxies.iter().for_each(FaultProxy::clear);
        self.running = start(self.stage, &self.store, &self.signer, self.number);
        self.stage.mine().await;
        tokio::time::sleep(STEP).await;
    }

    pub(super) async fn end(mut self) {
        self.stage.proxies.iter().for_each(FaultProxy::clear);
        self.running.stop.cancel();
        (&mut self.running.task).await.unwrap().unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn start(stage: &Stage, store: &Store, signer: &Arc<Counting>, case: u64) -> Running {
    let stop = CancellationToken::new();
    let task = tokio::spawn(compose(stage, store, signer, case).run(stop.clone()));
    Running { stop, task }
}

fn compose(stage: &Stage, store: &Store, signer: &Arc<Counting>, case: u64) -> Dvn {
    let source = stage.source();
    let urls: Vec<Url> = stage.proxies.iter().map(|proxy| proxy.url().clone()).collect();
    let panel = panel(source, &urls, 3, case);
    let at = source.addresses();
    let contracts =
        SourceContracts { endpoint: at.endpoint, send_libs: vec![at.send_lib], legacy_send_libs: vec![], dvn: at.dvn };
    let config = SourceConfig::new(contracts, &ChainClass::Ethereum.profile(), Confirmations(1));
    let config = SourceConfig { block_time: Duration::from_millis(100), ..config };
    let reader = Arc::new(EvmReader::new(panel, config, Arc::clone(&store.finalized)));
    let from = Source::new(Arc::new(EvmSource::new(Arc::clone(&reader))), Arc::new(EvmVerifier::new(reader)));
    let signer: Arc<dyn Signer> = signer.clone();
    let to = Destination::new(Arc::new(submitter(stage, store)), signer).with_poll(Duration::from_millis(100));
    Dvn::builder().source(from).destination(to).store(store.clone()).build().unwrap()
}

/// A silent seat costs a tenth of a second here.
fn panel(chain: &devnet::Chain, urls: &[Url], need: usize, case: u64) -> Arc<Panel> {
    let seat = |(number, url): (usize, &Url)| {
        let mut url = url.clone();
        url.set_query(Some(&format!("case={case}")));
        let config = SeatConfig::new(url.as_str().parse().unwrap(), format!("operator-{number}"), "anvil".to_owned());
        Arc::new(Seat::try_new(chain.name(), config).unwrap())
    };
    let seats: Vec<_> = urls.iter().enumerate().map(seat).collect();
    let threshold = Threshold::try_new(seats.len(), need).unwrap();
    let named = Chain { name: chain.name().to_owned(), eid: Eid(chain.eid()) };
    let panel = Panel::try_new(named, seats, threshold).unwrap().with_chain_id(chain.chain_id());
    Arc::new(panel.with_patience(Duration::from_millis(400), Duration::from_millis(100)))
}

fn submitter(stage: &Stage, store: &Store) -> EvmSubmitter {
    let chain = stage.destination();
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
    let sender = Arc::new(LocalSigner::from_hex_secret(keys::submitter(0).secret().to_string().into()).unwrap());
    let panel = panel(chain, std::slice::from_ref(chain.url()), 1, 0);
    EvmSubmitter::new(panel, config, sender, Arc::clone(&store.outbox), Arc::new(SystemClock::new()))
}
