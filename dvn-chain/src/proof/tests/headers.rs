//! Recorded headers hash to their blocks, and nothing else does.

use alloy::primitives::Address;

use super::*;

/// The fields of the Yellow Paper, then those of the forks in their order.
const FIELDS: [&str; 15] = [
    "parentHash",
    "sha3Uncles",
    "miner",
    "stateRoot",
    "transactionsRoot",
    "receiptsRoot",
    "logsBloom",
    "difficulty",
    "number",
    "gasLimit",
    "gasUsed",
    "timestamp",
    "extraData",
    "mixHash",
    "nonce",
];
const FORK_FIELDS: [&str; 8] = [
    "baseFeePerGas",
    "withdrawalsRoot",
    "blobGasUsed",
    "excessBlobGas",
    "parentBeaconBlockRoot",
    "requestsHash",
    "blockAccessListHash",
    "slotNumber",
];

/// The hash of a header after one edit.
fn hash_after(header: &Value, name: &str, value: Option<Value>) -> Result<B256, ProofError> {
    let mut edited = header.clone();
    match value {
        Some(value) => edited[name] = value,
        None => _ = edited.as_object_mut().unwrap().remove(name).unwrap(),
    }
    parsed::<Header>(&edited).hash()
}

#[test]
fn recorded_headers_of_every_fork_hash_to_their_blocks() {
    let headers = recorded_headers();
    for (name, header) in &headers {
        assert_eq!(parsed::<Header>(header).hash(), Ok(parsed(&header["hash"])), "{name}");
    }
    for field in FORK_FIELDS {
        assert!(headers.iter().any(|(_, header)| header.get(field).is_some()), "no recorded header has {field}");
        assert!(headers.iter().any(|(_, header)| header.get(field).is_none()), "every recorded header has {field}");
    }
}

#[test]
fn t08_a_header_edited_in_any_field_does_not_hash() {
    for (file, header) in recorded_headers() {
        let hash = Ok(parsed(&header["hash"]));
        for name in FIELDS {
            assert_ne!(hash_after(&header, name, Some(flipped(&header[name]))), hash, "{name} of {file}");
        }
        let forks = FORK_FIELDS.iter().take_while(|name| header.get(**name).is_some()).count();
        for (at, name) in FORK_FIELDS.into_iter().enumerate() {
            if at < forks {
                assert_ne!(hash_after(&header, name, Some(flipped(&header[name]))), hash, "{name} of {file}");
                let without = hash_after(&header, name, None);
                assert_ne!(without, hash, "{file} without {name}");
                assert_eq!(without == Err(ProofError::HeaderGap), at + 1 < forks, "{file} without {name}");
            } else {
                let is_hash = name.ends_with("Root") || name.ends_with("Hash");
                let value = if is_hash { json!(B256::ZERO) } else { json!("0x0") };
                let with = hash_after(&header, name, Some(value));
                assert_ne!(with, hash, "{file} with {name}");
                assert_eq!(with == Err(ProofError::HeaderGap), at > forks, "{file} with {name}");
            }
        }
    }
}

#[test]
fn a_bloom_filter_denies_no_log_of_its_block() {
    for (file, block) in recorded("receipts") {
        let header: Header = parsed(&block["block"]);
        for log in parsed::<Vec<Receipt>>(&block["receipts"]).iter().flat_map(|receipt| &receipt.logs) {
            let Some(topic0) = log.topics.first() else { continue };
            assert!(header.may_hold_log(log.address, *topic0), "{file}");
        }
    }
}

#[test]
fn a_bloom_filter_denies_a_log_when_either_part_is_not_there() {
    let block = recorded("receipts").into_iter().find(|(name, _)| name.starts_with("arbitrum")).unwrap().1;
    let header: Header = parsed(&block["block"]);
    let receipts: Vec<Receipt> = parsed(&block["receipts"]);
    let log = receipts.iter().flat_map(|receipt| &receipt.logs).find(|log| !log.topics.is_empty()).unwrap();
    assert!(header.may_hold_log(log.address, log.topics[0]));
    assert!(!header.may_hold_log(Address::repeat_byte(0x17), log.topics[0]));
    assert!(!header.may_hold_log(log.address, B256::repeat_byte(0x17)));
}
