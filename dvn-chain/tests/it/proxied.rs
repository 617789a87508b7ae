//! A source chain with the real contracts, and a fault-injecting proxy in front of its node for each seat.

use std::{sync::Arc, time::Duration};

use alloy::primitives::B256;
use dvn_chain::{ChainClass, EvmReader, EvmSource, EvmVerifier, Panel, SourceConfig, SourceContracts};
use dvn_core::{
    error::{VerifyError, VerifyErrorKind},
    ids::{BlockNumber, BlockRef, Confirmations, Eid},
    job::Location,
    ports::{Chain, ChainSource, Head, Observation, Verification, Verifier},
    quorum::Threshold,
};
use dvn_testkit::{
    devnet::{self, ChainSpec, Devnet, SentPacket, SentPackets},
    proxy::{Exchange, Fault, FaultProxy, Rule, RuleId},
    toolchain::Toolchain,
};
use serde_json::Value;
use url::Url;

use crate::{fakes::Hashes, node};

/// So long that no dissent comes too late on a slow machine.
pub(crate) const PATIENT: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(60));
/// For seats that never answer: the others agree and do not wait for them.
pub(crate) const HASTY: (Duration, Duration) = (Duration::from_secs(30), Duration::from_millis(100));
/// So many blocks above a packet make it final.
pub(crate) const FINAL: u64 = 5;

/// Two chains, of which the first is only seen through proxies.
#[derive(Debug)]
pub(crate) struct Net {
    pub(crate) devnet: Devnet,
    /// In the order of the seats.
    pub(crate) proxies: Vec<FaultProxy>,
}

/// The adapters of one source chain over one reader.
pub(crate) struct Looker {
    pub(crate) reader: Arc<EvmReader>,
    pub(crate) source: EvmSource,
    pub(crate) verifier: EvmVerifier,
}

impl Net {
    /// Or nothing, where the toolchain is not installed.
    pub(crate) async fn start(seats: usize) -> Option<Self> {
        Self::start_with(seats, ChainSpec::ethereum()).await
    }

    pub(crate) async fn start_with(seats: usize, source: ChainSpec) -> Option<Self> {
        let toolchain = Toolchain::for_test("seats behind proxies over the real contracts")?;
        let devnet = Devnet::builder().chain(source).chain(ChainSpec::conflux()).start(&toolchain).await.unwrap();
        let mut proxies = Vec::new();
        for _ in 0..seats {
            proxies.push(FaultProxy::start(devnet.chains()[0].url().clone()).await.unwrap());
        }
        Some(Self { devnet, proxies })
    }

    pub(crate) fn source(&self) -> &devnet::Chain {
        &self.devnet.chains()[0]
    }

    pub(crate) fn destination(&self) -> &devnet::Chain {
        &self.devnet.chains()[1]
    }

    /// Packets of one transaction.
    pub(crate) async fn send(&self, count: usize) -> SentPackets {
        let messages: Vec<_> = (0..count).map(|number| format!("message {number}").into_bytes()).collect();
        self.devnet.send(self.source(), self.destination(), &messages).await.unwrap()
    }

    pub(crate) async fn mine(&self, blocks: u64) {
        self.source().anvil().mine(blocks).await.unwrap();
    }

    /// One packet, final.
    pub(crate) async fn send_final(&self) -> (SentPackets, Location) {
        let sent = self.send(1).await;
        self.mine(FINAL).await;
        let location = self.location(&sent, &sent.packets[0]);
        (sent, location)
    }

    pub(crate) fn location(&self, sent: &SentPackets, packet: &SentPacket) -> Location {
        let block = BlockRef { number: BlockNumber(sent.block_number), hash: sent.block_hash };
        let (src_eid, tx_hash, log_index) = (Eid(self.source().eid()), sent.transaction, packet.log_index);
        Location { src_eid, block, tx_hash, log_index }
    }

