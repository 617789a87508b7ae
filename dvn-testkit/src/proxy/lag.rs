//! A node that is behind: its whole head, or only what it calls final.

use serde_json::{Value, json};

use super::{
    Fault,
    block::{BlockId, head, number, quantity, reads_state},
    call::{Call, Failure, Outcome},
    upstream::Upstream,
};

/// How far a node is behind itself.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lag {
    /// How much is missing at the top; `None` when nothing is.
    head: Option<u64>,
    /// How much lower the tags `safe` and `finalized` are.
    settled: u64,
}

impl Lag {
    /// The lag that a fault is about.
    pub(super) const fn of(fault: &Fault) -> Option<Self> {
        match fault {
            Fault::StaleHead { blocks } => Some(Self { head: Some(*blocks), settled: *blocks }),
            Fault::RegressFinality { blocks } => Some(Self { head: None, settled: *blocks }),
            _ => None,
        }
    }

    pub(super) async fn answer(self, call: &Call, upstream: &Upstream) -> Outcome {
        match call.method.as_str() {
            "eth_blockNumber" if self.head.is_some() => Ok(quantity(self.top(upstream).await?)),
            "eth_getLogs" => self.logs(call, upstream).await,
            _ => match call.block() {
                Some(block) => self.at(call, block, upstream).await,
                None => self.hidden(upstream.call(&call.method, &call.params).await?, upstream).await,
            },
        }
    }

    /// What a subscription tells while the node is behind: an older head, and no log of a block that it does not have.
    pub(super) async fn notification(self, result: Value, upstream: &Upstream) -> Option<Value> {
        let Some(back) = self.head else { return Some(result) };
        let Some(height) = number(&result, "number") else {
            let is_known = number(&result, "blockNumber")? <= self.top(upstream).await.ok()?;
            return is_known.then_some(result);
        };
        let params = json!([quantity(height.saturating_sub(back)), false]);
        let mut header = upstream.call("eth_getBlockByNumber", &params).await.ok()?;
        if let Value::Object(members) = &mut header {
            // Heads are told without what is below them.
            members.retain(|member, _| !matches!(member.as_str(), "transactions" | "uncles" | "withdrawals" | "size"));
        }
        Some(header)
    }

    /// The newest block that the node admits to have.
    async fn top(self, upstream: &Upstream) -> Result<u64, Failure> {
        Ok(head(upstream).await?.saturating_sub(self.head.unwrap_or_default()))
    }

    async fn height(self, block: BlockId, upstream: &Upstream) -> Result<Option<u64>, Failure> {
        let back = match block {
            BlockId::Latest => self.head.unwrap_or_default(),
            BlockId::Safe | BlockId::Finalized => self.settled,
            BlockId::Number(_) | BlockId::Hash(_) => 0,
        };
        Ok(block.height(upstream).await?.map(|height| height.saturating_sub(back)))
    }

    /// A call about one block. The block is named by its height, so that no tag is resolved twice.
    async fn at(self, call: &Call, block: BlockId, upstream: &Upstream) -> Outcome {
        let Some(height) = self.height(block, upstream).await? else {
            return upstream.call(&call.method, &call.params).await;
        };
        if self.head.is_some() && height > self.top(upstream).await? {
            return if reads_state(&call.method) {
                Err(Failure::refused(-32000, "header not found"))
            } else {
                Ok(Value::Null)
            };
        }
        let params = if matches!(block, BlockId::Hash(_)) { call.params.clone() } else { call.at_height(height) };
        upstream.call(&call.method, &params).await
    }

    /// `null` in the place of a block, a receipt or a transaction that the node does not have yet.
    async fn hidden(self, result: Value, upstream: &Upstream) -> Outcome {
        let height = number(&result, "blockNumber").or_else(|| number(&result, "number"));
        let Some(height) = height.filter(|_| self.head.is_some()) else { return Ok(result) };
        Ok(if height > self.top(upstream).await? { Value::Null } else { result })
    }

    async fn logs(self, call: &Call, upstream: &Upstream) -> Outcome {
        let mut filter = call.param(0).clone();
        if let Some(hash) = filter.get("blockHash") {
            let height = self.height(BlockId::read(hash).unwrap_or(BlockId::Latest), upstream).await?;
            if self.head.is_some() && height > Some(self.top(upstream).await?) {
                return Err(Failure::refused(-32000, "unknown block"));
            }
            return upstream.call(&call.method, &call.params).await;
        }
        let mut ends = [0, 0];
        for (end, name) in ends.iter_mut().zip(["fromBlock", "toBlock"]) {
            let Some(block) = BlockId::read(filter.get(name).unwrap_or(&Value::Null)) else {
                return upstream.call(&call.method, &call.params).await;
            };
            *end = self.height(block, upstream).await?.unwrap_or_default();
        }
        let [from, mut to] = ends;
        if self.head.is_some() {
            to = to.min(self.top(upstream).await?);
        }
        if from > to {
            return Ok(json!([]));
        }
        if let Value::Object(filter) = &mut filter {
            filter.insert("fromBlock".to_owned(), quantity(from));
            filter.insert("toBlock".to_owned(), quantity(to));
        }
        upstream.call(&call.method, &call.with_param(0, filter)).await
    }
}
