//! What a destination shows in our name, told by nodes that lie, lag and refuse.

use std::sync::atomic::{AtomicU64, Ordering};

use alloy::primitives::{Address, B256, Bytes, U64, U256};
use dvn_chain::SubmitterConfig;
use dvn_core::{
    error::{SubmitError, SubmitErrorKind},
    ids::BlockNumber,
    ports::{Cause, ChangeKind, ContractChange, History, Shown, Submitter},
};
use serde_json::{Value, json};

use crate::{
    node::Answer,
    submitter::{self, Setup, destination, setup, setup_with, signed, verified},
    world::{self, Tx},
};

/// A settled block.
const SETTLED: u64 = 70;
/// One that is not.
const FRESH: u64 = 90;

async fn read(setup: &Setup, from: u64, to: u64) -> Result<History, SubmitError> {
    setup.submitter.history(BlockNumber(from), BlockNumber(to)).await
}

async fn all(setup: &Setup) -> Result<History, SubmitError> {
    read(setup, 1, 100).await
}

/// Our own transaction for packet 1, in this block of every node.
async fn attested(block: u64) -> Setup {
    let setup = setup(&destination()).await;
    setup.submitter.submit(vec![signed(1)]).await.unwrap();
    setup.mine(block, 1, &[verified(1)]);
    setup
}

/// What [`attested`] shows.
fn shown(setup: &Setup, block: u64) -> Shown {
    let item = signed(1);
    let (block, tx_hash) = (destination().block(block), setup.outbox.all.lock().unwrap()[0].attempts[0].tx_hash);
    let causes = vec![Cause { attestation: item.attestation, signers: item.signatures.iter().collect() }];
    let (claim, confirmations) = (item.attestation.claim, item.attestation.confirmations);
    Shown { block, tx_hash, claim, confirmations, target: world::RECEIVE_LIB, causes }
}

fn kind(result: Result<History, SubmitError>) -> SubmitErrorKind {
    result.unwrap_err().kind()
}

/// Another transaction with these logs, in this block of every node.
fn add(setup: &Setup, block: u64, logs: &[(Address, Vec<B256>, Bytes)]) -> B256 {
    let hash = world::tx_hash(block);
    setup.each(|world| {
        world.blocks.entry(block).or_default().push(Tx { hash, status: 1, logs: logs.to_vec() });
    });
    hash
}

#[tokio::test]
async fn what_we_sent_is_shown_with_its_signer_and_proven_by_one_seat() {
    let setup = attested(SETTLED).await;
    let expected = History { through: BlockNumber(100), shown: vec![shown(&setup, SETTLED)], changes: vec![] };
    assert_eq!(all(&setup).await.unwrap(), expected);
    let asked: usize = setup.nodes.iter().map(|node| node.asked("eth_getRawTransactionByHash").len()).sum();
    assert_eq!(asked, 1);
    assert!(read(&setup, SETTLED + 1, 100).await.unwrap().shown.is_empty());
    assert!(read(&setup, 1, SETTLED - 1).await.unwrap().shown.is_empty());
    let none = History { through: BlockNumber(3), shown: vec![], changes: vec![] };
    assert_eq!(read(&setup, 4, 3).await.unwrap(), none);
}

#[tokio::test]
async fn t43_a_seat_that_hides_or_invents_a_settled_log_is_a_contradiction() {
    let hidden = attested(SETTLED).await;
    hidden.nodes[0].script().world.blocks.clear();
    let error = all(&hidden).await.unwrap_err();
    assert_eq!(error.kind(), SubmitErrorKind::Contradiction);
    assert!(error.evidence().unwrap().json().contains("votes"), "with what the seats said");
    let invented = setup(&destination()).await;
    let tx = Tx { hash: world::tx_hash(1), status: 1, logs: vec![verified(1)] };
    invented.nodes[2].script().world.blocks.insert(SETTLED, vec![tx]);
    assert_eq!(kind(all(&invented).await), SubmitErrorKind::Contradiction);
}

#[tokio::test]
async fn seats_may_differ_about_what_is_not_settled() {
    let setup = attested(FRESH).await;
    setup.nodes[0].script().world.blocks.clear();
    assert_eq!(kind(all(&setup).await), SubmitErrorKind::Missing);
    assert_eq!(read(&setup, 1, 80).await.unwrap().shown, []);
    setup.each(|world| world.finalized = FRESH);
    assert_eq!(kind(all(&setup).await), SubmitErrorKind::Contradiction);
}

