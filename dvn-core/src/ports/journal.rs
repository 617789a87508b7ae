use std::{fmt, time::SystemTime};

use alloy_primitives::{Address, B256, Bytes};
use async_trait::async_trait;

use crate::{
    attestation::Attestation,
    error::JournalError,
    ids::{BlockNumber, ChainTime, Eid, Guid},
};

/// Why a row stands in the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_enums, reason = "journals match on all of it, without a wildcard")]
pub enum Purpose {
    /// Written before the key is used.
    Sign,
    /// Signed before, and found elsewhere: on a destination, or in another journal's export. No key is used for it.
    Recovered,
    /// An operator lets a slot that was taken back be signed again.
    Released,
}

impl Purpose {
    /// Every purpose.
    pub const ALL: [Self; 3] = [Self::Sign, Self::Recovered, Self::Released];

    /// A stable lower-case name, as the store and exports use it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sign => "sign",
            Self::Recovered => "recovered",
            Self::Released => "released",
        }
    }

    /// The purpose of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|purpose| purpose.name() == name)
    }
}

/// What is about to be signed, or is now known to have been.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a plain record")]
pub struct Intent {
    /// Why it is recorded.
    pub purpose: Purpose,
    /// The exact call.
    pub attestation: Attestation,
    /// The key.
    pub signer: Address,
    /// The packet's source block; zero where it is not known any more.
    pub source_block: B256,
    /// Digest of the evidence that is stored for it; zero where there is none.
    pub evidence: B256,
    /// The destination's time now, against which earlier expirations are compared.
    pub now: ChainTime,
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

impl JournalRow {
    /// The last row of a slot, given oldest first, that took it back or released it. A slot is closed while that is a
    /// retraction; what is recovered counts as what was signed.
    #[must_use]
    pub fn last_word(slot: &[Self]) -> Option<&Self> {
        let is_word = |row: &&Self| row.is_release() || row.intent.attestation.is_retraction();
        slot.iter().rev().find(is_word)
    }

    /// Whether an operator opens the slot by it.
    #[must_use]
    pub fn is_release(&self) -> bool {
        self.intent.purpose == Purpose::Released
    }
}

/// How far a journal goes: its newest row, or nothing and zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_structs, reason = "a plain pair")]
pub struct JournalHead {
    /// How many rows there are, which is the newest one's position.
    pub rows: u64,
    /// The newest row's hash.
    pub hash: B256,
}

/// A random number that a journal has from its beginning, by which peers tell two journals of one key apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_structs, reason = "a plain number")]
pub struct JournalId(pub B256);

impl fmt::Display for JournalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// A time in which nothing is signed, because signatures may be out that the journal does not know: after it they have
/// expired.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a plain record")]
pub struct Quarantine {
    /// Its end, by this node's clock and by the destination's time: both must have passed.
    pub until: SystemTime,
    /// Why, for people.
    pub reason: String,
}

impl Quarantine {
    /// Whether it still holds, by a clock and a destination's time.
    #[must_use]
    pub fn lasts(&self, now: SystemTime, time: ChainTime) -> bool {
        now < self.until || time < self.until_chain_time()
    }

    /// Its end in a chain's time, which has whole seconds.
    #[must_use]
    pub fn until_chain_time(&self) -> ChainTime {
        let since = self.until.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        ChainTime(since.as_secs().saturating_add(u64::from(since.subsec_nanos() > 0)))
    }
}

/// What a journal says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a plain record")]
pub struct JournalState {
    /// Its name.
    pub id: JournalId,
    /// The last quarantine, past or not.
    pub quarantine: Option<Quarantine>,
    /// Where its head was last kept a second time; nothing where it never was.
    pub mirror: Option<String>,
}

/// The durable record of what was ever signed for a slot, written before the key is used.
///
/// A slot never gets a second payload hash: the database refuses it, not only the code. The same payload again is
/// allowed, with the same confirmations while an earlier signature has not expired. After a retraction only retractions
/// are, until an operator releases the slot.
#[async_trait]
pub trait Journal: fmt::Debug + Send + Sync {
    /// Whether an intent to attest would be taken now, as far as that does not depend on what is signed. Asked before anything
    /// is written for a signature, so that one that cannot be made leaves nothing on a disk that is nearly full.
    ///
    /// # Errors
    /// [`JournalErrorKind::NoSpace`](crate::error::JournalErrorKind::NoSpace), or any other [`JournalError`].
    async fn admits(&self) -> Result<(), JournalError> {
        Ok(())
    }

    /// Makes the intent durable (synced to disk) and returns the head that it is now. Only then may the key be used, and only
    /// for [`Purpose::Sign`].
    ///
    /// # Errors
    /// [`JournalError`]; nothing may be signed then. [`JournalErrorKind::Missing`](crate::error::JournalErrorKind::Missing)
    /// where [`Journal::begin`] was never called.
    async fn intend(&self, intent: &Intent) -> Result<JournalHead, JournalError>;

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

    /// Up to `limit` rows after this position, oldest first.
    ///
    /// # Errors
    /// [`JournalError`].
    async fn rows(&self, after: u64, limit: usize) -> Result<Vec<JournalRow>, JournalError>;

    /// The row at this position, if there is one.
    ///
    /// # Errors
    /// [`JournalError`].
    async fn row(&self, sequence: u64) -> Result<Option<JournalRow>, JournalError> {
        let Some(before) = sequence.checked_sub(1) else { return Ok(None) };
        Ok(self.rows(before, 1).await?.pop().filter(|row| row.sequence == sequence))
    }

    /// The newest row as it is written there, without computing anything again.
    ///
    /// # Errors
    /// [`JournalError`].
    async fn head(&self) -> Result<JournalHead, JournalError>;

    /// Recomputes the chain of row hashes and returns its head.
    ///
    /// # Errors
    /// [`JournalErrorKind::Tampered`](crate::error::JournalErrorKind::Tampered) names the first row that does not fit.
    async fn verify(&self) -> Result<JournalHead, JournalError>;

    /// Names a new journal, or one whose past is not certain any more, and puts it into quarantine. A journal is only begun
    /// by an operator's word: one that is made by itself would forget what was signed.
    ///
    /// # Errors
    /// [`JournalError`].
    async fn begin(&self, quarantine: Option<Quarantine>) -> Result<JournalId, JournalError>;

    /// Its name and its quarantine.
    ///
    /// # Errors
    /// [`JournalErrorKind::Missing`](crate::error::JournalErrorKind::Missing) where it was never begun.
    async fn state(&self) -> Result<JournalState, JournalError>;

    /// Starts a quarantine, or lengthens the one that stands; it is never made shorter.
    ///
    /// # Errors
    /// [`JournalError`].
    async fn quarantine(&self, quarantine: Quarantine) -> Result<(), JournalError>;

    /// Remembers that the head is kept at this place too, so that a mirror that is gone shows. It is never forgotten again.
    ///
    /// # Errors
    /// [`JournalError`].
    async fn set_mirror(&self, place: &str) -> Result<(), JournalError>;

    /// Up to which block of a destination its history was compared with this journal.
    ///
    /// # Errors
    /// [`JournalError`].
    async fn anchor(&self, dst_eid: Eid) -> Result<Option<BlockNumber>, JournalError>;

    /// Moves the anchor; it never moves back.
    ///
    /// # Errors
    /// [`JournalError`].
    async fn set_anchor(&self, dst_eid: Eid, through: BlockNumber) -> Result<(), JournalError>;
}
