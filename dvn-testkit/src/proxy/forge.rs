//! A branch that nobody mined, served as a patched node would serve it.

use std::sync::Arc;

use alloy_primitives::{B256, Bytes, U256};
use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::{
    block::{BlockId, number, quantity, reads_state},
    call::{Call, Failure, Outcome},
    upstream::Upstream,
};

mod branch;
mod chain;
mod encode;
mod logs;
mod packet;
mod relabel;
mod state;
mod transaction;

pub use branch::{ForgedBranch, ForgedLog, ForgedSlot};

use chain::Chain;

/// Answers calls as a node on the forged branch does. What is not forged comes from the upstream.
#[derive(Debug)]
pub(super) struct Forger {
    branch: Arc<ForgedBranch>,
    upstream: Upstream,
    chain: Mutex<Chain>,
}

impl Forger {
    pub(super) fn new(branch: ForgedBranch, upstream: Upstream) -> Self {
        let branch = Arc::new(branch);
        let chain = Mutex::new(Chain::new(branch.clone(), upstream.clone()));
        Self { branch, upstream, chain }
    }

    pub(super) async fn answer(&self, call: &Call) -> Outcome {
        match call.method.as_str() {
            "eth_getBlockByNumber" => self.block_by_number(call).await,
            "eth_getBlockByHash" => self.block_by_hash(call).await,
            "eth_getBlockReceipts" => self.receipts(call).await,
            "eth_getTransactionReceipt" | "eth_getTransactionByHash" | "eth_getRawTransactionByHash" => {
                self.transaction(call).await
            }
            "eth_getLogs" => self.logs(call).await,
            method if reads_state(method) => self.state(call).await,
            _ => self.truth(call).await,
        }
    }

    /// A notification of a subscription, as this node would have sent it.
    pub(super) async fn notification(&self, result: Value) -> Outcome {
        let mut chain = self.chain.lock().await;
        if result.get("parentHash").is_some() {
            return chain.header(result).await;
        }
        self.relabelled(&mut chain, result).await
    }

    async fn truth(&self, call: &Call) -> Outcome {
        self.upstream.call(&call.method, &call.params).await
    }

    async fn block_by_number(&self, call: &Call) -> Outcome {
        // The pending block would have to be built on ours: the newest one is served in its place.
        let block = match call.block() {
            Some(BlockId::Latest) => self.upstream.call(&call.method, &call.with_param(0, json!("latest"))).await?,
            _ => self.truth(call).await?,
        };
        self.chain.lock().await.block(block, is_full(call)).await
    }

    async fn block_by_hash(&self, call: &Call) -> Outcome {
        let Some(BlockId::Hash(hash)) = BlockId::read(call.param(0)) else { return self.truth(call).await };
        let Some(height) = self.chain.lock().await.height_of(hash).await? else {
            let real = self.truth(call).await?;
            return Ok(if self.is_forged(number(&real, "number")) { Value::Null } else { real });
        };
        let real = self.upstream.call("eth_getBlockByNumber", &json!([quantity(height), call.param(1)])).await?;
        self.chain.lock().await.block(real, is_full(call)).await
    }

    async fn receipts(&self, call: &Call) -> Outcome {
        let Some(height) = self.resolved(call.param(0)).await? else { return Ok(Value::Null) };
        if !self.is_forged(Some(height)) {
            return self.truth(call).await;
        }
        let receipts = self.upstream.call(&call.method, &call.at_height(height)).await?;
        let mut chain = self.chain.lock().await;
        let Value::Array(mut receipts) = self.relabelled(&mut chain, receipts).await? else { return Ok(Value::Null) };
        if height == self.branch.height() {
            receipts.extend(chain.addition().await?.map(|addition| addition.receipt));
        }
        Ok(Value::Array(receipts))
    }

    /// The forged transaction, or a real one under the name of its forged block.
    async fn transaction(&self, call: &Call) -> Outcome {
        let mut chain = self.chain.lock().await;
        if let Some(addition) = chain.addition().await?
            && *call.param(0) == json!(addition.hash)
        {
            return Ok(match call.method.as_str() {
                "eth_getTransactionReceipt" => addition.receipt,
                "eth_getTransactionByHash" => addition.transaction,
                _ => json!(addition.raw),
            });
        }
        let real = self.truth(call).await?;
        self.relabelled(&mut chain, real).await
    }