#[tokio::test]
async fn a_dissent_that_passes_is_none() {
    let setup = attested(SETTLED).await;
    let asked = AtomicU64::new(0);
    // Its index was behind its blocks.
    setup.nodes[0].answer("eth_getLogs", move |_| (asked.fetch_add(1, Ordering::SeqCst) == 0).then(|| Ok(json!([]))));
    assert_eq!(all(&setup).await.unwrap().shown, [shown(&setup, SETTLED)]);
}

#[tokio::test]
async fn t10_a_seat_that_is_behind_has_not_read_the_range() {
    let setup = attested(SETTLED).await;
    setup.nodes[0].script().world.head = SETTLED - 1;
    assert_eq!(all(&setup).await.unwrap().shown, [shown(&setup, SETTLED)], "two of three have it");
    setup.nodes[1].script().world.head = SETTLED - 1;
    assert_eq!(kind(all(&setup).await), SubmitErrorKind::Missing);
    assert!(read(&setup, 1, SETTLED - 1).await.unwrap().shown.is_empty());
}

#[tokio::test]
async fn t10_a_node_behind_the_same_address_that_is_behind_has_not_read_the_range() {
    let setup = attested(SETTLED).await;
    let asked = AtomicU64::new(0);
    // Every other head is another node's, as behind a load balancer; a third would be asked for where seats differ.
    setup.nodes[0].answer("eth_blockNumber", move |_| {
        let is_with_logs = asked.fetch_add(1, Ordering::SeqCst) % 3 == 1;
        Some(Ok(json!(U64::from(if is_with_logs { SETTLED - 1 } else { 100 }))))
    });
    setup.nodes[0].answer("eth_getLogs", |_| Some(Ok(json!([]))));
    assert_eq!(all(&setup).await.unwrap().shown, [shown(&setup, SETTLED)]);
}

/// Refuses ranges of more blocks than this.
fn bounded(most: u64) -> impl Fn(&Value) -> Option<Answer> {
    move |params| {
        let number = |name: &str| -> u64 { params[0][name].as_str().unwrap().parse::<U64>().unwrap().to() };
        let asked = number("toBlock") - number("fromBlock") + 1;
        (asked > most).then(|| Err((-32_005, format!("query exceeds max block range {most}"))))
    }
}

#[tokio::test]
async fn a_range_that_nodes_refuse_is_read_in_parts() {
    let setup = attested(SETTLED).await;
    setup.nodes.iter().for_each(|node| node.answer("eth_getLogs", bounded(20)));
    let (mut from, mut parts, mut seen) = (1, 0, Vec::new());
    while from <= 100 {
        let part = read(&setup, from, 100).await.unwrap();
        assert!((from..from + 20).contains(&part.through.0));
        seen.extend(part.shown);
        (from, parts) = (part.through.0 + 1, parts + 1);
    }
    assert_eq!(seen, [shown(&setup, SETTLED)]);
    assert!(parts >= 5, "{parts}");
}

#[tokio::test]
async fn no_more_is_asked_for_at_once_than_is_configured() {
    let config = SubmitterConfig { log_range: 30, ..submitter::config() };
    let setup = setup_with(&destination(), config).await;
    assert_eq!(all(&setup).await.unwrap().through, BlockNumber(30));
    assert_eq!(read(&setup, 31, 40).await.unwrap().through, BlockNumber(40));
}

#[tokio::test]
async fn an_answer_that_is_too_long_is_asked_for_in_parts() {
    let setup = attested(SETTLED).await;
    let long = "x".repeat(9 * 1024 * 1024);
    for node in &setup.nodes {
        let (refuses, long) = (bounded(40), long.clone());
        node.answer("eth_getLogs", move |params| refuses(params).map(|_| Ok(json!([long]))));
    }
    assert!(all(&setup).await.unwrap().through < BlockNumber(41));
}

