//! A block's logs by the threshold of seats, for chains whose hashes prove nothing.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use alloy::primitives::B256;
use dvn_core::ids::BlockRef;

use super::{BlockLogs, Reading, Receipts, TransactionLogs};
use crate::{
    call::{Answers, Call},
    panel::{Agreed, PanelError},
    rpc::{Log, RpcLog, RpcReceipt},
    seat::{Seat, SeatError, Told},
};

/// From so many answers in a row on, "nothing" from a seat that has the block is that seat's word and no lag.
const ASKINGS: u8 = 5;
/// Seats and blocks that are counted; beyond, counting begins anew, which only costs time.
const MOST: usize = 1_024;

/// How often each seat answered nothing about a block that its head covers.
#[derive(Debug, Default)]
pub(super) struct Patience(Mutex<HashMap<(usize, B256), u8>>);

impl Patience {
    /// Counts one more, and says whether it is enough to count as a vote.
    fn is_over(&self, seat: usize, block: B256) -> bool {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.len() >= MOST && !counts.contains_key(&(seat, block)) {
            counts.clear();
        }
        let count = counts.entry((seat, block)).or_default();
        *count = count.saturating_add(1);
        *count >= ASKINGS
    }
}

/// A vote about a block: its logs, or nothing where the seat insists that there are none to give.
type Vote = Told<Option<BlockLogs>>;

impl Receipts {
    /// The block's logs, as all seats tell them whole.
    pub(super) async fn whole(&self, block: BlockRef, is_settled: bool) -> Result<Agreed<Arc<Reading>>, PanelError> {
        let question = |position, seat: Arc<Seat>| async move {
            let told: Told<Option<Vec<RpcReceipt>>> = seat.told(Call::block_receipts(block.hash)).await?;
            let is_blank = told.value.as_ref().is_none_or(Vec::is_empty);
            let vote = told.try_map(|receipts| receipts.map(|it| self.normalised(block, it)).transpose())?;
            if is_blank { self.blank(position, &seat, block, is_settled, vote).await } else { Ok(Some(vote)) }
        };
        let what = "receipts of a block";
        let agreed = self.panel.agree_each(what, question).await?;
        self.voted_for(what, agreed)
    }

    /// One transaction's receipt together with the logs of its whole block, which must hold the same.
    pub(super) async fn single(
        &self,
        block: BlockRef,
        tx_hash: B256,
        is_settled: bool,
    ) -> Result<Agreed<Arc<Reading>>, PanelError> {
        let question = |position, seat: Arc<Seat>| async move {
            let calls = vec![Call::receipt(tx_hash), Call::logs_of_block(block.hash, &self.emitters)];
            let mut answers = Answers::new(seat.batch(calls).await?);
            let told = answers.next_told::<Option<RpcReceipt>>()?;
            let logs: Told<Vec<RpcLog>> = answers.next_told()?;
            let Some(receipt) = told.value else {
                let vote = Told { value: None, raw: told.raw };
                return self.blank(position, &seat, block, is_settled, vote).await;
            };
            if receipt.transaction_hash != tx_hash {
                return Err(SeatError::malformed("receipt of another transaction"));
            }
            let receipts = self.normalised(block, vec![receipt])?;
            let of_block = placed(block, logs.value)?;
            if of_block.get(&tx_hash) != receipts.get(&tx_hash).map(|it| &it.logs) {
                return Err(SeatError::malformed("receipt and logs of the block differ"));
            }
            let raw = Arc::from(format!("[{},{}]", told.raw, logs.raw));
            Ok(Some(Told { value: Some((receipts, of_block)), raw }))
        };
        let what = "receipt of a transaction";
        let agreed = self.panel.agree_each(what, question).await?;
        let agreed = agreed.map(|told| told.map(|vote| vote.map(|(receipts, _)| receipts)));
        self.voted_for(what, agreed)
    }

    /// Null or empty: no vote while the seat may be behind, and its word once it insists.
    async fn blank<T>(
        &self,
        position: usize,
        seat: &Seat,
        block: BlockRef,
        is_settled: bool,
        vote: Told<Option<T>>,
    ) -> Result<Option<Told<Option<T>>>, SeatError> {
        let insists = is_settled && seat.covers(block.number).await? && self.patience.is_over(position, block.hash);
        Ok(insists.then_some(vote))
    }

    fn voted_for(&self, what: &'static str, agreed: Agreed<Vote>) -> Result<Agreed<Arc<Reading>>, PanelError> {
        let Agreed { value, voters } = agreed;
        let logs = value.value.ok_or_else(|| {
            let ballot = crate::panel::Ballot::<()> { votes: Vec::new(), absent: Vec::new() };
            self.panel.missing(what, &ballot)
        })?;
        Ok(Agreed { value: Arc::new(Reading::Voted(logs)), voters })
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
}

/// Logs by transaction, in order.
fn placed(block: BlockRef, logs: Vec<RpcLog>) -> Result<HashMap<B256, Vec<Log>>, SeatError> {
    let mut placed = HashMap::<B256, Vec<Log>>::new();
    for log in logs {
        if log.is_removed() {
            return Err(SeatError::malformed("removed log in a block that is asked for by hash"));
        }
        let log = log.placed()?;
        if log.block != block {
            return Err(SeatError::malformed("log of another block"));
        }
        placed.entry(log.tx_hash).or_default().push(log.log);
    }
    placed.values_mut().for_each(|logs| logs.sort());
    Ok(placed)
}
