use std::{sync::Arc, time::Duration};

use alloy::primitives::Address;
use dvn_chain::{ChainClass, EvmReader, EvmVerifier, Panel, SourceConfig};
use dvn_core::{
    error::VerifyErrorKind,
    ids::{BlockNumber, Confirmations, Eid},
    job::{Location, Refusal},
    ports::{Head, Observation, Verification, Verifier},
};
use serde_json::{Value, json};

use crate::{
    fakes::Hashes,
    node::{self, Node},
    world::{self, World},
};

const FINAL: u64 = 70;
const FRESH: u64 = 95;

fn verifier(panel: Arc<Panel>) -> EvmVerifier {
    with_hashes(panel, Arc::default())
}

/// Every look asks for the head anew.
const NEVER_FRESH: Duration = Duration::ZERO;

fn with_hashes(panel: Arc<Panel>, hashes: Arc<Hashes>) -> EvmVerifier {
    with_block_time(panel, hashes, NEVER_FRESH)
}

fn with_block_time(panel: Arc<Panel>, hashes: Arc<Hashes>, block_time: Duration) -> EvmVerifier {
    let config = SourceConfig::new(world::contracts(), &ChainClass::Generic.profile(), Confirmations(10));
    let config = SourceConfig { block_time, ..config };
    EvmVerifier::new(Arc::new(EvmReader::new(panel, config, hashes)))
}

/// A world with packet 1 in a final block and packet 2 in a fresh one.
fn two_packets() -> World {
    let mut world = world::source_world();
    world.send(FINAL, 1);
    world.send(FRESH, 2);
    world
}

async fn setup(world: &World) -> (Vec<Node>, EvmVerifier) {
    let (nodes, panel) = node::panel(world, world::SRC, 3, 2).await;
    (nodes, verifier(panel))
}

async fn found(verifier: &EvmVerifier, location: &Location) -> Observation {
    match verifier.verify(location).await.unwrap() {
        Verification::Found(seen) => *seen,
        other => panic!("expected a packet, got {other:?}"),
    }
}

async fn kind(verifier: &EvmVerifier, location: &Location) -> VerifyErrorKind {
    verifier.verify(location).await.unwrap_err().kind()
}

#[tokio::test]
async fn a_packet_is_found_with_its_evidence() {
    let world = two_packets();
    let (_nodes, verifier) = setup(&world).await;
    let seen = found(&verifier, &world.location(FINAL, 1)).await;
    assert_eq!(seen.claim, world::packet(1).claim());
    assert!(seen.assigned);
    assert_eq!(seen.send_confirmations, Confirmations(15));
    assert_eq!(seen.head, Head { latest: BlockNumber(100), settled: BlockNumber(80) });
    let evidence: Value = serde_json::from_str(seen.evidence.json()).unwrap();
    assert_eq!(evidence["block"]["hash"], json!(world.hash(FINAL)));
    assert_eq!(evidence["votes"]["block_hash"].as_array().unwrap().len(), 3);
    assert_eq!(evidence["anchor"]["number"], 80);
    assert_eq!(evidence["outbound_nonce"], 9);
}

#[tokio::test]
async fn packets_of_one_block_share_one_reading_of_its_receipts() {
    let world = two_packets();
    let (nodes, verifier) = setup(&world).await;
    for _ in 0..3 {
        found(&verifier, &world.location(FINAL, 1)).await;
    }
    assert_eq!(nodes[0].asked("eth_getBlockReceipts").len(), 1);
    let heads = nodes[0].asked("eth_getBlockByNumber").iter().filter(|params| params[0] == "latest").count();
    assert_eq!(heads, 3, "what can change is asked every time");
}

#[tokio::test]
async fn packets_of_one_block_share_every_question_under_one_head() {
    let mut world = world::source_world();
    for nonce in 1..=9 {
        world.send(FINAL, nonce);
    }
    let (nodes, panel) = node::panel(&world, world::SRC, 3, 2).await;
    let verifier = with_block_time(panel, Arc::default(), Duration::from_secs(3600));
    found(&verifier, &world.location(FINAL, 1)).await;
    let calls = || nodes.iter().map(|node| node.script().asked.len()).collect::<Vec<_>>();
    let of_one = calls();
    for nonce in 2..=9 {
        let location = Location { log_index: 2 * nonce - 1, ..world.location(FINAL, nonce) };
        found(&verifier, &location).await;
    }
    assert_eq!(calls(), of_one);
}

#[tokio::test]
async fn what_was_read_before_finality_is_read_again_after() {
    let world = two_packets();
    let (nodes, verifier) = setup(&world).await;
    found(&verifier, &world.location(FRESH, 2)).await;
    nodes.iter().for_each(|node| node.script().world.finalized = 96);
    found(&verifier, &world.location(FRESH, 2)).await;
    assert_eq!(nodes[0].asked("eth_getBlockReceipts").len(), 2);
}

