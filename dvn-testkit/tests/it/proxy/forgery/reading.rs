//! The test's own reading of headers, receipts and proofs, by other code than the kit's.

use alloy::{
    consensus::{Eip658Value, Header, Receipt, ReceiptEnvelope, ReceiptWithBloom},
    eips::Encodable2718,
    rlp,
};
use alloy_primitives::{Address, B64, B256, Bloom, Bytes, Log, LogData, U64, U256, keccak256};
use alloy_trie::{KECCAK_EMPTY, Nibbles, TrieAccount, proof::verify_proof, root::ordered_trie_root_encoded};
use serde::de::DeserializeOwned;
use serde_json::Value;

fn member<T: DeserializeOwned>(object: &Value, name: &str) -> T {
    serde_json::from_value(object[name].clone()).unwrap()
}

fn number(object: &Value, name: &str) -> u64 {
    member::<U64>(object, name).to()
}

pub(super) fn header_hash(block: &Value) -> B256 {
    let header = Header {
        parent_hash: member(block, "parentHash"),
        ommers_hash: member(block, "sha3Uncles"),
        beneficiary: member(block, "miner"),
        state_root: member(block, "stateRoot"),
        transactions_root: member(block, "transactionsRoot"),
        receipts_root: member(block, "receiptsRoot"),
        logs_bloom: member(block, "logsBloom"),
        difficulty: member(block, "difficulty"),
        number: number(block, "number"),
        gas_limit: number(block, "gasLimit"),
        gas_used: number(block, "gasUsed"),
        timestamp: number(block, "timestamp"),
        extra_data: member(block, "extraData"),
        mix_hash: member(block, "mixHash"),
        nonce: member::<B64>(block, "nonce"),
        base_fee_per_gas: Some(number(block, "baseFeePerGas")),
        withdrawals_root: Some(member(block, "withdrawalsRoot")),
        blob_gas_used: Some(number(block, "blobGasUsed")),
        excess_blob_gas: Some(number(block, "excessBlobGas")),
        parent_beacon_block_root: Some(member(block, "parentBeaconBlockRoot")),
        requests_hash: Some(member(block, "requestsHash")),
        ..Default::default()
    };
    header.hash_slow()
}

/// Checks on the way that gas and indices are continuous.
#[expect(clippy::arithmetic_side_effects, reason = "a few small numbers")]
pub(super) fn receipts_root(receipts: &Value) -> B256 {
    let (mut gas, mut logs) = (0, 0);
    let encoded = receipts.as_array().unwrap().iter().enumerate().map(|(index, receipt)| {
        assert_eq!(number(receipt, "transactionIndex"), index as u64);
        gas += number(receipt, "gasUsed");
        assert_eq!(number(receipt, "cumulativeGasUsed"), gas);
        for log in receipt["logs"].as_array().unwrap() {
            assert_eq!(number(log, "logIndex"), logs);
            logs += 1;
        }
        encoded_receipt(receipt)
    });
    ordered_trie_root_encoded(&encoded.collect::<Vec<_>>())
}

fn encoded_receipt(receipt: &Value) -> Vec<u8> {
    let logs = receipt["logs"].as_array().unwrap().iter().map(|log| Log {
        address: member(log, "address"),
        data: LogData::new(member(log, "topics"), member(log, "data")).unwrap(),
    });
    let status = Eip658Value::Eip658(number(receipt, "status") == 1);
    let plain = Receipt { status, cumulative_gas_used: number(receipt, "cumulativeGasUsed"), logs: logs.collect() };
    let bloomed = ReceiptWithBloom::from(plain);
    assert_eq!(bloomed.logs_bloom, member::<Bloom>(receipt, "logsBloom"));
    let envelope = match number(receipt, "type") {
        0 => ReceiptEnvelope::Legacy(bloomed),
        2 => ReceiptEnvelope::Eip1559(bloomed),
        other => unreachable!("no test makes receipts of type {other}"),
    };
    envelope.encoded_2718()
}

/// The answer to `eth_getProof` proves under the block's state root that the slot holds this value, zero for nothing.
pub(super) fn assert_proven(block: &Value, proof: &Value, account: Address, slot: U256, value: U256) {
    let root: B256 = member(block, "stateRoot");
    let nodes: Vec<Bytes> = member(proof, "accountProof");
    let is_there = number(proof, "nonce") > 0;
    let leaf = TrieAccount {
        nonce: number(proof, "nonce"),
        balance: member(proof, "balance"),
        storage_root: member(proof, "storageHash"),
        code_hash: member(proof, "codeHash"),
    };
    assert!(is_there || leaf.code_hash == KECCAK_EMPTY);
    let expected = is_there.then(|| rlp::encode(leaf));
    verify_proof(root, Nibbles::unpack(keccak256(account)), expected, &nodes).unwrap();

    let storage = &proof["storageProof"][0];
    assert_eq!((member::<U256>(storage, "key"), member::<U256>(storage, "value")), (slot, value));
    let nodes: Vec<Bytes> = member(storage, "proof");
    let expected = (!value.is_zero()).then(|| rlp::encode(value));
    let key = Nibbles::unpack(keccak256(B256::from(slot)));
    verify_proof(leaf.storage_root, key, expected, &nodes).unwrap();
}
