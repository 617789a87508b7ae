//! From a block hash to the logs of its packets: by proof where the chain allows it, else by the threshold of seats.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
};

use alloy::primitives::{Address, B256};
use dvn_core::{ids::BlockRef, job::Location};
use tokio::sync::OnceCell;

use crate::{
    call::Call,
    panel::{Absence, Agreed, Panel, PanelError},
    proof::ReceiptTypes,
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

/// A block's logs and how they are known.
#[derive(Clone, Debug)]
pub(super) enum Reading {
    Voted(BlockLogs),
    Proven { root: B256, logs: BlockLogs },
}

impl Reading {
    /// The transaction that holds the location's log. A proof fixes a log's number and not its transaction's hash, so
    /// that a seat's word about the hash decides nothing.
    pub(super) fn at(&self, location: &Location) -> Option<&TransactionLogs> {
        match self {
            Self::Voted(logs) => logs.get(&location.tx_hash),
            Self::Proven { logs, .. } => {
                logs.values().find(|it| it.logs.iter().any(|log| log.index == location.log_index))
            }
        }
    }

    /// The receipts root of proven logs.
    pub(super) const fn root(&self) -> Option<B256> {
        match self {
            Self::Voted(_) => None,
            Self::Proven { root, .. } => Some(*root),
        }
    }
}

/// What was agreed, by block hash, for the packets that share a block.
#[derive(Debug)]
pub(super) struct Receipts {
    pub(super) panel: Arc<Panel>,
    pub(super) emitters: Vec<Address>,
    proof: Option<ReceiptTypes>,
    recent: Mutex<VecDeque<(Key, Entry)>>,
}

type Entry = Arc<OnceCell<Agreed<Reading>>>;

/// What was voted on before the block was final is not used after: then everybody is asked once more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Key {
    block: BlockRef,
    is_settled: bool,
    /// The one transaction that was asked for, where the nodes do not give a whole block.
    only: Option<B256>,
    /// A block's hash fixes what is proven from it, final or not.
    is_proven: bool,
}

/// Blocks that are remembered.
const REMEMBERED: usize = 64;

impl Receipts {
    pub(super) fn new(panel: Arc<Panel>, contracts: &SourceContracts, proof: Option<ReceiptTypes>) -> Self {
        let mut emitters = vec![contracts.endpoint];
        emitters.extend(&contracts.send_libs);
        Self { panel, emitters, proof, recent: Mutex::default() }
    }

    /// The logs of the block with this hash; where nodes do not give a whole block's, at least those of `tx_hash`.
    pub(super) async fn of_block(
        &self,
        block: BlockRef,
        tx_hash: B256,
        is_settled: bool,
    ) -> Result<Agreed<Reading>, PanelError> {
        if let Some(types) = self.proof {
            let proven = self.entry(Key { block, is_settled: false, only: None, is_proven: true });
            match proven.get_or_try_init(|| self.proven(types, block)).await {
                // Where too few seats can serve a proof, as many are left to vote as ever.
                Err(error) if lacking(&error) >= self.panel.threshold().need() => {}
                result => return result.cloned(),
            }
        }
        self.voted(block, tx_hash, is_settled).await
    }

    async fn voted(&self, block: BlockRef, tx_hash: B256, is_settled: bool) -> Result<Agreed<Reading>, PanelError> {
        let key = Key { block, is_settled, only: None, is_proven: false };
        match self.entry(key).get_or_try_init(|| self.whole(block)).await {
            Ok(agreed) => Ok(agreed.clone()),
            Err(error) if lacking(&error) > 0 => {
                let entry = self.entry(Key { only: Some(tx_hash), ..key });
                entry.get_or_try_init(|| self.single(block, tx_hash)).await.cloned()
            }
            Err(error) => Err(error),
        }
    }

    async fn whole(&self, block: BlockRef) -> Result<Agreed<Reading>, PanelError> {
        self.panel
            .agree("receipts of a block", |seat| async move {
                let receipts: Option<Vec<RpcReceipt>> = seat.call(Call::block_receipts(block.hash)).await?;
                receipts.map(|receipts| self.normalised(block, receipts)).transpose()
            })
            .await
            .map(voted)
    }

    async fn single(&self, block: BlockRef, tx_hash: B256) -> Result<Agreed<Reading>, PanelError> {
        let question = |seat: Arc<Seat>| async move {
            let receipt: Option<RpcReceipt> = seat.call(Call::receipt(tx_hash)).await?;
            let Some(receipt) = receipt else { return Ok(None) };
            if receipt.transaction_hash != tx_hash {
                return Err(SeatError::malformed("receipt of another transaction"));
            }
            self.normalised(block, vec![receipt]).map(Some)
        };
        self.panel.agree("receipt of a transaction", question).await.map(voted)
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

fn voted(agreed: Agreed<BlockLogs>) -> Agreed<Reading> {
    Agreed { value: Reading::Voted(agreed.value), voters: agreed.voters }
}

/// How many seats do not know the method.
fn lacking(error: &PanelError) -> usize {
    match error {
        PanelError::Missing { absent, .. } => absent
            .iter()
            .filter(|(_, absence)| matches!(absence, Absence::Failed(error) if error.is_unknown_method()))
            .count(),
        PanelError::Contradiction { .. } => 0,
    }
}
