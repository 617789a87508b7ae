//! A forged branch hangs together, for those that it is meant for.

use alloy_primitives::{Address, B256, U256, b256};
use dvn_testkit::proxy::{Client, Fault, FaultProxy, ForgedBranch, Rule};
use serde_json::{Value, json};

use super::{Stage, hash, stage};

mod packet;
mod reading;

use reading::{header_hash, receipts_root};

const TOPIC: B256 = b256!("0x00000000000000000000000000000000000000000000000000000000000000aa");
const LIAR: Address = Address::repeat_byte(0x11);

/// Fourteen blocks with logs in the last four, and the branch from the second of those on.
async fn forged(test: &str, branch: impl Fn(u64) -> ForgedBranch) -> Option<(Stage, u64, Vec<Value>)> {
    let stage = stage(test).await?;
    let mut receipts = Vec::new();
    for _ in 0..4 {
        receipts.push(stage.emit().await);
    }
    stage.fault(Fault::Forge(branch(12)));
    Some((stage, 12, receipts))
}

fn with_logs(height: u64) -> ForgedBranch {
    ForgedBranch::at(height).log(LIAR, [TOPIC], vec![1, 2, 3]).log(LIAR, [TOPIC, TOPIC], vec![])
}

impl Stage {
    async fn block(&self, number: u64) -> Value {
        self.result("eth_getBlockByNumber", json!([format!("{number:#x}"), false])).await
    }

    /// Every block from `from` on up to the head hashes to its name and names its parent.
    async fn assert_linked(&self, from: u64, head: u64) {
        let mut parent = self.block(from.saturating_sub(1)).await["hash"].clone();
        for number in from..=head {
            let block = self.block(number).await;
            assert_eq!(block["parentHash"], parent, "parent of {number}");
            assert_eq!(header_hash(&block), hash(&block["hash"]), "hash of {number}");
            let receipts = self.result("eth_getBlockReceipts", json!([block["hash"]])).await;
            assert_eq!(receipts_root(&receipts), hash(&block["receiptsRoot"]), "receipts of {number}");
            for receipt in receipts.as_array().unwrap() {
                assert_eq!(receipt["blockHash"], block["hash"]);
                assert!(receipt["logs"].as_array().unwrap().iter().all(|log| log["blockHash"] == block["hash"]));
            }
            parent = block["hash"].clone();
        }
        let latest = self.result("eth_getBlockByNumber", json!(["latest", false])).await;
        assert_eq!((&latest["hash"], latest["number"].as_str()), (&parent, Some(format!("{head:#x}").as_str())));
    }
}

#[tokio::test]
async fn headers_and_receipts_fit_while_the_chain_grows() {
    let Some((stage, height, _)) = forged("forged-headers", with_logs).await else { return };
    stage.assert_linked(9, 14).await;
    stage.anvil.mine(3).await.unwrap();
    stage.emit().await;
    stage.assert_linked(height, 18).await;
    let real = stage.truth("eth_getBlockByNumber", json!(["0xc", false])).await;
    let block = stage.block(height).await;
    for member in ["hash", "receiptsRoot", "transactionsRoot", "logsBloom", "gasUsed"] {
        assert_ne!(block[member], real[member], "{member}");
    }
    assert_eq!(block["stateRoot"], real["stateRoot"], "nothing is forged in the state");
    assert_eq!(block["transactions"].as_array().unwrap().len(), 2);
    // A reorganisation of the real chain takes the branch along.
    stage.anvil.reorg(4, &[]).await.unwrap();
    stage.assert_linked(height, 18).await;
}

#[tokio::test]
async fn blocks_are_known_by_their_forged_hashes_only() {
    let Some((stage, _, receipts)) = forged("forged-hashes", with_logs).await else { return };
    let ask = |hash: &Value| stage.result("eth_getBlockByHash", json!([hash, true]));
    assert_eq!(ask(&receipts[0]["blockHash"]).await["number"], "0xb", "below the branch");
    assert_eq!(ask(&receipts[1]["blockHash"]).await, Value::Null);
    assert_eq!(ask(&receipts[3]["blockHash"]).await, Value::Null);
    let unknown = stage.result("eth_getBlockReceipts", json!([receipts[1]["blockHash"]])).await;
    assert_eq!(unknown, Value::Null);
    let block = stage.block(12).await;
    let full = ask(&block["hash"]).await;
    assert_eq!(full["hash"], block["hash"]);
    for (transaction, hash) in
        full["transactions"].as_array().unwrap().iter().zip(block["transactions"].as_array().unwrap())
    {
        assert_eq!((&transaction["hash"], &transaction["blockHash"]), (hash, &block["hash"]));
        let alone = stage.result("eth_getTransactionByHash", json!([hash])).await;
        assert_eq!(&alone, transaction);
    }
}