#[tokio::test]
async fn where_transactions_cannot_be_hashed_the_seats_vote_on_what_they_call() {
    let setup = attested(SETTLED).await;
    let expected = shown(&setup, SETTLED);
    let input = submitter_input(&setup);
    let causes = |history: History| history.shown[0].causes.clone();
    for node in &setup.nodes {
        node.answer("eth_getRawTransactionByHash", |_| Some(Err((-32_601, "method not found".to_owned()))));
        node.script().world.inputs.insert(expected.tx_hash, (Some(world::DVN), input.clone()));
    }
    assert_eq!(causes(all(&setup).await.unwrap()), expected.causes);
    setup.nodes[1].script().world.inputs.insert(expected.tx_hash, (Some(world::ENDPOINT), input.clone()));
    assert_eq!(kind(all(&setup).await), SubmitErrorKind::Contradiction);
    setup.nodes[1].script().world.inputs.clear();
    assert_eq!(causes(all(&setup).await.unwrap()), expected.causes, "who has none says nothing");
    setup.nodes[2].script().world.inputs.clear();
    assert_eq!(kind(all(&setup).await), SubmitErrorKind::Missing, "one seat alone is not believed");
    setup.nodes[0].script().world.inputs.clear();
    let unknown = all(&setup).await.unwrap().shown;
    assert_eq!(unknown, [Shown { causes: vec![], ..expected }], "nobody keeps it");
    setup.each(|world| world.finalized = SETTLED - 1);
    assert_eq!(kind(all(&setup).await), SubmitErrorKind::Missing, "perhaps nobody has it yet");
    setup.each(|world| world.finalized = SETTLED);
    for node in &setup.nodes {
        let other = json!({ "hash": B256::ZERO, "to": world::DVN, "input": input });
        node.answer("eth_getTransactionByHash", move |_| Some(Ok(other.clone())));
    }
    assert_eq!(kind(all(&setup).await), SubmitErrorKind::Missing, "that is another transaction");
}

fn submitter_input(setup: &Setup) -> Bytes {
    use alloy::{
        consensus::{Transaction, TxEnvelope},
        eips::eip2718::Decodable2718,
    };
    let raw = setup.nodes[0].script().world.sent[0].clone();
    TxEnvelope::decode_2718_exact(&raw).unwrap().input().clone()
}

#[tokio::test]
async fn a_transaction_that_does_not_hash_to_its_name_is_not_taken() {
    let setup = attested(SETTLED).await;
    let other = setup.nodes[0].script().world.sent[0].to_vec();
    for node in &setup.nodes[..2] {
        let lie: Bytes = [&other[..other.len() - 1], &[0]].concat().into();
        node.answer("eth_getRawTransactionByHash", move |_| Some(Ok(json!(lie))));
    }
    assert_eq!(all(&setup).await.unwrap().shown, [shown(&setup, SETTLED)]);
}

#[tokio::test]
async fn logs_that_a_node_took_back_or_was_not_asked_for_do_not_count() {
    let setup = attested(SETTLED).await;
    let logs = |removed: bool, block: u64| -> Option<Answer> {
        let hash = destination().hash(block);
        let (address, topics, data) = verified(1);
        Some(Ok(json!([{
            "address": address, "topics": topics, "data": data, "logIndex": "0x0", "removed": removed,
            "transactionHash": world::tx_hash(1), "blockHash": hash, "blockNumber": U64::from(block),
        }])))
    };
    for node in &setup.nodes {
        node.answer("eth_getLogs", move |_| logs(true, SETTLED));
    }
    assert_eq!(all(&setup).await.unwrap().shown, []);
    for node in &setup.nodes {
        node.answer("eth_getLogs", move |_| logs(false, SETTLED));
    }
    assert_eq!(kind(read(&setup, 1, SETTLED - 1).await), SubmitErrorKind::Missing);
    assert_eq!(all(&setup).await.unwrap().shown.len(), 1);
    for node in &setup.nodes {
        let twice = move || {
            let logs = logs(false, SETTLED)?.ok()?;
            Some(Ok(json!([logs[0], logs[0]])))
        };
        node.answer("eth_getLogs", move |_| twice());
    }
    assert_eq!(kind(all(&setup).await), SubmitErrorKind::Missing);
}

#[tokio::test]
async fn only_what_is_ours_and_can_be_read_is_shown() {
    let setup = attested(SETTLED).await;
    let packet = world::packet(2);
    let event = |dvn, header| {
        let (confirmations, payload) = (U256::from(20), packet.payload_hash().0);
        world::PayloadVerified { dvn, header, confirmations, proofHash: payload }
    };
    let theirs = event(Address::repeat_byte(9), packet.header.encode());
    let malformed = event(world::DVN, Bytes::from_static(&[1, 2]));
    let stranger = event(world::DVN, packet.header.encode());
    let change = world::UpdateQuorum { quorum: 3 };
    let logs = [
        world::log(world::RECEIVE_LIB, &theirs),
        world::log(world::RECEIVE_LIB, &malformed),
        world::log(world::ENDPOINT, &stranger),
        world::log(world::RECEIVE_LIB, &change),
        world::log(world::DVN, &change),
    ];
    let tx_hash = add(&setup, FRESH, &logs);
    let history = all(&setup).await.unwrap();
    assert_eq!(history.shown, [shown(&setup, SETTLED)]);
    let block = destination().block(FRESH);
    assert_eq!(history.changes, [ContractChange { block, tx_hash, kind: ChangeKind::Quorum(3) }]);
}
