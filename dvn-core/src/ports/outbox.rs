use std::{fmt, time::SystemTime};

use alloy_primitives::{Address, B256, Bytes};
use async_trait::async_trait;

use super::Fence;
use crate::{
    attestation::Attestation,
    error::StoreError,
    ids::{Eid, JobId},
};

/// Names a transaction in the outbox, whatever replaces it on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_structs, reason = "a plain number")]
pub struct SubmissionId(pub u64);

/// One sending key on one destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_structs, reason = "a plain pair")]
pub struct LaneId {
    /// The destination.
    pub dst_eid: Eid,
    /// The key that pays gas.
    pub sender: Address,
}

/// One signed transaction as it was, or will be, broadcast.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a plain record")]
pub struct Attempt {
    /// Transaction hash.
    pub tx_hash: B256,
    /// The signed transaction, EIP-2718 encoded.
    pub raw: Bytes,
    /// `maxFeePerGas`, or `gasPrice` of a legacy transaction, in wei.
    pub max_fee: u128,
    /// `maxPriorityFeePerGas`, in wei; 0 for a legacy transaction.
    pub priority_fee: u128,
    /// When it was signed.
    pub at: SystemTime,
}

/// What one instruction of a transaction must achieve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a plain pair")]
pub struct OutboxItem {
    /// The job.
    pub job: JobId,
    /// The call, against which the outcome's log is compared.
    pub attestation: Attestation,
}

/// A transaction to be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a plain record")]
pub struct NewTransaction {
    /// Its lane.
    pub lane: LaneId,
    /// Its nonce.
    pub nonce: u64,
    /// Its instructions, in order.
    pub items: Vec<OutboxItem>,
    /// Its first form.
    pub attempt: Attempt,
}

/// A transaction as kept.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a plain record")]
pub struct OutboxTransaction {
    /// Its name.
    pub id: SubmissionId,
    /// Its lane.
    pub lane: LaneId,
    /// Its nonce.
    pub nonce: u64,
    /// Its instructions, in order.
    pub items: Vec<OutboxItem>,
    /// Every form that may have been broadcast, oldest first; any of them may be mined.
    pub attempts: Vec<Attempt>,
    /// Whether its fate is not yet taken note of.
    pub open: bool,
}

/// Raw transactions, nonces and hashes, durable before they are broadcast.
#[async_trait]
pub trait Outbox: fmt::Debug + Send + Sync {
    /// Keeps a transaction, synced to disk.
    ///
    /// # Errors
    /// [`StoreError`]; a conflict where the lane already has an open transaction with this nonce, or one of the jobs is
    /// in an open transaction, or where the fence's lease is somebody else's by now. It must not be broadcast then.
    async fn put(&self, transaction: NewTransaction, fence: Option<&Fence>) -> Result<SubmissionId, StoreError>;

    /// Adds a replacement with the same nonce, synced to disk.
    ///
    /// # Errors
    /// [`StoreError`], as of [`Outbox::put`]; it must not be broadcast then.
    async fn replace(&self, id: SubmissionId, attempt: Attempt, fence: Option<&Fence>) -> Result<(), StoreError>;

    /// Open transactions of a lane, by nonce.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn open(&self, lane: LaneId) -> Result<Vec<OutboxTransaction>, StoreError>;

    /// Every transaction that ever carried the job, oldest first.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn of_job(&self, job: JobId) -> Result<Vec<OutboxTransaction>, StoreError>;

    /// Notes what a transaction takes in wei: at most, and once it is mined in truth. It takes the place of what was noted
    /// before; the moment stays that of the first note.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn charge(&self, id: SubmissionId, wei: u128, at: SystemTime) -> Result<(), StoreError>;

    /// What all lanes' transactions to a destination take together, in wei, of those that were first noted at this moment or
    /// later.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn charged(&self, dst_eid: Eid, since: SystemTime) -> Result<u128, StoreError>;

    /// The transaction's fate is known and taken note of.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn close(&self, id: SubmissionId) -> Result<(), StoreError>;
}
