//! One packet's life in this node: what is known of it, its states and the legal moves between them.

use std::time::SystemTime;

use alloy_primitives::{B256, Bytes};
use thiserror::Error;

use crate::{
    ids::{BlockNumber, BlockRef, ChainTime, Confirmations, Eid, JobId},
    packet::Claim,
};

/// Where a packet's `PacketSent` log stands. This, not its content, is what a verifier is asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_structs, reason = "a plain address of a log")]
pub struct Location {
    /// The chain.
    pub src_eid: Eid,
    /// The block, pinned by hash.
    pub block: BlockRef,
    /// The transaction.
    pub tx_hash: B256,
    /// The log's index in its block.
    pub log_index: u64,
}

/// Why a job is held. Each comes back by itself when a later look finds it gone, except where it says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Hold {
    /// Another payload was already signed for this slot. Only an operator releases it.
    Equivocation,
    /// The destination stores another payload for this nonce. Only an operator releases it.
    ForeignPayload,
    /// The receiver nilified the packet: its brake. Only an operator releases it.
    Nilified,
    /// The receiver uses a receive library that the configuration does not name.
    UnknownReceiveLibrary,
    /// The receive library has no usable configuration for the path.
    NoReceiveConfig,
    /// Our DVN is not in the receiver's configuration, so that our word has no effect.
    NotListed,
    /// Packets before this one on its path were never seen: they are being hidden, or this one was invented. Comes back
    /// when they are found, or when an operator explains them.
    NonceGap,
    /// A cosigner or the submission failed for good; only an operator releases it.
    Failed,
}

impl Hold {
    /// Whether the node looks again by itself.
    #[must_use]
    pub const fn resumes(self) -> bool {
        match self {
            Self::UnknownReceiveLibrary | Self::NoReceiveConfig | Self::NotListed | Self::NonceGap => true,
            Self::Equivocation | Self::ForeignPayload | Self::Nilified | Self::Failed => false,
        }
    }
}

/// Why a job is refused for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Refusal {
    /// The fee event that belongs to the packet does not name our DVN.
    NotAssigned,
    /// The log is not a packet of this chain: foreign endpoint, unknown send library, broken codec, wrong source.
    NotGenuine,
    /// The endpoint has not sent that many packets on the path: the log was invented.
    NonceAhead,
    /// No destination of this node has the packet's eid.
    DestinationNotServed,
    /// A rule of the operator's, in a verifier of their own, is against it.
    NotAllowed,
}

/// Where a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum State {
    /// Seen by a source, nothing checked.
    Observed,
    /// Real so far, not deep or not final enough.
    Waiting,
    /// Verified as real and final; evidence is stored.
    Verified,
    /// A quorum of signatures is stored.
    Signed,
    /// A transaction that carries them is in the outbox.
    Submitted,
    /// Our `PayloadVerified` was read on the destination by quorum.
    Attested,
    /// The destination's endpoint holds the packet, or is past it, at a final block.
    Committed,
    /// Stopped, see the reason.
    Held(Hold),
    /// Never to be attested.
    Refused(Refusal),
    /// Its source block is gone.
    Orphaned,
    /// Its evidence is gone, and what the destination shows of us is being taken back.
    Retracting,
    /// Taken back. An operator may release it.
    Retracted,
}

