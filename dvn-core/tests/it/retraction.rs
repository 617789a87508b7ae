//! What was attested and has lost its evidence is taken back, and nothing else is.

use std::{sync::Arc, time::Duration};

use alloy_primitives::B256;
use dvn_core::{
    attestor::Attestor,
    error::CosignErrorKind,
    ids::{BlockNumber, BlockRef, ChainTime, Confirmations},
    job::{Job, Location, State, Wake},
    packet::Claim,
    policy,
    ports::{Clock, Cosigner, Halt, HaltScope, Intent, Proposal, Purpose, Retraction, SystemClock},
};

use crate::{
    engine::Setup,
    world::{AuditSeats, DST, Running, SRC, Sight, for_a_while, note, until, until_state},
};

const LIFE: Duration = Duration::from_secs(900);

/// An attested packet that nobody commits, and the eyes that audit it.
struct Stage {
    setup: Setup,
    claim: Claim,
    seats: AuditSeats,
}

impl Stage {
    async fn new() -> Self {
        let (setup, claim) = Setup::with_packet(80, |chains| chains.commits = false).await;
        let seats = AuditSeats::new(&setup.world, Sight::True);
        Self { setup, claim, seats }
    }

    fn start(&self) -> Running {
        let builder = self.setup.world.audited(&self.seats, &self.setup.store, self.setup.signer.clone());
        Running::start(builder.build().unwrap())
    }

    async fn attested(&self) -> Running {
        let running = self.start();
        until_state(&self.setup.store, self.claim, State::Attested).await;
        running
    }

    async fn until(&self, state: State) -> Job {
        until_state(&self.setup.store, self.claim, state).await
    }

    fn record(&self) -> Option<u64> {
        self.setup.world.lock().records.get(&self.claim.job_id()).copied()
    }

    /// How many retractions were sent.
    fn retractions(&self) -> usize {
        self.setup.world.lock().executed.iter().filter(|item| item.attestation.is_retraction()).count()
    }

    async fn halted(&self) -> Vec<Halt> {
        self.setup.store.halts.standing().await.unwrap()
    }

    /// Wakes the job, as time would.
    async fn wake(&self) {
        self.sleep(Duration::ZERO).await;
    }

    /// The job's next look is so far away.
    async fn sleep(&self, pause: Duration) {
        let jobs = &self.setup.store.jobs;
        loop {
            let mut job = jobs.load(self.claim.job_id()).await.unwrap().unwrap();
            job.wake = Wake::At(now() + pause);
            if jobs.save(&mut job).await.is_ok() {
                return;
            }
        }
    }
}

/// T19: the evidence is gone after the signature and before anybody acted on it.
#[tokio::test]
async fn t19_an_attestation_without_evidence_is_taken_back_and_its_chain_halts() {
    for sight in [Sight::Orphaned, Sight::Rejected { is_settled: true }, Sight::Contradiction] {
        let stage = Stage::new().await;
        stage.seats.see(sight);
        let running = stage.start();
        let job = stage.until(State::Retracted).await;
        assert_eq!((stage.record(), stage.retractions()), (Some(0), 1), "{sight:?}");
        assert_eq!(job.signed.map(|signed| signed.confirmations), Some(Confirmations(0)));
        let halts = stage.halted().await;
        assert_eq!(halts.iter().map(|halt| halt.scope).collect::<Vec<_>>(), [HaltScope::Chain(SRC)], "{sight:?}");
        assert_eq!(halts[0].evidence.is_some(), sight == Sight::Contradiction);
        running.stop().await;
        let rows = stage.setup.store.journal.slot(stage.claim.header.guid()).await.unwrap();
        let numbers: Vec<_> = rows.iter().map(|row| row.intent.attestation.confirmations.0).collect();
        assert_eq!(numbers, [5, 0], "the retraction is journaled as well");
        let story = stage.setup.store.audit.of_packet(stage.claim.header.guid()).await.unwrap();
        let actions: Vec<_> = story.iter().map(|row| row.entry.action.as_str()).collect();
        assert!(
            actions.ends_with(&[
                "attested",
                "halt",
                "retracting",
                "retraction_signature",
                "retraction_signed",
                "retracted"
            ]),
            "{actions:?}"
        );
    }
}

