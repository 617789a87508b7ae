//! The interface for those who script the proxy from outside.

use serde_json::{Value, json};

use super::{Stage, stage};

impl Stage {
    async fn control(&self, method: &str, path: &str, body: &str) -> (u16, Value) {
        let url = self.proxy.url().join("/_proxy/").unwrap().join(path).unwrap();
        let sent = self.http.request(method.parse().unwrap(), url).body(body.to_owned()).send().await.unwrap();
        (sent.status().as_u16(), sent.json().await.unwrap())
    }
}

#[tokio::test]
async fn rules_are_scripted_over_http() {
    let Some(stage) = stage("control").await else { return };
    let rule =
        r#"{ "fault": { "rpc_error": { "code": 5, "message": "no" } }, "methods": ["eth_chainId"], "times": 1 }"#;
    assert_eq!(stage.control("POST", "rules", rule).await, (201, json!({ "id": 0 })));
    assert_eq!(stage.control("POST", "rules", r#"{ "fault": "null" }"#).await, (201, json!({ "id": 1 })));
    assert_eq!(stage.call("eth_chainId", json!([])).await["error"]["code"], 5);
    let (status, rules) = stage.control("GET", "rules", "").await;
    assert_eq!((status, &rules[0]["fired"], &rules[1]["rule"]["fault"]), (200, &json!(1), &json!("null")));
    assert_eq!(stage.control("DELETE", "rules/1", "").await.0, 200);
    assert_eq!(stage.control("DELETE", "rules/1", "").await.0, 404);
    assert_eq!(stage.result("eth_chainId", json!([])).await, "0x7a69");

    let (_, traffic) = stage.control("GET", "traffic", "").await;
    let methods: Vec<_> = traffic.as_array().unwrap().iter().map(|it| it["method"].as_str().unwrap()).collect();
    assert_eq!((methods, &traffic[0]["fired"]), (vec!["eth_chainId"; 2], &json!([0])));
    assert_eq!(stage.control("DELETE", "traffic", "").await.0, 200);
    assert!(stage.proxy.traffic().is_empty());
    assert_eq!(stage.control("DELETE", "rules", "").await.0, 200);
    assert_eq!(stage.control("GET", "rules", "").await, (200, json!([])));
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_said() {
    let Some(stage) = stage("control-errors").await else { return };
    let (status, problem) = stage.control("POST", "rules", r#"{ "fault": { "delay": { "ms": "x" } } }"#).await;
    assert_eq!(status, 400);
    assert!(problem["error"].as_str().unwrap().starts_with("fault.delay.ms: invalid type"), "{problem}");
    assert_eq!(stage.control("PUT", "rules", "").await.0, 405);
    assert_eq!(stage.control("DELETE", "rules/x", "").await.0, 405);
    assert_eq!(stage.control("GET", "else", "").await.0, 404);
}