impl State {
    /// A stable lower-case name, as metrics, the store and people use it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Observed => "observed",
            Self::Waiting => "waiting",
            Self::Verified => "verified",
            Self::Signed => "signed",
            Self::Submitted => "submitted",
            Self::Attested => "attested",
            Self::Committed => "committed",
            Self::Held(_) => "held",
            Self::Refused(_) => "refused",
            Self::Orphaned => "orphaned",
            Self::Retracting => "retracting",
            Self::Retracted => "retracted",
        }
    }

    /// The reason's stable name, for held and refused jobs.
    #[must_use]
    pub const fn reason(self) -> Option<&'static str> {
        match self {
            Self::Held(hold) => Some(match hold {
                Hold::Equivocation => "equivocation",
                Hold::ForeignPayload => "foreign_payload",
                Hold::Nilified => "nilified",
                Hold::UnknownReceiveLibrary => "unknown_receive_library",
                Hold::NoReceiveConfig => "no_receive_config",
                Hold::NotListed => "not_listed",
                Hold::NonceGap => "nonce_gap",
                Hold::Failed => "failed",
            }),
            Self::Refused(refusal) => Some(match refusal {
                Refusal::NotAssigned => "not_assigned",
                Refusal::NotGenuine => "not_genuine",
                Refusal::NonceAhead => "nonce_ahead",
                Refusal::DestinationNotServed => "destination_not_served",
                Refusal::NotAllowed => "not_allowed",
            }),
            _ => None,
        }
    }

    /// The state that [`State::name`] and [`State::reason`] describe, or nothing where they describe none.
    #[must_use]
    pub fn from_names(name: &str, reason: Option<&str>) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name && state.reason() == reason)
    }

    /// Which kind of work a job in this state is.
    #[must_use]
    pub const fn stage(self) -> Stage {
        match self {
            Self::Observed | Self::Waiting | Self::Held(_) | Self::Refused(_) | Self::Orphaned => Stage::Verify,
            Self::Verified => Stage::Sign,
            Self::Signed | Self::Submitted | Self::Attested | Self::Committed | Self::Retracting | Self::Retracted => {
                Stage::Watch
            }
        }
    }

    /// Whether nothing more is to be attested here, whatever happens.
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Committed | Self::Refused(_))
    }

    /// Whether this node's signature for the job may exist.
    #[must_use]
    pub const fn may_be_signed(self) -> bool {
        matches!(
            self,
            Self::Signed | Self::Submitted | Self::Attested | Self::Committed | Self::Retracting | Self::Retracted
        )
    }

    /// Every state, each hold and refusal on its own.
    pub const ALL: [Self; 23] = [
        Self::Observed,
        Self::Waiting,
        Self::Verified,
        Self::Signed,
        Self::Submitted,
        Self::Attested,
        Self::Committed,
        Self::Held(Hold::Equivocation),
        Self::Held(Hold::ForeignPayload),
        Self::Held(Hold::Nilified),
        Self::Held(Hold::UnknownReceiveLibrary),
        Self::Held(Hold::NoReceiveConfig),
        Self::Held(Hold::NotListed),
        Self::Held(Hold::NonceGap),
        Self::Held(Hold::Failed),
        Self::Refused(Refusal::NotAssigned),
        Self::Refused(Refusal::NotGenuine),
        Self::Refused(Refusal::NonceAhead),
        Self::Refused(Refusal::DestinationNotServed),
        Self::Refused(Refusal::NotAllowed),
        Self::Orphaned,
        Self::Retracting,
        Self::Retracted,
    ];

    /// Applies a move.
    ///
    /// # Errors
    /// [`IllegalMove`] where the picture in the crate's documentation has no such arrow; that is a bug of the caller.
    pub fn apply(self, step: Move) -> Result<Self, IllegalMove> {
        let illegal = Err(IllegalMove { from: self, step });
        match step {
            Move::Observe => {
                self.only(self.is_before_signing() || matches!(self, Self::Orphaned), Self::Observed, illegal)
            }
            Move::Wait => self.only(self.is_before_signing() || matches!(self, Self::Held(_)), Self::Waiting, illegal),
            Move::Verify => self.only(
                matches!(self, Self::Observed | Self::Waiting | Self::Signed | Self::Attested | Self::Submitted)
                    || matches!(self, Self::Held(hold) if hold.resumes()),
                Self::Verified,
                illegal,
            ),
            Move::Sign => {
                self.only(matches!(self, Self::Verified | Self::Submitted | Self::Attested), Self::Signed, illegal)
            }
            Move::Submit => self.only(matches!(self, Self::Signed), Self::Submitted, illegal),
            Move::Attest => self.only(self.is_open() && !matches!(self, Self::Attested), Self::Attested, illegal),
            Move::Commit => self.only(self.is_open(), Self::Committed, illegal),
            Move::Hold(hold) => self.only(self.is_open(), Self::Held(hold), illegal),
            Move::Refuse(why) => self.only(matches!(self, Self::Observed | Self::Waiting), Self::Refused(why), illegal),
            Move::Orphan => {
                self.only(self.is_before_signing() || matches!(self, Self::Held(_)), Self::Orphaned, illegal)
            }
            Move::TakeBack => self.only(
                !matches!(self, Self::Signed | Self::Submitted | Self::Committed | Self::Retracting),
                Self::Retracting,
                illegal,
            ),
            Move::Retract => self.only(self.is_open(), Self::Retracted, illegal),
            Move::Release => self.only(matches!(self, Self::Retracted), Self::Observed, illegal),
        }
    }

    /// Whether no signature of this job was asked for yet.
    #[must_use]
    pub const fn is_before_signing(self) -> bool {
        matches!(self, Self::Observed | Self::Waiting | Self::Verified)
    }

    const fn is_open(self) -> bool {
        !self.is_terminal() && !matches!(self, Self::Orphaned | Self::Retracted)
    }

    fn only(self, legal: bool, to: Self, otherwise: Result<Self, IllegalMove>) -> Result<Self, IllegalMove> {
        if legal { Ok(to) } else { otherwise }
    }
}

