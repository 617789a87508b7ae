//! Each fault once, over HTTP.

use std::time::{Duration, Instant};

use alloy_primitives::B256;
use dvn_testkit::proxy::{Fault, Rule};
use serde_json::{Value, json};

use super::{address, node, request, stage};

#[tokio::test]
async fn without_rules_nothing_changes() {
    let Some(stage) = stage("transparent").await else { return };
    for (method, params) in [
        ("eth_getBlockByNumber", json!(["0x5", true])),
        ("eth_chainId", json!([])),
        ("eth_getBlockReceipts", json!(["0x5"])),
    ] {
        assert_eq!(stage.result(method, params.clone()).await, stage.truth(method, params).await);
    }
    assert_eq!(stage.call("eth_noSuchMethod", json!([])).await["error"]["code"], -32601);
    let rubbish = stage.http.post(stage.proxy.url().clone()).body("{").send().await.unwrap();
    assert!(rubbish.text().await.unwrap().contains("error"));
}

/// The fault, a call, and the part of the answer at a pointer.
type Case = (Fault, &'static str, Value, &'static str, Value);

#[tokio::test]
async fn answers_are_replaced_and_changed() {
    let Some(stage) = stage("replaced").await else { return };
    let receipt = stage.emit().await;
    let block = json!(["0x5", false]);
    let limit = stage.truth("eth_getBlockByNumber", block.clone()).await["gasLimit"].clone();
    let mutate = |pointer: &str, value| Fault::Mutate { pointer: pointer.to_owned(), value };
    let cases: [Case; 16] = [
        (
            Fault::RpcError { code: -32005, message: "limit exceeded".to_owned() },
            "eth_chainId",
            json!([]),
            "/error",
            json!({ "code": -32005, "message": "limit exceeded" }),
        ),
        (Fault::Null, "eth_getBlockByNumber", block.clone(), "/result", Value::Null),
        (Fault::Empty, "eth_getLogs", json!([{}]), "/result", json!([])),
        (Fault::NullReceipts, "eth_getTransactionReceipt", json!([receipt["transactionHash"]]), "/result", Value::Null),
        (Fault::NullReceipts, "eth_getBlockReceipts", json!(["latest"]), "/result", Value::Null),
        (Fault::NullReceipts, "eth_chainId", json!([]), "/result", json!("0x7a69")),
        (Fault::ChainId { id: 999 }, "eth_chainId", json!([]), "/result", json!("0x3e7")),
        (Fault::ChainId { id: 999 }, "net_version", json!([]), "/result", json!("999")),
        (Fault::ChainId { id: 999 }, "eth_blockNumber", json!([]), "/result", json!("0xb")),
        (mutate("/hash", json!("0x12")), "eth_getBlockByNumber", block.clone(), "/result/hash", json!("0x12")),
        (mutate("/hash", json!("0x12")), "eth_getBlockByNumber", block.clone(), "/result/gasLimit", limit),
        (mutate("", json!("0x9")), "eth_blockNumber", json!([]), "/result", json!("0x9")),
        (mutate("/a", json!(1)), "eth_noSuchMethod", json!([]), "/error/code", json!(-32601)),
        (
            mutate("/0/logs/0/address", json!("0x00")),
            "eth_getBlockReceipts",
            json!(["latest"]),
            "/result/0/logs/0/address",
            json!("0x00"),
        ),
        (Fault::Remove { pointer: "/logs/0".to_owned() }, "eth_blockNumber", json!([]), "/result", json!("0xb")),
        (
            Fault::Remove { pointer: "/logs/0".to_owned() },
            "eth_getTransactionReceipt",
            json!([receipt["transactionHash"]]),
            "/result/logs",
            json!([]),
        ),
    ];
    for (fault, method, params, pointer, expected) in cases {
        let id = stage.proxy.add(Rule::new(fault.clone()));
        let answer = stage.call(method, params).await;
        assert_eq!(answer.pointer(pointer), Some(&expected), "{fault:?} {method}: {answer}");
        assert_eq!((&answer["id"], stage.proxy.fired(id)), (&json!(7), Some(1)));
        stage.proxy.clear();
    }
}

