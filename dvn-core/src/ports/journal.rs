use std::{fmt, time::SystemTime};

use alloy_primitives::{Address, B256, Bytes};
use async_trait::async_trait;

use crate::{attestation::Attestation, error::JournalError, ids::Guid};

/// What is about to be signed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a plain record")]
pub struct Intent {
    /// The exact call.
    pub attestation: Attestation,
    /// The key.
    pub signer: Address,
    /// The packet's source block.
    pub source_block: B256,
    /// Digest of the evidence that is stored for it.
    pub evidence: B256,
    /// The destination's time now, against which earlier expirations are compared.
    pub now: crate::ids::ChainTime,
    /// This node's clock, for people.
    pub at: SystemTime,
}

/// A row as it stands in the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a plain record")]
pub struct JournalRow {
    /// Position, from 1, without gaps.
    pub sequence: u64,
    /// What was to be signed.
    pub intent: Intent,
    /// The 65 bytes, once the device returned them.
    pub signature: Option<Bytes>,
    /// Hash over the row before and this row's content; the signature is not part of it, since it comes later.
    pub row_hash: B256,
}

/// The durable record of what was ever signed for a slot, written before the key is used.
///
/// A slot never gets a second payload hash: the database refuses it, not only the code. The same payload again is
/// allowed, with the same confirmations while an earlier signature has not expired.
#[async_trait]
pub trait Journal: fmt::Debug + Send + Sync {
    /// Makes the intent durable (synced to disk) and returns its position. Only then may the key be used.
    ///
    /// # Errors
    /// [`JournalError`]; nothing may be signed then.
    async fn intend(&self, intent: &Intent) -> Result<u64, JournalError>;

    /// Adds the signature that came of an intent.
    ///
    /// # Errors
    /// [`JournalError`]; the intent stands, which is the safe side.
    async fn signed(&self, sequence: u64, signature: &Bytes) -> Result<(), JournalError>;

    /// All rows of a slot, oldest first.
    ///
    /// # Errors
    /// [`JournalError`].
    async fn slot(&self, guid: Guid) -> Result<Vec<JournalRow>, JournalError>;

    /// Recomputes the chain of row hashes and returns the number of rows and the newest row's hash (zero where there
    /// are none).
    ///
    /// # Errors
    /// [`JournalErrorKind::Tampered`](crate::error::JournalErrorKind::Tampered) names the first row that does not fit.
    async fn verify(&self) -> Result<(u64, B256), JournalError>;
}
