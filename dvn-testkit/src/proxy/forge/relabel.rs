//! Real logs, receipts and transactions under the names of forged blocks.

use std::collections::BTreeSet;

use alloy_primitives::B256;
use serde_json::{Value, json};

use crate::proxy::block::number;

/// A real block, by height and hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct RealBlock {
    pub(super) height: u64,
    pub(super) hash: B256,
}

impl RealBlock {
    /// Of an object that says in which block it is.
    fn of(object: &Value) -> Option<Self> {
        let hash = serde_json::from_value(object.get("blockHash")?.clone()).ok()?;
        Some(Self { height: number(object, "blockNumber")?, hash })
    }
}

/// The real blocks from `height` on that an answer mentions.
pub(super) fn blocks(answer: &Value, height: u64) -> BTreeSet<RealBlock> {
    let objects = answer.as_array().map_or(std::slice::from_ref(answer), Vec::as_slice);
    objects.iter().filter_map(RealBlock::of).filter(|block| block.height >= height).collect()
}

/// Puts `forged` wherever an answer names the real block, in logs of receipts too.
pub(super) fn replace(answer: &mut Value, real: B256, forged: B256) {
    match answer {
        Value::Array(elements) => elements.iter_mut().for_each(|element| replace(element, real, forged)),
        Value::Object(object) => {
            if let Some(hash) = object.get_mut("blockHash")
                && *hash == json!(real)
            {
                *hash = json!(forged);
            }
            if let Some(logs) = object.get_mut("logs") {
                replace(logs, real, forged);
            }
        }
        _ => {}
    }
}
