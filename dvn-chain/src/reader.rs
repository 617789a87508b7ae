//! A source chain as its source and its verifier read it together: heads, authentic blocks, their logs and the state of
//! their packets' paths. Whatever one of them learned, the other need not ask again.

use std::{sync::Arc, time::Duration};

use alloy::primitives::{Address, B256};
use dvn_core::{
    error::{StoreError, StoreErrorKind},
    ids::{BlockNumber, BlockRef, Confirmations},
    ports::{Chain, EvidenceBundle, FinalizedHashes, Head},
};
use thiserror::Error;
use tokio::time::Instant;

use crate::{
    anchor::{All, Anchor, Seats},
    headers::Headers,
    heads::Heads,
    link::{Hashed, Link, Voted},
    outage::Outages,
    pairing::{self, Finding, Paired},
    panel::{Panel, PanelError},
    profile::{Finality, Profile},
    proof::ReceiptTypes,
    receipts::{Reading, Receipts, TransactionLogs},
    shared::Shared,
    state::{Asked, States},
};

/// The contracts of a source chain. Keyed by role: one address may play different roles on different chains.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a plain record of settings")]
pub struct SourceContracts {
    /// `EndpointV2`.
    pub endpoint: Address,
    /// The `SendUln302`s whose packets are attested.
    pub send_libs: Vec<Address>,
    /// `SendUln301`s whose packets are noticed, reported and never attested; may be empty.
    pub legacy_send_libs: Vec<Address>,
    /// Our DVN contract, the one that `DVNFeePaid` names.
    pub dvn: Address,
}

/// How a source chain is read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a plain record of settings")]
pub struct SourceConfig {
    /// Its contracts.
    pub contracts: SourceContracts,
    /// Which tag settles a block.
    pub finality: Finality,
    /// The operator's confirmations: with [`Finality::Latest`] they alone settle a block.
    pub floor: Confirmations,
    /// Usual time between blocks; paces polling.
    pub block_time: Duration,
    /// How many blocks one `eth_getLogs` asks for at first.
    pub log_range: u64,
    /// The receipt types with which a block's hash proves its logs; nothing where seats vote on the logs.
    pub proof: Option<ReceiptTypes>,
    /// How many ancestors' hashes the history contract of EIP-2935 keeps; nothing where the chain has none.
    pub history: Option<u64>,
    /// Whether blocks without a packet are asked about like those with one, so that the seats cannot tell them apart. It
    /// costs about three more calls per block and seat where logs are proven, and up to six where they are voted on.
    pub uniform_queries: bool,
    /// How long nothing is verified after an outage of five seconds or more, in which too few seats told the head. What was
    /// learned before it is learned anew. Zero switches it off.
    pub cool_down: Duration,
}

impl SourceConfig {
    /// The default of [`SourceConfig::cool_down`]: long enough for seats that come back to be heard, short beside the outage
    /// before.
    pub const COOL_DOWN: Duration = Duration::from_secs(30);

    /// The settings of a class of chain.
    #[must_use]
    pub const fn new(contracts: SourceContracts, profile: &Profile, floor: Confirmations) -> Self {
        let Profile { finality, block_time, log_range, proof, history, .. } = *profile;
        let (uniform_queries, cool_down) = (false, Self::COOL_DOWN);
        Self { contracts, finality, floor, block_time, log_range, proof, history, uniform_queries, cool_down }
    }
}

/// Reads one source chain by the agreement of its panel.
///
/// # Relies on
/// Fewer seats than the threshold lie in the same way at the same time.
#[derive(Debug)]
pub struct EvmReader {
    pub(crate) panel: Arc<Panel>,
    pub(crate) config: SourceConfig,
    pub(crate) heads: Heads,
    /// Where headers can be hashed.
    pub(crate) headers: Option<Arc<Headers>>,
    pub(crate) receipts: Receipts,
    pub(crate) states: States,
    anchor: Arc<All>,
    link: Box<dyn Link>,
    finalized: Arc<dyn FinalizedHashes>,
    /// What stands at heights that were asked about lately.
    places: Shared<Place, BlockRef>,
    outages: Outages,
    polling: tokio::sync::Mutex<()>,
}

