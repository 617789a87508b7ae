//! What is forged, as a test writes it down.

use alloy_primitives::{Address, B256, Bytes, U256};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// A branch that leaves the real chain at one block: that block holds one more transaction with these logs, later
/// blocks keep their content, and every hash fits.
///
/// With forged storage or history the state roots of the branch are those of a small trie of their own, which holds
/// only the accounts that are named here; proofs come from it. Two proxies in front of nodes of one chain serve the
/// same branch with the same hashes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ForgedBranch {
    height: u64,
    #[serde(default)]
    logs: Vec<ForgedLog>,
    #[serde(default)]
    storage: Vec<ForgedSlot>,
    #[serde(default)]
    history: bool,
}

/// A log that nobody emitted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::exhaustive_structs, reason = "a log has these three parts")]
pub struct ForgedLog {
    /// The contract that allegedly emitted it.
    pub address: Address,
    /// Its topics, at most four.
    pub topics: Vec<B256>,
    /// Its data.
    pub data: Bytes,
}

/// A storage slot that holds something else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::exhaustive_structs, reason = "a slot has these three parts")]
pub struct ForgedSlot {
    /// The contract.
    pub account: Address,
    /// The slot.
    pub slot: U256,
    /// What it allegedly holds; zero for nothing.
    pub value: U256,
}

impl ForgedBranch {
    /// Leaves the real chain at the block of this height, with nothing in it yet.
    pub const fn at(height: u64) -> Self {
        Self { height, logs: Vec::new(), storage: Vec::new(), history: false }
    }

    /// One more log of the forged transaction, after those before.
    #[must_use]
    pub fn log(mut self, address: Address, topics: impl Into<Vec<B256>>, data: impl Into<Bytes>) -> Self {
        self.logs.push(ForgedLog { address, topics: topics.into(), data: data.into() });
        self
    }

    /// From the forged block on this slot holds this value, for calls, reads and proofs.
    #[must_use]
    pub fn storage(mut self, account: Address, slot: U256, value: U256) -> Self {
        self.storage.push(ForgedSlot { account, slot, value });
        self
    }

    /// The history contract of EIP-2935 knows the branch too: its slots hold the hashes of the 256 newest ancestors,
    /// as proofs. Each block has a state root of its own then, which costs some milliseconds a block.
    #[must_use]
    pub const fn with_history(mut self) -> Self {
        self.history = true;
        self
    }

    /// Where the branch begins.
    pub const fn height(&self) -> u64 {
        self.height
    }

    /// The forged logs, in order.
    pub fn logs(&self) -> &[ForgedLog] {
        &self.logs
    }

    pub(super) fn slots(&self) -> &[ForgedSlot] {
        &self.storage
    }

    pub(super) const fn has_history(&self) -> bool {
        self.history
    }

    /// Whether the state roots are ours.
    pub(super) const fn has_state(&self) -> bool {
        self.history || !self.storage.is_empty()
    }

    pub(super) fn value_of(&self, account: Address, slot: U256) -> Option<U256> {
        // The last one counts, as where they are written one after the other.
        let mut newest_first = self.storage.iter().rev();
        newest_first.find(|it| it.account == account && it.slot == slot).map(|it| it.value)
    }

    /// The third parameter of `eth_call`: that of the client, and the forged slots on top.
    pub(super) fn state_overrides(&self, of_client: &Value) -> Value {
        let mut overrides = of_client.as_object().cloned().unwrap_or_default();
        for forged in &self.storage {
            let account = overrides.entry(json!(forged.account).as_str().unwrap_or_default()).or_insert(json!({}));
            // A client that replaces the whole state has its own; only a difference can be added to.
            let part = if account.get("state").is_some() { "state" } else { "stateDiff" };
            if let Some(account) = account.as_object_mut()
                && let Some(slots) = account.entry(part).or_insert(json!({})).as_object_mut()
            {
                slots.insert(B256::from(forged.slot).to_string(), json!(B256::from(forged.value)));
            }
        }
        Value::Object(overrides)
    }
}