#[tokio::test]
async fn one_silent_seat_of_three_is_borne_and_two_are_not() {
    let world = two_packets();
    let (nodes, _) = setup(&world).await;
    let (long, short) = (Duration::from_secs(60), Duration::from_millis(250));
    nodes[2].script().silent = true;
    found(&verifier(node::panel_of(&nodes, world::SRC, 2, long, short)), &world.location(FINAL, 1)).await;
    nodes[1].script().silent = true;
    let impatient = verifier(node::panel_of(&nodes, world::SRC, 2, short, short));
    assert_eq!(kind(&impatient, &world.location(FINAL, 1)).await, VerifyErrorKind::Missing);
}

#[tokio::test]
async fn a_lie_about_a_final_blocks_hash_is_a_contradiction_whoever_has_the_majority() {
    let world = two_packets();
    let (nodes, verifier) = setup(&world).await;
    nodes[0].script().world.fork = (60, 1);
    assert_eq!(kind(&verifier, &world.location(FINAL, 1)).await, VerifyErrorKind::Contradiction);
}

#[tokio::test]
async fn two_hashes_at_a_height_that_is_not_final_are_waited_out() {
    let world = two_packets();
    let (nodes, verifier) = setup(&world).await;
    nodes[0].script().world.fork = (90, 1);
    assert_eq!(kind(&verifier, &world.location(FRESH, 2)).await, VerifyErrorKind::Missing);
}

#[tokio::test]
async fn a_block_that_left_the_chain_orphans_its_packets() {
    let world = two_packets();
    let location = world.location(FRESH, 2);
    let (nodes, verifier) = setup(&world).await;
    nodes.iter().for_each(|node| node.script().world.fork = (90, 1));
    assert_eq!(verifier.verify(&location).await.unwrap(), Verification::Orphaned);
}

#[tokio::test]
async fn a_final_hash_that_changes_over_time_is_a_contradiction() {
    let world = two_packets();
    let (nodes, panel) = node::panel(&world, world::SRC, 3, 2).await;
    let verifier = with_hashes(panel, Arc::default());
    found(&verifier, &world.location(FINAL, 1)).await;
    nodes.iter().for_each(|node| node.script().world.fork = (60, 1));
    // Also for a packet of the old block, which would look like a mere orphan.
    assert_eq!(kind(&verifier, &world.location(FINAL, 1)).await, VerifyErrorKind::Contradiction);
}

#[tokio::test]
async fn a_block_above_the_head_is_missing_and_not_orphaned() {
    let world = two_packets();
    let (nodes, verifier) = setup(&world).await;
    nodes.iter().for_each(|node| node.script().world.head = FRESH - 1);
    assert_eq!(kind(&verifier, &world.location(FRESH, 2)).await, VerifyErrorKind::Missing);
}

#[tokio::test]
async fn a_lie_about_receipts_is_a_contradiction_once_final() {
    for change in ["/0/status", "/0/logs/1/data", "/0/logs"] {
        let world = two_packets();
        let (nodes, verifier) = setup(&world).await;
        let truth = world.clone();
        nodes[0].answer("eth_getBlockReceipts", move |params| {
            let mut receipts = truth.clone().answer("eth_getBlockReceipts", params).unwrap();
            *receipts.pointer_mut(change).unwrap() = if change == "/0/logs" { json!([]) } else { json!("0x00") };
            Some(Ok(receipts))
        });
        assert_eq!(kind(&verifier, &world.location(FINAL, 1)).await, VerifyErrorKind::Contradiction, "{change}");
        assert_eq!(kind(&verifier, &world.location(FRESH, 2)).await, VerifyErrorKind::Missing, "{change}");
    }
}

#[tokio::test]
async fn a_seat_that_does_not_know_the_block_or_contradicts_itself_loses_its_vote_only() {
    let world = two_packets();
    for answer in [Value::Null, json!([{ "transactionHash": world::tx_hash(1), "logs": [] }])] {
        let (nodes, verifier) = setup(&world).await;
        nodes[0].answer("eth_getBlockReceipts", move |_| Some(Ok(answer.clone())));
        found(&verifier, &world.location(FINAL, 1)).await;
    }
}

#[tokio::test]
async fn answers_about_another_block_are_no_votes() {
    let mut world = two_packets();
    world.send(60, 3);
    for (method, other) in
        [("eth_getBlockReceipts", json!([world.hash(60)])), ("eth_getBlockByNumber", json!(["0x3c", false]))]
    {
        let (nodes, verifier) = setup(&world).await;
        for node in &nodes[..2] {
            let (truth, other) = (world.clone(), other.clone());
            node.answer(method, move |params| {
                let is_number = params[0].as_str().is_some_and(|text| text.starts_with("0x"));
                is_number.then(|| truth.clone().answer(method, &other))
            });
        }
        assert_eq!(kind(&verifier, &world.location(FINAL, 1)).await, VerifyErrorKind::Missing, "{method}");
    }
}

