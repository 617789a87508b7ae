//! Signed EIP-1559 transactions with explicit nonces: unlocked accounts race for theirs.

use alloy::consensus::{SignableTransaction, TxEip1559};
use alloy_primitives::{Address, B256, Bytes, TxKind, U64, U256};
use serde_json::json;

use crate::{
    keys::Key,
    rpc::{Receipt, Rpc, RpcError},
};

/// Far above the base fee of a local chain, so that no transaction is ever stuck because of its price.
const MAX_FEE: u128 = 100_000_000_000;
const PRIORITY_FEE: u128 = 1_000_000_000;

/// What a transaction does, without who sends it.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) to: TxKind,
    pub(crate) value: U256,
    pub(crate) input: Bytes,
}

/// Signs `call` and returns what `eth_sendRawTransaction` takes.
pub(crate) fn sign(key: &Key, chain_id: u64, nonce: u64, gas_limit: u64, call: Call) -> Bytes {
    let transaction = TxEip1559 {
        chain_id,
        nonce,
        gas_limit,
        max_fee_per_gas: MAX_FEE,
        max_priority_fee_per_gas: PRIORITY_FEE,
        to: call.to,
        value: call.value,
        access_list: Default::default(),
        input: call.input,
    };
    let signature = key.sign(&transaction.signature_hash());
    let mut raw = Vec::new();
    transaction.into_signed(signature).eip2718_encode(&mut raw);
    raw.into()
}

/// One chain's door for transactions: one at a time takes a nonce.
#[derive(Debug)]
pub(crate) struct Sender {
    rpc: Rpc,
    chain_id: u64,
    nonce: tokio::sync::Mutex<()>,
}

impl Sender {
    pub(crate) fn new(rpc: Rpc, chain_id: u64) -> Self {
        Self { rpc, chain_id, nonce: tokio::sync::Mutex::default() }
    }

    /// Broadcasts without waiting to be mined. A revert shows already here, as the estimate fails.
    pub(crate) async fn submit(&self, key: &Key, call: Call) -> Result<B256, RpcError> {
        // The pending count is read anew each time, because a reorganisation takes nonces back.
        let _turn = self.nonce.lock().await;
        let from = key.address();
        let nonce: U64 = self.rpc.request("eth_getTransactionCount", (from, "pending")).await?;
        let gas = self.estimate(from, &call).await?;
        let raw = sign(key, self.chain_id, nonce.to(), gas, call);
        self.rpc.request("eth_sendRawTransaction", (raw,)).await
    }

    /// Broadcasts and waits until it is mined.
    pub(crate) async fn transact(&self, key: &Key, call: Call) -> Result<Receipt, RpcError> {
        let hash = self.submit(key, call).await?;
        self.rpc.wait_for_receipt(hash).await
    }

    /// A quarter more than the node's estimate: other transactions may come first in the block.
    async fn estimate(&self, from: Address, call: &Call) -> Result<u64, RpcError> {
        let request = json!({ "from": from, "to": call.to.to(), "value": call.value, "data": call.input });
        let gas: U64 = self.rpc.request("eth_estimateGas", (request, "pending")).await?;
        let gas: u64 = gas.to();
        Ok(gas.saturating_add(gas / 4))
    }
}
