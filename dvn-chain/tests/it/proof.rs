//! One seat's receipts count only as far as they hash to the agreed block. The block is a recorded one of Ethereum with a
//! packet's transaction added and the hashes computed anew.

use std::{sync::Arc, time::Duration};

use alloy::primitives::B256;
use dvn_chain::{
    ChainClass, EvmReader, EvmVerifier, SourceConfig,
    proof::{self, Header, Receipt},
};
use dvn_core::{
    error::VerifyErrorKind,
    ids::{BlockNumber, BlockRef, Confirmations},
    job::{Location, Refusal},
    ports::{Verification, Verifier},
};
use serde_json::{Value, json};

use crate::{
    fakes::Hashes,
    node::{self, Node},
    world,
};

const RECORDED: &str = include_str!("../../testdata/receipts/ethereum-18000000.json");
const HEIGHT: u64 = 70;

/// A block's header and receipts, and where its packet is.
#[derive(Clone)]
struct Block {
    header: Value,
    receipts: Value,
    location: Location,
}

fn block(status: &str) -> Block {
    let mut recorded: Value = serde_json::from_str(RECORDED).unwrap();
    let (mut header, mut receipts) = (recorded["block"].take(), recorded["receipts"].take());
    let count: usize = receipts.as_array().unwrap().iter().map(|it| it["logs"].as_array().unwrap().len()).sum();
    let mut world = world::source_world();
    world.send(HEIGHT, 1);
    let of_packet = world.blocks[&HEIGHT][0].logs.iter();
    let logs: Vec<_> = of_packet
        .map(|(address, topics, data)| json!({ "address": address, "topics": topics, "data": data }))
        .collect();
    let hash = world::tx_hash(1);
    receipts.as_array_mut().unwrap().push(
        json!({ "transactionHash": hash, "type": "0x2", "status": status, "cumulativeGasUsed": "0x1", "logs": logs }),
    );
    header["number"] = json!("0x46");
    header["receiptsRoot"] = json!(root(&receipts));
    let hash = rehashed(&mut header);
    let place = BlockRef { number: BlockNumber(HEIGHT), hash };
    let log_index = u64::try_from(count).unwrap() + 1;
    Block { header, receipts, location: Location { block: place, log_index, ..world.location(HEIGHT, 1) } }
}

fn root(receipts: &Value) -> B256 {
    let receipts: Vec<Receipt> = serde_json::from_value(receipts.clone()).unwrap();
    proof::receipts_root(ChainClass::Ethereum.profile().proof.unwrap(), &receipts).unwrap()
}

fn rehashed(header: &mut Value) -> B256 {
    let hash = serde_json::from_value::<Header>(header.clone()).unwrap().hash().unwrap();
    header["hash"] = json!(hash);
    hash
}

/// The headers from the block on up to the newest one, three higher.
fn above(block: &Block) -> Vec<Value> {
    let mut headers = vec![block.header.clone()];
    headers[0]["hash"] = json!(block.location.block.hash);
    for number in HEIGHT + 1..=HEIGHT + 3 {
        let mut header = block.header.clone();
        header["number"] = json!(format!("{number:#x}"));
        header["parentHash"] = headers.last().unwrap()["hash"].clone();
        rehashed(&mut header);
        headers.push(header);
    }
    headers
}

async fn setup(block: &Block) -> (Vec<Node>, EvmVerifier) {
    let (nodes, panel) = node::panel(&world::source_world(), world::SRC, 3, 2).await;
    for node in &nodes {
        let headers = above(block);
        node.answer("eth_getBlockByNumber", move |params| {
            let at = |position: usize| Some(Ok(headers[position].clone()));
            match params[0].as_str().unwrap() {
                "latest" => at(3),
                "finalized" => at(2),
                number => headers.iter().find(|header| header["number"] == number).cloned().map(Ok),
            }
        });
        serve(node, block);
    }
    let config = SourceConfig::new(world::contracts(), &ChainClass::Ethereum.profile(), Confirmations(10));
    let config = SourceConfig { block_time: Duration::ZERO, ..config };
    (nodes, EvmVerifier::new(Arc::new(EvmReader::new(panel, config, Arc::new(Hashes::default())))))
}

/// What the node shows as evidence, whatever hash it votes for.
fn serve(node: &Node, block: &Block) {
    let Block { header, receipts, location } = block.clone();
    let headers = above(block);
    node.answer("eth_getBlockByHash", move |params| {
        if params[0] == json!(location.block.hash) {
            return Some(Ok(header.clone()));
        }
        headers.iter().find(|header| header["hash"] == params[0]).cloned().map(Ok)
    });
    node.answer("eth_getBlockReceipts", move |_| Some(Ok(receipts.clone())));
}

type Lie = fn(&mut Block);

