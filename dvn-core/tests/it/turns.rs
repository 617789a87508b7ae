//! Who proposes a packet, and who follows.

use std::{
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use alloy_primitives::{Address, Signature};
use async_trait::async_trait;
use dvn_core::{
    attestor::Attestor,
    error::{CosignError, CosignErrorKind},
    ids::{BlockNumber, ChainTime, Confirmations, Eid},
    job::State,
    packet::Claim,
    ports::{Clock, Cosigner, Proposal, Retraction, Signer, SystemClock},
    rank,
};

use crate::{
    engine::{Setup, key},
    world::{Chains, DST, Running, SRC, for_a_while, until_state},
};

/// For tests that wait for it.
const TAKEOVER: Duration = Duration::from_millis(600);
/// For tests that would never end if they waited for it.
const NEVER: Duration = Duration::from_secs(3_600);
const BLOCK: u64 = 80;

/// A peer that signs nothing and submits nothing.
#[derive(Debug)]
struct Peer {
    name: &'static str,
    address: Address,
    is_healthy: AtomicBool,
    asked: AtomicU64,
}

#[async_trait]
impl Cosigner for Peer {
    fn name(&self) -> &str {
        self.name
    }

    fn address(&self, _: Eid) -> Option<Address> {
        Some(self.address)
    }

    fn is_healthy(&self) -> bool {
        self.is_healthy.load(Ordering::SeqCst)
    }

    async fn cosign(&self, _: &Proposal) -> Result<Signature, CosignError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        Err(CosignError::new(CosignErrorKind::Unavailable))
    }

    async fn take_back(&self, _: &Retraction) -> Result<Signature, CosignError> {
        Err(CosignError::new(CosignErrorKind::Unavailable))
    }
}

/// One packet, whose contract is content with this node's signature, and a peer that ranks first or last.
struct Stage {
    setup: Setup,
    claim: Claim,
    peer: Arc<Peer>,
    second: Option<Arc<Peer>>,
}

impl Peer {
    /// One that ranks before this node, or after it.
    fn ranked(name: &'static str, own: Address, is_before: bool, mut numbers: Range<u8>) -> Arc<Self> {
        let fits = |address: &Address| {
            (rank::order(SRC, DST, BlockNumber(BLOCK), [own, *address])[0] == *address) == is_before
        };
        let address = numbers.by_ref().map(|number| key(number).address()).find(fits).unwrap();
        Arc::new(Self { name, address, is_healthy: AtomicBool::new(true), asked: AtomicU64::new(0) })
    }

    fn is_healthy(&self, is_healthy: bool) {
        self.is_healthy.store(is_healthy, Ordering::SeqCst);
    }
}

impl Stage {
    async fn new(is_first: bool) -> Self {
        let (setup, claim) = Setup::with_packet(BLOCK, |_| {}).await;
        let peer = Peer::ranked("peer", setup.signer.address(), is_first, 2..100);
        Self { setup, claim, peer, second: None }
    }

    /// With a peer before this node, and another one before it or after it.
    async fn with_second(is_before: bool) -> Self {
        let mut stage = Self::new(true).await;
        stage.second = Some(Peer::ranked("second", stage.setup.signer.address(), is_before, 100..200));
        stage
    }

    fn start(&self, takeover: Duration) -> Running {
        self.start_asked(takeover).0
    }

    fn start_asked(&self, takeover: Duration) -> (Running, Arc<Attestor>) {
        let signer: Arc<dyn Signer> = self.setup.signer.clone();
        let mut builder = self.setup.world.builder(&self.setup.store, signer).takeover(takeover);
        for peer in [Some(&self.peer), self.second.as_ref()].into_iter().flatten() {
            builder = builder.peer(peer.clone());
        }
        let dvn = builder.build().unwrap();
        let attestor = dvn.attestor();
        (Running::start(dvn), attestor)
    }

    /// The peer asks for a signature, and gets it.
    async fn sign_for_peer(&self, attestor: &Attestor) {
        let location = until_state(&self.setup.store, self.claim, State::Verified).await.location;
        let expiration = ChainTime(self.setup.world.lock().time + 900);
        let proposal = Proposal { location, dst_eid: DST, confirmations: Confirmations(5), expiration };
        attestor.attest_for_peer(self.peer.name, &proposal).await.unwrap();
    }

    /// How long it takes until the packet is there.
    async fn attested_after(&self, takeover: Duration) -> Duration {
        let (running, started) = (self.start(takeover), Instant::now());
        until_state(&self.setup.store, self.claim, State::Committed).await;
        let elapsed = started.elapsed();
        running.stop().await;
        assert_eq!(self.setup.executed(), 1);
        assert_eq!(self.peer.asked.load(Ordering::SeqCst), 1, "asked beside the own key");
        elapsed
    }
}

