//! A source and a destination that tests script: blocks, packets, reorgs, lies and failures.

mod auditor;
mod elsewhere;
mod history;
mod running;
mod signer;

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::RangeInclusive,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use alloy_primitives::{Address, B256, Bytes, keccak256};
use async_trait::async_trait;
use dvn_core::{
    Destination, Dvn, Source,
    destination::{DestinationView, ReceiveConfig},
    error::{ChainSourceError, ChainSourceErrorKind, SubmitError, SubmitErrorKind, VerifyError, VerifyErrorKind},
    ids::{BlockNumber, BlockRef, ChainTime, Confirmations, Eid, JobId, Nonce, Vid},
    job::{Location, Refusal},
    packet::{Claim, Header, Packet},
    ports::{
        Assignment, Chain, ChainSource, ContractChange, EvidenceBundle, Head, History, Observation, Outcome, Scan,
        Settlement, Shown, Sighting, SignedAttestation, Signer, Store, SubmissionId, Submitted, Submitter,
        Verification, Verifier,
    },
    signature::Committee,
};

pub(crate) use self::{
    auditor::{AuditSeats, Sight},
    elsewhere::{ELSEWHERE, Elsewhere},
    running::{Running, for_a_while, until, until_state},
    signer::CountingSigner,
};

pub(crate) const SRC: Eid = Eid(30101);
pub(crate) const DST: Eid = Eid(30212);
pub(crate) const LIB: Address = Address::repeat_byte(0x16);
pub(crate) const VID: Vid = Vid(212);

/// What both chains are at the moment, and how they misbehave.
#[derive(Debug)]
pub(crate) struct Chains {
    pub(crate) latest: u64,
    pub(crate) settled: u64,
    /// Which fork a block belongs to; a reorg counts it up from a height on.
    forks: BTreeMap<u64, u64>,
    pub(crate) packets: Vec<(Location, Claim, bool)>,
    pub(crate) hinted_elsewhere: Vec<Assignment>,
    /// The source's seats contradict each other, as this document shows.
    pub(crate) source_contradicts: Option<EvidenceBundle>,
    /// Heads that were told.
    pub(crate) polls: u64,
    /// Packets that too few seats show to the source: they are hints alone.
    pub(crate) unsighted: Vec<JobId>,
    /// Packets that the source does not report.
    pub(crate) hidden: Vec<JobId>,
    pub(crate) send_confirmations: u64,
    pub(crate) receive_confirmations: u64,
    pub(crate) verifier_fails: Option<VerifyErrorKind>,
    /// The verifier answers about another log than it was asked about.
    pub(crate) verifier_wanders: bool,
    pub(crate) submit_fails: bool,
    /// What the destination would not take in.
    pub(crate) poison: Vec<JobId>,
    /// How many attestations a transaction takes.
    pub(crate) fits: usize,
    /// The size of each transaction that was made.
    pub(crate) batches: Vec<usize>,
    /// The destination cannot say anything about this job.
    pub(crate) unreadable: Option<JobId>,
    pub(crate) receive_lib: Address,
    pub(crate) vid: Vid,
    pub(crate) quorum: usize,
    pub(crate) members: Vec<Address>,
    pub(crate) time: u64,
    pub(crate) records: BTreeMap<JobId, u64>,
    pub(crate) stored: BTreeMap<(Eid, B256, Nonce), B256>,
    pub(crate) commits: bool,
    pub(crate) ineffective: bool,
    pub(crate) unsettled: bool,
    pub(crate) executed: Vec<SignedAttestation>,
    /// What the destination shows in our name.
    pub(crate) history_fails: bool,
    pub(crate) shown: Vec<Shown>,
    pub(crate) changes: Vec<ContractChange>,
    open: BTreeMap<SubmissionId, Vec<SignedAttestation>>,
    pub(crate) cancelled: BTreeSet<SubmissionId>,
}

/// Shared by the fakes of one test.
#[derive(Clone, Debug)]
pub(crate) struct World(Arc<Mutex<Chains>>);