#[tokio::test]
async fn logs_are_left_out() {
    let Some(stage) = stage("dropped").await else { return };
    let (one, other) = (stage.emit().await, stage.emit().await);
    let all = json!([{ "fromBlock": "0x0" }]);
    let hidden = address(&one["contractAddress"]);
    stage.fault(Fault::DropLogs { address: Some(hidden), topic: None });
    assert_eq!(stage.result("eth_getLogs", all.clone()).await, other["logs"]);
    let receipt = stage.result("eth_getTransactionReceipt", json!([one["transactionHash"]])).await;
    assert_eq!(receipt["logs"], json!([]));
    let receipts = stage.result("eth_getBlockReceipts", json!([one["blockNumber"]])).await;
    assert_eq!(receipts, json!([receipt]));

    stage.proxy.clear();
    stage.fault(Fault::DropLogs { address: None, topic: Some(B256::with_last_byte(43)) });
    assert_eq!(stage.result("eth_getLogs", all.clone()).await.as_array().unwrap().len(), 2);
    stage.proxy.clear();
    stage.fault(Fault::DropLogs { address: None, topic: Some(B256::with_last_byte(42)) });
    assert_eq!(stage.result("eth_getLogs", all).await, json!([]));
}

#[tokio::test]
async fn old_state_is_pruned() {
    let Some(stage) = stage("pruned").await else { return };
    let account = address(&json!("0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266"));
    stage.fault(Fault::PruneState { blocks: 3 });
    let balance = async |block: &str| stage.call("eth_getBalance", json!([account, block])).await;
    let root = stage.truth("eth_getBlockByNumber", json!(["0x6", false])).await["stateRoot"].clone();
    let refused = balance("0x6").await;
    assert_eq!(refused["error"]["code"], -32000);
    let root = root.as_str().unwrap();
    let message = format!("missing trie node {} (path ) state {root} is not available", &root[2..]);
    assert_eq!(refused["error"]["message"], message.as_str());
    for block in ["0x7", "latest", "finalized"] {
        assert!(balance(block).await.get("result").is_some(), "{block}");
    }
    assert!(stage.result("eth_getBlockByNumber", json!(["0x1", false])).await.is_object());
    let proof = stage.call("eth_getProof", json!([account, [], "0x1"])).await;
    assert_eq!(proof["error"]["code"], -32000);
}

#[tokio::test]
async fn other_nodes_answer() {
    let Some(stage) = stage("routed").await else { return };
    let Some(other) = node("routed", 999).await else { return };
    let id = stage.proxy.add(Rule::new(Fault::Route { url: other.url().clone() }).method("eth_chainId"));
    assert_eq!(stage.result("eth_chainId", json!([])).await, "0x3e7");
    assert_eq!(stage.result("eth_blockNumber", json!([])).await, "0xa");
    assert!(stage.proxy.remove(id) && !stage.proxy.remove(id));
    let urls = vec![stage.anvil.url().clone(), other.url().clone()];
    stage.fault(Fault::Alternate { urls });
    for expected in ["0x7a69", "0x3e7", "0x7a69", "0x3e7"] {
        assert_eq!(stage.result("eth_chainId", json!([])).await, expected);
    }
    other.stop().unwrap();
    stage.proxy.clear();
    stage.fault(Fault::Route { url: other.url().clone() });
    assert_eq!(stage.post(&request(1, "eth_chainId", json!([]))).await.unwrap().status(), 502);
}

#[tokio::test]
async fn the_transport_breaks() {
    let Some(stage) = stage("transport").await else { return };
    stage.proxy.add(Rule::new(Fault::Status { code: 429, retry_after: Some(9) }).times(1));
    let refused = stage.post(&request(1, "eth_chainId", json!([]))).await.unwrap();
    assert_eq!((refused.status().as_u16(), refused.headers()["retry-after"].to_str().unwrap()), (429, "9"));

    stage.proxy.add(Rule::new(Fault::Reset).times(1));
    assert!(stage.post(&request(1, "eth_chainId", json!([]))).await.unwrap_err().is_request());
    assert_eq!(stage.result("eth_chainId", json!([])).await, "0x7a69");

    stage.proxy.add(Rule::new(Fault::Delay { ms: 50 }).times(1));
    let started = Instant::now();
    assert_eq!(stage.result("eth_chainId", json!([])).await, "0x7a69");
    assert!(started.elapsed() >= Duration::from_millis(50));
}

#[tokio::test]
async fn a_hanging_call_hangs_alone_and_until_the_end() {
    let Some(stage) = stage("hanging").await else { return };
    let id = stage.proxy.add(Rule::new(Fault::Hang).method("eth_chainId"));
    let sent = stage.http.post(stage.proxy.url().clone()).json(&request(1, "eth_chainId", json!([]))).send();
    let hanging = tokio::spawn(sent);
    while stage.proxy.fired(id) != Some(1) {
        tokio::task::yield_now().await;
    }
    assert_eq!(stage.result("eth_blockNumber", json!([])).await, "0xa");
    assert!(!hanging.is_finished());
    drop(stage.proxy);
    assert!(hanging.await.unwrap().is_err());
}