/// Ways to hide, change or invent a log, with and without a header that fits.
const LIES: [Lie; 6] = [
    |it| it.receipts[94]["logs"] = json!([]),
    |it| it.receipts[94]["status"] = json!("0x0"),
    |it| it.receipts[94]["logs"][1]["data"] = json!("0x00"),
    |it| it.receipts[0]["cumulativeGasUsed"] = json!("0x2"),
    |it| {
        it.receipts[94]["logs"] = json!([]);
        it.header["receiptsRoot"] = json!(root(&it.receipts));
    },
    |it| {
        it.receipts[94]["logs"] = json!([]);
        it.header["receiptsRoot"] = json!(root(&it.receipts));
        rehashed(&mut it.header);
    },
];

async fn evidence(verifier: &EvmVerifier, location: &Location) -> Value {
    match verifier.verify(location).await.unwrap() {
        Verification::Found(seen) => {
            assert_eq!(seen.claim, world::packet(1).claim());
            serde_json::from_str(seen.evidence.json()).unwrap()
        }
        other => panic!("expected a packet, got {other:?}"),
    }
}

#[tokio::test]
async fn one_seats_receipts_prove_a_packet_and_are_read_once() {
    let block = block("0x1");
    let (nodes, verifier) = setup(&block).await;
    let seen = evidence(&verifier, &block.location).await;
    assert_eq!(seen["votes"]["receipts"]["proven"], block.header["receiptsRoot"]);
    evidence(&verifier, &block.location).await;
    assert_eq!(nodes.iter().map(|node| node.asked("eth_getBlockReceipts").len()).sum::<usize>(), 1);
}

#[tokio::test]
async fn a_seat_whose_evidence_does_not_hash_gives_way_to_the_next() {
    for (number, lie) in LIES.into_iter().enumerate() {
        let block = block("0x1");
        let (nodes, verifier) = setup(&block).await;
        let mut forged = block.clone();
        lie(&mut forged);
        serve(&nodes[0], &forged);
        serve(&nodes[1], &forged);
        let seen = evidence(&verifier, &block.location).await;
        let server = json!([nodes[2].address]);
        assert_eq!(seen["votes"]["receipts"]["served_by"], server, "lie {number}");
    }
}

#[tokio::test]
async fn where_all_seats_lie_there_is_no_result() {
    for (number, lie) in LIES.into_iter().enumerate() {
        let block = block("0x1");
        let (nodes, verifier) = setup(&block).await;
        let mut forged = block.clone();
        lie(&mut forged);
        nodes.iter().for_each(|node| serve(node, &forged));
        let error = verifier.verify(&block.location).await.unwrap_err();
        assert_eq!(error.kind(), VerifyErrorKind::Missing, "lie {number}");
    }
}

#[tokio::test]
async fn a_seat_that_mislabels_transactions_hides_no_packet() {
    let block = block("0x1");
    let (nodes, verifier) = setup(&block).await;
    let mut mislabelled = block.clone();
    mislabelled.receipts[94]["transactionHash"] = json!(B256::repeat_byte(9));
    serve(&nodes[0], &mislabelled);
    evidence(&verifier, &block.location).await;
}

#[tokio::test]
async fn t49_a_proven_failure_sends_no_packet() {
    let block = block("0x0");
    let (_nodes, verifier) = setup(&block).await;
    let refused = Verification::Rejected { refusal: Refusal::NotGenuine, is_settled: true };
    assert_eq!(verifier.verify(&block.location).await.unwrap(), refused);
}

#[tokio::test]
async fn seats_that_serve_no_whole_block_vote() {
    let mut world = world::source_world();
    world.send(HEIGHT, 1);
    let block = block("0x1");
    let (nodes, verifier) = setup(&block).await;
    for node in &nodes {
        let location = block.location;
        let logs = block.receipts[94]["logs"].as_array().unwrap().clone();
        let place =
            json!({ "transactionHash": location.tx_hash, "blockHash": location.block.hash, "blockNumber": "0x46" });
        let mut placed = logs.clone();
        for (at, log) in (location.log_index - 1..).zip(&mut placed) {
            log.as_object_mut().unwrap().extend(place.as_object().unwrap().clone());
            log["logIndex"] = json!(format!("{at:#x}"));
        }
        let (of_block, mut receipt) = (json!(placed), place);
        receipt["status"] = json!("0x1");
        receipt["logs"] = of_block.clone();
        node.answer("eth_getBlockReceipts", |_| Some(Err((-32601, "method not found".to_owned()))));
        node.answer("eth_getTransactionReceipt", move |_| Some(Ok(receipt.clone())));
        node.answer("eth_getLogs", move |_| Some(Ok(of_block.clone())));
    }
    let seen = evidence(&verifier, &block.location).await;
    assert_eq!(seen["votes"]["receipts"]["voted"].as_array().unwrap().len(), 3);
}
