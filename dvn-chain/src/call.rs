//! The JSON-RPC calls that this crate makes, and the reading of contract results.

use std::sync::Arc;

use alloy::{
    primitives::{Address, B256, Bytes},
    sol_types::SolCall,
};
use dvn_core::ids::BlockNumber;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::seat::{SeatError, Told};

/// A method with its parameters.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) method: &'static str,
    pub(crate) params: Value,
}

impl Call {
    pub(crate) fn chain_id() -> Self {
        Self { method: "eth_chainId", params: json!([]) }
    }

    pub(crate) fn block_number() -> Self {
        Self { method: "eth_blockNumber", params: json!([]) }
    }

    pub(crate) fn block_by_number(number: BlockNumber) -> Self {
        Self::block_by_tag(&hex(number.0))
    }

    /// A block by tag, without its transactions.
    pub(crate) fn block_by_tag(tag: &str) -> Self {
        Self { method: "eth_getBlockByNumber", params: json!([tag, false]) }
    }

    /// A block by hash, without its transactions.
    pub(crate) fn block_by_hash(hash: B256) -> Self {
        Self { method: "eth_getBlockByHash", params: json!([hash, false]) }
    }

    pub(crate) fn block_receipts(hash: B256) -> Self {
        Self { method: "eth_getBlockReceipts", params: json!([hash]) }
    }

    pub(crate) fn receipt(tx_hash: B256) -> Self {
        Self { method: "eth_getTransactionReceipt", params: json!([tx_hash]) }
    }

    pub(crate) fn transaction(tx_hash: B256) -> Self {
        Self { method: "eth_getTransactionByHash", params: json!([tx_hash]) }
    }

    /// A transaction's encoding, which hashes to its name.
    pub(crate) fn raw_transaction(tx_hash: B256) -> Self {
        Self { method: "eth_getRawTransactionByHash", params: json!([tx_hash]) }
    }

    pub(crate) fn logs(from: BlockNumber, to: BlockNumber, addresses: &[Address], topics: &[B256]) -> Self {
        let filter =
            json!({ "fromBlock": hex(from.0), "toBlock": hex(to.0), "address": addresses, "topics": [topics] });
        Self { method: "eth_getLogs", params: json!([filter]) }
    }

    /// A view function at the end of a block.
    pub(crate) fn view(to: Address, call: &impl SolCall, at: BlockNumber) -> Self {
        Self::raw_view(to, &Bytes::from(call.abi_encode()), at)
    }

    /// A view function at the end of a block, encoded already.
    pub(crate) fn raw_view(to: Address, data: &Bytes, at: BlockNumber) -> Self {
        Self { method: "eth_call", params: json!([{ "to": to, "data": data }, hex(at.0)]) }
    }

    /// Creation code that is run and never stored.
    pub(crate) fn program(code: &Bytes, at: BlockNumber) -> Self {
        Self { method: "eth_call", params: json!([{ "data": code }, hex(at.0)]) }
    }

    /// Slots of a contract with their proof; keys are padded, since some nodes refuse shorter ones.
    pub(crate) fn proof(of: Address, slots: &[B256], at: BlockNumber) -> Self {
        Self { method: "eth_getProof", params: json!([of, slots, hex(at.0)]) }
    }

    pub(crate) fn logs_of_block(hash: B256, addresses: &[Address]) -> Self {
        Self { method: "eth_getLogs", params: json!([{ "blockHash": hash, "address": addresses }]) }
    }

    pub(crate) fn code(of: Address, at: BlockNumber) -> Self {
        Self { method: "eth_getCode", params: json!([of, hex(at.0)]) }
    }

    pub(crate) fn balance(of: Address) -> Self {
        Self { method: "eth_getBalance", params: json!([of, "latest"]) }
    }

    pub(crate) fn transaction_count(of: Address) -> Self {
        Self { method: "eth_getTransactionCount", params: json!([of, "latest"]) }
    }

    /// A view function now.
    pub(crate) fn view_now(to: Address, call: &impl SolCall) -> Self {
        let data = Bytes::from(call.abi_encode());
        Self { method: "eth_call", params: json!([{ "to": to, "data": data }, "latest"]) }
    }

    /// A call that is tried and not made, now and in somebody's name.
    pub(crate) fn trial(from: Address, to: Address, data: &Bytes) -> Self {
        Self { method: "eth_call", params: json!([{ "from": from, "to": to, "data": data }, "latest"]) }
    }

    pub(crate) fn estimate_gas(from: Address, to: Address, data: &Bytes) -> Self {
        Self { method: "eth_estimateGas", params: json!([{ "from": from, "to": to, "data": data }]) }
    }

    pub(crate) fn priority_fee() -> Self {
        Self { method: "eth_maxPriorityFeePerGas", params: json!([]) }
    }

    pub(crate) fn gas_price() -> Self {
        Self { method: "eth_gasPrice", params: json!([]) }
    }

    pub(crate) fn broadcast(raw: &Bytes) -> Self {
        Self { method: "eth_sendRawTransaction", params: json!([raw]) }
    }
}

/// The answers of a batch, taken in the order of its calls.
#[derive(Debug)]
pub(crate) struct Answers(std::vec::IntoIter<Result<Value, SeatError>>);

impl Answers {
    pub(crate) fn new(answers: Vec<Result<Value, SeatError>>) -> Self {
        Self(answers.into_iter())
    }

    /// The next so many answers by themselves.
    pub(crate) fn split(&mut self, count: usize) -> Self {
        Self::new(self.0.by_ref().take(count).collect())
    }

    /// The next answer as plain JSON-RPC.
    pub(crate) fn next<T: DeserializeOwned>(&mut self) -> Result<T, SeatError> {
        let value = self.raw()?;
        serde_json::from_value(value).map_err(|error| SeatError::malformed(error.to_string()))
    }

    /// The next answer as plain JSON-RPC, with its text.
    pub(crate) fn next_told<T: DeserializeOwned>(&mut self) -> Result<Told<T>, SeatError> {
        let raw: Arc<str> = Arc::from(self.raw()?.to_string());
        let value = serde_json::from_str(&raw).map_err(|error| SeatError::malformed(error.to_string()))?;
        Ok(Told { value, raw })
    }

    /// The next answer as a contract's return value.
    pub(crate) fn returned<C: SolCall>(&mut self) -> Result<C::Return, SeatError> {
        let data: Bytes = self.next()?;
        C::abi_decode_returns_validate(&data)
            .map_err(|error| SeatError::malformed(format!("{} returned {} bytes: {error}", C::SIGNATURE, data.len())))
    }

    /// The next answer as a contract's return value, or nothing where the contract reverts.
    pub(crate) fn returned_or_reverted<C: SolCall>(&mut self) -> Result<Option<C::Return>, SeatError> {
        match self.returned::<C>() {
            Ok(value) => Ok(Some(value)),
            Err(error) if error.is_revert() => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(crate) fn raw(&mut self) -> Result<Value, SeatError> {
        self.0.next().unwrap_or_else(|| Err(SeatError::malformed("batch answer is too short")))
    }
}

fn hex(number: u64) -> String {
    format!("{number:#x}")
}