impl World {
    pub(crate) fn new(signer: Address) -> Self {
        Self(Arc::new(Mutex::new(Chains {
            latest: 100,
            settled: 90,
            forks: BTreeMap::new(),
            packets: Vec::new(),
            hinted_elsewhere: Vec::new(),
            source_contradicts: None,
            polls: 0,
            unsighted: Vec::new(),
            hidden: Vec::new(),
            send_confirmations: 5,
            receive_confirmations: 5,
            verifier_fails: None,
            verifier_wanders: false,
            submit_fails: false,
            poison: Vec::new(),
            fits: usize::MAX,
            batches: Vec::new(),
            unreadable: None,
            receive_lib: LIB,
            vid: VID,
            quorum: 1,
            members: vec![signer],
            time: 1_700_000_000,
            records: BTreeMap::new(),
            stored: BTreeMap::new(),
            commits: true,
            ineffective: false,
            unsettled: false,
            executed: Vec::new(),
            history_fails: false,
            shown: Vec::new(),
            changes: Vec::new(),
            open: BTreeMap::new(),
            cancelled: BTreeSet::new(),
        })))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Chains> {
        self.0.lock().unwrap()
    }

    pub(crate) fn chain() -> Chain {
        Chain { name: "ethereum".to_owned(), eid: SRC }
    }

    pub(crate) fn builder(&self, store: &Store, signer: Arc<dyn Signer>) -> dvn_core::Builder {
        self.compose(self.source(), store, signer)
    }

    /// With eyes of their own on what was attested.
    pub(crate) fn audited(&self, seats: &AuditSeats, store: &Store, signer: Arc<dyn Signer>) -> dvn_core::Builder {
        self.compose(self.source().with_auditor(Arc::new(seats.clone()), Duration::ZERO), store, signer)
    }

    fn source(&self) -> Source {
        Source::new(Arc::new(self.clone()), Arc::new(self.clone())).with_start_block(BlockNumber(1))
    }

    /// With a contract that is expected to ask for so many signatures.
    pub(crate) fn builder_with_quorum(
        &self,
        store: &Store,
        signer: Arc<dyn Signer>,
        quorum: usize,
    ) -> dvn_core::Builder {
        self.compose_to(self.source(), store, Destination::new(Arc::new(self.clone()), signer).with_quorum(quorum))
    }

    pub(crate) fn builder_to(&self, store: &Store, destination: Destination) -> dvn_core::Builder {
        self.compose_to(self.source(), store, destination)
    }

    fn compose(&self, source: Source, store: &Store, signer: Arc<dyn Signer>) -> dvn_core::Builder {
        self.compose_to(source, store, Destination::new(Arc::new(self.clone()), signer))
    }

    fn compose_to(&self, source: Source, store: &Store, destination: Destination) -> dvn_core::Builder {
        let destination = destination.with_poll(Duration::from_millis(5));
        Dvn::builder()
            .source(source)
            .destination(destination)
            .store(store.clone())
            .instance("test")
            .sweep(Duration::from_millis(5))
            .workers(3)
    }
}

impl Chains {
    pub(crate) fn block(&self, number: u64) -> BlockRef {
        let fork = self.forks.range(..=number).next_back().map_or(0, |(_, fork)| *fork);
        let hash = keccak256([number.to_be_bytes(), fork.to_be_bytes()].concat());
        BlockRef { number: BlockNumber(number), hash }
    }

    pub(crate) fn packet(nonce: u64, message: &'static [u8]) -> Claim {
        let header = Header {
            nonce: Nonce(nonce),
            src_eid: SRC,
            sender: Address::repeat_byte(1).into_word(),
            dst_eid: DST,
            receiver: Address::repeat_byte(2).into_word(),
        };
        Packet { header, message: Bytes::from_static(message) }.claim()
    }

    pub(crate) fn send(&mut self, claim: Claim, number: u64) -> Location {
        let location = Location {
            src_eid: SRC,
            block: self.block(number),
            tx_hash: keccak256([claim.job_id().0.as_slice(), &number.to_be_bytes()].concat()),
            log_index: claim.header.nonce.0,
        };
        self.packets.push((location, claim, true));
        location
    }

    pub(crate) fn mine(&mut self, blocks: u64) {
        self.latest += blocks;
        self.settled += blocks;
    }

    /// Replaces every block from this height on; their packets are gone.
    pub(crate) fn reorg(&mut self, from: u64) {
        let fork = self.forks.values().max().copied().unwrap_or(0) + 1;
        self.forks.retain(|height, _| *height < from);
        self.forks.insert(from, fork);
        self.packets.retain(|(location, _, _)| location.block.number.0 < from);
        self.latest += 1;
    }

    fn is_canonical(&self, block: BlockRef) -> bool {
        block.number.0 <= self.latest && self.block(block.number.0) == block
    }