    async fn logs(&self, call: &Call) -> Outcome {
        let mut filter = call.param(0).clone();
        let is_by_hash = filter.get("blockHash").is_some();
        let (from, to) = if let Some(hash) = filter.get("blockHash") {
            let height = self.resolved(hash).await?;
            (height, height)
        } else {
            let end = |name| filter.get(name).unwrap_or(&Value::Null);
            (self.resolved(end("fromBlock")).await?, self.resolved(end("toBlock")).await?)
        };
        let (Some(from), Some(to)) = (from, to) else { return Err(Failure::refused(-32000, "unknown block")) };
        if is_by_hash
            && self.is_forged(Some(from))
            && let Value::Object(filter) = &mut filter
        {
            filter.remove("blockHash");
            filter.insert("fromBlock".to_owned(), quantity(from));
            filter.insert("toBlock".to_owned(), quantity(to));
        }
        let real = self.upstream.call(&call.method, &call.with_param(0, filter.clone())).await?;
        let mut chain = self.chain.lock().await;
        let mut found = self.relabelled(&mut chain, real).await?;
        if (from..=to).contains(&self.branch.height())
            && let Some(addition) = chain.addition().await?
            && let Value::Array(found) = &mut found
        {
            logs::insert(found, &filter, self.branch.height(), &addition.receipt);
        }
        Ok(found)
    }

    /// Calls, storage, proofs and the like.
    async fn state(&self, call: &Call) -> Outcome {
        let Some(block) = call.block() else { return self.truth(call).await };
        let named = super::block::position(&call.method).map_or(&Value::Null, |position| call.param(position));
        let Some(height) = self.resolved(named).await? else {
            return Err(Failure::refused(-32000, "header for hash not found"));
        };
        if !self.is_forged(Some(height)) {
            return self.truth(call).await;
        }
        match call.method.as_str() {
            "eth_getProof" if self.branch.has_state() => {
                self.chain.lock().await.proof(height, call.param(0), call.param(1)).await
            }
            "eth_getStorageAt" if let Some(value) = self.overridden(call) => Ok(json!(B256::from(value))),
            // What the upstream calls newest may hold more than the block of that height does by now.
            _ if block == BlockId::Latest && call.method != "eth_call" => self.truth(call).await,
            "eth_call" => {
                let forged = self.branch.state_overrides(call.param(2));
                let named = if block == BlockId::Latest { json!("latest") } else { quantity(height) };
                let call = Call { params: call.with_param(1, named), ..call.clone() };
                let params = if self.branch.slots().is_empty() { call.params } else { call.with_param(2, forged) };
                self.upstream.call("eth_call", &params).await
            }
            method => self.upstream.call(method, &call.at_height(height)).await,
        }
    }

    fn overridden(&self, call: &Call) -> Option<U256> {
        let account = serde_json::from_value(call.param(0).clone()).ok()?;
        // Nodes take a slot as a quantity and as 32 bytes.
        let slot = call.param(1).as_str()?.parse().ok()?;
        self.branch.value_of(account, slot)
    }

    /// The height that a parameter names on our branch; `None` for a block that is not on it.
    async fn resolved(&self, param: &Value) -> Result<Option<u64>, Failure> {
        let Some(block) = BlockId::read(param) else { return Err(Failure::refused(-32602, "invalid block")) };
        if let BlockId::Hash(hash) = block
            && let Some(height) = self.chain.lock().await.height_of(hash).await?
        {
            return Ok(Some(height));
        }
        let height = block.height(&self.upstream).await?;
        Ok(height.filter(|_| !(matches!(block, BlockId::Hash(_)) && self.is_forged(height))))
    }

    fn is_forged(&self, height: Option<u64>) -> bool {
        height.is_some_and(|height| height >= self.branch.height())
    }

    /// The same logs, receipts or transactions, as parts of our blocks.
    async fn relabelled(&self, chain: &mut Chain, mut real: Value) -> Outcome {
        for block in relabel::blocks(&real, self.branch.height()) {
            let forged = chain.forged(block).await?;
            relabel::replace(&mut real, block.hash, forged);
        }
        Ok(real)
    }
}

/// What the forged block has and the real one has not.
#[derive(Debug, Clone)]
struct Addition {
    hash: B256,
    raw: Bytes,
    transaction: Value,
    receipt: Value,
}

/// Whether a block is wanted with its transactions, not only with their hashes.
fn is_full(call: &Call) -> bool {
    call.param(1).as_bool().unwrap_or_default()
}
