//! A proxy in front of a local node: what it does to answers, and that it does nothing else.

use alloy_primitives::{Address, B256, Bytes};
use dvn_testkit::{
    anvil::{Anvil, AnvilOptions},
    keys,
    proxy::{Fault, FaultProxy, Rule},
    toolchain::Toolchain,
};
use serde_json::{Value, json};

mod batches;
mod control;
mod faults;
mod forgery;
mod hostile;
mod lag;
mod rules;
mod websocket;

/// Code of a contract that is made by emitting one log with the topic 42.
const EMIT: Bytes = Bytes::from_static(&[0x60, 0x2a, 0x60, 0, 0x60, 0, 0xa1, 0]);

pub(crate) struct Stage {
    pub(crate) anvil: Anvil,
    pub(crate) proxy: FaultProxy,
    pub(crate) http: reqwest::Client,
}

/// A node with ten blocks and a proxy in front of it.
pub(crate) async fn stage(test: &str) -> Option<Stage> {
    let anvil = node(test, 31337).await?;
    anvil.mine(10).await.unwrap();
    let proxy = FaultProxy::start(anvil.url().clone()).await.unwrap();
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    Some(Stage { anvil, proxy, http })
}

pub(crate) async fn node(test: &str, chain_id: u64) -> Option<Anvil> {
    let toolchain = Toolchain::for_test(test)?;
    Some(Anvil::spawn(&toolchain.anvil().unwrap(), &AnvilOptions::new(chain_id)).await.unwrap())
}

impl Stage {
    pub(crate) async fn post(&self, message: &Value) -> reqwest::Result<reqwest::Response> {
        self.http.post(self.proxy.url().clone()).json(message).send().await
    }

    /// The whole answer to one call.
    pub(crate) async fn call(&self, method: &str, params: Value) -> Value {
        self.post(&request(7, method, params)).await.unwrap().json().await.unwrap()
    }

    pub(crate) async fn result(&self, method: &str, params: Value) -> Value {
        let mut answer = self.call(method, params).await;
        assert_eq!(answer["id"], 7, "{answer}");
        assert!(answer.get("result").is_some(), "{method}: {answer}");
        answer["result"].take()
    }

    /// What the node itself says.
    pub(crate) async fn truth(&self, method: &'static str, params: Value) -> Value {
        self.anvil.rpc(method, params).await.unwrap()
    }

    /// Adds a rule for all calls.
    pub(crate) fn fault(&self, fault: Fault) {
        self.proxy.add(Rule::new(fault));
    }

    /// Mines a block with one log; its receipt.
    pub(crate) async fn emit(&self) -> Value {
        let transaction = json!([{ "from": keys::deployer().address(), "data": EMIT }]);
        let hash: B256 = self.anvil.rpc("eth_sendTransaction", transaction).await.unwrap();
        self.anvil.rpc_client().wait_for_receipt(hash).await.unwrap();
        self.truth("eth_getTransactionReceipt", json!([hash])).await
    }
}

pub(crate) fn request(id: u64, method: &str, params: Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })
}

pub(crate) fn address(value: &Value) -> Address {
    serde_json::from_value(value.clone()).unwrap()
}

pub(crate) fn hash(value: &Value) -> B256 {
    serde_json::from_value(value.clone()).unwrap()
}
