//! The few fields of the Ethereum JSON-RPC that this crate reads. Whatever else a node sends is ignored, so that the
//! extra fields of Arbitrum or Conflux and the missing ones of others do no harm.

use std::collections::BTreeMap;

use alloy::primitives::{Address, B256, Bytes, U64, U128};
use dvn_core::ids::{BlockNumber, BlockRef};
use serde::Deserialize;

use crate::seat::SeatError;

/// A block's header, as far as it is used.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RpcBlock {
    pub(crate) number: U64,
    pub(crate) hash: B256,
    pub(crate) parent_hash: Option<B256>,
    pub(crate) timestamp: U64,
    pub(crate) base_fee_per_gas: Option<U128>,
    pub(crate) gas_limit: Option<U64>,
}

impl RpcBlock {
    pub(crate) fn number(&self) -> BlockNumber {
        BlockNumber(self.number.to())
    }

    pub(crate) fn reference(&self) -> BlockRef {
        BlockRef { number: self.number(), hash: self.hash }
    }
}

/// A log as `eth_getLogs` and receipts give it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RpcLog {
    address: Address,
    topics: Vec<B256>,
    data: Bytes,
    log_index: Option<U64>,
    transaction_hash: Option<B256>,
    block_hash: Option<B256>,
    block_number: Option<U64>,
    #[serde(default)]
    removed: Option<bool>,
}

/// A receipt, as far as it is used.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RpcReceipt {
    pub(crate) transaction_hash: B256,
    block_hash: Option<B256>,
    block_number: Option<U64>,
    status: Option<U64>,
    logs: Vec<RpcLog>,
    gas_used: Option<U64>,
    effective_gas_price: Option<U128>,
    /// What a rollup of the OP Stack takes beside gas.
    l1_fee: Option<U128>,
    /// What Conflux eSpace takes, of gas that was not used too.
    gas_fee: Option<U128>,
}

/// A transaction, as far as it is used.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct RpcTransaction {
    pub(crate) hash: B256,
    /// Nothing where it makes a contract.
    pub(crate) to: Option<Address>,
    pub(crate) input: Bytes,
}

/// A log by itself, in the form that is voted on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Log {
    /// Position in its block.
    pub(crate) index: u64,
    pub(crate) address: Address,
    pub(crate) topics: Vec<B256>,
    pub(crate) data: Bytes,
}

/// A log with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PlacedLog {
    pub(crate) block: BlockRef,
    pub(crate) tx_hash: B256,
    pub(crate) log: Log,
}

/// A receipt in the form that is voted on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Receipt {
    pub(crate) block: BlockRef,
    /// Nothing where the node gave none: then the transaction counts as failed.
    pub(crate) status: Option<u64>,
    pub(crate) logs: Vec<Log>,
}

impl RpcLog {
    pub(crate) fn is_removed(&self) -> bool {
        self.removed == Some(true)
    }

    /// The log with its place.
    pub(crate) fn placed(self) -> Result<PlacedLog, SeatError> {
        let (Some(number), Some(hash), Some(tx_hash), Some(index)) =
            (self.block_number, self.block_hash, self.transaction_hash, self.log_index)
        else {
            return Err(SeatError::malformed("log without its block, transaction or index"));
        };
        let block = BlockRef { number: BlockNumber(number.to()), hash };
        let log = Log { index: index.to(), address: self.address, topics: self.topics, data: self.data };
        Ok(PlacedLog { block, tx_hash, log })
    }
}

impl RpcReceipt {
    /// What the transaction took, in wei, as far as the node says so. A measurement that is not voted on.
    pub(crate) fn paid(&self) -> Option<u128> {
        if let Some(fee) = self.gas_fee {
            return Some(fee.to());
        }
        let gas = u128::from(self.gas_used?.to::<u64>()).saturating_mul(self.effective_gas_price?.to());
        Some(gas.saturating_add(self.l1_fee.map_or(0, |fee| fee.to())))
    }

    /// The receipt with logs in order, if all its parts name the same block and transaction.
    pub(crate) fn normalised(self) -> Result<Receipt, SeatError> {
        let (Some(hash), Some(number)) = (self.block_hash, self.block_number) else {
            return Err(SeatError::malformed("receipt without its block"));
        };
        let block = BlockRef { number: BlockNumber(number.to()), hash };
        let mut logs = BTreeMap::new();
        for log in self.logs {
            if log.is_removed() {
                return Err(SeatError::malformed("receipt with a removed log"));
            }
            let placed = log.placed()?;
            if placed.block != block || placed.tx_hash != self.transaction_hash {
                return Err(SeatError::malformed("receipt with a log of another place"));
            }
            if logs.insert(placed.log.index, placed.log).is_some() {
                return Err(SeatError::malformed("receipt with two logs at one index"));
            }
        }
        Ok(Receipt {
            block,
            status: self.status.map(|status| status.saturating_to()),
            logs: logs.into_values().collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn receipt() -> Value {
        let hash = |byte: u8| B256::repeat_byte(byte).to_string();
        json!({
            "transactionHash": hash(2), "blockHash": hash(1), "blockNumber": "0x10", "status": "0x1",
            "gasFee": "0x9", "burntGasFee": "0x1", "l1BlockNumber": "0x5",
            "logs": [{
                "address": Address::repeat_byte(7).to_string(), "topics": [], "data": "0x", "logIndex": "0x3",
                "transactionHash": hash(2), "blockHash": hash(1), "blockNumber": "0x10", "removed": false,
            }],
        })
    }

    fn parse(value: Value) -> Result<Receipt, SeatError> {
        serde_json::from_value::<RpcReceipt>(value).unwrap().normalised()
    }

    #[test]
    fn unknown_fields_of_other_chains_are_ignored() {
        let receipt = parse(receipt()).unwrap();
        assert_eq!((receipt.status, receipt.logs.len(), receipt.block.number), (Some(1), 1, BlockNumber(16)));
    }

    #[test]
    fn a_missing_status_stays_missing() {
        let mut value = receipt();
        value.as_object_mut().unwrap().remove("status");
        assert_eq!(parse(value).unwrap().status, None);
    }

    #[test]
    fn a_receipt_that_contradicts_itself_is_malformed() {
        for (pointer, wrong) in [
            ("/logs/0/blockHash", json!(B256::ZERO.to_string())),
            ("/logs/0/transactionHash", json!(B256::ZERO.to_string())),
            ("/logs/0/blockNumber", json!("0x11")),
            ("/logs/0/removed", json!(true)),
            ("/logs/0/logIndex", Value::Null),
            ("/blockHash", Value::Null),
        ] {
            let mut value = receipt();
            *value.pointer_mut(pointer).unwrap() = wrong;
            assert!(parse(value).is_err(), "{pointer}");
        }
        let mut twice = receipt();
        let log = twice["logs"][0].clone();
        twice["logs"].as_array_mut().unwrap().push(log);
        assert!(parse(twice).is_err(), "two logs at one index");
    }
}
