//! A block's logs from one seat's evidence, believed only as far as it hashes to the agreed block.

use std::sync::Arc;

use dvn_core::ids::BlockRef;

use super::receipts::{BlockLogs, Reading, Receipts, TransactionLogs};
use crate::{
    call::Call,
    panel::{Agreed, PanelError},
    proof::{self, Header, Receipt, ReceiptTypes},
    rpc::Log,
    seat::{Seat, SeatError},
};

impl Receipts {
    /// The block's logs from the first seat whose evidence proves.
    pub(super) async fn proven(&self, types: ReceiptTypes, block: BlockRef) -> Result<Agreed<Reading>, PanelError> {
        self.panel.first("proof of a block's receipts", |seat| self.evidence(types, block, seat)).await
    }

    async fn evidence(
        &self,
        types: ReceiptTypes,
        block: BlockRef,
        seat: Arc<Seat>,
    ) -> Result<Option<Reading>, SeatError> {
        let header = seat.call::<Option<Header>>(Call::block_by_hash(block.hash));
        let receipts = seat.call::<Option<Vec<Receipt>>>(Call::block_receipts(block.hash));
        let (Some(header), Some(receipts)) = futures::future::try_join(header, receipts).await? else {
            return Ok(None);
        };
        let proven = proof::prove(types, block.hash, &header, &receipts).map_err(|error| error.to_string());
        match proven.and_then(|()| self.relevant(&receipts)) {
            Ok(logs) => Ok(Some(Reading::Proven { root: header.receipts_root, logs })),
            Err(reason) => {
                let chain = self.panel.chain().name.clone();
                tracing::warn!(chain, seat = seat.label(), %block, reason, "seat's evidence does not prove the block");
                metrics::counter!("dvn_bad_evidence_total", "chain" => chain, "seat" => seat.label().to_owned())
                    .increment(1);
                Err(SeatError::malformed(reason))
            }
        }
    }

    /// The logs of the endpoint and the send libraries, numbered by position.
    fn relevant(&self, receipts: &[Receipt]) -> Result<BlockLogs, String> {
        let mut relevant = BlockLogs::new();
        let mut numbers = 0_u64..;
        for receipt in receipts {
            let numbered = receipt.logs.iter().zip(numbers.by_ref().take(receipt.logs.len()));
            let logs: Vec<Log> = numbered
                .filter(|(log, _)| self.emitters.contains(&log.address))
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
}
