//! Halts that last, gaps that hold, and a queue that proves nothing.

use std::time::Duration;

use alloy_primitives::keccak256;
use dvn_core::{
    error::VerifyErrorKind,
    ids::JobId,
    job::{Hold, Job, Refusal, State},
    ports::{Due, EvidenceBundle, HaltScope, JobQueue, LocalQueue},
};

use crate::{
    engine::Setup,
    world::{Chains, Running, SRC, for_a_while, until, until_state},
};

async fn until_halted(setup: &Setup) -> dvn_core::ports::Halt {
    for _ in 0..2_000 {
        if let Some(halt) = setup.store.halts.standing().await.unwrap().pop() {
            return halt;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("no halt was raised");
}

/// T15: the latch outlives healthy polls and restarts, and only an operator's word lifts it.
#[tokio::test]
async fn t15_a_halt_outlives_a_thousand_healthy_polls_and_three_restarts() {
    let (setup, claim) = Setup::with_packet(80, |_| {}).await;
    let bundle = EvidenceBundle::new("{\"question\":\"final block\"}");
    setup.world.lock().source_contradicts = Some(bundle.clone());
    let running = setup.start();
    let halt = until_halted(&setup).await;
    assert_eq!((halt.scope, halt.evidence), (HaltScope::Chain(SRC), Some(bundle.digest())));
    assert_eq!(setup.store.evidence.of_halt(bundle.digest()).await.unwrap(), Some(bundle));
    running.crash().await;

    setup.world.lock().source_contradicts = None;
    for restart in 1..=3_u64 {
        let running = setup.start();
        for _ in 0..10_000 {
            setup.world.lock().latest += 1;
            if setup.world.lock().polls > restart * 340 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
        running.stop().await;
        assert!(setup.world.lock().polls > restart * 340);
        assert_eq!(setup.store.halts.standing().await.unwrap(), std::slice::from_ref(&halt));
    }
    assert_eq!(setup.signer.calls(), 0);
    assert!(setup.store.halts.clear(halt.scope).await.unwrap());
    let running = setup.start();
    until_state(&setup.store, claim, State::Committed).await;
    running.stop().await;
}

#[tokio::test]
async fn the_evidence_of_a_packets_contradiction_is_kept_with_the_halt() {
    let (setup, _) =
        Setup::with_packet(80, |chains| chains.verifier_fails = Some(VerifyErrorKind::Contradiction)).await;
    let running = setup.start();
    let halt = until_halted(&setup).await;
    running.stop().await;
    let kept = setup.store.evidence.of_halt(halt.evidence.unwrap()).await.unwrap().unwrap();
    assert_eq!(kept.json(), "{\"votes\":[]}");
}

/// T52: 1 was seen, 2 is hidden, 3 is shown.
#[tokio::test]
async fn t52_a_packet_ahead_of_a_gap_is_held_until_the_gap_is_explained() {
    let setup = Setup::new().await;
    let [one, two, three] = [1, 2, 3].map(|nonce| Chains::packet(nonce, b"hello"));
    {
        let mut chains = setup.world.lock();
        chains.send(one, 70);
        chains.send(two, 75);
        chains.send(three, 80);
        chains.hidden = vec![two.job_id()];
    }
    let running = Running::start(
        setup.world.builder(&setup.store, setup.signer.clone()).resweep(Duration::ZERO).build().unwrap(),
    );
    until_state(&setup.store, one, State::Committed).await;
    until_state(&setup.store, three, State::Held(Hold::NonceGap)).await;
    for_a_while().await;
    assert_eq!(setup.executed(), 1);
    // The next look at what was read before finds it.
    {
        let mut chains = setup.world.lock();
        chains.hidden.clear();
        chains.mine(1);
    }
    until_state(&setup.store, two, State::Committed).await;
    // The hold looks again by itself, as does whoever restarts the node.
    running.stop().await;
    let mut held = setup.store.jobs.load(three.job_id()).await.unwrap().unwrap();
    held.wake = dvn_core::job::Wake::At(std::time::UNIX_EPOCH);
    setup.store.jobs.save(&mut held).await.unwrap();
    let running = setup.start();
    until_state(&setup.store, three, State::Committed).await;
    running.stop().await;
    assert_eq!(setup.executed(), 3);
}

/// T52, the other side: seats that drop logs delay nothing, since a packet that is verified has been seen.
#[tokio::test]
async fn t52_a_packet_that_too_few_seats_show_is_no_gap() {
    let setup = Setup::new().await;
    let [one, two] = [1, 2].map(|nonce| Chains::packet(nonce, b"hello"));
    {
        let mut chains = setup.world.lock();
        chains.send(one, 70);
        chains.send(two, 75);
        chains.unsighted = vec![one.job_id(), two.job_id()];
    }
    let running = setup.start();
    until_state(&setup.store, one, State::Committed).await;
    // A look that comes before its forerunner's was verified is repeated with the next head.
    setup.world.lock().mine(1);
    until_state(&setup.store, two, State::Committed).await;
    running.stop().await;
}

/// T46: whatever is pushed into the queue, and even a job in the store, only makes the node look.
#[tokio::test]
async fn t46_a_forged_job_is_looked_at_and_never_signed() {
    let setup = Setup::new().await;
    setup.world.lock().send(Chains::packet(1, b"genuine"), 70);
    let forged = Chains::packet(2, b"drain everything");
    let place = setup.world.lock().block(80);
    let location = dvn_core::job::Location { src_eid: SRC, block: place, tx_hash: keccak256("forged"), log_index: 0 };
    let queue = std::sync::Arc::new(LocalQueue::new(100));
    for byte in 0..50_u8 {
        queue.push(Due { id: JobId(keccak256([byte])), state: State::Observed, version: 0 }).await.unwrap();
    }
    let job = Job::observed(forged, location, std::time::UNIX_EPOCH);
    setup.store.jobs.observe(&job).await.unwrap();
    for _ in 0..10 {
        queue.push(Due::from(&job)).await.unwrap();
    }
    let dvn = setup.world.builder(&setup.store, setup.signer.clone()).queue(queue).build().unwrap();
    let running = Running::start(dvn);
    until_state(&setup.store, Chains::packet(1, b"genuine"), State::Committed).await;
    until_state(&setup.store, forged, State::Refused(Refusal::NotGenuine)).await;
    running.stop().await;
    assert_eq!((setup.signer.calls(), setup.executed()), (1, 1));
    until(&setup.store, forged, |job| job.signed.is_none()).await;
}

/// T18: between the first look and the signature a reorg puts another payload at the same nonce.
#[tokio::test]
async fn t18_only_the_payload_on_the_canonical_chain_is_signed() {
    let setup = Setup::new().await;
    let [first, second] = [b"first".as_slice(), b"second"].map(|message| Chains::packet(1, message));
    setup.world.lock().send(first, 95);
    let running = setup.start();
    until_state(&setup.store, first, State::Waiting).await;
    {
        let mut chains = setup.world.lock();
        chains.reorg(94);
        chains.send(second, 96);
        chains.mine(30);
    }
    until_state(&setup.store, second, State::Committed).await;
    until_state(&setup.store, first, State::Orphaned).await;
    running.stop().await;
    let signed = setup.store.journal.slot(first.header.guid()).await.unwrap();
    let payloads: Vec<_> = signed.iter().map(|row| row.intent.attestation.claim.payload_hash).collect();
    assert_eq!(payloads, [second.payload_hash]);
}