/// What the auditor cannot tell takes nothing back.
#[tokio::test]
async fn silence_and_unsettled_doubts_take_nothing_back() {
    for sight in [Sight::True, Sight::Silence, Sight::Rejected { is_settled: false }] {
        let stage = Stage::new().await;
        stage.seats.see(sight);
        let running = stage.attested().await;
        for _ in 0..10 {
            stage.wake().await;
            for_a_while().await;
        }
        assert!(stage.seats.looks() > 0, "{sight:?}");
        assert_eq!((stage.record(), stage.retractions()), (Some(5), 0), "{sight:?}");
        assert!(stage.halted().await.is_empty());
        running.stop().await;
    }
}

/// A halt of the source lets everything that is attested and not committed be looked at again, at once.
#[tokio::test]
async fn a_halt_brings_the_auditor() {
    let stage = Stage::new().await;
    let running = stage.attested().await;
    stage.wake().await;
    for_a_while().await;
    let looks = stage.seats.looks();
    assert!(looks > 0);
    stage.seats.see(Sight::Orphaned);
    // The next look by the clock is half a minute away, and nothing wakes the job in the next hour.
    for_a_while().await;
    assert_eq!((stage.seats.looks(), stage.retractions()), (looks, 0));
    stage.sleep(Duration::from_secs(3_600)).await;
    {
        let mut chains = stage.setup.world.lock();
        chains.source_contradicts = Some(dvn_core::ports::EvidenceBundle::new("{}"));
        chains.mine(1);
    }
    stage.until(State::Retracted).await;
    running.stop().await;
}

/// A crash between any two of the steps loses nothing of it.
#[tokio::test]
async fn a_retraction_goes_on_after_a_crash() {
    let stage = Stage::new().await;
    stage.seats.see(Sight::Orphaned);
    stage.setup.world.lock().submit_fails = true;
    // The attestation itself is on the chain already, by a peer's hand.
    stage.setup.world.lock().records.insert(stage.claim.job_id(), 5);
    let running = stage.start();
    let is_signed = |job: &Job| job.state == State::Retracting && job.signed.is_some();
    until(&stage.setup.store, stage.claim, is_signed).await;
    running.crash().await;
    stage.setup.world.lock().submit_fails = false;
    let running = stage.start();
    stage.until(State::Retracted).await;
    assert_eq!(stage.record(), Some(0));
    running.stop().await;
}

/// T20: a signed call that has not expired brings the attestation back, and it is taken back once more.
#[tokio::test]
async fn t20_what_is_replayed_is_taken_back_again_until_it_has_expired() {
    let stage = Stage::new().await;
    stage.seats.see(Sight::Orphaned);
    let running = stage.start();
    stage.until(State::Retracted).await;
    for round in 1..=2 {
        stage.setup.world.lock().records.insert(stage.claim.job_id(), 5);
        until(&stage.setup.store, stage.claim, |_| stage.record() == Some(0)).await;
        stage.until(State::Retracted).await;
        assert_eq!(stage.retractions(), 1 + round);
    }
    // By then no signature over the attestation can be alive, and nobody looks any more.
    let ends = stage.until(State::Retracted).await.signed.unwrap().expiration;
    let latest = policy::expiration(ChainTime(stage.setup.world.lock().time), LIFE);
    assert!(ends.0 >= latest.0 + policy::EXPIRATION_SLACK.as_secs());
    stage.setup.world.lock().time = ends.0 + 1;
    stage.wake().await;
    until(&stage.setup.store, stage.claim, |job| job.wake == Wake::Never).await;
    running.stop().await;
}

