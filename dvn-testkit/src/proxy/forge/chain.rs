//! The forged blocks so far, built from the real ones as they are asked for.

use std::{collections::BTreeMap, sync::Arc};

use alloy_primitives::{B256, Bytes, U256};
use serde_json::{Map, Value, json};

use super::{
    Addition, ForgedBranch, encode,
    relabel::{self, RealBlock},
    state::{HISTORY, RING, State},
    transaction,
};
use crate::proxy::{
    block::{head, number, quantity},
    call::{Failure, Outcome},
    upstream::Upstream,
};

/// How many real blocks are asked for at once.
const STRIDE: u64 = 64;
/// How many ancestors the history contract of the branch knows.
const KNOWN_ANCESTORS: u64 = 256;
/// How often a chain may change under our hands before we give up.
const ATTEMPTS: usize = 3;

/// The branch as far as it was needed. Where the real chain was reorganised, so is the branch.
#[derive(Debug)]
pub(super) struct Chain {
    branch: Arc<ForgedBranch>,
    upstream: Upstream,
    blocks: Vec<ForgedBlock>,
    addition: Option<Addition>,
    ancestors: BTreeMap<u64, B256>,
    accounts: Option<State>,
}

#[derive(Debug)]
struct ForgedBlock {
    real: B256,
    hash: B256,
    /// The members of the real block that are others here.
    patch: Map<String, Value>,
}

impl Chain {
    pub(super) fn new(branch: Arc<ForgedBranch>, upstream: Upstream) -> Self {
        let (blocks, addition, ancestors, accounts) = (Vec::new(), None, BTreeMap::new(), None);
        Self { branch, upstream, blocks, addition, ancestors, accounts }
    }

    /// The hash of the forged block in the place of a real one.
    pub(super) async fn forged(&mut self, block: RealBlock) -> Result<B256, Failure> {
        for _ in 0..ATTEMPTS {
            self.extend(block.height).await?;
            match self.at(block.height) {
                Some(forged) if forged.real == block.hash => return Ok(forged.hash),
                Some(_) => self.truncate(block.height),
                None => {}
            }
        }
        Err(Failure::strange("the chain changes while it is forged"))
    }

    /// A real block, or the forged one in its place; `full` as in the request.
    pub(super) async fn block(&mut self, real: Value, full: bool) -> Outcome {
        let is_first = number(&real, "number") == Some(self.branch.height());
        let old = real.get("hash").cloned().unwrap_or_default();
        let mut block = self.header(real).await?;
        let hash: Option<B256> = block.get("hash").and_then(|hash| serde_json::from_value(hash.clone()).ok());
        if let (Some(Value::Array(transactions)), Some(hash), Ok(old)) =
            (block.get_mut("transactions"), hash, serde_json::from_value(old))
        {
            transactions.iter_mut().for_each(|transaction| relabel::replace(transaction, old, hash));
            if is_first && let Some(addition) = &self.addition {
                transactions.push(if full { addition.transaction.clone() } else { json!(addition.hash) });
            }
        }
        Ok(block)
    }

    /// The same for a header alone.
    pub(super) async fn header(&mut self, mut real: Value) -> Outcome {
        let Some(height) = number(&real, "number").filter(|height| *height >= self.branch.height()) else {
            return Ok(real);
        };
        self.forged(RealBlock { height, hash: encode::hash(&real, "hash")? }).await?;
        if let (Some(forged), Value::Object(members)) = (self.at(height), &mut real) {
            members.extend(forged.patch.clone());
        }
        Ok(real)
    }

    /// The height of a forged block; `None` for every other hash.
    pub(super) async fn height_of(&mut self, hash: B256) -> Result<Option<u64>, Failure> {
        // A hash that we did not serve yet may come from another proxy with the same branch.
        if self.find(hash).is_none() {
            let head = head(&self.upstream).await?;
            self.extend(head).await?;
        }
        match self.find(hash) {
            Some(height) if self.is_current(height).await? => Ok(Some(height)),
            _ => Ok(None),
        }
    }

    /// What the forged block has and the real one has not; `None` while there is no such block.
    pub(super) async fn addition(&mut self) -> Result<Option<Addition>, Failure> {
        let height = self.branch.height();
        for _ in 0..ATTEMPTS {
            self.extend(height).await?;
            if self.blocks.is_empty() || self.is_current(height).await? {
                break;
            }
        }
        Ok(self.addition.clone())
    }

    pub(super) async fn proof(&mut self, height: u64, account: &Value, keys: &Value) -> Outcome {
        self.extend(height).await?;
        if self.at(height).is_none() {
            return Err(Failure::refused(-32000, "header not found"));
        }
        self.state(height).await?.proof(account, keys)
    }

    fn at(&self, height: u64) -> Option<&ForgedBlock> {
        let place = height.checked_sub(self.branch.height())?;
        self.blocks.get(usize::try_from(place).ok()?)
    }