/// Why the chain could not be read.
#[derive(Debug, Error)]
pub(crate) enum ReadError {
    #[error(transparent)]
    Panel(#[from] PanelError),
    #[error("finalized hashes failed")]
    Store(#[from] StoreError),
}

impl ReadError {
    /// Whether somebody takes back, or denies, what was said of a final block.
    pub(crate) fn is_contradiction(&self) -> bool {
        match self {
            Self::Panel(error) => error.is_contradiction(),
            Self::Store(error) => error.kind() == StoreErrorKind::FinalityChanged,
        }
    }

    /// The answers behind a contradiction, or what the store holds against them.
    pub(crate) fn evidence(&self, chain: &Chain) -> Option<EvidenceBundle> {
        match self {
            Self::Panel(error) => error.evidence(chain),
            Self::Store(error) if self.is_contradiction() => {
                let votes = vec![("on record".to_owned(), error.to_string())];
                let question = "final block on record";
                PanelError::Contradiction { question, votes, absent: Vec::new() }.evidence(chain)
            }
            Self::Store(_) => None,
        }
    }
}

/// How long a seat may be silent, at least, before it is asked on its own what it was too late to say.
const SILENCE: Duration = Duration::from_secs(2);
/// Heights whose blocks are remembered.
const REMEMBERED: usize = 256;

/// A height, and the newest block under which it was asked about where it was not settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    number: BlockNumber,
    under: Option<BlockNumber>,
}

impl EvmReader {
    /// A reader over this panel's chain, which remembers final hashes in `finalized`.
    #[must_use]
    pub fn new(panel: Arc<Panel>, config: SourceConfig, finalized: Arc<dyn FinalizedHashes>) -> Self {
        Self::with_anchors(panel, config, finalized, Vec::new())
    }

    /// As [`EvmReader::new`], with anchors that must name the same blocks as the seats: a light client, a sequencer's
    /// signature. They can veto and never replace the seats.
    #[must_use]
    pub fn with_anchors(
        panel: Arc<Panel>,
        config: SourceConfig,
        finalized: Arc<dyn FinalizedHashes>,
        anchors: Vec<Arc<dyn Anchor>>,
    ) -> Self {
        let headers = config.proof.map(|_| Arc::new(Headers::default()));
        let mut anchor = All::new(Seats::new(Arc::clone(&panel), headers.clone()));
        anchors.into_iter().for_each(|it| anchor.and(it));
        let anchor = Arc::new(anchor);
        let by_anchor: Arc<dyn Anchor> = anchor.clone();
        let link: Box<dyn Link> = match &headers {
            Some(headers) => Box::new(Hashed::new(Arc::clone(&panel), Arc::clone(headers), config.history, by_anchor)),
            None => Box::new(Voted(by_anchor)),
        };
        let outages = Outages::new(&panel.chain().name, config.cool_down);
        Self {
            heads: Heads::new(Arc::clone(&panel), config.finality, config.floor, headers.clone()),
            receipts: Receipts::new(Arc::clone(&panel), &config.contracts, config.proof, headers.clone()),
            states: States::new(Arc::clone(&panel), config.contracts.endpoint, headers.clone(), config.block_time),
            panel,
            config,
            headers,
            anchor,
            link,
            finalized,
            places: Shared::new(REMEMBERED),
            outages,
            polling: tokio::sync::Mutex::default(),
        }
    }

    /// The head, asked for anew.
    pub(crate) async fn poll(&self) -> Result<Head, ReadError> {
        let _one_at_a_time = self.polling.lock().await;
        self.poll_locked().await
    }

    /// The head, at most a block time old. Whoever comes while it is being asked for waits for that answer.
    pub(crate) async fn head(&self) -> Result<(Head, BlockRef), ReadError> {
        let _one_at_a_time = self.polling.lock().await;
        if let Some(fresh) = self.heads.fresh(self.config.block_time) {
            return Ok(fresh);
        }
        let head = self.poll_locked().await?;
        let anchor = self.heads.anchor().filter(|anchor| anchor.number == head.settled);
        anchor.map(|anchor| (head, anchor)).ok_or_else(|| {
            StoreError::new(StoreErrorKind::Corrupt).because("a head was settled without its block").into()
        })
    }

    async fn poll_locked(&self) -> Result<Head, ReadError> {
        let before = match self.heads.anchor() {
            Some(anchor) => Some(anchor),
            None => self.finalized.newest(self.panel.chain().eid).await?,
        };
        let asked = Instant::now();
        let polled = self.heads.poll(before).await;
        self.heads.hear_late(self.config.block_time.saturating_mul(4).max(SILENCE));
        if matches!(polled, Err(PanelError::Missing { .. })) {
            self.outages.failed(asked);
        }
        let polled = polled?;
        if self.outages.heard() {
            self.places.clear();
            self.receipts.forget();
            self.states.forget();
        }
        let anchor = match (polled.advanced, before) {
            (Some((next, parent)), before) => {
                self.advance(self.anchor.confirm(next).await?.block, parent, before).await?
            }
            (None, Some(before)) => before,
            (None, None) => return Err(PanelError::unsettled().into()),
        };
        Ok(self.heads.settle(polled.latest, anchor))
    }

    /// How long nothing is to be verified because too few seats answered until a moment ago.
    pub(crate) fn cooling_down(&self) -> Option<Duration> {
        self.outages.left()
    }

