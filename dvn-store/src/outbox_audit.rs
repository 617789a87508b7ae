//! Transactions in the audit log, before they are broadcast.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use async_trait::async_trait;
use dvn_core::{
    error::StoreError,
    ids::{Eid, Guid, JobId},
    ports::{
        Attempt, AuditEntry, AuditLog, Fence, LaneId, NewTransaction, Outbox, OutboxItem, OutboxTransaction,
        SubmissionId,
    },
};
use serde_json::json;

/// An outbox whose transactions, and what replaces them, are rows of the audit log, one for each packet.
///
/// The outbox is written first. Where the row cannot be written the call fails, so that nothing is broadcast that is not told;
/// the transaction is in the outbox then, and found there again.
#[derive(Debug)]
pub struct AuditedOutbox {
    inner: Arc<dyn Outbox>,
    audit: Arc<dyn AuditLog>,
    /// What open transactions are about, as far as they were put or read here; a replacement names its transaction alone.
    open: Mutex<HashMap<SubmissionId, About>>,
}

#[derive(Clone, Debug)]
struct About {
    lane: LaneId,
    nonce: u64,
    guids: Vec<Guid>,
}

impl About {
    fn new(lane: LaneId, nonce: u64, items: &[OutboxItem]) -> Self {
        Self { lane, nonce, guids: items.iter().map(|item| item.attestation.claim.header.guid()).collect() }
    }

    fn entries(&self, action: &str, id: SubmissionId, attempt: &Attempt) -> Vec<AuditEntry> {
        let detail = json!({
            "submission": id.0,
            "tx": attempt.tx_hash,
            "dst_eid": self.lane.dst_eid.0,
            "sender": self.lane.sender,
            "nonce": self.nonce,
            // Wei may be too large for a JSON number to be read back exactly.
            "max_fee": attempt.max_fee.to_string(),
            "priority_fee": attempt.priority_fee.to_string(),
        });
        let entry = |guid| AuditEntry {
            at: attempt.at,
            actor: "submitter".to_owned(),
            action: action.to_owned(),
            guid,
            evidence: None,
            detail: detail.to_string(),
        };
        // One that cancels a nonce carries no packet.
        if self.guids.is_empty() { vec![entry(None)] } else { self.guids.iter().map(|it| entry(Some(*it))).collect() }
    }
}

impl AuditedOutbox {
    /// Tells what goes through `inner` in `audit`.
    #[must_use]
    pub fn new(inner: Arc<dyn Outbox>, audit: Arc<dyn AuditLog>) -> Self {
        Self { inner, audit, open: Mutex::default() }
    }

    fn known(&self) -> MutexGuard<'_, HashMap<SubmissionId, About>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Outbox for AuditedOutbox {
    async fn put(&self, transaction: NewTransaction, fence: Option<&Fence>) -> Result<SubmissionId, StoreError> {
        let about = About::new(transaction.lane, transaction.nonce, &transaction.items);
        let attempt = transaction.attempt.clone();
        let id = self.inner.put(transaction, fence).await?;
        self.known().insert(id, about.clone());
        self.audit.append(&about.entries("transaction", id, &attempt)).await?;
        Ok(id)
    }

    async fn replace(&self, id: SubmissionId, attempt: Attempt, fence: Option<&Fence>) -> Result<(), StoreError> {
        let about = self.known().get(&id).cloned();
        self.inner.replace(id, attempt.clone(), fence).await?;
        match about {
            Some(about) => self.audit.append(&about.entries("transaction_replaced", id, &attempt)).await,
            // Whoever replaces a transaction has read it from here.
            None => Ok(()),
        }
    }

    async fn open(&self, lane: LaneId) -> Result<Vec<OutboxTransaction>, StoreError> {
        let open = self.inner.open(lane).await?;
        let mut known = self.known();
        known.retain(|_, about| about.lane != lane);
        known.extend(open.iter().map(|it| (it.id, About::new(it.lane, it.nonce, &it.items))));
        drop(known);
        Ok(open)
    }

    async fn of_job(&self, job: JobId) -> Result<Vec<OutboxTransaction>, StoreError> {
        self.inner.of_job(job).await
    }

    async fn charge(&self, id: SubmissionId, wei: u128, at: SystemTime) -> Result<(), StoreError> {
        self.inner.charge(id, wei, at).await
    }

    async fn charged(&self, dst_eid: Eid, since: SystemTime) -> Result<u128, StoreError> {
        self.inner.charged(dst_eid, since).await
    }

    async fn close(&self, id: SubmissionId) -> Result<(), StoreError> {
        self.inner.close(id).await?;
        self.known().remove(&id);
        Ok(())
    }
}