#[tokio::test]
async fn a_packet_that_is_committed_first_is_told_apart() {
    let stage = Stage::new().await;
    stage.seats.see(Sight::Orphaned);
    stage.setup.world.lock().unsettled = true;
    let running = stage.start();
    stage.until(State::Submitted).await;
    {
        let mut chains = stage.setup.world.lock();
        chains.unsettled = false;
        chains.members.clear();
    }
    stage.until(State::Retracting).await;
    let slot = (SRC, stage.claim.header.sender, stage.claim.header.nonce);
    stage.setup.world.lock().stored.insert(slot, stage.claim.payload_hash.0);
    stage.until(State::Committed).await;
    let story = stage.setup.store.audit.of_packet(stage.claim.header.guid()).await.unwrap();
    assert!(story.last().unwrap().entry.detail.contains("too_late"));
    running.stop().await;
}

/// The auditor was wrong: nobody signs, since everybody finds the packet, and once it finds it too the attestation stays.
#[tokio::test]
async fn evidence_that_comes_back_leaves_the_attestation() {
    let stage = Stage::new().await;
    let running = stage.attested().await;
    stage.setup.world.lock().members.clear();
    stage.seats.see(Sight::Orphaned);
    stage.setup.store.halts.raise(halt(HaltScope::Chain(SRC))).await.unwrap();
    stage.wake().await;
    stage.until(State::Retracting).await;
    stage.seats.see(Sight::True);
    stage.until(State::Attested).await;
    assert_eq!((stage.record(), stage.retractions()), (Some(5), 0));
    running.stop().await;
}

/// T42: what is in flight when a chain halts is replaced by a transaction that does nothing.
#[tokio::test]
async fn t42_a_halt_cancels_what_is_in_flight() {
    for scope in [HaltScope::All, HaltScope::Chain(SRC), HaltScope::Chain(DST)] {
        let stage = Stage::new().await;
        stage.setup.world.lock().unsettled = true;
        let running = stage.start();
        stage.until(State::Submitted).await;
        stage.setup.store.halts.raise(halt(scope)).await.unwrap();
        until(&stage.setup.store, stage.claim, |_| !stage.setup.world.lock().cancelled.is_empty()).await;
        stage.setup.world.lock().unsettled = false;
        stage.until(State::Verified).await;
        assert_eq!(stage.record(), None, "{scope:?}");
        assert_eq!(stage.setup.signer.calls(), 1, "nothing is signed in a halt");
        running.stop().await;
    }
}

fn now() -> std::time::SystemTime {
    SystemClock::new().now()
}

fn halt(scope: HaltScope) -> Halt {
    Halt { scope, reason: "test".to_owned(), evidence: None, since: now() }
}

// What the attestor takes back.

struct Asked {
    stage: Stage,
    attestor: Arc<Attestor>,
    location: Location,
}

impl Asked {
    async fn new() -> Self {
        let stage = Stage::new().await;
        note(&stage.setup.store, stage.claim).await;
        let location = stage.setup.world.lock().packets[0].0;
        let builder = stage.setup.world.audited(&stage.seats, &stage.setup.store, stage.setup.signer.clone());
        let dvn = builder.build().unwrap();
        dvn.reconcile().await.unwrap();
        let attestor = dvn.attestor();
        stage.setup.world.lock().records.insert(stage.claim.job_id(), 5);
        Self { stage, attestor, location }
    }

    fn retraction(&self) -> Retraction {
        let expiration = policy::expiration(ChainTime(self.stage.setup.world.lock().time), LIFE);
        Retraction { claim: self.stage.claim, location: self.location, expiration }
    }

    async fn refused(&self, retraction: Retraction) -> String {
        let before = self.stage.setup.signer.calls();
        let error = self.attestor.take_back(&retraction).await.expect_err("must not be signed");
        assert_eq!(self.stage.setup.signer.calls(), before);
        assert_eq!(error.kind(), CosignErrorKind::Refused, "{error}");
        error.to_string()
    }
}

