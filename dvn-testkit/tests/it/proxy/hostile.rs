//! Answers that are made to hurt, read by somebody who is careful.

use dvn_testkit::proxy::{Fault, Hostile};
use serde_json::{Value, json};

use super::{Stage, request, stage};

impl Stage {
    fn hostile(&self, kind: Hostile) {
        self.proxy.clear();
        self.proxy.forget_traffic();
        self.fault(Fault::Hostile { kind });
    }

    async fn text(&self) -> String {
        self.post(&request(7, "eth_chainId", json!([]))).await.unwrap().text().await.unwrap()
    }

    fn sent(&self) -> u64 {
        self.proxy.traffic()[0].response_bytes
    }
}

#[tokio::test]
async fn large_answers_are_well_formed() {
    let Some(stage) = stage("large").await else { return };
    stage.hostile(Hostile::Oversized { bytes: 3_000_000 });
    let answer: Value = serde_json::from_str(&stage.text().await).unwrap();
    assert_eq!(answer["result"].as_str().unwrap().len(), 3_000_002);
    assert!(stage.sent() > 3_000_000);

    stage.hostile(Hostile::GzipBomb { bytes: 3_000_000 });
    let answer: Value = serde_json::from_str(&stage.text().await).unwrap();
    assert_eq!(answer["result"].as_str().unwrap().len(), 3_000_002);
    assert!(stage.sent() < 30_000, "{}", stage.sent());

    stage.hostile(Hostile::Deep { levels: 100_000 });
    let text = stage.text().await;
    assert_eq!(text.matches('[').count(), 100_000);
    assert_eq!(text.matches(']').count(), 100_000);
}

#[tokio::test]
async fn an_endless_answer_ends_with_its_reader() {
    let Some(stage) = stage("endless").await else { return };
    stage.hostile(Hostile::Endless);
    let mut response = stage.post(&request(7, "eth_chainId", json!([]))).await.unwrap();
    let mut read = 0;
    while read < 10_000_000 {
        read += response.chunk().await.unwrap().unwrap().len();
    }
    drop(response);
    stage.proxy.clear();
    assert_eq!(stage.result("eth_chainId", json!([])).await, "0x7a69");
}

#[tokio::test]
async fn a_slow_answer_comes_byte_by_byte() {
    let Some(stage) = stage("slow").await else { return };
    stage.hostile(Hostile::Slow);
    let mut response = stage.post(&request(7, "eth_chainId", json!([]))).await.unwrap();
    assert_eq!(response.chunk().await.unwrap().unwrap().as_ref(), b"{");
    drop(response);
}

#[tokio::test]
async fn answers_are_malformed() {
    let Some(stage) = stage("malformed").await else { return };
    let truth = stage.text().await;
    stage.hostile(Hostile::WrongContentType);
    let response = stage.post(&request(7, "eth_chainId", json!([]))).await.unwrap();
    assert_eq!((response.status().as_u16(), response.headers()["content-type"].to_str().unwrap()), (200, "text/html"));
    stage.hostile(Hostile::WrongId);
    let answer: Value = serde_json::from_str(&stage.text().await).unwrap();
    assert_eq!((answer["result"].as_str(), answer["id"] == 7), (Some("0x7a69"), false));
    stage.hostile(Hostile::Nan);
    assert_eq!(stage.text().await, r#"{"jsonrpc":"2.0","id":7,"result":NaN}"#);
    stage.hostile(Hostile::Truncated);
    assert_eq!(stage.text().await, truth[..truth.len() / 2]);
    stage.hostile(Hostile::NotJson);
    assert!(serde_json::from_str::<Value>(&stage.text().await).is_err());
}