/// A kind of work, so that one kind does not keep the others from being done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_enums, reason = "before, at and after the signature")]
pub enum Stage {
    /// Finding out whether a packet is real and final.
    Verify,
    /// Collecting a quorum for what was verified.
    Sign,
    /// Looking after what was signed.
    Watch,
}

impl Stage {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Verify, Self::Sign, Self::Watch];

    /// A stable lower-case name, as queues and metrics use it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Verify => "verify",
            Self::Sign => "sign",
            Self::Watch => "watch",
        }
    }

    /// Its place in [`Stage::ALL`].
    #[must_use]
    pub const fn index(self) -> usize {
        match self {
            Self::Verify => 0,
            Self::Sign => 1,
            Self::Watch => 2,
        }
    }
}

/// What happens to a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Move {
    /// A source saw it, perhaps in another block than before.
    Observe,
    /// It is real, but has to wait.
    Wait,
    /// It is real and final. From signed, submitted or attested: the signatures expired, the quorum changed, or more
    /// confirmations are asked for.
    Verify,
    /// A quorum signed. From submitted or attested: the transaction was lost, or a destination reorg took it away.
    Sign,
    /// The transaction is durable.
    Submit,
    /// The destination shows our verification.
    Attest,
    /// The destination's endpoint holds the packet at a final block.
    Commit,
    /// Stop, for a reason.
    Hold(Hold),
    /// Never, for a reason.
    Refuse(Refusal),
    /// The source block is gone.
    Orphan,
    /// The destination shows our verification, and there is no evidence for it: take it back. Legal from wherever a packet may
    /// stand that others attested in our name.
    TakeBack,
    /// Our verification was taken back.
    Retract,
    /// An operator lets a packet that was taken back be looked at afresh.
    Release,
}

/// A move that the state does not allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("illegal move {step:?} from state {from:?}")]
#[expect(clippy::exhaustive_structs, reason = "a state and a move")]
pub struct IllegalMove {
    /// Where the job stood.
    pub from: State,
    /// What was asked.
    pub step: Move,
}

/// What a quorum signed, kept until the packet is committed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a plain record")]
pub struct Signed {
    /// Confirmations stated.
    pub confirmations: Confirmations,
    /// Until when the contract accepts it.
    pub expiration: ChainTime,
    /// The receive library called.
    pub target: alloy_primitives::Address,
    /// Quorum × 65 bytes, ascending by signer.
    pub signatures: Bytes,
}

/// When a job wants to be looked at again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "time, height or not at all")]
pub enum Wake {
    /// Once the clock reaches this; in the past means now.
    At(SystemTime),
    /// Once the source's newest block is at least this high and the packet's block is final.
    AtHead(BlockNumber),
    /// By another job's or an operator's doing only.
    Never,
}

/// One packet's record in this node.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a plain record that stores rebuild field by field")]
pub struct Job {
    /// `claim.job_id()`.
    pub id: JobId,
    /// Slot and payload.
    pub claim: Claim,
    /// Where it was last seen.
    pub location: Location,
    /// Where it stands.
    pub state: State,
    /// When it wants attention.
    pub wake: Wake,
    /// The send config's confirmations at first sight; the larger of this and a later reading counts.
    pub first_send_confirmations: Option<Confirmations>,
    /// What was signed, from the signed state on.
    pub signed: Option<Signed>,
    /// The destination block in which our verification was read.
    pub attested_in: Option<BlockRef>,
    /// Failures since the last move; paces retries.
    pub attempts: u32,
    /// The last failure in words, without secrets.
    pub last_error: Option<String>,
    /// When it was first seen.
    pub observed_at: SystemTime,
    /// Counts saves; a save of an older version fails.
    pub version: u64,
}

impl Job {
    /// A job as a source first sees it, wanting attention at once.
    #[must_use]
    pub fn observed(claim: Claim, location: Location, now: SystemTime) -> Self {
        Self {
            id: claim.job_id(),
            claim,
            location,
            state: State::Observed,
            wake: Wake::At(now),
            first_send_confirmations: None,
            signed: None,
            attested_in: None,
            attempts: 0,
            last_error: None,
            observed_at: now,
            version: 0,
        }
    }

    /// Applies a move and clears the failure record.
    ///
    /// # Errors
    /// [`IllegalMove`]; the job is unchanged then.
    pub fn apply(&mut self, step: Move, wake: Wake) -> Result<(), IllegalMove> {
        self.state = self.state.apply(step)?;
        self.wake = wake;
        self.attempts = 0;
        self.last_error = None;
        Ok(())
    }

    /// The destination.
    #[must_use]
    pub const fn dst_eid(&self) -> Eid {
        self.claim.header.dst_eid
    }
}

#[cfg(test)]
mod tests;
