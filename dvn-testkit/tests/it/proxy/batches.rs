//! Batches, in which each call is treated by itself.

use dvn_testkit::proxy::{Fault, Hostile, Rule};
use serde_json::{Value, json};

use super::{request, stage};

fn batch() -> Value {
    json!([request(1, "eth_chainId", json!([])), request(2, "eth_blockNumber", json!([])), {
        "jsonrpc": "2.0", "id": "three", "method": "net_version", "params": []
    }])
}

fn results(answer: &Value) -> Vec<(Value, Value)> {
    answer.as_array().unwrap().iter().map(|it| (it["id"].clone(), it["result"].clone())).collect()
}

#[tokio::test]
async fn a_fault_leaves_its_neighbours_alone() {
    let Some(stage) = stage("batch").await else { return };
    let truth = [(json!(1), json!("0x7a69")), (json!(2), json!("0xa")), (json!("three"), json!("31337"))];
    let answer: Value = stage.post(&batch()).await.unwrap().json().await.unwrap();
    assert_eq!(results(&answer), truth);

    stage.proxy.add(Rule::new(Fault::StaleHead { blocks: 3 }).method("eth_blockNumber"));
    let answer: Value = stage.post(&batch()).await.unwrap().json().await.unwrap();
    let mut expected = truth.to_vec();
    expected[1].1 = json!("0x7");
    assert_eq!(results(&answer), expected);

    stage.proxy.clear();
    stage.fault(Fault::ChainId { id: 1 });
    let answer: Value = stage.post(&batch()).await.unwrap().json().await.unwrap();
    assert_eq!(answer[0]["result"], "0x1");
    assert_eq!(answer[1]["result"], "0xa");
    assert_eq!(answer[2]["result"], "1");

    stage.proxy.clear();
    stage.proxy.add(Rule::new(Fault::Hostile { kind: Hostile::Nan }).method("net_version"));
    let text = stage.post(&batch()).await.unwrap().text().await.unwrap();
    assert!(text.starts_with('[') && text.ends_with(r#","result":NaN}]"#), "{text}");
}

#[tokio::test]
async fn a_broken_transport_concerns_all_calls() {
    let Some(stage) = stage("batch-transport").await else { return };
    stage.proxy.add(Rule::new(Fault::Status { code: 503, retry_after: None }).method("net_version").times(1));
    assert_eq!(stage.post(&batch()).await.unwrap().status(), 503);
    stage.proxy.add(Rule::new(Fault::Reset).method("eth_blockNumber").times(1));
    assert!(stage.post(&batch()).await.is_err());
    assert!(stage.post(&batch()).await.unwrap().status().is_success());
    let fired: Vec<_> = stage.proxy.traffic().iter().map(|it| it.fired.len()).collect();
    assert_eq!(fired, [0, 0, 1, 0, 1, 0, 0, 0, 0]);
}