#[tokio::test]
async fn the_first_in_rank_proposes_at_once() {
    Stage::new(false).await.attested_after(NEVER).await;
}

/// Somebody took its place while it was away, and may be submitting.
#[tokio::test]
async fn one_that_comes_back_leaves_a_moment_to_whoever_took_its_place() {
    let stage = Stage::new(false).await;
    stage.setup.store.cursors.advance(SRC, BlockNumber(BLOCK - 1)).await.unwrap();
    assert!(stage.attested_after(TAKEOVER).await >= TAKEOVER * 2, "longer than the next in rank waits");

    let stage = Stage::new(false).await;
    stage.setup.store.cursors.advance(SRC, BlockNumber(BLOCK - 1)).await.unwrap();
    stage.peer.is_healthy(false);
    stage.attested_after(NEVER).await;
}

#[tokio::test]
async fn the_next_in_rank_follows_one_that_does_nothing() {
    assert!(Stage::new(true).await.attested_after(TAKEOVER).await >= TAKEOVER);
}

/// In a flood the first in rank has its hands full of packets before this one, for ten takeovers at most.
#[tokio::test]
async fn one_that_is_busy_with_other_packets_keeps_its_turn() {
    let stage = Stage::new(true).await;
    let other = Chains::packet(2, b"another");
    stage.setup.world.lock().send(other, BLOCK);
    let (running, attestor) = stage.start_asked(TAKEOVER);
    let location = until_state(&stage.setup.store, other, State::Verified).await.location;
    let began = Instant::now();
    let mut asks = 0;
    while began.elapsed() < TAKEOVER * 3 {
        let expiration = ChainTime(stage.setup.world.lock().time + 900);
        let proposal = Proposal { location, dst_eid: DST, confirmations: Confirmations(5), expiration };
        attestor.attest_for_peer(stage.peer.name, &proposal).await.unwrap();
        asks += 1;
        tokio::time::sleep(TAKEOVER / 6).await;
    }
    assert_eq!(stage.setup.executed(), 0, "the peer was given {asks} signatures and works on");
    until_state(&stage.setup.store, stage.claim, State::Committed).await;
    running.stop().await;
}

#[tokio::test]
async fn one_that_is_known_to_be_gone_is_not_waited_for() {
    let stage = Stage::new(true).await;
    stage.peer.is_healthy(false);
    stage.attested_after(NEVER).await;
}

#[tokio::test]
async fn a_proposer_that_was_given_a_signature_has_time_to_submit() {
    let stage = Stage::new(true).await;
    let (running, attestor) = stage.start_asked(TAKEOVER);
    stage.sign_for_peer(&attestor).await;
    tokio::time::sleep(TAKEOVER * 2).await;
    assert_eq!(stage.setup.executed(), 0, "the peer is collecting");
    until_state(&stage.setup.store, stage.claim, State::Committed).await;
    running.stop().await;
}

/// Four of these are longer than a test waits for a state.
const LONG: Duration = Duration::from_millis(3_500);

#[tokio::test]
async fn one_that_asked_and_is_lost_has_one_takeover_for_what_it_may_have_sent() {
    one_that_asked_and_is_lost(false).await;
}

/// It does not know any more what it was collecting.
#[tokio::test]
async fn one_that_asked_and_came_back_has_no_more_than_one_that_is_lost() {
    one_that_asked_and_is_lost(true).await;
}

async fn one_that_asked_and_is_lost(comes_back: bool) {
    let stage = Stage::new(true).await;
    let (running, attestor) = stage.start_asked(LONG);
    let asked = Instant::now();
    stage.sign_for_peer(&attestor).await;
    for_a_while().await;
    stage.peer.is_healthy(false);
    if comes_back {
        for_a_while().await;
        stage.peer.is_healthy(true);
    }
    until_state(&stage.setup.store, stage.claim, State::Committed).await;
    running.stop().await;
    assert!(asked.elapsed() >= LONG);
    assert_eq!(stage.setup.executed(), 1);
}

#[tokio::test]
async fn what_was_left_to_one_that_is_lost_is_proposed_at_once() {
    let stage = Stage::new(true).await;
    let running = stage.start(NEVER);
    until_state(&stage.setup.store, stage.claim, State::Verified).await;
    for_a_while().await;
    assert_eq!(stage.setup.executed(), 0);
    stage.peer.is_healthy(false);
    until_state(&stage.setup.store, stage.claim, State::Committed).await;
    running.stop().await;
}

