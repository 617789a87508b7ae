//! What it costs to believe a block's logs from its hash alone: parsing what a seat answered, and proving it.
#![expect(clippy::unwrap_used, clippy::arithmetic_side_effects, reason = "a benchmark stops when something is off")]

use std::{hint::black_box, time::Duration};

use alloy_primitives::{Address, B256, Bytes, U256};
use criterion::{Criterion, criterion_group, criterion_main};
use dvn_chain::proof::{self, Header, Receipt, ReceiptTypes, StorageProof};
use serde_json::{Value, json};

const ETHEREUM: ReceiptTypes = ReceiptTypes { extra: &[] };
const PRAGUE: &str = include_str!("../dvn-chain/testdata/headers/ethereum-prague.json");
const MAINNET: &str = include_str!("../dvn-chain/testdata/receipts/ethereum-18000000.json");
const WETH: &str = include_str!("../dvn-chain/testdata/proofs/ethereum-23223655-weth.json");

/// A block as a seat answers it: two texts.
struct Block {
    hash: B256,
    header: String,
    receipts: String,
}

impl Block {
    fn new(header: &Value, receipts: &Value) -> Self {
        let parsed: Header = serde_json::from_value(header.clone()).unwrap();
        Self { hash: parsed.hash().unwrap(), header: header.to_string(), receipts: receipts.to_string() }
    }

    /// So many receipts of two logs with 512 bytes each. Contracts and events repeat, as they do in life; what they are
    /// about does not.
    fn synthetic(count: u64) -> Self {
        let log = |number: u64| {
            let topics = [
                B256::repeat_byte(u8::try_from(number % 7).unwrap()),
                U256::from(number).into(),
                U256::from(u64::MAX ^ number).into(),
            ];
            let data = Bytes::from(vec![u8::try_from(number % 251).unwrap(); 512]);
            let address = Address::repeat_byte(u8::try_from(number % 20).unwrap());
            json!({ "address": address, "topics": topics, "data": data, "logIndex": format!("{number:#x}") })
        };
        let receipt = |index: u64| {
            json!({
                "transactionHash": B256::from(U256::from(index)), "transactionIndex": format!("{index:#x}"),
                "type": "0x2", "status": "0x1", "cumulativeGasUsed": format!("{:#x}", (index + 1) * 60_000),
                "logs": [log(2 * index), log(2 * index + 1)],
            })
        };
        let receipts = json!((0..count).map(receipt).collect::<Vec<_>>());
        let parsed: Vec<Receipt> = serde_json::from_value(receipts.clone()).unwrap();
        let mut header: Value = serde_json::from_str(PRAGUE).unwrap();
        header["receiptsRoot"] = json!(proof::receipts_root(ETHEREUM, &parsed).unwrap());
        Self::new(&header, &receipts)
    }

    fn mainnet() -> Self {
        let recorded: Value = serde_json::from_str(MAINNET).unwrap();
        Self::new(&recorded["block"], &recorded["receipts"])
    }

    fn parse(&self) -> (Header, Vec<Receipt>) {
        (serde_json::from_str(&self.header).unwrap(), serde_json::from_str(&self.receipts).unwrap())
    }
}

fn blocks(criterion: &mut Criterion) {
    let blocks = [
        ("300 receipts", Block::synthetic(300)),
        ("1000 receipts", Block::synthetic(1_000)),
        ("mainnet 18000000", Block::mainnet()),
    ];
    for (name, block) in blocks {
        let mut group = criterion.benchmark_group(format!("proof/{name}"));
        let (header, receipts) = block.parse();
        group.bench_function("parse", |bench| bench.iter(|| black_box(&block).parse()));
        group.bench_function("header hash", |bench| bench.iter(|| black_box(&header).hash().unwrap()));
        group.bench_function("prove", |bench| {
            bench.iter(|| proof::prove(ETHEREUM, block.hash, black_box(&header), &receipts).unwrap());
        });
        group.bench_function("parse and prove", |bench| {
            bench.iter(|| {
                let (header, receipts) = black_box(&block).parse();
                proof::prove(ETHEREUM, block.hash, &header, &receipts).unwrap();
            });
        });
        group.finish();
    }
}

fn storage(criterion: &mut Criterion) {
    let recorded: Value = serde_json::from_str(WETH).unwrap();
    let header: Header = serde_json::from_value(recorded["block"].clone()).unwrap();
    let text = recorded["proof"].to_string();
    let of: StorageProof = serde_json::from_str(&text).unwrap();
    let slots = [of.storage_proof[0].key.into()];
    criterion.bench_function("proof/storage of mainnet/parse", |bench| {
        bench.iter(|| serde_json::from_str::<StorageProof>(black_box(&text)).unwrap());
    });
    criterion.bench_function("proof/storage of mainnet/prove", |bench| {
        bench.iter(|| proof::prove_storage(header.state_root, of.address, &slots, black_box(&of)).unwrap());
    });
}

criterion_group! {
    name = proofs;
    config = Criterion::default().measurement_time(Duration::from_secs(3)).warm_up_time(Duration::from_millis(500));
    targets = blocks, storage
}
criterion_main!(proofs);
