//! What a lane makes of many jobs: full batches at once, nothing held up by what cannot be sent.

use std::time::{Duration, Instant};

use dvn_core::{
    Batch, Destination, Dvn,
    job::{Hold, State},
    packet::Claim,
};

use crate::{
    engine::Setup,
    world::{Chains, Running, for_a_while, until_state},
};

/// So many packets of settled blocks.
fn packets(setup: &Setup, count: u64) -> Vec<Claim> {
    let claims: Vec<Claim> = (1..=count).map(|nonce| Chains::packet(nonce, b"hello")).collect();
    for (claim, block) in claims.iter().zip(50..) {
        setup.world.lock().send(*claim, block);
    }
    claims
}

/// A node whose batches may fill for longer than any test waits.
fn patient(setup: &Setup, max_items: usize) -> Dvn {
    let batch = Batch { max_items, max_wait: Duration::from_secs(3_600) };
    let destination = Destination::new(std::sync::Arc::new(setup.world.clone()), setup.signer.clone());
    let destination = destination.with_batch(batch).with_poll(Duration::from_millis(5));
    let builder = setup.world.builder_to(&setup.store, destination);
    builder.build().unwrap()
}

async fn all_signed(setup: &Setup, claims: &[Claim]) {
    for claim in claims {
        until_state(&setup.store, *claim, State::Signed).await;
    }
}

#[tokio::test]
async fn what_did_not_fit_goes_at_once_with_the_next_transaction() {
    let setup = Setup::new().await;
    setup.world.lock().submit_fails = true;
    let claims = packets(&setup, 5);
    let running = Running::start(patient(&setup, 25));
    all_signed(&setup, &claims).await;
    {
        let mut chains = setup.world.lock();
        (chains.fits, chains.unsettled, chains.submit_fails) = (2, true, false);
    }
    for claim in &claims {
        until_state(&setup.store, *claim, State::Submitted).await;
    }
    assert_eq!(setup.world.lock().batches, [2, 2, 1]);
    running.stop().await;
}

#[tokio::test]
async fn a_full_batch_waits_for_no_other_and_a_lone_packet_not_at_all() {
    let setup = Setup::new().await;
    setup.world.lock().unsettled = true;
    let first = packets(&setup, 1);
    let running = Running::start(patient(&setup, 3));
    until_state(&setup.store, first[0], State::Submitted).await;
    // Behind an open transaction a batch fills until it is full.
    let later = |nonce| {
        let claim = Chains::packet(nonce, b"hello");
        let mut chains = setup.world.lock();
        let block = chains.latest + 1;
        chains.send(claim, block);
        chains.mine(20);
        claim
    };
    let more = [later(2), later(3)];
    all_signed(&setup, &more).await;
    for_a_while().await;
    assert_eq!(setup.world.lock().batches, [1]);
    let last = later(4);
    until_state(&setup.store, last, State::Submitted).await;
    assert_eq!(setup.world.lock().batches, [1, 3]);
    running.stop().await;
}

#[tokio::test]
async fn a_poisonous_job_holds_nobody_up_and_is_held_after_several_tries() {
    let setup = Setup::new().await;
    let claims = packets(&setup, 3);
    setup.world.lock().poison = vec![claims[1].job_id()];
    let began = Instant::now();
    let running = setup.start();
    for claim in [claims[0], claims[2]] {
        until_state(&setup.store, claim, State::Committed).await;
    }
    let held = until_state(&setup.store, claims[1], State::Held(Hold::Failed)).await;
    assert!(held.attested_in.is_none());
    // Tried again with growing pauses, not as fast as it can.
    assert!(began.elapsed() >= Duration::from_secs(7));
    let story = setup.store.audit.of_packet(claims[1].header.guid()).await.unwrap();
    let refused = story.iter().filter(|row| row.entry.detail.contains("it would fail")).count();
    assert_eq!(refused, 5);
    assert!(setup.world.lock().executed.iter().all(|it| it.job != claims[1].job_id()));
    running.stop().await;
}

#[tokio::test]
async fn jobs_that_cannot_be_looked_at_make_room_for_the_others() {
    // Each batch holds one job; one of the two is the first in the queue.
    for (unreadable, other) in [(0, 1), (1, 0)] {
        let setup = Setup::new().await;
        setup.world.lock().submit_fails = true;
        let claims = packets(&setup, 2);
        let running = Running::start(patient(&setup, 1));
        all_signed(&setup, &claims).await;
        {
            let mut chains = setup.world.lock();
            chains.unreadable = Some(claims[unreadable].job_id());
            chains.submit_fails = false;
        }
        until_state(&setup.store, claims[other], State::Committed).await;
        setup.world.lock().unreadable = None;
        until_state(&setup.store, claims[unreadable], State::Committed).await;
        running.stop().await;
    }
}