    fn find(&self, hash: B256) -> Option<u64> {
        let mut heights = self.blocks.iter().zip(self.branch.height()..);
        heights.find(|(block, _)| block.hash == hash).map(|(_, height)| height)
    }

    /// The height of the first block that is not forged yet.
    fn next(&self) -> u64 {
        self.branch.height().saturating_add(u64::try_from(self.blocks.len()).unwrap_or(u64::MAX))
    }

    /// Forgets the blocks from this height on.
    fn truncate(&mut self, height: u64) {
        let kept = height.saturating_sub(self.branch.height());
        self.blocks.truncate(usize::try_from(kept).unwrap_or(usize::MAX));
        if kept == 0 {
            self.addition = None;
            self.ancestors.clear();
        }
    }

    /// Whether the real chain still has the block that ours stands for; forgets it otherwise.
    async fn is_current(&mut self, height: u64) -> Result<bool, Failure> {
        let real = self.upstream.call("eth_getBlockByNumber", &json!([quantity(height), false])).await?;
        let is_current = self.at(height).is_some_and(|block| real.get("hash") == Some(&json!(block.real)));
        if !is_current {
            self.truncate(height);
        }
        Ok(is_current)
    }

    /// Forges up to this height, or to the head of the real chain.
    async fn extend(&mut self, to: u64) -> Result<(), Failure> {
        while self.next() <= to {
            let last = to.min(self.next().saturating_add(STRIDE));
            let params: Vec<_> = (self.next()..=last).map(|height| json!([quantity(height), false])).collect();
            for real in self.upstream.batch("eth_getBlockByNumber", &params).await? {
                let real = real?;
                if real.is_null() {
                    return Ok(());
                }
                if !self.push(&real).await? {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Forges one more block; false when it is not a child of the last one, which is forgotten then.
    async fn push(&mut self, real: &Value) -> Result<bool, Failure> {
        let height = self.next();
        let mut patch = Map::new();
        match self.blocks.last() {
            Some(parent) if encode::hash(real, "parentHash")? != parent.real => {
                self.truncate(height.saturating_sub(1));
                return Ok(false);
            }
            Some(parent) => _ = patch.insert("parentHash".to_owned(), json!(parent.hash)),
            None => {
                let (addition, first) = transaction::add(&self.branch, &self.upstream, real).await?;
                patch.extend(first);
                self.addition = Some(addition);
            }
        }
        if self.branch.has_state() {
            let root = self.state(height).await?.root();
            patch.insert("stateRoot".to_owned(), json!(root));
        }
        let mut header = real.clone();
        if let Value::Object(members) = &mut header {
            members.extend(patch.clone());
        }
        let hash = encode::header_hash(&header)?;
        if let (true, Some(addition)) = (self.blocks.is_empty(), &mut self.addition) {
            relabel::replace(&mut addition.receipt, B256::ZERO, hash);
            relabel::replace(&mut addition.transaction, B256::ZERO, hash);
        }
        patch.insert("hash".to_owned(), json!(hash));
        self.blocks.push(ForgedBlock { real: encode::hash(real, "hash")?, hash, patch });
        Ok(true)
    }

    /// The state at the end of a block. Only the history differs from block to block.
    async fn state(&mut self, height: u64) -> Result<State, Failure> {
        let mut state = match &self.accounts {
            Some(accounts) => accounts.clone(),
            None => self.load_accounts().await?,
        };
        if !self.branch.has_history() {
            return Ok(state);
        }
        if self.ancestors.is_empty() {
            self.load_ancestors().await?;
        }
        for ancestor in height.saturating_sub(KNOWN_ANCESTORS)..height {
            let hash = self.at(ancestor).map(|block| block.hash).or_else(|| self.ancestors.get(&ancestor).copied());
            if let Some(hash) = hash {
                state.set(HISTORY, U256::from(ancestor.rem_euclid(RING)), hash.into());
            }
        }
        Ok(state)
    }

    async fn load_accounts(&mut self) -> Result<State, Failure> {
        let mut state = State::default();
        for slot in self.branch.slots() {
            state.set(slot.account, slot.slot, slot.value);
        }
        if self.branch.has_history() {
            state.add(HISTORY, &[]);
        }
        let accounts: Vec<_> = state.accounts().collect();
        for account in accounts {
            let code: Bytes = self.upstream.ask("eth_getCode", &json!([account, "latest"])).await?;
            state.add(account, &code);
        }
        self.accounts = Some(state.clone());
        Ok(state)
    }

    async fn load_ancestors(&mut self) -> Result<(), Failure> {
        let height = self.branch.height();
        let heights: Vec<_> = (height.saturating_sub(KNOWN_ANCESTORS)..height).collect();
        let params: Vec<_> = heights.iter().map(|height| json!([quantity(*height), false])).collect();
        let blocks = self.upstream.batch("eth_getBlockByNumber", &params).await?;
        for (height, block) in heights.into_iter().zip(blocks) {
            self.ancestors.insert(height, encode::hash(&block?, "hash")?);
        }
        Ok(())
    }
}
