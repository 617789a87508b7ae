//! A block's logs from one seat's receipts, believed only as far as they hash to the agreed block.

use std::sync::Arc;

use alloy::primitives::Address;
use dvn_core::ids::BlockRef;

use super::{BlockLogs, Reading, Receipts, TransactionLogs};
use crate::{
    call::Call,
    headers::Headers,
    panel::{Agreed, PanelError},
    proof::{self, Header, Receipt, ReceiptTypes},
    rpc::Log,
    seat::{Seat, SeatError},
};

impl Receipts {
    /// The block's logs from the first seat whose receipts prove.
    pub(super) async fn proven(
        &self,
        types: ReceiptTypes,
        headers: &Headers,
        block: BlockRef,
    ) -> Result<Agreed<Arc<Reading>>, PanelError> {
        let header = headers.fetched(&self.panel, block.hash).await?;
        let question = |seat: Arc<Seat>| self.evidence(types, block, Arc::clone(&header), seat);
        self.panel.first("proof of a block's receipts", question).await
    }

    async fn evidence(
        &self,
        types: ReceiptTypes,
        block: BlockRef,
        header: Arc<Header>,
        seat: Arc<Seat>,
    ) -> Result<Option<Arc<Reading>>, SeatError> {
        let receipts: Option<Vec<Receipt>> = seat.call(Call::block_receipts(block.hash)).await?;
        let Some(receipts) = receipts else {
            return Ok(None);
        };
        let emitters = self.emitters.clone();
        // Hashing a full block takes milliseconds, in which other questions go on.
        let proven = tokio::task::spawn_blocking(move || prove(types, block, &header, &receipts, &emitters)).await;
        let proven = proven.map_err(|error| SeatError::malformed(error.to_string()))?;
        proven.map(|reading| Some(Arc::new(reading))).map_err(|reason| self.bad_evidence(block, &seat, reason))
    }

    fn bad_evidence(&self, block: BlockRef, seat: &Seat, reason: String) -> SeatError {
        let chain = self.panel.chain().name.clone();
        tracing::warn!(chain, seat = seat.label(), %block, reason, "seat's evidence does not prove the block");
        metrics::counter!("dvn_bad_evidence_total", "chain" => chain, "seat" => seat.label().to_owned()).increment(1);
        SeatError::malformed(reason)
    }
}

fn prove(
    types: ReceiptTypes,
    block: BlockRef,
    header: &Header,
    receipts: &[Receipt],
    emitters: &[Address],
) -> Result<Reading, String> {
    proof::prove(types, block.hash, header, receipts).map_err(|error| error.to_string())?;
    Ok(Reading::Proven { root: header.receipts_root, logs: relevant(receipts, emitters)? })
}

/// The logs of the endpoint and the send libraries, numbered by position.
fn relevant(receipts: &[Receipt], emitters: &[Address]) -> Result<BlockLogs, String> {
    let mut relevant = BlockLogs::new();
    let mut numbers = 0_u64..;
    for receipt in receipts {
        let numbered = receipt.logs.iter().zip(numbers.by_ref().take(receipt.logs.len()));
        let logs: Vec<Log> = numbered
            .filter(|(log, _)| emitters.contains(&log.address))
            .map(|(log, index)| {
                let (topics, data) = (log.topics.clone(), log.data.clone());
                Log { index, address: log.address, topics, data }
            })
            .collect();
        if logs.is_empty() {
            continue;
        }
        let of_transaction = TransactionLogs { status: receipt.status.map(|it| it.to()), logs };
        if relevant.insert(receipt.transaction_hash, of_transaction).is_some() {
            return Err("two receipts of one transaction".to_owned());
        }
    }
    Ok(relevant)
}