/// Or all that are left would propose together.
#[tokio::test]
async fn the_next_but_one_leaves_a_takeover_to_the_next_from_the_loss_on() {
    let stage = Stage::with_second(true).await;
    let running = stage.start(TAKEOVER);
    until_state(&stage.setup.store, stage.claim, State::Verified).await;
    tokio::time::sleep(TAKEOVER.mul_f32(0.8)).await;
    stage.peer.is_healthy(false);
    let lost = Instant::now();
    until_state(&stage.setup.store, stage.claim, State::Committed).await;
    assert!(lost.elapsed() >= TAKEOVER);
    running.stop().await;
}

/// Its comings and goings would put off the others for ever, where the next does nothing.
#[tokio::test]
async fn one_that_comes_and_goes_delays_a_packet_no_longer_than_one_that_stays() {
    let stage = Stage::with_second(true).await;
    let running = stage.start(TAKEOVER);
    let flapping = async {
        loop {
            for is_healthy in [false, true] {
                stage.peer.is_healthy(is_healthy);
                for_a_while().await;
            }
        }
    };
    tokio::select! {
        () = flapping => {}
        _ = until_state(&stage.setup.store, stage.claim, State::Committed) => {}
    }
    running.stop().await;
}

/// Nobody collects signatures over what is refused.
#[tokio::test]
async fn one_that_asked_for_what_is_refused_has_no_time_for_it() {
    let stage = Stage::new(true).await;
    let (running, attestor) = stage.start_asked(LONG);
    let location = until_state(&stage.setup.store, stage.claim, State::Verified).await.location;
    // The job sleeps until its turn by rank.
    for_a_while().await;
    let expiration = ChainTime(stage.setup.world.lock().time + 1_000_000);
    let proposal = Proposal { location, dst_eid: DST, confirmations: Confirmations(5), expiration };
    let refused = attestor.attest_for_peer(stage.peer.name, &proposal).await.unwrap_err();
    assert_eq!(refused.kind(), CosignErrorKind::Refused, "{refused}");
    until_state(&stage.setup.store, stage.claim, State::Committed).await;
    running.stop().await;
}

/// Whoever is lost made this node the one to propose, and another one is proposing already.
#[tokio::test]
async fn one_that_is_passed_the_turn_leaves_the_packet_to_who_asked() {
    let mut stage = Stage::with_second(false).await;
    std::mem::swap(&mut stage.peer, stage.second.as_mut().unwrap());
    let (running, attestor) = stage.start_asked(TAKEOVER);
    stage.sign_for_peer(&attestor).await;
    let asked = Instant::now();
    stage.second.as_ref().unwrap().is_healthy(false);
    until_state(&stage.setup.store, stage.claim, State::Committed).await;
    assert!(asked.elapsed() >= TAKEOVER * 3);
    running.stop().await;
}

/// A crash between the quorum and the transaction.
async fn with_a_quorum_and_not_sent() -> Stage {
    let stage = Stage::new(false).await;
    stage.setup.world.lock().submit_fails = true;
    let running = stage.start(TAKEOVER);
    until_state(&stage.setup.store, stage.claim, State::Signed).await;
    running.crash().await;
    stage.setup.world.lock().submit_fails = false;
    stage
}

#[tokio::test]
async fn what_was_signed_before_a_restart_is_left_a_moment_to_whoever_took_its_place() {
    let stage = with_a_quorum_and_not_sent().await;
    let started = Instant::now();
    let running = stage.start(TAKEOVER);
    until_state(&stage.setup.store, stage.claim, State::Committed).await;
    assert!(started.elapsed() >= TAKEOVER * 2);
    running.stop().await;
    assert_eq!(stage.setup.executed(), 1);

    let stage = with_a_quorum_and_not_sent().await;
    stage.peer.is_healthy(false);
    let running = stage.start(NEVER);
    until_state(&stage.setup.store, stage.claim, State::Committed).await;
    running.stop().await;
}

/// Nothing says that the lane looks at what is signed before the first packet is.
#[tokio::test]
async fn what_this_process_signed_before_its_lane_began_is_sent_at_once() {
    let stage = Stage::new(false).await;
    let (leases, lane) = (&stage.setup.store.leases, format!("lane/{DST}"));
    assert!(leases.acquire(&lane, "another", SystemClock::new().now(), NEVER).await.unwrap().is_some());
    let running = stage.start(NEVER);
    until_state(&stage.setup.store, stage.claim, State::Signed).await;
    leases.release(&lane, "another").await.unwrap();
    until_state(&stage.setup.store, stage.claim, State::Committed).await;
    running.stop().await;
}
