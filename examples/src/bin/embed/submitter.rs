//! Between this project's engine and the relayer: keeps what is ordered, hands it over, and reads the outcome from the
//! logs.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use alloy_primitives::{Address, Bytes, U256, keccak256};
use async_trait::async_trait;
use dvn_chain::EvmSubmitter;
use dvn_core::{
    attestation::Attestation,
    destination::DestinationView,
    error::{StoreError, SubmitError, SubmitErrorKind},
    ids::{BlockNumber, BlockRef, JobId},
    packet::Claim,
    ports::{
        Attempt, Chain, Clock, Head, History, LaneId, NewTransaction, Outbox, OutboxItem, OutboxTransaction, Outcome,
        Settlement, SignedAttestation, SubmissionId, Submitted, Submitter, SystemClock,
    },
    signature::Committee,
};
use dvn_testkit::rpc::{Log, Receipt};
use tokio::sync::{Mutex, mpsc};

use crate::{
    abi::{self, PayloadVerified},
    relayer::{Order, Relayer, Report},
};

/// Submits through a relayer. What the destination knows is read by this project's own submitter.
///
/// Orders are kept in the DVN's outbox before they are handed over, so that none is lost when the process dies: whatever
/// is open there and not known to the relayer is handed over again. That the relayer may carry an order out twice after
/// a restart costs gas and does no harm, since a repeated verification changes nothing.
#[derive(Debug)]
pub(crate) struct RelayedSubmitter {
    reads: EvmSubmitter,
    dvn: Address,
    lane: LaneId,
    outbox: Arc<dyn Outbox>,
    desk: Mutex<Desk>,
}

/// What this process knows of the relayer's work; lost with it, and made again from the outbox.
#[derive(Debug)]
struct Desk {
    orders: mpsc::Sender<Order>,
    reports: mpsc::Receiver<Report>,
    in_work: BTreeSet<SubmissionId>,
    mined: BTreeMap<SubmissionId, Receipt>,
}

impl RelayedSubmitter {
    pub(crate) fn new(reads: EvmSubmitter, dvn: Address, relayer: Relayer, outbox: Arc<dyn Outbox>) -> Self {
        let Relayer { wallet, orders, reports } = relayer;
        let lane = LaneId { dst_eid: reads.chain().eid, sender: wallet };
        let desk = Desk { orders, reports, in_work: BTreeSet::new(), mined: BTreeMap::new() };
        Self { reads, dvn, lane, outbox, desk: Mutex::new(desk) }
    }

    async fn open(&self) -> Result<Vec<OutboxTransaction>, SubmitError> {
        self.outbox.open(self.lane).await.map_err(|error| self.failed(error))
    }

    /// Makes an order durable.
    async fn keep(&self, open: &[OutboxTransaction], batch: &[SignedAttestation]) -> Result<SubmissionId, SubmitError> {
        let item = |it: &SignedAttestation| OutboxItem { job: it.job, attestation: it.attestation };
        let raw = abi::execute(batch);
        // The relayer makes the transaction, with a nonce and a price of its own. What stands here instead of them: a
        // number that no other open order has, and the call with its hash.
        let highest = open.iter().map(|order| order.nonce).max().unwrap_or_default();
        let attempt =
            Attempt { tx_hash: keccak256(&raw), raw, max_fee: 0, priority_fee: 0, at: SystemClock::new().now() };
        let order = NewTransaction {
            lane: self.lane,
            nonce: highest.saturating_add(1),
            items: batch.iter().map(item).collect(),
            attempt,
        };
        self.outbox.put(order, None).await.map_err(|error| self.failed(error))
    }

    fn failed(&self, error: StoreError) -> SubmitError {
        SubmitError::new(SubmitErrorKind::Store).chain(&self.chain().name).caused_by(error)
    }
}

#[async_trait]
impl Submitter for RelayedSubmitter {
    fn chain(&self) -> &Chain {
        self.reads.chain()
    }

    async fn committee(&self, candidates: &[Address]) -> Result<Committee, SubmitError> {
        self.reads.committee(candidates).await
    }

    async fn view(&self, claim: &Claim) -> Result<DestinationView, SubmitError> {
        self.reads.view(claim).await
    }

    async fn history(&self, from: BlockNumber, to: BlockNumber) -> Result<History, SubmitError> {
        self.reads.history(from, to).await
    }

