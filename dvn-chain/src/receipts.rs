//! From a block hash to the logs of its packets: by proof where the chain allows it, else by the threshold of seats. A block
//! is taken whole and once, however many packets it holds.

mod proven;
mod voted;

use std::{collections::BTreeMap, sync::Arc};

use alloy::primitives::{Address, B256};
use dvn_core::{ids::BlockRef, job::Location};
use serde::de::IgnoredAny;

use self::voted::Patience;
use crate::{
    call::Call,
    headers::Headers,
    panel::{Absence, Agreed, Panel, PanelError},
    proof::ReceiptTypes,
    reader::SourceContracts,
    rpc::Log,
    seat::Seat,
    shared::Shared,
};

/// One transaction's logs of the endpoint and the send libraries, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TransactionLogs {
    pub(crate) status: Option<u64>,
    pub(crate) logs: Vec<Log>,
}

/// The transactions of a block that have such logs. A vote is cast on all of it.
pub(crate) type BlockLogs = BTreeMap<B256, TransactionLogs>;

/// A block's logs and how they are known.
#[derive(Clone, Debug)]
pub(crate) enum Reading {
    Voted(BlockLogs),
    Proven { root: B256, logs: BlockLogs },
}

impl Reading {
    /// The transaction that holds the location's log. A proof fixes a log's number and not its transaction's hash, so
    /// that a seat's word about the hash decides nothing.
    pub(crate) fn at(&self, location: &Location) -> Option<&TransactionLogs> {
        match self {
            Self::Voted(logs) => logs.get(&location.tx_hash),
            Self::Proven { logs, .. } => {
                logs.values().find(|it| it.logs.iter().any(|log| log.index == location.log_index))
            }
        }
    }

    /// The transactions by their hash.
    pub(crate) const fn logs(&self) -> &BlockLogs {
        match self {
            Self::Voted(logs) | Self::Proven { logs, .. } => logs,
        }
    }

    /// The receipts root of proven logs.
    pub(crate) const fn root(&self) -> Option<B256> {
        match self {
            Self::Voted(_) => None,
            Self::Proven { root, .. } => Some(*root),
        }
    }
}

/// What was agreed, by block hash, for the packets that share a block.
#[derive(Debug)]
pub(crate) struct Receipts {
    panel: Arc<Panel>,
    emitters: Vec<Address>,
    proof: Option<(ReceiptTypes, Arc<Headers>)>,
    recent: Shared<Key, Agreed<Arc<Reading>>>,
    patience: Patience,
}

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
const REMEMBERED: usize = 256;

impl Receipts {
    pub(crate) fn new(
        panel: Arc<Panel>,
        contracts: &SourceContracts,
        proof: Option<ReceiptTypes>,
        headers: Option<Arc<Headers>>,
    ) -> Self {
        let mut emitters = vec![contracts.endpoint];
        emitters.extend(&contracts.send_libs);
        let patience = Patience::default();
        Self { panel, emitters, proof: proof.zip(headers), recent: Shared::new(REMEMBERED), patience }
    }

    /// The logs of the block with this hash; where nodes do not give a whole block's, at least those of `tx_hash`.
    pub(crate) async fn of_block(
        &self,
        block: BlockRef,
        tx_hash: B256,
        is_settled: bool,
    ) -> Result<Agreed<Arc<Reading>>, PanelError> {
        if let Some(result) = self.proven_block(block).await {
            match result {
                // Where too few seats can serve a proof, as many are left to vote as ever.
                Err(error) if lacking(&error) >= self.panel.threshold().need() => {}
                result => return result,
            }
        }
        self.voted(block, tx_hash, is_settled).await
    }

    /// The logs of the block with this hash by proof, or nothing where the chain has none.
    pub(crate) async fn proven_block(&self, block: BlockRef) -> Option<Result<Agreed<Arc<Reading>>, PanelError>> {
        let (types, headers) = self.proof.as_ref()?;
        let proven = self.recent.cell(Key { block, is_settled: false, only: None, is_proven: true });
        Some(proven.get_or_try_init(|| self.proven(*types, headers, block)).await.cloned())
    }

    /// Forgets what was agreed.
    pub(crate) fn forget(&self) {
        self.recent.clear();
    }

    /// Asks about a block's receipts as for a vote, and drops the answers: to the seats, a block without packets looks like
    /// one with them.
    pub(crate) async fn imitate(&self, block: BlockRef) {
        let question = |seat: Arc<Seat>| async move {
            seat.call::<IgnoredAny>(Call::block_receipts(block.hash)).await.map(|_| Some(()))
        };
        self.panel.gather(question).await;
    }

    async fn voted(
        &self,
        block: BlockRef,
        tx_hash: B256,
        is_settled: bool,
    ) -> Result<Agreed<Arc<Reading>>, PanelError> {
        let key = Key { block, is_settled, only: None, is_proven: false };
        match self.recent.cell(key).get_or_try_init(|| self.whole(block, is_settled)).await {
            Ok(agreed) => Ok(agreed.clone()),
            Err(error) if lacking(&error) > 0 => {
                let entry = self.recent.cell(Key { only: Some(tx_hash), ..key });
                entry.get_or_try_init(|| self.single(block, tx_hash, is_settled)).await.cloned()
            }
            Err(error) => Err(error),
        }
    }
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
