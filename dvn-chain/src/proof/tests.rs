mod edits;
mod headers;
mod receipts;
mod storage;

use std::{fs, path::Path};

use alloy::primitives::B256;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::*;

const ETHEREUM: ReceiptTypes = ReceiptTypes { extra: &[] };
const ALL: ReceiptTypes = ReceiptTypes { extra: &[0x64, 0x65, 0x66, 0x68, 0x69, 0x6a, 0x7e, 0x78] };

/// All files of a folder of recorded data, so that none is left out.
fn recorded(folder: &str) -> Vec<(String, Value)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata").join(folder);
    let mut all: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|file| {
            let file = file.unwrap();
            let text = fs::read_to_string(file.path()).unwrap();
            (file.file_name().into_string().unwrap(), serde_json::from_str(&text).unwrap())
        })
        .collect();
    all.sort_by(|(one, _), (other, _)| one.cmp(other));
    assert!(!all.is_empty());
    all
}

/// Every recorded header: alone, above receipts and above storage proofs.
fn recorded_headers() -> Vec<(String, Value)> {
    let blocks = recorded("receipts").into_iter().chain(recorded("proofs"));
    let of_blocks = blocks.map(|(name, mut it)| (name, it["block"].take()));
    recorded("headers").into_iter().chain(of_blocks).collect()
}

fn parsed<T: DeserializeOwned>(value: &Value) -> T {
    serde_json::from_value(value.clone()).unwrap()
}

/// Another value of the same form.
fn flipped(value: &Value) -> Value {
    let mut text = value.as_str().unwrap().to_owned();
    if text == "0x" {
        return json!("0x00");
    }
    let last = if text.pop() == Some('1') { '2' } else { '1' };
    text.push(last);
    json!(text)
}
