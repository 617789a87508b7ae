//! Headers and receipts as go-ethereum encodes them, from what a node answers.

use alloy::rlp::{self, Encodable};
use alloy_primitives::{B256, Bloom, BloomInput, Bytes, U256, keccak256};
use serde_json::Value;

use crate::proxy::call::Failure;

const DEPOSIT: U256 = U256::from_limbs([0x7e, 0, 0, 0]);

/// How a member is written.
#[derive(Debug, Clone, Copy)]
enum Kind {
    /// As its bytes.
    Data,
    /// As a number without leading zeros.
    Quantity,
}

const HEADER: [(&str, Kind); 15] = [
    ("parentHash", Kind::Data),
    ("sha3Uncles", Kind::Data),
    ("miner", Kind::Data),
    ("stateRoot", Kind::Data),
    ("transactionsRoot", Kind::Data),
    ("receiptsRoot", Kind::Data),
    ("logsBloom", Kind::Data),
    ("difficulty", Kind::Quantity),
    ("number", Kind::Quantity),
    ("gasLimit", Kind::Quantity),
    ("gasUsed", Kind::Quantity),
    ("timestamp", Kind::Quantity),
    ("extraData", Kind::Data),
    ("mixHash", Kind::Data),
    ("nonce", Kind::Data),
];

/// What forks added, in their order, each only where the node tells it.
const LATER: [(&str, Kind); 8] = [
    ("baseFeePerGas", Kind::Quantity),
    ("withdrawalsRoot", Kind::Data),
    ("blobGasUsed", Kind::Quantity),
    ("excessBlobGas", Kind::Quantity),
    ("parentBeaconBlockRoot", Kind::Data),
    ("requestsHash", Kind::Data),
    ("blockAccessListHash", Kind::Data),
    ("slotNumber", Kind::Quantity),
];

/// The hash of a block as `eth_getBlockByNumber` gives it.
pub(super) fn header_hash(block: &Value) -> Result<B256, Failure> {
    let mut fields = Vec::new();
    for (name, kind) in HEADER {
        encode(block, name, kind, &mut fields)?;
    }
    for (name, kind) in LATER {
        if block.get(name).is_some_and(|value| !value.is_null()) {
            encode(block, name, kind, &mut fields)?;
        }
    }
    Ok(keccak256(list(&fields)))
}

/// The value of a receipt in the receipts trie.
pub(super) fn receipt(receipt: &Value) -> Result<Vec<u8>, Failure> {
    let kind = optional(receipt, "type").map_or(Ok(U256::ZERO), |_| quantity(receipt, "type"))?;
    let mut fields = Vec::new();
    // Before Byzantium the state's root stood where the status is.
    match optional(receipt, "status") {
        Some(_) => encode(receipt, "status", Kind::Quantity, &mut fields)?,
        None => encode(receipt, "root", Kind::Data, &mut fields)?,
    }
    encode(receipt, "cumulativeGasUsed", Kind::Quantity, &mut fields)?;
    let mut bloom = Bloom::ZERO;
    let mut logs = Vec::new();
    for log in receipt.get("logs").and_then(Value::as_array).into_iter().flatten() {
        logs.extend(encoded_log(log, &mut bloom)?);
    }
    bloom.encode(&mut fields);
    fields.extend(list(&logs));
    // OP Stack: hashed from Canyon on, which is where the version is there.
    if kind == DEPOSIT && optional(receipt, "depositReceiptVersion").is_some() {
        encode(receipt, "depositNonce", Kind::Quantity, &mut fields)?;
        encode(receipt, "depositReceiptVersion", Kind::Quantity, &mut fields)?;
    }
    let prefix = kind.to_be_bytes_trimmed_vec();
    Ok([prefix, list(&fields)].concat())
}

/// The bloom filter of a receipt's or a filter's logs.
pub(super) fn bloom<'a>(logs: impl IntoIterator<Item = &'a Value>) -> Result<Bloom, Failure> {
    let mut bloom = Bloom::ZERO;
    for log in logs {
        encoded_log(log, &mut bloom)?;
    }
    Ok(bloom)
}

pub(super) fn data(object: &Value, name: &str) -> Result<Bytes, Failure> {
    let value = optional(object, name).ok_or_else(|| Failure::strange(format!("no {name}")))?;
    serde_json::from_value(value.clone()).map_err(|e| Failure::strange(format!("{name}: {e}")))
}

pub(super) fn hash(object: &Value, name: &str) -> Result<B256, Failure> {
    B256::try_from(data(object, name)?.as_ref()).map_err(|e| Failure::strange(format!("{name}: {e}")))
}

pub(super) fn quantity(object: &Value, name: &str) -> Result<U256, Failure> {
    let value = optional(object, name).ok_or_else(|| Failure::strange(format!("no {name}")))?;
    serde_json::from_value(value.clone()).map_err(|e| Failure::strange(format!("{name}: {e}")))
}

fn optional<'a>(object: &'a Value, name: &str) -> Option<&'a Value> {
    object.get(name).filter(|value| !value.is_null())
}

fn encode(object: &Value, name: &str, kind: Kind, out: &mut Vec<u8>) -> Result<(), Failure> {
    match kind {
        Kind::Data => data(object, name)?.encode(out),
        Kind::Quantity => quantity(object, name)?.encode(out),
    }
    Ok(())
}

fn encoded_log(log: &Value, bloom: &mut Bloom) -> Result<Vec<u8>, Failure> {
    let mut topics = Vec::new();
    let address = data(log, "address")?;
    bloom.accrue(BloomInput::Raw(&address));
    for topic in log.get("topics").and_then(Value::as_array).into_iter().flatten() {
        let topic: B256 =
            serde_json::from_value(topic.clone()).map_err(|e| Failure::strange(format!("a topic: {e}")))?;
        bloom.accrue(BloomInput::Raw(topic.as_slice()));
        topic.encode(&mut topics);
    }
    let mut fields = Vec::new();
    address.encode(&mut fields);
    fields.extend(list(&topics));
    data(log, "data")?.encode(&mut fields);
    Ok(list(&fields))
}

fn list(payload: &[u8]) -> Vec<u8> {
    let mut encoded = Vec::with_capacity(payload.len().saturating_add(9));
    rlp::Header { list: true, payload_length: payload.len() }.encode(&mut encoded);
    encoded.extend_from_slice(payload);
    encoded
}
