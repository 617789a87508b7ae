use std::fmt;

use alloy_primitives::{Address, B256};
use async_trait::async_trait;

use super::{Fence, Head, History, SubmissionId};
use crate::{
    attestation::Attestation,
    destination::DestinationView,
    error::SubmitError,
    ids::{BlockNumber, BlockRef, Eid, JobId},
    packet::Claim,
    signature::{Committee, SignatureSet},
};

/// A chain as the configuration names it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_structs, reason = "a plain pair")]
pub struct Chain {
    /// The name in the configuration, used in logs and as metric label.
    pub name: String,
    /// The LayerZero endpoint id.
    pub eid: Eid,
}

impl fmt::Display for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name, self.eid)
    }
}

/// One call ready for `DVN.execute`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a plain record")]
pub struct SignedAttestation {
    /// The job that it is for.
    pub job: JobId,
    /// What was signed.
    pub attestation: Attestation,
    /// Exactly the quorum.
    pub signatures: SignatureSet,
}

/// What became of a submitted attestation.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// Our `PayloadVerified` log, with these very values, was read by quorum.
    Attested {
        /// The block.
        block: BlockRef,
        /// The transaction.
        tx_hash: B256,
    },
    /// The transaction is mined, or its nonce is used by another one, and our log is not there: nothing happened.
    Ineffective {
        /// What the contract's events say, for people.
        reason: String,
    },
    /// What [`Submitter::cancel`] put in its place was mined.
    Cancelled,
}

/// The fate of one item of one submission.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a plain record")]
pub struct Settlement {
    /// Which transaction.
    pub submission: SubmissionId,
    /// Which job.
    pub job: JobId,
    /// What happened.
    pub outcome: Outcome,
}

/// What [`Submitter::submit`] made of a batch. Items that are in neither list did not fit, and are for the next call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a plain pair of lists")]
pub struct Submitted {
    /// Under way, with the transaction that carries each.
    pub sent: Vec<(JobId, SubmissionId)>,
    /// What would have no effect if it were sent, and why, for people. Sending it again as it is does not help.
    pub refused: Vec<(JobId, String)>,
}

/// Says what a destination already knows and puts signed attestations on it.
#[async_trait]
pub trait Submitter: fmt::Debug + Send + Sync {
    /// The destination.
    fn chain(&self) -> &Chain;

    /// Tells under which lease whatever follows is written to the outbox; said again whenever the lease is renewed. A submitter that
    /// is the only one for its key need not care.
    fn lead(&self, _fence: Fence) {}

    /// `vid`, quorum, and which of `candidates` are signers, of the DVN contract, read by quorum.
    ///
    /// # Errors
    /// [`SubmitError`].
    async fn committee(&self, candidates: &[Address]) -> Result<Committee, SubmitError>;

    /// What the destination knows about a claim, all read at one block.
    ///
    /// # Errors
    /// [`SubmitError`].
    async fn view(&self, claim: &Claim) -> Result<DestinationView, SubmitError>;

    /// Makes one transaction of as many of the batch as fit, in their order: durable in the outbox first, then broadcast. An
    /// item whose job is in an open transaction already is not sent again; its open transaction is named instead. What is
    /// found to have no effect is refused and keeps nothing else back. A failed broadcast is no error:
    /// [`Submitter::settle`] repeats it.
    ///
    /// # Errors
    /// [`SubmitError`]; nothing of the batch is durable or sent then.
    ///
    /// # Cancel safety
    /// A dropped call leaves either nothing or a durable transaction that [`Submitter::settle`] goes on with.
    async fn submit(&self, batch: Vec<SignedAttestation>) -> Result<Submitted, SubmitError>;

    /// How many attestations fit in one transaction, as far as is known: a batch of so many waits for no other.
    fn most_items(&self) -> usize {
        usize::MAX
    }

    /// Whether one more transaction may be made now. Nodes drop what one account has in flight beyond a number; what waits
    /// then fills batches.
    ///
    /// # Errors
    /// [`SubmitError`].
    async fn has_room(&self) -> Result<bool, SubmitError> {
        Ok(true)
    }

    /// Looks after open transactions: sends again what the nodes forgot, replaces what is stuck, and reports what is
    /// decided. A report repeats until [`Submitter::close`].
    ///
    /// # Errors
    /// [`SubmitError`]; what is open stays open.
    async fn settle(&self) -> Result<Vec<Settlement>, SubmitError>;

    /// Puts a transaction that does nothing, with the same nonce and a better price, in the place of every open one that carries
    /// one of these jobs. Which of the two is mined is the chain's choice; [`Submitter::settle`] reports it. What is cancelled
    /// already is left alone.
    ///
    /// # Errors
    /// [`SubmitError`]; some may be cancelled then, and the others are at the next call.
    ///
    /// # Cancel safety
    /// As [`Submitter::submit`].
    async fn cancel(&self, jobs: &[JobId]) -> Result<(), SubmitError>;

    /// Ends the reports about a transaction, once the jobs have taken note.
    ///
    /// # Errors
    /// [`SubmitError`].
    async fn close(&self, submission: SubmissionId) -> Result<(), SubmitError>;

    /// Whether transactions are open.
    ///
    /// # Errors
    /// [`SubmitError`].
    async fn is_busy(&self) -> Result<bool, SubmitError>;

    /// What the destination shows in the name of our DVN contract in the blocks `from..=to`, or in as many of them from
    /// `from` on as can be read at once. Read by quorum, of seats that have all of these blocks.
    ///
    /// What is shown in blocks that are not settled yet may be gone later.
    ///
    /// # Errors
    /// [`SubmitError`]; nothing of the range counts as read then.
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped.
    async fn history(&self, from: BlockNumber, to: BlockNumber) -> Result<History, SubmitError>;

    /// The newest block, and the newest that is final here, so that what was read at or below it stands.
    ///
    /// # Errors
    /// [`SubmitError`].
    async fn head(&self) -> Result<Head, SubmitError>;
}
