//! The ports that the adapters use, in memory.

use std::{
    collections::BTreeMap,
    sync::Mutex,
    time::{Duration, SystemTime},
};

use alloy::primitives::{Address, B256, Signature};
use async_trait::async_trait;
use dvn_core::{
    error::{SignError, StoreError, StoreErrorKind},
    ids::{BlockNumber, BlockRef, Eid, JobId},
    ports::{
        Attempt, Clock, Fence, FinalizedHashes, LaneId, NewTransaction, Outbox, OutboxTransaction, Signer, SubmissionId,
    },
};
use k256::ecdsa::SigningKey;

#[derive(Debug, Default)]
pub(crate) struct Hashes(pub(crate) Mutex<BTreeMap<BlockNumber, B256>>);

#[async_trait]
impl FinalizedHashes for Hashes {
    async fn record(&self, _: Eid, block: BlockRef) -> Result<(), StoreError> {
        let known = *self.0.lock().unwrap().entry(block.number).or_insert(block.hash);
        if known == block.hash { Ok(()) } else { Err(StoreError::new(StoreErrorKind::FinalityChanged)) }
    }

    async fn newest(&self, _: Eid) -> Result<Option<BlockRef>, StoreError> {
        Ok(self.0.lock().unwrap().last_key_value().map(|(number, hash)| BlockRef { number: *number, hash: *hash }))
    }
}

#[derive(Debug)]
pub(crate) struct Key(SigningKey);

impl Key {
    pub(crate) fn new(byte: u8) -> Self {
        Self(SigningKey::from_slice(&[byte; 32]).unwrap())
    }

    pub(crate) fn sign(&self, digest: B256) -> Signature {
        self.0.sign_prehash_recoverable(digest.as_slice()).unwrap().into()
    }
}

#[async_trait]
impl Signer for Key {
    fn address(&self) -> Address {
        Address::from_private_key(&self.0)
    }

    async fn sign_digest(&self, digest: B256) -> Result<Signature, SignError> {
        Ok(self.sign(digest))
    }
}

#[derive(Debug)]
pub(crate) struct ManualClock(Mutex<SystemTime>);

impl ManualClock {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000)))
    }

    pub(crate) fn advance(&self, by: Duration) {
        *self.0.lock().unwrap() += by;
    }
}

impl Clock for ManualClock {
    fn now(&self) -> SystemTime {
        *self.0.lock().unwrap()
    }
}

#[derive(Debug, Default)]
pub(crate) struct MemoryOutbox {
    pub(crate) all: Mutex<Vec<OutboxTransaction>>,
    pub(crate) fails: Mutex<bool>,
    pub(crate) costs: Mutex<BTreeMap<SubmissionId, (u128, SystemTime)>>,
}

impl MemoryOutbox {
    fn check(&self) -> Result<(), StoreError> {
        if *self.fails.lock().unwrap() { Err(StoreError::new(StoreErrorKind::Storage)) } else { Ok(()) }
    }
}

#[async_trait]
impl Outbox for MemoryOutbox {
    async fn put(&self, transaction: NewTransaction, _: Option<&Fence>) -> Result<SubmissionId, StoreError> {
        self.check()?;
        let mut all = self.all.lock().unwrap();
        let id = SubmissionId(all.len() as u64 + 1);
        let NewTransaction { lane, nonce, items, attempt } = transaction;
        all.push(OutboxTransaction { id, lane, nonce, items, attempts: vec![attempt], open: true });
        Ok(id)
    }

    async fn replace(&self, id: SubmissionId, attempt: Attempt, _: Option<&Fence>) -> Result<(), StoreError> {
        self.check()?;
        let mut all = self.all.lock().unwrap();
        all.iter_mut().find(|it| it.id == id).unwrap().attempts.push(attempt);
        Ok(())
    }

    async fn open(&self, lane: LaneId) -> Result<Vec<OutboxTransaction>, StoreError> {
        Ok(self.all.lock().unwrap().iter().filter(|it| it.open && it.lane == lane).cloned().collect())
    }

    async fn of_job(&self, job: JobId) -> Result<Vec<OutboxTransaction>, StoreError> {
        let carries = |it: &&OutboxTransaction| it.items.iter().any(|item| item.job == job);
        Ok(self.all.lock().unwrap().iter().filter(carries).cloned().collect())
    }

    async fn charge(&self, id: SubmissionId, wei: u128, at: SystemTime) -> Result<(), StoreError> {
        self.check()?;
        self.costs.lock().unwrap().entry(id).or_insert((wei, at)).0 = wei;
        Ok(())
    }

    async fn charged(&self, _: Eid, since: SystemTime) -> Result<u128, StoreError> {
        Ok(self.costs.lock().unwrap().values().filter(|(_, at)| *at >= since).map(|(wei, _)| wei).sum())
    }

    async fn close(&self, id: SubmissionId) -> Result<(), StoreError> {
        self.all.lock().unwrap().iter_mut().filter(|it| it.id == id).for_each(|it| it.open = false);
        Ok(())
    }
}