#[tokio::test]
async fn nodes_without_block_receipts_are_asked_for_the_transactions() {
    let world = two_packets();
    let (nodes, verifier) = setup(&world).await;
    for node in &nodes[..2] {
        node.answer("eth_getBlockReceipts", |_| Some(Err((-32601, "the method does not exist".to_owned()))));
    }
    found(&verifier, &world.location(FINAL, 1)).await;
    assert_eq!(nodes[0].asked("eth_getTransactionReceipt").len(), 1);
}

#[tokio::test]
async fn a_node_that_takes_no_batches_is_asked_one_by_one() {
    let world = two_packets();
    let (nodes, verifier) = setup(&world).await;
    nodes.iter().for_each(|node| node.script().refuses_batches = true);
    found(&verifier, &world.location(FINAL, 1)).await;
}

/// The last word about a location in a final block.
const REFUSED: Verification = Verification::Rejected { refusal: Refusal::NotGenuine, is_settled: true };

async fn refused(world: &World, location: &Location) {
    let (_nodes, verifier) = setup(world).await;
    assert_eq!(verifier.verify(location).await.unwrap(), REFUSED);
}

#[tokio::test]
async fn t49_a_failed_transaction_sends_no_packet() {
    let mut world = two_packets();
    world.blocks.get_mut(&FINAL).unwrap()[0].status = 0;
    refused(&world, &world.location(FINAL, 1)).await;
}

#[tokio::test]
async fn t49_a_receipt_without_status_sends_no_packet() {
    let world = two_packets();
    let (nodes, verifier) = setup(&world).await;
    for node in &nodes {
        let truth = world.clone();
        node.answer("eth_getBlockReceipts", move |params| {
            let mut receipts = truth.clone().answer("eth_getBlockReceipts", params).unwrap();
            receipts[0].as_object_mut().unwrap().remove("status");
            Some(Ok(receipts))
        });
    }
    let result = verifier.verify(&world.location(FINAL, 1)).await.unwrap();
    assert_eq!(result, REFUSED);
}

#[tokio::test]
async fn a_location_without_a_packet_is_refused() {
    let world = two_packets();
    let good = world.location(FINAL, 1);
    refused(&world, &Location { log_index: 0, ..good }).await;
    refused(&world, &Location { log_index: 7, ..good }).await;
    refused(&world, &Location { tx_hash: world::tx_hash(8), ..good }).await;
}

#[tokio::test]
async fn a_forged_packet_is_refused() {
    let mut world = two_packets();
    world.blocks.get_mut(&FINAL).unwrap()[0].logs[1].0 = Address::repeat_byte(0xbb);
    refused(&world, &world.location(FINAL, 1)).await;
}

#[tokio::test]
async fn a_packet_beyond_the_endpoints_own_count_is_refused_once_final() {
    let mut world = two_packets();
    world.returns::<world::outboundNonceCall>(world::ENDPOINT, &0);
    let (_nodes, final_verifier) = setup(&world).await;
    let ahead = Verification::Rejected { refusal: Refusal::NonceAhead, is_settled: true };
    assert_eq!(final_verifier.verify(&world.location(FINAL, 1)).await.unwrap(), ahead);
    let (_nodes, verifier) = setup(&world).await;
    assert_eq!(kind(&verifier, &world.location(FRESH, 2)).await, VerifyErrorKind::Missing);
}

#[tokio::test]
async fn a_packet_for_another_dvn_is_found_and_not_assigned() {
    let mut world = world::source_world();
    let packet = world.send(FINAL, 1);
    let paid =
        world::DVNFeePaid { requiredDVNs: vec![Address::ZERO], optionalDVNs: vec![], fees: vec![Default::default()] };
    world.blocks.get_mut(&FINAL).unwrap()[0].logs[0] = world::log(world::SEND_LIB, &paid);
    let (_nodes, verifier) = setup(&world).await;
    let seen = found(&verifier, &world.location(FINAL, 1)).await;
    assert_eq!((seen.assigned, seen.claim), (false, packet.claim()));
}

#[tokio::test]
async fn seats_that_differ_about_the_configuration_are_waited_out() {
    let world = two_packets();
    let (nodes, verifier) = setup(&world).await;
    nodes[0].script().world.returns::<world::getUlnConfigCall>(world::SEND_LIB, &world::uln(1, &[world::DVN]));
    assert_eq!(kind(&verifier, &world.location(FINAL, 1)).await, VerifyErrorKind::Missing);
}

#[tokio::test]
async fn another_chains_packet_is_foreign() {
    let world = two_packets();
    let (_nodes, verifier) = setup(&world).await;
    let location = Location { src_eid: Eid(30110), ..world.location(FINAL, 1) };
    assert_eq!(kind(&verifier, &location).await, VerifyErrorKind::Foreign);
}