#[tokio::test]
async fn a_good_packet_is_not_taken_back_whoever_asks() {
    let asked = Asked::new().await;
    assert!(asked.refused(asked.retraction()).await.contains("genuine"));
    // Nor by hiding where it stands: this node knows that itself.
    let job = Job::observed(asked.stage.claim, asked.location, now());
    asked.stage.setup.store.jobs.observe(&job).await.unwrap();
    let nowhere = Location { block: BlockRef { number: BlockNumber(0), hash: B256::ZERO }, ..asked.location };
    assert!(asked.refused(Retraction { location: nowhere, ..asked.retraction() }).await.contains("genuine"));
}

#[tokio::test]
async fn what_either_of_two_verifiers_misses_is_taken_back() {
    let asked = Asked::new().await;
    asked.stage.seats.see(Sight::Orphaned);
    asked.attestor.take_back(&asked.retraction()).await.unwrap();

    let asked = Asked::new().await;
    asked.stage.setup.world.lock().reorg(70);
    asked.attestor.take_back(&asked.retraction()).await.unwrap();

    // What is not final any more is no evidence for what was attested as final.
    let asked = Asked::new().await;
    asked.stage.setup.world.lock().settled = 79;
    asked.attestor.take_back(&asked.retraction()).await.unwrap();
}

#[tokio::test]
async fn a_retraction_has_bounds_of_its_own() {
    let asked = Asked::new().await;
    asked.stage.seats.see(Sight::Orphaned);
    let (good, time) = (asked.retraction(), asked.stage.setup.world.lock().time);
    for expiration in [0, time, time + 86_400, u64::MAX] {
        asked.refused(Retraction { expiration: ChainTime(expiration), ..good }).await;
    }
    asked.stage.setup.world.lock().records.clear();
    assert!(asked.refused(good).await.contains("nothing is attested"));
    let slot = (SRC, asked.stage.claim.header.sender, asked.stage.claim.header.nonce);
    asked.stage.setup.world.lock().stored.insert(slot, asked.stage.claim.payload_hash.0);
    assert!(asked.refused(good).await.contains("committed"));
}

#[tokio::test]
async fn a_halt_does_not_stop_a_retraction_and_nothing_follows_one_until_an_operator_releases_the_slot() {
    let asked = Asked::new().await;
    let (store, world) = (&asked.stage.setup.store, &asked.stage.setup.world);
    world.lock().records.clear();
    let proposal = Proposal {
        location: asked.location,
        dst_eid: DST,
        confirmations: Confirmations(5),
        expiration: asked.retraction().expiration,
    };
    asked.attestor.cosign(&proposal).await.unwrap();
    asked.stage.seats.see(Sight::Orphaned);
    store.halts.raise(halt(HaltScope::All)).await.unwrap();
    // Our own signature may still get there.
    asked.attestor.take_back(&asked.retraction()).await.unwrap();
    store.halts.clear(HaltScope::All).await.unwrap();
    asked.stage.seats.see(Sight::True);
    let kind = |error: dvn_core::error::CosignError| error.kind();
    assert_eq!(asked.attestor.cosign(&proposal).await.map_err(kind), Err(CosignErrorKind::Equivocation));
    world.lock().records.insert(asked.stage.claim.job_id(), 0);
    assert_eq!(asked.attestor.cosign(&proposal).await.map_err(kind), Err(CosignErrorKind::Refused));

    let rows = store.journal.slot(asked.stage.claim.header.guid()).await.unwrap();
    let taken_back = rows.last().unwrap().intent.clone();
    store.journal.intend(&Intent { purpose: Purpose::Released, ..taken_back }).await.unwrap();
    // The retraction's own signature has to expire first.
    assert_eq!(asked.attestor.cosign(&proposal).await.map_err(kind), Err(CosignErrorKind::NotYet));
    world.lock().time = proposal.expiration.0;
    let expiration = policy::expiration(proposal.expiration, LIFE);
    asked.attestor.cosign(&Proposal { expiration, ..proposal }).await.unwrap();
}
