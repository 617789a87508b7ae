//! A node whose chain is written down beforehand, so that it answers faster than a real one: what takes long is ours.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex},
    time::Duration,
};

use alloy_primitives::{Address, B256, Bytes, U64, U256, keccak256};
use alloy_sol_types::{SolEvent, sol};
use axum::{Json, Router, extract::State, routing::post};
use dvn_core::{
    ids::{Eid, Nonce},
    packet::{Header, Packet},
};
use serde_json::{Value, json};

sol! {
    event PacketSent(bytes encodedPayload, bytes options, address sendLibrary);
    event DVNFeePaid(address[] requiredDVNs, address[] optionalDVNs, uint256[] fees);
}

pub(crate) const BLOCKS: u64 = 200_000;
pub(crate) const PACKETS: u64 = 2_000;
pub(crate) const SRC: Eid = Eid(30101);
pub(crate) const DST: Eid = Eid(30212);
pub(crate) const ENDPOINT: Address = Address::repeat_byte(0x1a);
pub(crate) const SEND_LIB: Address = Address::repeat_byte(0xbb);
pub(crate) const DVN: Address = Address::repeat_byte(0xd1);

/// It listens until the program ends.
pub(crate) struct Node {
    pub(crate) url: String,
    script: Arc<Script>,
}

struct Script {
    logs: BTreeMap<u64, [Value; 2]>,
    /// Of the blocks with logs, by their hashes.
    numbers: HashMap<String, u64>,
    pause: Duration,
    asked: Mutex<Vec<Value>>,
}

impl Node {
    /// Answers after this pause.
    pub(crate) async fn start(pause: Duration) -> Self {
        let each = BLOCKS / PACKETS;
        let at = |nonce: u64| nonce * each - each / 2;
        let logs = (1..=PACKETS).map(|nonce| (at(nonce), logs(nonce, at(nonce)))).collect();
        let numbers = (1..=PACKETS).map(|nonce| (hash(at(nonce)).to_string(), at(nonce))).collect();
        let script = Arc::new(Script { logs, numbers, pause, asked: Mutex::default() });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let app = Router::new().fallback(post(serve)).with_state(Arc::clone(&script));
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { url, script }
    }

    /// The filters of all log queries so far.
    pub(crate) fn ranges(&self) -> Vec<Value> {
        self.script.asked.lock().unwrap().clone()
    }
}

async fn serve(State(script): State<Arc<Script>>, Json(body): Json<Value>) -> Json<Value> {
    tokio::time::sleep(script.pause).await;
    Json(match body {
        Value::Array(calls) => calls.iter().map(|call| script.answer(call)).collect(),
        call => script.answer(&call),
    })
}

impl Script {
    fn answer(&self, call: &Value) -> Value {
        let params = &call["params"];
        let result = match call["method"].as_str().unwrap() {
            "eth_blockNumber" => json!(U64::from(BLOCKS)),
            "eth_chainId" => json!("0x1"),
            "eth_getBlockByNumber" => block(params[0].as_str().unwrap()),
            "eth_getLogs" if params[0].get("blockHash").is_some() => {
                let number = self.numbers.get(params[0]["blockHash"].as_str().unwrap());
                json!(number.map(|number| &self.logs[number]))
            }
            "eth_getLogs" => {
                self.asked.lock().unwrap().push(params[0].clone());
                let number = |key: &str| params[0][key].as_str().unwrap().parse::<U64>().unwrap().to::<u64>();
                self.logs.range(number("fromBlock")..=number("toBlock")).flat_map(|(_, logs)| logs.clone()).collect()
            }
            _ => {
                let error = json!({ "code": -32_601, "message": "method not found" });
                return json!({ "jsonrpc": "2.0", "id": call["id"], "error": error });
            }
        };
        json!({ "jsonrpc": "2.0", "id": call["id"], "result": result })
    }
}

fn hash(number: u64) -> B256 {
    keccak256(number.to_be_bytes())
}

fn block(tag: &str) -> Value {
    let number = tag.parse::<U64>().map_or(BLOCKS, |number| number.to());
    json!({
        "number": U64::from(number), "hash": hash(number), "parentHash": hash(number.saturating_sub(1)),
        "timestamp": U64::from(1_700_000_000 + number), "baseFeePerGas": "0x1",
    })
}

fn logs(nonce: u64, block: u64) -> [Value; 2] {
    let (sender, receiver) = (Address::repeat_byte(1).into_word(), Address::repeat_byte(2).into_word());
    let header = Header { nonce: Nonce(nonce), src_eid: SRC, sender, dst_eid: DST, receiver };
    let packet = Packet { header, message: Bytes::from_static(b"hello") };
    let paid = DVNFeePaid { requiredDVNs: vec![DVN], optionalDVNs: vec![], fees: vec![U256::from(5)] };
    let sent = PacketSent { encodedPayload: packet.encode(), options: Bytes::new(), sendLibrary: SEND_LIB };
    let tx = keccak256([block.to_be_bytes(), nonce.to_be_bytes()].concat());
    let log = |index: u64, address: Address, topic: B256, data: Vec<u8>| {
        json!({
            "address": address, "topics": [topic], "data": Bytes::from(data), "logIndex": U64::from(index),
            "transactionHash": tx, "blockHash": hash(block), "blockNumber": U64::from(block),
        })
    };
    [
        log(0, SEND_LIB, DVNFeePaid::SIGNATURE_HASH, paid.encode_data()),
        log(1, ENDPOINT, PacketSent::SIGNATURE_HASH, sent.encode_data()),
    ]
}
