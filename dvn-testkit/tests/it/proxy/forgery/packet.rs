//! A packet that nobody sent, on a chain with the real contracts.

use alloy_primitives::{Address, B256, Bytes, TxKind, U64, U256};
use alloy_sol_types::{SolCall, sol};
use dvn_testkit::{
    devnet::{PacketFields, SentPackets},
    proxy::{Fault, FaultProxy, ForgedBranch, Rule},
    rpc::{Receipt, Rpc},
};
use serde_json::{Value, json};

use super::{hash, reading};
use crate::support::{messages, pair, start};

sol! {
    function outboundNonce(address sender, uint32 dstEid, bytes32 receiver) external view returns (uint64);
}

/// Code for a call without a receiver: it calls `to` with `input` and returns 32 bytes of the answer.
fn bundled(to: Address, input: &[u8]) -> Bytes {
    let length = u8::try_from(input.len()).unwrap();
    // CODECOPY the input behind this code to memory, STATICCALL, RETURN.
    let mut code = vec![0x60, length, 0x60, 0, 0x60, 0, 0x39];
    code.extend([0x60, 32, 0x60, 0, 0x60, length, 0x60, 0, 0x73]);
    code.extend(to);
    code.extend([0x5a, 0xfa, 0x50, 0x60, 32, 0x60, 0, 0xf3]);
    code[3] = u8::try_from(code.len()).unwrap();
    code.extend(input);
    code.into()
}

#[tokio::test]
async fn a_forged_packet_looks_genuine() {
    let Some(devnet) = start("forged-packet", pair()).await else { return };
    let (source, destination) = (devnet.chain("ethereum").unwrap(), devnet.chain("conflux").unwrap());
    let sent = devnet.send(source, destination, &messages(1)).await.unwrap();
    source.anvil().mine(3).await.unwrap();
    let genuine = &sent.packets[0].fields;
    let fields = PacketFields { nonce: 77, message: Bytes::from_static(b"all your tokens"), ..genuine.clone() };
    let at = source.addresses();
    let height = sent.block_number + 1;
    let proxy = FaultProxy::start(source.url().clone()).await.unwrap();
    proxy.add(Rule::new(Fault::Forge(ForgedBranch::at(height).packet(source, &fields))));
    let rpc = Rpc::new(proxy.url().clone());

    // The kit's own reading of receipts finds it, with our DVN paid.
    let receipts: Vec<Receipt> = rpc.request("eth_getBlockReceipts", (U64::from(height),)).await.unwrap();
    let forged = SentPackets::from_receipt(source, receipts.last().unwrap().clone()).unwrap();
    assert_eq!((&forged.packets[0].fields, &forged.packets[0].required_dvns[..]), (&fields, &[at.dvn][..]));
    let logs: Vec<Value> =
        rpc.request("eth_getLogs", (json!({ "fromBlock": U64::from(height), "address": at.endpoint }),)).await.unwrap();
    assert_eq!((logs.len(), hash(&logs[0]["transactionHash"])), (1, forged.transaction));

    let question = outboundNonceCall {
        sender: Address::from_word(fields.sender),
        dstEid: fields.dst_eid,
        receiver: fields.receiver,
    };
    assert_eq!(rpc.call(at.endpoint, &question).await.unwrap(), 77);
    assert_eq!(source.rpc().call(at.endpoint, &question).await.unwrap(), 1, "the truth");
    let before = json!({ "to": at.endpoint, "data": Bytes::from(question.abi_encode()) });
    let before: U256 = rpc.request("eth_call", (before, U64::from(height - 1))).await.unwrap();
    assert_eq!(before, U256::from(1));
    let input = bundled(at.endpoint, &question.abi_encode());
    let bundled: U256 =
        rpc.request("eth_call", (json!({ "to": TxKind::Create, "data": input }), "latest")).await.unwrap();
    assert_eq!(bundled, U256::from(77));

    assert_proven(&rpc, height, at.endpoint, slot_of_nonce(&fields), U256::from(77)).await;
    assert_proven(&rpc, height + 2, at.endpoint, slot_of_nonce(&fields), U256::from(77)).await;
}

async fn assert_proven(rpc: &Rpc, height: u64, account: Address, slot: U256, value: U256) {
    let key = B256::from(slot);
    let block: Value = rpc.request("eth_getBlockByNumber", (U64::from(height), false)).await.unwrap();
    assert_eq!(reading::header_hash(&block), hash(&block["hash"]));
    let proof: Value = rpc.request("eth_getProof", (account, [key], block["hash"].clone())).await.unwrap();
    reading::assert_proven(&block, &proof, account, slot, value);
    let stored: U256 = rpc.request("eth_getStorageAt", (account, key, U64::from(height))).await.unwrap();
    assert_eq!(stored, value);
}

fn slot_of_nonce(fields: &PacketFields) -> U256 {
    let mapped = |key: B256, slot: B256| alloy_primitives::keccak256([key.0, slot.0].concat());
    let of_sender = mapped(fields.sender, U256::from(3).into());
    let of_destination = mapped(U256::from(fields.dst_eid).into(), of_sender);
    mapped(fields.receiver, of_destination).into()
}
