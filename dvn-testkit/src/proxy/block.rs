//! Which block a call is about.

use alloy_primitives::{B256, U64};
use serde_json::{Value, json};

use super::{
    call::{Call, Failure},
    upstream::Upstream,
};

/// A block as a parameter names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BlockId {
    /// `latest` and `pending`, and where the parameter is missing.
    Latest,
    Safe,
    Finalized,
    Number(u64),
    Hash(B256),
}

impl BlockId {
    /// Reads a tag, a number, a hash, or an object of EIP-1898. `None` for anything else.
    pub(super) fn read(param: &Value) -> Option<Self> {
        match param {
            Value::Null => Some(Self::Latest),
            Value::Object(object) => match (object.get("blockHash"), object.get("blockNumber")) {
                (Some(hash), _) => Some(Self::Hash(serde_json::from_value(hash.clone()).ok()?)),
                (None, number) => Self::read(number?),
            },
            Value::String(text) => match text.as_str() {
                "latest" | "pending" => Some(Self::Latest),
                "safe" => Some(Self::Safe),
                "finalized" => Some(Self::Finalized),
                "earliest" => Some(Self::Number(0)),
                text if text.len() == 66 => text.parse().ok().map(Self::Hash),
                text => text.parse::<U64>().ok().map(|number| Self::Number(number.to())),
            },
            _ => None,
        }
    }

    /// The height, as the node has it; `None` for a block that it does not know.
    pub(super) async fn height(self, upstream: &Upstream) -> Result<Option<u64>, Failure> {
        let (method, name) = match self {
            Self::Number(number) => return Ok(Some(number)),
            Self::Latest => return head(upstream).await.map(Some),
            Self::Safe => ("eth_getBlockByNumber", json!("safe")),
            Self::Finalized => ("eth_getBlockByNumber", json!("finalized")),
            Self::Hash(hash) => ("eth_getBlockByHash", json!(hash)),
        };
        let block = upstream.call(method, &json!([name, false])).await?;
        Ok(number(&block, "number"))
    }
}

/// The height of the newest block.
pub(super) async fn head(upstream: &Upstream) -> Result<u64, Failure> {
    let number: U64 = upstream.ask("eth_blockNumber", &json!([])).await?;
    Ok(number.to())
}

/// A member that is a quantity.
pub(super) fn number(object: &Value, member: &str) -> Option<u64> {
    serde_json::from_value::<U64>(object.get(member)?.clone()).ok().map(|number| number.to())
}

/// A quantity as JSON-RPC writes it.
pub(super) fn quantity(number: u64) -> Value {
    json!(U64::from(number))
}

/// At which position the method takes a block by number or tag, and some of them by hash too.
pub(super) fn position(method: &str) -> Option<usize> {
    match method {
        "eth_getBlockByNumber"
        | "eth_getBlockReceipts"
        | "eth_getBlockTransactionCountByNumber"
        | "eth_getTransactionByBlockNumberAndIndex"
        | "eth_getUncleCountByBlockNumber" => Some(0),
        "eth_getBalance"
        | "eth_getCode"
        | "eth_getTransactionCount"
        | "eth_call"
        | "eth_estimateGas"
        | "eth_feeHistory" => Some(1),
        "eth_getStorageAt" | "eth_getProof" => Some(2),
        _ => None,
    }
}

/// Whether the method reads what accounts hold at the end of a block.
pub(super) fn reads_state(method: &str) -> bool {
    position(method).is_some_and(|position| position > 0) && method != "eth_feeHistory"
}

impl Call {
    /// The block that the call is about, if its method has one and it can be read.
    pub(super) fn block(&self) -> Option<BlockId> {
        position(&self.method).and_then(|position| BlockId::read(self.param(position)))
    }

    /// The parameters with the block named by its height.
    pub(super) fn at_height(&self, height: u64) -> Value {
        match position(&self.method) {
            Some(position) => self.with_param(position, quantity(height)),
            None => self.params.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_read_in_every_form() {
        let hash = B256::repeat_byte(7);
        assert_eq!(BlockId::read(&Value::Null), Some(BlockId::Latest));
        assert_eq!(BlockId::read(&json!("pending")), Some(BlockId::Latest));
        assert_eq!(BlockId::read(&json!("finalized")), Some(BlockId::Finalized));
        assert_eq!(BlockId::read(&json!("0x1f")), Some(BlockId::Number(31)));
        assert_eq!(BlockId::read(&json!(hash)), Some(BlockId::Hash(hash)));
        assert_eq!(BlockId::read(&json!({ "blockHash": hash })), Some(BlockId::Hash(hash)));
        assert_eq!(BlockId::read(&json!({ "blockNumber": "0x2" })), Some(BlockId::Number(2)));
        assert_eq!(BlockId::read(&json!("newest")), None);
        assert_eq!(BlockId::read(&json!(7)), None);
    }
}
