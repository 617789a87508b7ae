//! Seats that leave something out: empty is not absent, and nothing is not a verdict.

use std::{sync::Arc, time::Duration};

use dvn_chain::{ChainClass, EvmReader, EvmVerifier, Panel, SourceConfig};
use dvn_core::{
    error::VerifyErrorKind,
    ids::Confirmations,
    job::Refusal,
    ports::{Verification, Verifier},
};
use serde_json::{Value, json};

use crate::{
    fakes::Hashes,
    node::{self, Node},
    world::{self, World},
};

const FINAL: u64 = 70;

fn verifier(panel: Arc<Panel>) -> EvmVerifier {
    let config = SourceConfig::new(world::contracts(), &ChainClass::Conflux.profile(), Confirmations(10));
    let config = SourceConfig { block_time: Duration::ZERO, ..config };
    EvmVerifier::new(Arc::new(EvmReader::new(panel, config, Arc::new(Hashes::default()))))
}

async fn setup(seats: usize, need: usize) -> (World, Vec<Node>, EvmVerifier) {
    let mut world = world::source_world();
    world.send(FINAL, 1);
    let (nodes, panel) = node::panel(&world, world::SRC, seats, need).await;
    (world, nodes, verifier(panel))
}

/// Answers null or an empty list about receipts.
fn blank(node: &Node, with: &Value) {
    let with = with.clone();
    node.answer("eth_getBlockReceipts", move |_| Some(Ok(with.clone())));
}

/// T12: null for a while is no verdict; the packet is found once the receipts are there.
#[tokio::test]
async fn t12_null_receipts_are_asked_for_again() {
    let (world, nodes, verifier) = setup(3, 3).await;
    blank(&nodes[0], &Value::Null);
    for _ in 0..4 {
        let error = verifier.verify(&world.location(FINAL, 1)).await.unwrap_err();
        assert_eq!(error.kind(), VerifyErrorKind::Missing);
    }
    nodes[0].answer("eth_getBlockReceipts", |_| None);
    assert!(matches!(verifier.verify(&world.location(FINAL, 1)).await, Ok(Verification::Found(_))));
}

/// A seat whose head covers the block and that says nothing or "empty" five times means it.
#[tokio::test]
async fn nothing_five_times_from_a_seat_that_has_the_block_is_a_contradiction() {
    for with in [Value::Null, json!([])] {
        let (world, nodes, verifier) = setup(3, 3).await;
        blank(&nodes[0], &with);
        let mut kinds = Vec::new();
        for _ in 0..5 {
            kinds.push(verifier.verify(&world.location(FINAL, 1)).await.unwrap_err().kind());
        }
        let missing = VerifyErrorKind::Missing;
        assert_eq!(kinds, [missing, missing, missing, missing, VerifyErrorKind::Contradiction], "{with}");
    }
}

/// A packet that nobody has is refused, after all have insisted that the block is empty.
#[tokio::test]
async fn an_empty_block_is_empty_once_all_insist() {
    let (world, nodes, verifier) = setup(2, 2).await;
    nodes.iter().for_each(|node| blank(node, &json!([])));
    for _ in 0..4 {
        assert_eq!(verifier.verify(&world.location(FINAL, 1)).await.unwrap_err().kind(), VerifyErrorKind::Missing);
    }
    let refused = Verification::Rejected { refusal: Refusal::NotGenuine, is_settled: true };
    assert_eq!(verifier.verify(&world.location(FINAL, 1)).await.unwrap(), refused);
}

/// Conflux eSpace: whatever hash is agreed, each further fact is voted on by itself.
#[tokio::test]
async fn where_hashes_prove_nothing_one_seats_other_receipt_is_a_contradiction() {
    let (world, nodes, verifier) = setup(4, 3).await;
    let mut forged = world.clone();
    forged.blocks.get_mut(&FINAL).unwrap()[0].status = 0;
    nodes[3].answer("eth_getBlockReceipts", move |params| Some(forged.clone().answer("eth_getBlockReceipts", params)));
    let error = verifier.verify(&world.location(FINAL, 1)).await.unwrap_err();
    assert_eq!(error.kind(), VerifyErrorKind::Contradiction);
    let bundle: Value = serde_json::from_str(error.evidence().unwrap().json()).unwrap();
    assert_eq!(bundle["votes"].as_array().unwrap().len(), 4);
}

/// Nodes without whole blocks: the transaction's receipt must say what the logs of its block say.
#[tokio::test]
async fn a_receipt_that_differs_from_the_logs_of_its_block_is_no_vote() {
    let (world, nodes, verifier) = setup(3, 2).await;
    for node in &nodes {
        node.answer("eth_getBlockReceipts", |_| Some(Err((-32601, "method not found".to_owned()))));
    }
    assert!(matches!(verifier.verify(&world.location(FINAL, 1)).await, Ok(Verification::Found(_))));
    let (world, nodes, verifier) = setup(3, 2).await;
    for node in &nodes {
        node.answer("eth_getBlockReceipts", |_| Some(Err((-32601, "method not found".to_owned()))));
        node.answer("eth_getLogs", |_| Some(Ok(json!([]))));
    }
    let error = verifier.verify(&world.location(FINAL, 1)).await.unwrap_err();
    assert_eq!(error.kind(), VerifyErrorKind::Missing);
}
