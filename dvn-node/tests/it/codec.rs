//! Our packet codec beside the deployed contracts': what one takes the other takes.

use alloy_primitives::{Bytes, U256, keccak256};
use dvn_core::packet::{Header, PacketError};
use serde_json::{Value, json};

use crate::setup::Net;

/// Headers that are asked about in one request.
const BATCH: usize = 100;

/// T47: `ReceiveUln302.assertHeader` and `Header::decode` accept the same headers, but for nonce 0, which the endpoint never
/// gives out and which only we refuse.
#[tokio::test(flavor = "multi_thread")]
async fn t47_the_accept_set_is_that_of_the_deployed_codec() {
    let Some(net) = Net::pair("the deployed codec").await else { return };
    let conflux = net.chain("conflux");
    let sent = net.send("ethereum", 1).await.remove(0);
    let headers = near(&sent.header);
    let mut accepted = 0;
    for some in headers.chunks(BATCH) {
        let calls: Vec<Value> = some.iter().enumerate().map(|(id, header)| call(conflux, id, header)).collect();
        let answers = reqwest::Client::new().post(conflux.url().clone()).json(&calls).send().await.unwrap();
        let answers: Vec<Value> = answers.json().await.unwrap();
        for (id, header) in some.iter().enumerate() {
            let answer = answers.iter().find(|it| it["id"] == id).unwrap();
            let theirs = answer["error"].is_null();
            let ours = match Header::decode(header) {
                Ok(decoded) => decoded.dst_eid.0 == conflux.eid(),
                Err(PacketError::ZeroNonce) => header[45..49] == conflux.eid().to_be_bytes(),
                Err(_) => false,
            };
            assert_eq!(ours, theirs, "{header}: {answer}");
            accepted += u32::from(ours);
        }
    }
    assert!(accepted > 100, "too few of {} are near enough: {accepted}", headers.len());
}

fn call(chain: &dvn_testkit::devnet::Chain, id: usize, header: &Bytes) -> Value {
    let word = |number: u64| U256::from(number).to_be_bytes::<32>().to_vec();
    let mut data = keccak256("assertHeader(bytes,uint32)")[..4].to_vec();
    data.extend([word(64), word(chain.eid().into()), word(header.len() as u64)].concat());
    data.extend_from_slice(header);
    data.resize(data.len().next_multiple_of(32) + 4, 0);
    let call = json!({ "to": chain.addresses().receive_lib, "data": Bytes::from(data) });
    json!({ "jsonrpc": "2.0", "id": id, "method": "eth_call", "params": [call, "latest"] })
}

/// The header with every byte changed in two ways, cut short and made longer.
fn near(genuine: &Bytes) -> Vec<Bytes> {
    let mut headers = vec![genuine.clone()];
    for at in 0..genuine.len() {
        for change in [1, 0x80] {
            let mut changed = genuine.to_vec();
            changed[at] ^= change;
            headers.push(changed.into());
        }
    }
    headers.extend((0..genuine.len()).map(|length| genuine.slice(..length)));
    headers.extend((1..=40).map(|more| [genuine.as_ref(), &vec![7; more]].concat().into()));
    let mut zero_nonce = genuine.to_vec();
    zero_nonce[1..9].fill(0);
    headers.push(zero_nonce.into());
    headers
}