    fn slot(claim: &Claim) -> (Eid, B256, Nonce) {
        (claim.header.src_eid, claim.header.sender, claim.header.nonce)
    }
}

/// What a source does for each packet of a settled block.
pub(crate) async fn note(store: &Store, claim: Claim) {
    let seen = Sighting { path: claim.header.path(), nonce: claim.header.nonce };
    store.paths.note(&[seen]).await.unwrap();
}

#[async_trait]
impl ChainSource for World {
    fn chain(&self) -> &Chain {
        static CHAIN: std::sync::LazyLock<Chain> = std::sync::LazyLock::new(World::chain);
        &CHAIN
    }

    async fn next_head(&self, seen: Option<Head>) -> Result<Head, ChainSourceError> {
        loop {
            let head = {
                let mut chains = self.lock();
                if let Some(bundle) = &chains.source_contradicts {
                    let error = ChainSourceError::new(ChainSourceErrorKind::Contradiction);
                    return Err(error.shown_by(Some(bundle.clone())));
                }
                chains.polls += 1;
                Head { latest: BlockNumber(chains.latest), settled: BlockNumber(chains.settled) }
            };
            if seen != Some(head) {
                return Ok(head);
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    async fn scan(&self, range: RangeInclusive<BlockNumber>) -> Result<Scan, ChainSourceError> {
        let chains = self.lock();
        let mut assignments: Vec<_> = chains
            .packets
            .iter()
            .filter(|(location, _, _)| range.contains(&location.block.number))
            .map(|(location, claim, _)| Assignment { location: *location, claim: *claim, agreed: true })
            .collect();
        assignments.extend(chains.hinted_elsewhere.iter().filter(|it| range.contains(&it.location.block.number)));
        let seen = chains.packets.iter().filter(|(location, _, _)| range.contains(&location.block.number));
        let seen = seen
            .map(|(_, claim, _)| *claim)
            .filter(|claim| !chains.hidden.contains(&claim.job_id()) && !chains.unsighted.contains(&claim.job_id()));
        let sighting = |claim: Claim| Sighting { path: claim.header.path(), nonce: claim.header.nonce };
        let sightings = seen.map(sighting).collect();
        assignments.retain(|it: &Assignment| !chains.hidden.contains(&it.claim.job_id()));
        Ok(Scan { assignments, sightings, through: *range.end() })
    }
}

#[async_trait]
impl Verifier for World {
    fn chain(&self) -> &Chain {
        ChainSource::chain(self)
    }

    async fn verify(&self, location: &Location) -> Result<Verification, VerifyError> {
        let chains = self.lock();
        if let Some(kind) = chains.verifier_fails {
            let shown = (kind == VerifyErrorKind::Contradiction).then(|| EvidenceBundle::new("{\"votes\":[]}"));
            return Err(VerifyError::new(kind).shown_by(shown));
        }
        if !chains.is_canonical(location.block) {
            return Ok(Verification::Orphaned);
        }
        let Some((_, claim, assigned)) = chains.packets.iter().find(|(at, _, _)| at == location) else {
            let is_settled = location.block.number.0 <= chains.settled;
            return Ok(Verification::Rejected { refusal: Refusal::NotGenuine, is_settled });
        };
        let mut seen_at = *location;
        seen_at.log_index += u64::from(chains.verifier_wanders);
        Ok(Verification::Found(Box::new(Observation {
            claim: *claim,
            location: seen_at,
            assigned: *assigned,
            send_confirmations: Confirmations(chains.send_confirmations),
            head: Head { latest: BlockNumber(chains.latest), settled: BlockNumber(chains.settled) },
            evidence: EvidenceBundle::new(format!("{{\"block\":\"{}\"}}", location.block.hash)),
        })))
    }
}

#[async_trait]
impl Submitter for World {
    fn chain(&self) -> &Chain {
        static CHAIN: std::sync::LazyLock<Chain> =
            std::sync::LazyLock::new(|| Chain { name: "conflux".to_owned(), eid: DST });
        &CHAIN
    }

    async fn committee(&self, candidates: &[Address]) -> Result<Committee, SubmitError> {
        let chains = self.lock();
        let members = candidates.iter().filter(|it| chains.members.contains(it)).copied().collect();
        Ok(Committee { vid: chains.vid, quorum: chains.quorum, members })
    }

    async fn view(&self, claim: &Claim) -> Result<DestinationView, SubmitError> {
        let chains = self.lock();
        if chains.unreadable == Some(claim.job_id()) {
            return Err(SubmitError::new(SubmitErrorKind::Missing));
        }
        let config = ReceiveConfig { confirmations: Confirmations(chains.receive_confirmations), lists_us: true };
        Ok(DestinationView {
            at: BlockRef { number: BlockNumber(chains.time), hash: B256::ZERO },
            time: ChainTime(chains.time),
            receive_lib: chains.receive_lib,
            receive_lib_known: true,
            config: Some(config),
            stored: chains.stored.get(&Chains::slot(claim)).copied().unwrap_or_default(),
            lazy_nonce: Nonce(0),
            record: chains.records.get(&claim.job_id()).copied().map(Confirmations),
        })
    }

    async fn submit(&self, batch: Vec<SignedAttestation>) -> Result<Submitted, SubmitError> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        if batch.is_empty() {
            return Err(SubmitError::new(SubmitErrorKind::Bug).because("empty batch"));
        }
        let id = SubmissionId(NEXT.fetch_add(1, Ordering::Relaxed));
        let mut chains = self.lock();
        if chains.submit_fails {
            return Err(SubmitError::new(SubmitErrorKind::Missing));
        }
        let refused: Vec<_> = batch.iter().map(|it| it.job).filter(|job| chains.poison.contains(job)).collect();
        let batch: Vec<_> = batch.into_iter().filter(|it| !refused.contains(&it.job)).collect();
        // As the port promises: what is under way is not sent again.
        let under_way = |job: JobId| chains.open.iter().find(|(_, items)| items.iter().any(|it| it.job == job));
        let (old, mut new): (Vec<_>, Vec<_>) = batch.into_iter().partition(|item| under_way(item.job).is_some());
        let mut named: Vec<_> = old.iter().filter_map(|it| Some((it.job, *under_way(it.job)?.0))).collect();
        new.truncate(chains.fits);
        named.extend(new.iter().map(|item| (item.job, id)));
        if !new.is_empty() {
            chains.executed.extend(new.iter().cloned());
            chains.batches.push(new.len());
            chains.open.insert(id, new);
        }
        let refused = refused.into_iter().map(|job| (job, "it would fail".to_owned())).collect();
        Ok(Submitted { sent: named, refused })
    }

    async fn settle(&self) -> Result<Vec<Settlement>, SubmitError> {
        let mut chains = self.lock();
        if chains.unsettled {
            return Ok(Vec::new());
        }
        let open: Vec<_> = chains.open.iter().map(|(id, items)| (*id, items.clone())).collect();
        let mut settlements = Vec::new();
        for (submission, items) in open {
            for item in items {
                let outcome = if chains.cancelled.contains(&submission) {
                    Outcome::Cancelled
                } else if chains.ineffective {
                    Outcome::Ineffective { reason: "nothing happened".to_owned() }
                } else {
                    let Attested { confirmations, slot, payload } = Attested::of(&item);
                    chains.records.insert(item.job, confirmations);
                    if chains.commits && confirmations > 0 {
                        chains.stored.insert(slot, payload);
                    }
                    let block = BlockRef { number: BlockNumber(chains.time), hash: B256::ZERO };
                    chains.show(&item, block);
                    Outcome::Attested { block, tx_hash: item.job.0 }
                };
                settlements.push(Settlement { submission, job: item.job, outcome });
            }
        }
        Ok(settlements)
    }

    async fn cancel(&self, jobs: &[JobId]) -> Result<(), SubmitError> {
        let mut chains = self.lock();
        let open = chains.open.iter().filter(|(_, items)| items.iter().any(|item| jobs.contains(&item.job)));
        let cancelled: Vec<_> = open.map(|(id, _)| *id).collect();
        chains.cancelled.extend(cancelled);
        Ok(())
    }

    async fn close(&self, submission: SubmissionId) -> Result<(), SubmitError> {
        self.lock().open.remove(&submission);
        Ok(())
    }

    async fn is_busy(&self) -> Result<bool, SubmitError> {
        Ok(!self.lock().open.is_empty())
    }

    async fn history(&self, from: BlockNumber, to: BlockNumber) -> Result<History, SubmitError> {
        let chains = self.lock();
        if chains.history_fails {
            return Err(SubmitError::new(SubmitErrorKind::Missing));
        }
        Ok(chains.history(from, to))
    }

    async fn head(&self) -> Result<Head, SubmitError> {
        let now = BlockNumber(self.lock().time);
        Ok(Head { latest: now, settled: now })
    }
}

struct Attested {
    confirmations: u64,
    slot: (Eid, B256, Nonce),
    payload: B256,
}

impl Attested {
    fn of(item: &SignedAttestation) -> Self {
        let claim = item.attestation.claim;
        Self {
            confirmations: item.attestation.confirmations.0,
            slot: Chains::slot(&claim),
            payload: claim.payload_hash.0,
        }
    }
}