    async fn head(&self) -> Result<Head, SubmitError> {
        self.reads.head().await
    }

    async fn submit(&self, batch: Vec<SignedAttestation>) -> Result<Submitted, SubmitError> {
        let mut desk = self.desk.lock().await;
        let open = self.open().await?;
        let (mut named, mut fresh) = (Vec::new(), Vec::new());
        for item in batch {
            match open.iter().find(|order| order.items.iter().any(|it| it.job == item.job)) {
                Some(order) => named.push((item.job, order.id)),
                None => fresh.push(item),
            }
        }
        if !fresh.is_empty() {
            let id = self.keep(&open, &fresh).await?;
            desk.hand_over(id, self.dvn, &abi::execute(&fresh));
            named.extend(fresh.iter().map(|item| (item.job, id)));
        }
        Ok(Submitted { sent: named, refused: Vec::new() })
    }

    async fn settle(&self) -> Result<Vec<Settlement>, SubmitError> {
        let mut desk = self.desk.lock().await;
        desk.hear();
        let mut settlements = Vec::new();
        for order in self.open().await? {
            if let Some(receipt) = desk.mined.get(&order.id) {
                settlements.extend(outcomes(&order, receipt, self.dvn));
            } else if let Some(Attempt { raw, .. }) = order.attempts.last() {
                desk.hand_over(order.id, self.dvn, raw);
            }
        }
        Ok(settlements)
    }

    /// The relayer takes no order back. What it mines all the same is taken back by a retraction, if it has to be.
    async fn cancel(&self, _jobs: &[JobId]) -> Result<(), SubmitError> {
        Ok(())
    }

    async fn close(&self, submission: SubmissionId) -> Result<(), SubmitError> {
        let mut desk = self.desk.lock().await;
        self.outbox.close(submission).await.map_err(|error| self.failed(error))?;
        desk.mined.remove(&submission);
        Ok(())
    }

    async fn is_busy(&self) -> Result<bool, SubmitError> {
        Ok(!self.open().await?.is_empty())
    }
}

impl Desk {
    /// Gives an order to the relayer, unless the relayer has it. Where it takes none at the moment, the next look at the
    /// open orders tries again.
    fn hand_over(&mut self, id: SubmissionId, to: Address, input: &Bytes) {
        if self.in_work.contains(&id) {
            return;
        }
        if self.orders.try_send(Order { number: id.0, to, input: input.clone() }).is_ok() {
            self.in_work.insert(id);
        }
    }

    /// Takes note of every report that has come.
    fn hear(&mut self) {
        while let Ok(Report { number, receipt }) = self.reports.try_recv() {
            let id = SubmissionId(number);
            self.in_work.remove(&id);
            if let Some(receipt) = receipt {
                self.mined.insert(id, receipt);
            }
        }
    }
}

/// The outcome of each item of a mined order. `DVN.execute` skips what it does not like and succeeds all the same, so
/// that the status says nothing: an item worked where the receive library says so, with the very values that were signed.
fn outcomes(order: &OutboxTransaction, receipt: &Receipt, dvn: Address) -> Vec<Settlement> {
    let (number, hash) = (BlockNumber(receipt.block_number.to()), receipt.block_hash);
    let attested = Outcome::Attested { block: BlockRef { number, hash }, tx_hash: receipt.transaction_hash };
    let ineffective = || Outcome::Ineffective { reason: format!("no record in {}", receipt.transaction_hash) };
    let outcome = |item: &OutboxItem| {
        let is_verified = receipt.logs.iter().any(|log| is_record(log, &item.attestation, dvn));
        let outcome = if is_verified { attested.clone() } else { ineffective() };
        Settlement { submission: order.id, job: item.job, outcome }
    };
    order.items.iter().map(outcome).collect()
}

fn is_record(log: &Log, attestation: &Attestation, dvn: Address) -> bool {
    let Attestation { claim, confirmations, target, .. } = attestation;
    log.address == *target
        && log.decode::<PayloadVerified>().is_some_and(|record| {
            record.dvn == dvn
                && record.header == claim.header.encode()
                && record.proofHash == claim.payload_hash.0
                && record.confirmations == U256::from(confirmations.0)
        })
}

#[cfg(test)]
mod tests;
