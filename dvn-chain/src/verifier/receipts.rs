//! From a block hash to the logs of its packets, by the threshold of seats.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
};

use alloy::primitives::{Address, B256};
use dvn_core::ids::BlockRef;
use tokio::sync::OnceCell;

use crate::{
    call::Call,
    panel::{Absence, Agreed, Panel, PanelError},
    rpc::{Log, RpcReceipt},
    seat::{Seat, SeatError},
    source::SourceContracts,
};

/// One transaction's logs of the endpoint and the send libraries, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TransactionLogs {
    pub(super) status: Option<u64>,
    pub(super) logs: Vec<Log>,
}

/// The transactions of a block that have such logs. A vote is cast on all of it.
pub(super) type BlockLogs = BTreeMap<B256, TransactionLogs>;

/// What was agreed, by block hash, for the packets that share a block.
#[derive(Debug)]
pub(super) struct Receipts {
    panel: Arc<Panel>,
    emitters: Vec<Address>,
    recent: Mutex<VecDeque<(Key, Entry)>>,
}

type Entry = Arc<OnceCell<Agreed<BlockLogs>>>;

/// What was voted on before the block was final is not used after: then everybody is asked once more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Key {
    block: BlockRef,
    is_settled: bool,
    /// The one transaction that was asked for, where the nodes do not give a whole block.
    only: Option<B256>,
}

/// Blocks that are remembered.
const REMEMBERED: usize = 64;

impl Receipts {
    pub(super) fn new(panel: Arc<Panel>, contracts: &SourceContracts) -> Self {
        let mut emitters = vec![contracts.endpoint];
        emitters.extend(&contracts.send_libs);
        Self { panel, emitters, recent: Mutex::default() }
    }

    /// The logs of the block with this hash; where nodes do not give a whole block's, at least those of `tx_hash`.
    pub(super) async fn of_block(
        &self,
        block: BlockRef,
        tx_hash: B256,
        is_settled: bool,
    ) -> Result<Agreed<BlockLogs>, PanelError> {
        let whole = self.entry(Key { block, is_settled, only: None });
        match whole.get_or_try_init(|| self.whole(block)).await {
            Ok(agreed) => Ok(agreed.clone()),
            Err(error) if lacks_method(&error) => {
                let entry = self.entry(Key { block, is_settled, only: Some(tx_hash) });
                entry.get_or_try_init(|| self.single(block, tx_hash)).await.cloned()
            }
            Err(error) => Err(error),
        }
    }

    async fn whole(&self, block: BlockRef) -> Result<Agreed<BlockLogs>, PanelError> {
        self.panel
            .agree("receipts of a block", |seat| async move {
                let receipts: Option<Vec<RpcReceipt>> = seat.call(Call::block_receipts(block.hash)).await?;
                receipts.map(|receipts| self.normalised(block, receipts)).transpose()
            })
            .await
    }

    async fn single(&self, block: BlockRef, tx_hash: B256) -> Result<Agreed<BlockLogs>, PanelError> {
        let question = |seat: Arc<Seat>| async move {
            let receipt: Option<RpcReceipt> = seat.call(Call::receipt(tx_hash)).await?;
            let Some(receipt) = receipt else { return Ok(None) };
            if receipt.transaction_hash != tx_hash {
                return Err(SeatError::malformed("receipt of another transaction"));
            }
            self.normalised(block, vec![receipt]).map(Some)
        };
        self.panel.agree("receipt of a transaction", question).await
    }

    fn normalised(&self, block: BlockRef, receipts: Vec<RpcReceipt>) -> Result<BlockLogs, SeatError> {
        let mut logs = BlockLogs::new();
        for receipt in receipts {
            let tx_hash = receipt.transaction_hash;
            let mut receipt = receipt.normalised()?;
            if receipt.block != block {
                return Err(SeatError::malformed("receipt of another block"));
            }
            receipt.logs.retain(|log| self.emitters.contains(&log.address));
            if receipt.logs.is_empty() {
                continue;
            }
            let of_transaction = TransactionLogs { status: receipt.status, logs: receipt.logs };
            if logs.insert(tx_hash, of_transaction).is_some() {
                return Err(SeatError::malformed("two receipts of one transaction"));
            }
        }
        Ok(logs)
    }

    /// The cell for a key. Whoever comes second waits for the first one's answer, and tries itself where that failed.
    fn entry(&self, key: Key) -> Entry {
        // A panicked holder leaves at worst a cell that is not filled yet.
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, entry)) = recent.iter().find(|(known, _)| *known == key) {
            return Arc::clone(entry);
        }
        if recent.len() >= REMEMBERED {
            recent.pop_front();
        }
        let entry = Entry::default();
        recent.push_back((key, Arc::clone(&entry)));
        entry
    }
}

fn lacks_method(error: &PanelError) -> bool {
    match error {
        PanelError::Missing { absent, .. } => {
            absent.iter().any(|(_, absence)| matches!(absence, Absence::Failed(error) if error.is_unknown_method()))
        }
        PanelError::Contradiction { .. } => false,
    }
}