#[tokio::test]
async fn logs_and_receipts_agree() {
    let Some((stage, _, receipts)) = forged("forged-logs", with_logs).await else { return };
    let block = stage.block(12).await;
    let all = stage.result("eth_getLogs", json!([{ "fromBlock": "0x1" }])).await;
    let places: Vec<_> = all.as_array().unwrap().iter().map(|it| (&it["blockNumber"], &it["logIndex"])).collect();
    let (at, zero) = (|number: &str| json!(number), json!("0x0"));
    assert_eq!(
        places,
        [
            (&at("0xb"), &zero),
            (&at("0xc"), &zero),
            (&at("0xc"), &json!("0x1")),
            (&at("0xc"), &json!("0x2")),
            (&at("0xd"), &zero),
            (&at("0xe"), &zero),
        ]
    );
    let of_block = stage.result("eth_getLogs", json!([{ "blockHash": block["hash"] }])).await;
    assert_eq!(of_block.as_array().unwrap()[..], all.as_array().unwrap()[1..4]);
    let of_liar =
        stage.result("eth_getLogs", json!([{ "fromBlock": "0x1", "address": LIAR, "topics": [null, TOPIC] }])).await;
    assert_eq!(of_liar, json!([all[3]]));
    let unknown = stage.call("eth_getLogs", json!([{ "blockHash": receipts[1]["blockHash"] }])).await;
    assert_eq!(unknown["error"]["message"], "unknown block");

    let listed = stage.result("eth_getBlockReceipts", json!(["0xc"])).await;
    for receipt in listed.as_array().unwrap() {
        let alone = stage.result("eth_getTransactionReceipt", json!([receipt["transactionHash"]])).await;
        assert_eq!(&alone, receipt);
    }
    let ours = &listed[1];
    assert_eq!(
        (&ours["status"], &ours["type"], &ours["transactionIndex"]),
        (&json!("0x1"), &json!("0x2"), &json!("0x1"))
    );
    assert_eq!(ours["logs"].as_array().unwrap()[..], all.as_array().unwrap()[2..4]);
}

#[tokio::test]
async fn one_client_is_lied_to_and_another_is_not() {
    let Some(stage) = stage("forged-for-one").await else { return };
    stage.proxy.add(Rule::new(Fault::Forge(with_logs(5))).from(Client::query("victim")));
    // Another proxy in front of the same chain tells the same lie.
    let second = FaultProxy::start(stage.anvil.url().clone()).await.unwrap();
    second.add(Rule::new(Fault::Forge(with_logs(5))));
    let mut victim = stage.proxy.url().clone();
    victim.set_query(Some("victim"));
    let ask = async |url: &url::Url| {
        let message = super::request(1, "eth_getBlockByNumber", json!(["latest", false]));
        let answer: Value = stage.http.post(url.clone()).json(&message).send().await.unwrap().json().await.unwrap();
        answer["result"]["hash"].clone()
    };
    let truth = stage.truth("eth_getBlockByNumber", json!(["latest", false])).await["hash"].clone();
    let lie = ask(&victim).await;
    assert_ne!(lie, truth);
    assert_eq!(ask(stage.proxy.url()).await, truth);
    assert_eq!(ask(second.url()).await, lie);
    let message = super::request(1, "eth_getBlockByHash", json!([lie, false]));
    let answer: Value =
        stage.http.post(second.url().clone()).json(&message).send().await.unwrap().json().await.unwrap();
    assert_eq!(answer["result"]["number"], "0xa");
}

#[tokio::test]
async fn a_branch_begins_when_its_block_is_there() {
    let Some(stage) = stage("forged-later").await else { return };
    stage.fault(Fault::Forge(with_logs(12)));
    let latest = || stage.result("eth_getBlockByNumber", json!(["latest", false]));
    assert_eq!(latest().await, stage.truth("eth_getBlockByNumber", json!(["latest", false])).await);
    assert_eq!(stage.result("eth_getLogs", json!([{ "fromBlock": "0x1" }])).await, json!([]));
    stage.anvil.mine(2).await.unwrap();
    assert_ne!(latest().await, stage.truth("eth_getBlockByNumber", json!(["latest", false])).await);
    assert_eq!(stage.result("eth_getLogs", json!([{ "fromBlock": "0x1" }])).await.as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn the_history_contract_knows_the_branch() {
    let branch = |height| with_logs(height).storage(LIAR, U256::from(1), U256::from(2)).with_history();
    let Some((stage, ..)) = forged("forged-history", branch).await else { return };
    stage.assert_linked(12, 14).await;
    let history = dvn_history();
    for ancestor in [11, 12, 13] {
        let anchor = stage.block(14).await;
        let slot = B256::from(U256::from(ancestor));
        let proof = stage.result("eth_getProof", json!([history, [slot], anchor["hash"]])).await;
        let expected = hash(&stage.block(ancestor).await["hash"]);
        reading::assert_proven(&anchor, &proof, history, U256::from(ancestor), expected.into());
    }
}

fn dvn_history() -> Address {
    "0x0000F90827F1C53a10cb7A02335B175320002935".parse().unwrap()
}

#[tokio::test]
async fn forged_storage_is_read_and_proven() {
    let branch = |height| ForgedBranch::at(height).storage(LIAR, U256::from(7), U256::from(9));
    let Some((stage, ..)) = forged("forged-storage", branch).await else { return };
    let slot = B256::from(U256::from(7));
    let read = |block: Value| stage.result("eth_getStorageAt", json!([LIAR, slot, block]));
    assert_eq!(read(json!("0xc")).await, json!(B256::from(U256::from(9))));
    assert_eq!(read(json!("latest")).await, json!(B256::from(U256::from(9))));
    assert_eq!(read(json!("0xb")).await, json!(B256::ZERO));
    for number in [12, 14] {
        let block = stage.block(number).await;
        assert_eq!(read(json!({ "blockHash": block["hash"] })).await, json!(B256::from(U256::from(9))));
        for (account, slot, value) in [(LIAR, 7, 9), (LIAR, 8, 0), (Address::repeat_byte(0x12), 7, 0)] {
            let key = B256::from(U256::from(slot));
            let proof = stage.result("eth_getProof", json!([account, [key], block["number"]])).await;
            reading::assert_proven(&block, &proof, account, U256::from(slot), U256::from(value));
        }
    }
    // Below the branch the node's own proofs pass.
    let proof = stage.result("eth_getProof", json!([LIAR, [slot], "0xb"])).await;
    assert_eq!(proof, stage.truth("eth_getProof", json!([LIAR, [slot], "0xb"])).await);
}
