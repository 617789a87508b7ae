//! Looks that serve several callers: fewer questions, and the same answers.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use alloy::{primitives::B256, sol_types::SolCall};
use dvn_chain::EvmSubmitter;
use dvn_core::{
    destination::{Decision, DestinationView},
    error::{SubmitError, SubmitErrorKind},
    ports::Submitter,
};
use serde_json::json;

use super::{Setup, destination, setup};
use crate::world;

const LONG: Duration = Duration::from_secs(3_600);

/// A submitter that shares what it reads for so long.
async fn sharing(fresh: Duration) -> (Setup, Arc<EvmSubmitter>) {
    let setup = setup(&destination()).await;
    let panel = crate::node::panel_of(&setup.nodes, world::DST, 2, Duration::from_secs(5), Duration::from_millis(200));
    let (outbox, clock) = (setup.outbox.clone(), setup.clock.clone());
    let sender = Arc::new(crate::fakes::Key::new(2));
    let submitter = EvmSubmitter::new(panel, super::config(), sender, outbox, clock).with_shared_looks(fresh);
    (setup, Arc::new(submitter))
}

type Seen = BTreeMap<u64, Result<DestinationView, SubmitError>>;

/// All of these at once.
async fn views(submitter: &Arc<EvmSubmitter>, nonces: std::ops::Range<u64>) -> Seen {
    let mut tasks = tokio::task::JoinSet::new();
    for nonce in nonces {
        let submitter = Arc::clone(submitter);
        tasks.spawn(async move { (nonce, submitter.view(&world::packet(nonce).claim()).await) });
    }
    tasks.join_all().await.into_iter().collect()
}

#[tokio::test]
async fn those_who_come_together_are_answered_together_and_each_for_itself() {
    let (setup, submitter) = sharing(LONG).await;
    // One packet of them all is committed.
    let committed = world::inboundPayloadHashCall {
        receiver: alloy::primitives::Address::from_word(world::packet(7).header.receiver),
        srcEid: world::SRC.0,
        sender: world::packet(7).header.sender,
        nonce: 7,
    };
    let stored = json!(world::packet(7).payload_hash().0);
    let data = json!(alloy::primitives::Bytes::from(committed.abi_encode()));
    for node in &setup.nodes {
        let (stored, data) = (stored.clone(), data.clone());
        node.answer("eth_call", move |params| (params[0]["data"] == data).then(|| Ok(stored.clone())));
    }
    let seen = views(&submitter, 1..41).await;
    for (nonce, view) in &seen {
        let decision = view.as_ref().unwrap().decide(&world::packet(*nonce).claim());
        assert_eq!(matches!(decision, Decision::Committed), *nonce == 7, "{nonce}: {decision:?}");
    }
    for node in &setup.nodes {
        assert_eq!(node.asked("eth_blockNumber").len(), 1);
        assert!(node.asked("eth_getBlockByNumber").len() <= 4, "a few requests for forty claims");
    }
    let before = setup.nodes[0].script().asked.len();
    let again = views(&submitter, 1..41).await;
    assert!(seen.iter().all(|(nonce, view)| again[nonce].as_ref().unwrap() == view.as_ref().unwrap()));
    assert_eq!(setup.nodes[0].script().asked.len(), before, "nothing is asked twice at one height");
}

/// T43: what one seat says of one packet is no fact, and does not touch the others.
#[tokio::test]
async fn t43_a_lie_about_one_of_many_is_never_taken() {
    let (setup, submitter) = sharing(LONG).await;
    let lie = world::inboundPayloadHashCall {
        receiver: alloy::primitives::Address::from_word(world::packet(3).header.receiver),
        srcEid: world::SRC.0,
        sender: world::packet(3).header.sender,
        nonce: 3,
    };
    let data = json!(alloy::primitives::Bytes::from(lie.abi_encode()));
    setup.nodes[0]
        .answer("eth_call", move |params| (params[0]["data"] == data).then(|| Ok(json!(B256::repeat_byte(1)))));
    for (nonce, view) in views(&submitter, 1..9).await {
        match view {
            Ok(view) => assert!(nonce != 3 && view.stored == B256::ZERO, "{nonce}: {view:?}"),
            Err(error) => assert_eq!((nonce, error.kind()), (3, SubmitErrorKind::Missing)),
        }
    }
}

#[tokio::test]
async fn a_new_height_is_looked_at_anew() {
    let (setup, submitter) = sharing(Duration::from_millis(1)).await;
    let claim = world::packet(1).claim();
    assert_eq!(submitter.view(&claim).await.unwrap().at, setup.nodes[0].script().world.block(100));
    setup.each(|world| {
        world.head = 101;
        world.returns::<world::inboundPayloadHashCall>(world::ENDPOINT, &claim.payload_hash.0);
    });
    tokio::time::sleep(Duration::from_millis(5)).await;
    let view = submitter.view(&claim).await.unwrap();
    assert_eq!((view.at.number.0, view.decide(&claim)), (101, Decision::Committed));
}

/// Whoever gives up while it asks for the others leaves them their turn.
#[tokio::test]
async fn one_that_gives_up_keeps_nobody_waiting() {
    let (setup, submitter) = sharing(LONG).await;
    for round in 0..20 {
        let asking = Arc::clone(&submitter);
        let first = tokio::spawn(async move { drop(asking.view(&world::packet(1_000 + round).claim()).await) });
        let others = views(&submitter, round * 10..round * 10 + 5);
        let giving_up = async {
            tokio::time::sleep(Duration::from_micros(200 * round)).await;
            first.abort();
        };
        let (others, ()) = tokio::join!(others, giving_up);
        assert!(others.values().all(Result::is_ok), "{others:?}");
    }
    drop(setup);
}

#[tokio::test]
async fn without_sharing_everybody_asks() {
    let (setup, submitter) = sharing(Duration::ZERO).await;
    drop(views(&submitter, 1..4).await);
    assert_eq!(setup.nodes[0].asked("eth_blockNumber").len(), 3);
}