    /// Takes a new final block, if it descends from the one before: a finality violation between two polls, in a block that
    /// nobody asked about, shows here.
    async fn advance(
        &self,
        next: BlockRef,
        parent: Option<B256>,
        before: Option<BlockRef>,
    ) -> Result<BlockRef, ReadError> {
        if let Some(before) = before {
            let ancestor = match parent.filter(|_| next.number.0.checked_sub(before.number.0) == Some(1)) {
                Some(hash) => BlockRef { number: before.number, hash },
                None => self.link.down(next, before.number).await?,
            };
            if ancestor != before {
                let votes = vec![
                    ("final before".to_owned(), before.to_string()),
                    (format!("ancestor of {next}"), ancestor.to_string()),
                ];
                let question = "final block's ancestor";
                return Err(PanelError::Contradiction { question, votes, absent: Vec::new() }.into());
            }
        }
        self.finalized.record(self.panel.chain().eid, next).await?;
        Ok(next)
    }

    /// Who vouched for the final block when it was agreed.
    pub(crate) fn vouched_by(&self, anchor: BlockRef) -> Vec<String> {
        self.heads.vouched_by(anchor)
    }

    /// The hash of the block at a settled height: what the final block descends from. It must never have been another.
    pub(crate) async fn settled_block(&self, anchor: BlockRef, number: BlockNumber) -> Result<BlockRef, ReadError> {
        let cell = self.places.cell(Place { number, under: None });
        let block = cell.get_or_try_init(|| async {
            let block = self.link.down(anchor, number).await?;
            self.finalized.record(self.panel.chain().eid, block).await?;
            Ok::<_, ReadError>(block)
        });
        block.await.copied()
    }

    /// What the seats agree on at a height that may still change: what the newest block descends from, where enough seats
    /// named the same one in the last poll and its headers are known; else they are asked.
    pub(crate) async fn tip_block(&self, head: Head, number: BlockNumber) -> Result<BlockRef, PanelError> {
        if let Some((block, true)) = self.branch(number) {
            return Ok(block);
        }
        let cell = self.places.cell(Place { number, under: Some(head.latest) });
        let block = cell.get_or_try_init(|| async { Ok::<_, PanelError>(self.anchor.at(number).await?.block) });
        block.await.copied()
    }

    /// The block at a height above the final one on the branch that most seats are on, and whether these are enough.
    pub(crate) fn branch(&self, number: BlockNumber) -> Option<(BlockRef, bool)> {
        let headers = self.headers.as_deref()?;
        let tip = self.heads.tip(number)?;
        let mut at = tip.block;
        while at.number > number {
            let header = headers.known(at.hash)?;
            at = BlockRef { number: at.number.below(1), hash: header.parent_hash };
        }
        Some((at, tip.is_agreed))
    }

    /// Every packet of a configured library in a block, ours or not, so that what is asked about them does not tell which
    /// one we are after.
    pub(crate) fn packets(&self, reading: &Reading) -> Vec<Asked> {
        let succeeded = reading.logs().values().filter(|logs| logs.status == Some(1));
        succeeded
            .flat_map(|logs| self.paired(logs))
            .filter_map(|paired| match paired.finding {
                Finding::Assigned { claim, send_lib, .. } | Finding::NotAssigned { claim, send_lib } => {
                    Some((claim, send_lib))
                }
                Finding::Suspicious(_) => None,
            })
            .collect()
    }

    /// What one transaction's logs turn out to be.
    pub(crate) fn paired(&self, logs: &TransactionLogs) -> Vec<Paired> {
        pairing::pair(self.panel.chain().eid, &self.config.contracts, &logs.logs)
    }

    /// What stands at a height that enough seats have: what the final block descends from, or what they agree on now.
    pub(crate) async fn block_at(
        &self,
        head: Head,
        anchor: BlockRef,
        number: BlockNumber,
    ) -> Result<BlockRef, ReadError> {
        if number <= anchor.number {
            return self.settled_block(anchor, number).await;
        }
        Ok(self.tip_block(head, number).await?)
    }

    /// Reads the state of a block's packets as soon as the block is seen, whoever they are for: the verifier finds it read,
    /// and the seats learn nothing from the question. Where no block may stand out, one without packets is asked about with
    /// those of an earlier one.
    pub(crate) async fn read_states(&self, block: BlockRef, all: &[Asked]) {
        let imitated = if all.is_empty() && self.config.uniform_queries { self.states.latest() } else { Vec::new() };
        let all = if all.is_empty() { &imitated } else { all };
        let Some((head, anchor)) = self.heads.current().filter(|_| !all.is_empty()) else {
            return;
        };
        let under = (block.number <= anchor.number).then_some(anchor);
        if let Err(error) = self.states.prepare(block.hash, all, head.latest, under).await {
            tracing::debug!(chain = self.panel.chain().name, %block, %error, "state of a block's packets is not read yet");
        }
    }
}
