use alloy::primitives::B256;
use serde_json::{Value, json};

use super::*;

const ETHEREUM: ReceiptTypes = ReceiptTypes { extra: &[] };
const ALL: ReceiptTypes = ReceiptTypes { extra: &[0x6a, 0x7e, 0x78] };

const HEADERS: [&str; 9] = [
    include_str!("../../testdata/headers/ethereum-frontier.json"),
    include_str!("../../testdata/headers/ethereum-homestead.json"),
    include_str!("../../testdata/headers/ethereum-byzantium.json"),
    include_str!("../../testdata/headers/ethereum-london.json"),
    include_str!("../../testdata/headers/ethereum-paris.json"),
    include_str!("../../testdata/headers/ethereum-shanghai.json"),
    include_str!("../../testdata/headers/ethereum-cancun.json"),
    include_str!("../../testdata/headers/ethereum-prague.json"),
    include_str!("../../testdata/headers/ethereum-24784163-osaka.json"),
];
const BLOCKS: [&str; 4] = [
    include_str!("../../testdata/receipts/ethereum-1000000.json"),
    include_str!("../../testdata/receipts/ethereum-18000000.json"),
    include_str!("../../testdata/receipts/arbitrum-150000000.json"),
    include_str!("../../testdata/receipts/unichain-sepolia-35535698.json"),
];

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn hash_of(header: &Value) -> B256 {
    serde_json::from_value(header["hash"].clone()).unwrap()
}

/// Nothing where the evidence is not even well-formed.
fn proven(types: ReceiptTypes, hash: B256, block: &Value) -> Option<Result<(), ProofError>> {
    let header: Header = serde_json::from_value(block["block"].clone()).ok()?;
    let receipts: Vec<Receipt> = serde_json::from_value(block["receipts"].clone()).ok()?;
    Some(prove(types, hash, &header, &receipts))
}

/// Another value of the same form.
fn flipped(value: &Value) -> Value {
    let mut text = value.as_str().unwrap().to_owned();
    let last = if text.pop() == Some('1') { '2' } else { '1' };
    text.push(last);
    json!(text)
}

#[test]
fn real_headers_of_every_fork_hash_to_their_blocks() {
    for header in HEADERS.map(parsed) {
        let hash = serde_json::from_value::<Header>(header.clone()).unwrap().hash();
        assert_eq!(hash, Ok(hash_of(&header)), "block {}", header["number"]);
    }
}

#[test]
fn every_field_of_a_header_counts() {
    const LABELS: [&str; 6] = ["hash", "totalDifficulty", "l1BlockNumber", "sendCount", "sendRoot", "extraData"];
    for header in HEADERS.map(parsed) {
        for name in header.as_object().unwrap().keys().filter(|name| !LABELS.contains(&name.as_str())) {
            let mut wrong = header.clone();
            wrong[name] = flipped(&header[name]);
            let Ok(wrong) = serde_json::from_value::<Header>(wrong) else { panic!("{name} is no longer well-formed") };
            assert_ne!(wrong.hash(), Ok(hash_of(&header)), "{name}");
        }
    }
}

#[test]
fn a_fork_field_that_is_dropped_changes_the_hash() {
    let header = parsed(HEADERS[7]);
    for name in ["baseFeePerGas", "withdrawalsRoot", "blobGasUsed", "requestsHash", "extraData"] {
        let mut wrong = header.clone();
        if name == "extraData" {
            wrong[name] = json!("0x");
        } else {
            wrong.as_object_mut().unwrap().remove(name);
        }
        let wrong: Header = serde_json::from_value(wrong).unwrap();
        assert_ne!(wrong.hash(), Ok(hash_of(&header)), "{name}");
    }
}

#[test]
fn real_blocks_prove_their_receipts() {
    for block in BLOCKS.map(parsed) {
        assert_eq!(proven(ALL, hash_of(&block["block"]), &block), Some(Ok(())), "block {}", block["block"]["number"]);
    }
}

#[test]
fn a_type_that_the_class_does_not_have_is_an_error() {
    for block in [BLOCKS[2], BLOCKS[3]].map(parsed) {
        let result = proven(ETHEREUM, hash_of(&block["block"]), &block);
        assert!(matches!(result, Some(Err(ProofError::UnknownType { index: 0, .. }))), "{result:?}");
    }
}

#[test]
fn every_field_of_a_receipt_counts() {
    for block in BLOCKS.map(parsed) {
        let receipts = block["receipts"].as_array().unwrap();
        let at = receipts.iter().position(|it| !it["logs"].as_array().unwrap().is_empty()).unwrap();
        let fields = ["status", "root", "cumulativeGasUsed", "logsBloom", "type", "transactionIndex"];
        let of_log = ["logs/0/address", "logs/0/data", "logs/0/topics/0", "logs/0/logIndex"];
        let deposit = ["0/depositNonce", "0/depositReceiptVersion"].map(str::to_owned);
        let named = fields.iter().chain(&of_log).map(|name| format!("{at}/{name}")).chain(deposit);
        for pointer in named.map(|it| format!("/receipts/{it}")) {
            let mut wrong = block.clone();
            let Some(value) = wrong.pointer_mut(&pointer) else { continue };
            *value = flipped(value);
            let result = proven(ALL, hash_of(&block["block"]), &wrong);
            assert!(!matches!(result, Some(Ok(()))), "{pointer}");
        }
    }
}

#[test]
fn hidden_added_and_reordered_logs_and_receipts_do_not_prove() {
    let block = parsed(BLOCKS[1]);
    let hash = hash_of(&block["block"]);
    let most = |it: &Value| it["logs"].as_array().unwrap().len();
    let at = block["receipts"].as_array().unwrap().iter().position(|it| most(it) > 1).unwrap();
    let changes: [fn(&mut Vec<Value>, usize); 6] = [
        |all, at| all[at]["logs"] = json!([]),
        |all, at| _ = all[at]["logs"].as_array_mut().unwrap().pop(),
        |all, at| all[at]["logs"].as_array_mut().unwrap().swap(0, 1),
        |all, _| _ = all.pop(),
        |all, _| all.swap(0, 1),
        |all, at| all.push(all[at].clone()),
    ];
    for (number, change) in changes.into_iter().enumerate() {
        let mut wrong = block.clone();
        let receipts = wrong["receipts"].as_array_mut().unwrap();
        change(receipts, at);
        // Labels that would give the change away before the root does.
        for receipt in receipts.iter_mut() {
            receipt.as_object_mut().unwrap().remove("transactionIndex");
            let logs = receipt["logs"].as_array_mut().unwrap();
            logs.iter_mut().for_each(|log| _ = log.as_object_mut().unwrap().remove("logIndex"));
        }
        let result = proven(ETHEREUM, hash, &wrong);
        assert!(matches!(result, Some(Err(ProofError::ReceiptsRoot(_)))), "change {number}: {result:?}");
    }
}
