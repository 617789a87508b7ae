//! T31: a peer in wrong hands wants the key to sign something else than a verification: an administrative call, or bytes.

use alloy_primitives::{Address, B256, hex};
use serde_json::{Value, json};

use super::{Trio, proposer};

/// `setQuorum`, `setSigner`, `grantRole`, `revokeRole`, `execute`, `quorumChangeAdmin`, `withdrawFee` of the DVN contract and its
/// libraries, a selector of nothing, and the one of `verify` itself.
const SELECTORS: [&str; 9] =
    ["8585c945", "31cb6105", "2f2ff15d", "d547741f", "b143044b", "f3b4ebd0", "1095b6d7", "00000000", "0223536e"];

/// What signers of bytes take.
const FIELDS: [&str; 8] = ["call_data", "callData", "digest", "hash", "target", "vid", "message", "raw"];

#[tokio::test(flavor = "multi_thread")]
async fn t31_two_hundred_hostile_requests_get_nothing_signed() {
    let Some(trio) = Trio::set("hostile requests").await else { return };
    let process = trio.nodes[0].start().await;
    let quorum = trio.nodes[0].config.quorum.as_ref().unwrap();
    let files = trio.nodes[1].config.quorum.as_ref().unwrap().tls.clone();
    let conflux = trio.net.chain("conflux");
    let now = conflux.timestamp().await.unwrap();
    let shape = json!({
        "src_eid": trio.net.chain("ethereum").eid(), "block": 1, "block_hash": B256::repeat_byte(1),
        "tx_hash": B256::repeat_byte(2), "log_index": 0, "dst_eid": conflux.eid(), "confirmations": 2,
        "expiration": now + 900, "journal": proposer::journal(),
    });

    let mut requests = hostile(&shape, conflux.addresses().dvn);
    for path in ["/v1/sign", "/v1/attest", "/v1/execute", "/v1/admin", "/sign", "/v1/cosign/", "/v1/cosign/raw"] {
        requests.push((path.to_owned(), shape.clone()));
    }
    assert!(requests.len() >= 200, "{}", requests.len());
    for (path, asked) in &requests {
        let (status, answer) = proposer::post(quorum.port, &files, path, asked).await;
        assert!((400..500).contains(&status) && answer["signature"].is_null(), "{path} {asked}: {status} {answer}");
    }
    assert_eq!(trio.nodes[0].log().matches("\"message\":\"signed\"").count(), 0, "the key was used");
    // The node is as good as before.
    let sent = trio.net.send_together("ethereum", 1).await;
    let mut genuine = shape;
    (genuine["block"], genuine["block_hash"]) = (json!(sent.block_number), json!(sent.block_hash));
    (genuine["tx_hash"], genuine["log_index"]) = (json!(sent.transaction), json!(sent.packets[0].log_index));
    let given = proposer::until_signed(quorum.port, &files, &genuine).await;
    assert_eq!(hex::decode(given["signature"].as_str().unwrap()).unwrap().len(), 65);
    // Not even beside what is signed are bytes taken.
    for field in FIELDS {
        let mut asked = genuine.clone();
        asked[field] = json!("0x");
        let (status, answer) = proposer::propose(quorum.port, &files, &asked).await;
        assert!((400..500).contains(&status) && answer["signature"].is_null(), "{field}: {status} {answer}");
    }
    let mut large = genuine.clone();
    large["tx_hash"] = json!("0".repeat(20_000));
    assert_eq!(proposer::propose(quorum.port, &files, &large).await.0, 413);
    let flood = proposer::flood(quorum.port, &files, &genuine, 600).await;
    assert!(
        flood.contains(&429) && flood.contains(&200),
        "what is too much is refused, and the rest answered: {flood:?}"
    );
    assert!(process.stop().await.unwrap().success());
}

/// Proposals and retractions that bring a call along, in every field that might take one, and ones that are no proposal at all.
fn hostile(shape: &Value, dvn: Address) -> Vec<(String, Value)> {
    let mut requests = Vec::new();
    let word = B256::repeat_byte(7);
    for selector in SELECTORS {
        // With an argument, alone, with bytes behind, and as a digest.
        let call = format!("0x{selector}{}", hex::encode(dvn.into_word()));
        let trailing = format!("{call}00");
        for field in FIELDS {
            for value in [json!(call), json!(trailing)] {
                let mut asked = shape.clone();
                asked[field] = value;
                requests.push(("/v1/cosign".to_owned(), asked));
            }
        }
        // In the place of what is there.
        for field in ["tx_hash", "block_hash", "log_index", "confirmations", "expiration"] {
            let mut asked = shape.clone();
            asked[field] = json!(call);
            requests.push(("/v1/cosign".to_owned(), asked));
        }
        requests.push(("/v1/retract".to_owned(), json!({ "call_data": call, "target": dvn, "expiration": u64::MAX })));
    }
    for body in [json!(null), json!([]), json!({}), json!("0x"), json!({ "digest": word }), json!([word, word])] {
        requests.push(("/v1/cosign".to_owned(), body.clone()));
        requests.push(("/v1/retract".to_owned(), body));
    }
    requests
}
