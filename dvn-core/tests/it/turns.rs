//! Who proposes a packet, and who follows.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use alloy_primitives::{Address, Signature};
use async_trait::async_trait;
use dvn_core::{
    error::{CosignError, CosignErrorKind},
    ids::{BlockNumber, ChainTime, Confirmations, Eid},
    job::State,
    packet::Claim,
    ports::{Cosigner, Proposal, Retraction, Signer},
    rank,
};

use crate::{
    engine::{Setup, key},
    world::{DST, Running, SRC, until_state},
};

/// For tests that wait for it.
const TAKEOVER: Duration = Duration::from_millis(600);
/// For tests that would never end if they waited for it.
const NEVER: Duration = Duration::from_secs(3_600);
const BLOCK: u64 = 80;

/// A peer that signs nothing and submits nothing.
#[derive(Debug)]
struct Peer {
    address: Address,
    is_healthy: AtomicBool,
    asked: AtomicU64,
}

#[async_trait]
impl Cosigner for Peer {
    fn name(&self) -> &'static str {
        "peer"
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
}

impl Stage {
    async fn new(is_first: bool) -> Self {
        let (setup, claim) = Setup::with_packet(BLOCK, |_| {}).await;
        let own = setup.signer.address();
        let fits =
            |address: &Address| (rank::order(SRC, DST, BlockNumber(BLOCK), [own, *address])[0] == *address) == is_first;
        let address = (2..100).map(|number| key(number).address()).find(fits).unwrap();
        let peer = Arc::new(Peer { address, is_healthy: AtomicBool::new(true), asked: AtomicU64::new(0) });
        Self { setup, claim, peer }
    }

    fn start(&self, takeover: Duration) -> Running {
        let (signer, peer): (Arc<dyn Signer>, Arc<dyn Cosigner>) = (self.setup.signer.clone(), self.peer.clone());
        let builder = self.setup.world.builder(&self.setup.store, signer).peer(peer).takeover(takeover);
        Running::start(builder.build().unwrap())
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
    stage.peer.is_healthy.store(false, Ordering::SeqCst);
    stage.attested_after(NEVER).await;
}

#[tokio::test]
async fn the_next_in_rank_follows_one_that_does_nothing() {
    assert!(Stage::new(true).await.attested_after(TAKEOVER).await >= TAKEOVER);
}

#[tokio::test]
async fn one_that_is_known_to_be_gone_is_not_waited_for() {
    let stage = Stage::new(true).await;
    stage.peer.is_healthy.store(false, Ordering::SeqCst);
    stage.attested_after(NEVER).await;
}

#[tokio::test]
async fn a_proposer_that_was_given_a_signature_has_time_to_submit() {
    let stage = Stage::new(true).await;
    let (running, attestor) = {
        let (signer, peer): (Arc<dyn Signer>, Arc<dyn Cosigner>) = (stage.setup.signer.clone(), stage.peer.clone());
        let dvn = stage.setup.world.builder(&stage.setup.store, signer).peer(peer).takeover(TAKEOVER).build().unwrap();
        let attestor = dvn.attestor();
        (Running::start(dvn), attestor)
    };
    let job = until_state(&stage.setup.store, stage.claim, State::Verified).await;
    let (location, dst_eid) = (job.location, DST);
    let expiration = ChainTime(stage.setup.world.lock().time + 900);
    let proposal = Proposal { location, dst_eid, confirmations: Confirmations(5), expiration };
    attestor.attest_for_peer(&proposal).await.unwrap();
    tokio::time::sleep(TAKEOVER * 2).await;
    assert_eq!(stage.setup.executed(), 0, "the peer is collecting");
    until_state(&stage.setup.store, stage.claim, State::Committed).await;
    running.stop().await;
}
