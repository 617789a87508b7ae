//! Nodes that are behind.

use dvn_testkit::proxy::Fault;
use serde_json::{Value, json};

use super::{Stage, stage};

async fn numbers(stage: &Stage) -> Vec<Value> {
    let mut numbers = vec![stage.result("eth_blockNumber", json!([])).await];
    for tag in ["latest", "pending", "safe", "finalized"] {
        numbers.push(stage.result("eth_getBlockByNumber", json!([tag, false])).await["number"].clone());
    }
    numbers
}

#[tokio::test]
async fn a_stale_node_knows_nothing_newer() {
    let Some(stage) = stage("stale").await else { return };
    let (old, new) = (stage.emit().await, stage.emit().await);
    stage.fault(Fault::StaleHead { blocks: 1 });
    assert_eq!(numbers(&stage).await, ["0xb", "0xb", "0xb", "0xa", "0x9"]);
    for (method, params) in [
        ("eth_getBlockByNumber", json!(["0xc", false])),
        ("eth_getBlockByHash", json!([new["blockHash"], false])),
        ("eth_getBlockReceipts", json!(["0xc"])),
        ("eth_getBlockReceipts", json!([new["blockHash"]])),
        ("eth_getTransactionReceipt", json!([new["transactionHash"]])),
        ("eth_getTransactionByHash", json!([new["transactionHash"]])),
    ] {
        assert_eq!(stage.result(method, params).await, Value::Null, "{method}");
    }
    for filter in [json!({ "fromBlock": "0x1" }), json!({ "fromBlock": "0x1", "toBlock": "0xc" })] {
        assert_eq!(stage.result("eth_getLogs", json!([filter])).await, old["logs"]);
    }
    assert_eq!(stage.result("eth_getLogs", json!([{ "fromBlock": "0xc" }])).await, json!([]));
    let unknown = stage.call("eth_getLogs", json!([{ "blockHash": new["blockHash"] }])).await;
    assert_eq!(unknown["error"]["message"], "unknown block");
    let receipt = stage.result("eth_getTransactionReceipt", json!([old["transactionHash"]])).await;
    assert_eq!(receipt, old);
    // What a contract is made of is not there before the contract is.
    let code = |block: &'static str| stage.call("eth_getTransactionCount", json!([old["from"], block]));
    assert_eq!(code("latest").await["result"], "0x1");
    assert_eq!(code("0xc").await["error"]["message"], "header not found");
    // It follows its chain.
    stage.anvil.mine(5).await.unwrap();
    assert_eq!(numbers(&stage).await, ["0x10", "0x10", "0x10", "0xf", "0xe"]);
}

#[tokio::test]
async fn finality_goes_back_alone() {
    let Some(stage) = stage("finality").await else { return };
    let receipt = stage.emit().await;
    stage.fault(Fault::RegressFinality { blocks: 4 });
    assert_eq!(numbers(&stage).await, ["0xb", "0xb", "0xb", "0x6", "0x5"]);
    assert_eq!(stage.result("eth_getLogs", json!([{ "fromBlock": "0x1" }])).await, receipt["logs"]);
    let settled = json!([{ "fromBlock": "0x1", "toBlock": "finalized" }]);
    assert_eq!(stage.result("eth_getLogs", settled).await, json!([]));
    let fetched = stage.result("eth_getTransactionReceipt", json!([receipt["transactionHash"]])).await;
    assert_eq!(fetched, receipt);
}