    /// A fault for every call to these seats.
    pub(crate) fn fault(&self, seats: std::ops::Range<usize>, fault: &Fault) -> Vec<RuleId> {
        self.proxies[seats].iter().map(|proxy| proxy.add(Rule::new(fault.clone()))).collect()
    }

    pub(crate) fn honest(&self) {
        self.proxies.iter().for_each(FaultProxy::clear);
    }

    /// The seat's name in evidence.
    pub(crate) fn label(&self, seat: usize) -> String {
        let url = self.proxies[seat].url();
        format!("{}:{}", url.host_str().unwrap(), url.port().unwrap())
    }

    /// All calls with this method, whichever seat they went to.
    pub(crate) fn asked(&self, method: &str) -> Vec<Exchange> {
        let all = self.proxies.iter().flat_map(FaultProxy::traffic);
        all.filter(|exchange| exchange.method == method).collect()
    }

    pub(crate) fn forget(&self) {
        self.proxies.iter().for_each(FaultProxy::forget_traffic);
    }

    pub(crate) fn panel(&self, need: usize, patience: (Duration, Duration)) -> Panel {
        let urls: Vec<&Url> = self.proxies.iter().map(FaultProxy::url).collect();
        self.panel_of(&urls, need, patience)
    }

    pub(crate) fn panel_of(&self, urls: &[&Url], need: usize, (deadline, grace): (Duration, Duration)) -> Panel {
        let seats = urls.iter().map(|url| Arc::new(node::seat(url.as_str()))).collect();
        let chain = Chain { name: self.source().name().to_owned(), eid: Eid(self.source().eid()) };
        let threshold = Threshold::try_new(urls.len(), need).unwrap();
        Panel::try_new(chain, seats, threshold).unwrap().with_patience(deadline, grace)
    }

    pub(crate) fn config(&self, class: ChainClass) -> SourceConfig {
        let at = self.source().addresses();
        let contracts = SourceContracts {
            endpoint: at.endpoint,
            send_libs: vec![at.send_lib],
            legacy_send_libs: vec![],
            dvn: at.dvn,
        };
        let config = SourceConfig::new(contracts, &class.profile(), Confirmations(1));
        SourceConfig { block_time: Duration::ZERO, ..config }
    }

    /// Reads through all proxies, and asks anew at every look.
    pub(crate) fn looker(&self, class: ChainClass, need: usize) -> Looker {
        Looker::new(Arc::new(self.panel(need, PATIENT)), self.config(class))
    }
}

impl Looker {
    pub(crate) fn new(panel: Arc<Panel>, config: SourceConfig) -> Self {
        let reader = Arc::new(EvmReader::new(panel, config, Arc::new(Hashes::default())));
        let (source, verifier) = (EvmSource::new(Arc::clone(&reader)), EvmVerifier::new(Arc::clone(&reader)));
        Self { reader, source, verifier }
    }

    pub(crate) async fn head(&self) -> Head {
        self.source.next_head(None).await.unwrap()
    }

    pub(crate) async fn verify(&self, location: &Location) -> Result<Verification, VerifyError> {
        self.verifier.verify(location).await
    }

    pub(crate) async fn found(&self, location: &Location) -> Observation {
        match self.verify(location).await.unwrap() {
            Verification::Found(seen) => *seen,
            other => panic!("expected a packet, got {other:?}"),
        }
    }

    /// What convinced it.
    pub(crate) async fn evidence(&self, location: &Location) -> Value {
        serde_json::from_str(self.found(location).await.evidence.json()).unwrap()
    }

    pub(crate) async fn failure(&self, location: &Location) -> VerifyErrorKind {
        self.verify(location).await.unwrap_err().kind()
    }

    /// The payload hashes that a range's scan hints at.
    pub(crate) async fn scanned(&self, from: u64, to: BlockNumber) -> Vec<B256> {
        let scan = self.source.scan(BlockNumber(from)..=to).await.unwrap();
        scan.assignments.iter().map(|it| it.claim.payload_hash.0).collect()
    }
}
