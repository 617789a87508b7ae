//! Which calls a rule is for, and what is remembered of them.

use dvn_testkit::proxy::{Client, Fault, Rule};
use serde_json::{Value, json};

use super::{request, stage};

fn error(code: i64) -> Fault {
    Fault::RpcError { code, message: "no".to_owned() }
}

#[tokio::test]
async fn rules_are_tried_in_order_and_counted() {
    let Some(stage) = stage("order").await else { return };
    let first = stage.proxy.add(Rule::new(error(1)).method("eth_chainId").after(1).times(2));
    let delays = stage.proxy.add(Rule::new(Fault::Delay { ms: 1 }));
    let last = stage.proxy.add(Rule::new(error(2)).method("eth_chainId").method("net_version").times(3));
    let mut codes = Vec::new();
    for _ in 0..6 {
        codes.push(stage.call("eth_chainId", json!([])).await["error"]["code"].as_i64());
    }
    assert_eq!(codes, [Some(2), Some(1), Some(1), Some(2), Some(2), None]);
    assert_eq!([first, delays, last].map(|id| stage.proxy.fired(id)), [Some(2), Some(4), Some(3)]);
    let fired: Vec<_> = stage.proxy.traffic().into_iter().map(|exchange| exchange.fired).collect();
    assert_eq!(fired[..2], [vec![delays, last], vec![first]]);
    assert!(stage.proxy.remove(delays));
    assert_eq!(stage.proxy.fired(delays), None);
}

#[tokio::test]
async fn rules_are_for_some_clients_and_some_parameters() {
    let Some(stage) = stage("clients").await else { return };
    let ask = async |agent: &str, query: &str, block: &str| {
        let mut url = stage.proxy.url().clone();
        url.set_query(Some(query));
        let sent = stage.http.post(url).header("User-Agent", agent);
        let sent = sent.json(&request(1, "eth_getBlockByNumber", json!([block, false])));
        let answer: Value = sent.send().await.unwrap().json().await.unwrap();
        answer["error"]["code"].as_i64()
    };
    stage.proxy.add(Rule::new(error(1)).from(Client::header("user-agent", "dvn")));
    stage.proxy.add(Rule::new(error(2)).from(Client::query("key=7")));
    stage.proxy.add(Rule::new(error(3)).from(Client::ip("127.0.0.1".parse().unwrap())).params("\"0x5\""));
    stage.proxy.add(Rule::new(error(4)).from(Client::ip("127.0.0.2".parse().unwrap())));
    assert_eq!(ask("the dvn-node", "key=7", "0x1").await, Some(1));
    assert_eq!(ask("other", "key=7", "0x1").await, Some(2));
    assert_eq!(ask("other", "key=8", "0x5").await, Some(3));
    assert_eq!(ask("other", "key=8", "0x1").await, None);
}

#[tokio::test]
async fn every_call_is_remembered() {
    let Some(stage) = stage("traffic").await else { return };
    let id = stage.proxy.add(Rule::new(Fault::Null).method("net_version"));
    stage.result("eth_chainId", json!([])).await;
    let batch =
        json!([request(1, "eth_getBlockByNumber", json!(["0x1", false])), request(2, "net_version", json!([]))]);
    let answer = stage.post(&batch).await.unwrap().text().await.unwrap();
    let traffic = stage.proxy.traffic();
    let told: Vec<_> = traffic.iter().map(|it| (it.sequence, it.request, it.method.as_str(), it.fired.len())).collect();
    assert_eq!(told, [(0, 0, "eth_chainId", 0), (1, 1, "eth_getBlockByNumber", 0), (2, 1, "net_version", 1)]);
    assert_eq!((traffic[2].fired[0], &traffic[1].params), (id, &json!(["0x1", false])));
    let lengths = traffic[1].response_bytes + traffic[2].response_bytes + 3;
    assert_eq!(lengths, answer.len() as u64, "two brackets and a comma");
    assert!(traffic.iter().all(|it| it.request_bytes > 0 && it.client.ip().is_loopback()));
    assert!(traffic.windows(2).all(|two| two[0].at <= two[1].at));
    stage.proxy.forget_traffic();
    stage.result("eth_chainId", json!([])).await;
    assert_eq!(stage.proxy.traffic()[0].sequence, 3);
}
