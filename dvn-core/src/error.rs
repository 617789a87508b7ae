//! What a failure asks of the caller, and the one error of each port.

use std::{error::Error as StdError, fmt, time::Duration};

use crate::{ids::BlockNumber, ports::EvidenceBundle};

/// What a caller does about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "callers match on all of it, without a wildcard")]
pub enum Disposition {
    /// Try again, not before `after`.
    Retry {
        /// The least pause.
        after: Duration,
    },
    /// Do not try the same thing again.
    Reject,
    /// Stop the chain or the key until an operator looks.
    Halt,
}

/// What an error was about: words for people, never secrets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Context {
    /// The chain's name in the configuration.
    pub chain: Option<String>,
    /// The height in question.
    pub block: Option<BlockNumber>,
    /// The key's label or id.
    pub key: Option<String>,
    /// What happened, in one clause.
    pub detail: Option<String>,
    /// The answers behind it, for the record of a halt.
    pub evidence: Option<Box<EvidenceBundle>>,
}

impl fmt::Display for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(detail) = &self.detail {
            write!(f, ": {detail}")?;
        }
        if let Some(chain) = &self.chain {
            write!(f, " (chain {chain})")?;
        }
        if let Some(block) = self.block {
            write!(f, " (block {block})")?;
        }
        if let Some(key) = &self.key {
            write!(f, " (key {key})")?;
        }
        Ok(())
    }
}

/// A cause that an adapter passes along.
pub type Source = Box<dyn StdError + Send + Sync>;

const SOON: Duration = Duration::from_millis(500);
const LATER: Duration = Duration::from_secs(5);

macro_rules! port_error {
    (
        $(#[$doc:meta])* $name:ident, $kind:ident {
            $($(#[$variant_doc:meta])* $variant:ident => $text:literal, $disposition:expr;)+
        }
    ) => {
        #[doc = concat!("The kinds of [`", stringify!($name), "`].")]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $kind { $($(#[$variant_doc])* $variant,)+ }

        impl $kind {
            /// A stable name for metrics and logs.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => stringify!($variant),)+ }
            }

            /// What a caller does about it.
            #[must_use]
            pub const fn disposition(self) -> Disposition {
                match self { $(Self::$variant => $disposition,)+ }
            }
        }

        $(#[$doc])*
        #[derive(Debug)]
        pub struct $name { kind: $kind, context: Box<Context>, source: Option<Source> }

        impl $name {
            /// An error of this kind, without context.
            #[must_use]
            pub fn new(kind: $kind) -> Self {
                Self { kind, context: Box::default(), source: None }
            }

            /// Names the chain.
            #[must_use]
            pub fn chain(mut self, name: impl Into<String>) -> Self {
                self.context.chain = Some(name.into());
                self
            }

            /// Names the height.
            #[must_use]
            pub fn block(mut self, number: BlockNumber) -> Self {
                self.context.block = Some(number);
                self
            }

            /// Names the key, by label and never by value.
            #[must_use]
            pub fn key(mut self, label: impl Into<String>) -> Self {
                self.context.key = Some(label.into());
                self
            }

            /// Says what happened, in a lower-case clause without secrets.
            #[must_use]
            pub fn because(mut self, detail: impl Into<String>) -> Self {
                self.context.detail = Some(detail.into());
                self
            }

            /// Adds the answers that show it.
            #[must_use]
            pub fn shown_by(mut self, evidence: Option<EvidenceBundle>) -> Self {
                self.context.evidence = evidence.map(Box::new);
                self
            }

            /// The answers that show it, if there are any.
            #[must_use]
            pub fn evidence(&self) -> Option<&EvidenceBundle> {
                self.context.evidence.as_deref()
            }

            /// Passes the cause along.
            #[must_use]
            pub fn caused_by(mut self, source: impl Into<Source>) -> Self {
                self.source = Some(source.into());
                self
            }

            /// The class of the failure.
            #[must_use]
            pub const fn kind(&self) -> $kind {
                self.kind
            }

            /// What the failure was about.
            #[must_use]
            pub fn context(&self) -> &Context {
                &self.context
            }

            /// What a caller does about it.
            #[must_use]
            pub const fn disposition(&self) -> Disposition {
                self.kind.disposition()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self.kind { $($kind::$variant => $text,)+ })?;
                fmt::Display::fmt(&self.context, f)
            }
        }

        impl StdError for $name {
            fn source(&self) -> Option<&(dyn StdError + 'static)> {
                self.source.as_deref().map(|source| source as _)
            }
        }
    };
}

port_error! {
    /// Why a [`ChainSource`](crate::ports::ChainSource) could not say more.
    ChainSourceError, ChainSourceErrorKind {
        /// Fewer seats than the threshold answered.
        Missing => "too few seats answered", Disposition::Retry { after: SOON };
        /// Two well-formed different answers about one final fact.
        Contradiction => "seats contradict each other", Disposition::Halt;
        /// The store of finalized hashes failed.
        Store => "finalized hashes could not be read or written", Disposition::Retry { after: SOON };
        /// The chain is halted.
        Halted => "chain is halted", Disposition::Retry { after: LATER };
        /// Cannot happen.
        Bug => "broken invariant in the chain source, please report it", Disposition::Halt;
    }
}

port_error! {
    /// Why a [`Verifier`](crate::ports::Verifier) came to no result.
    VerifyError, VerifyErrorKind {
        /// Fewer seats than the threshold gave a usable answer.
        Missing => "too few seats answered", Disposition::Retry { after: SOON };
        /// Enough seats answer again, and have not done so for long enough yet.
        Recovering => "too few seats answered until a moment ago", Disposition::Retry { after: LATER };
        /// Two well-formed different answers about one final fact.
        Contradiction => "seats contradict each other", Disposition::Halt;
        /// The store of finalized hashes failed.
        Store => "finalized hashes could not be read or written", Disposition::Retry { after: SOON };
        /// The chain is not one of this verifier's.
        Foreign => "not a chain of this verifier", Disposition::Reject;
        /// Cannot happen.
        Bug => "broken invariant in the verifier, please report it", Disposition::Halt;
    }
}

port_error! {
    /// Why a [`Signer`](crate::ports::Signer) gave no signature.
    SignError, SignErrorKind {
        /// A passing failure of the device or the way to it.
        Unavailable => "signing device is not available", Disposition::Retry { after: SOON };
        /// The device took longer than allowed.
        Timeout => "signing device did not answer in time", Disposition::Retry { after: SOON };
        /// The device asks for patience.
        Throttled => "signing device is throttling", Disposition::Retry { after: LATER };
        /// PIN, credentials or rights are refused; trying again may lock the device.
        Auth => "signing device refused the credentials", Disposition::Halt;
        /// The key is missing, ambiguous, of another curve, or may not sign.
        Key => "signing key cannot be used", Disposition::Halt;
        /// The device returned a signature that is not this key's over this digest.
        Integrity => "signing device returned a wrong signature", Disposition::Halt;
        /// Cannot happen.
        Bug => "broken invariant in the signer, please report it", Disposition::Halt;
    }
}

port_error! {
    /// Why a [`Submitter`](crate::ports::Submitter) failed.
    SubmitError, SubmitErrorKind {
        /// Fewer seats than the threshold gave a usable answer.
        Missing => "too few seats answered", Disposition::Retry { after: SOON };
        /// Two well-formed different answers about one final fact.
        Contradiction => "seats contradict each other", Disposition::Halt;
        /// The fee that the chain wants is above the configured cap; work stays queued.
        FeeCap => "fees are above the configured cap", Disposition::Retry { after: LATER };
        /// What may be spent in 24 hours is spent; work stays queued.
        Budget => "daily budget is used up", Disposition::Retry { after: LATER };
        /// The sender cannot pay; work stays queued.
        Underfunded => "sender balance is too low", Disposition::Retry { after: LATER };
        /// The sender's key failed.
        Signer => "sender key failed", Disposition::Retry { after: LATER };
        /// The outbox failed; nothing was broadcast that is not durable.
        Store => "outbox could not be read or written", Disposition::Retry { after: SOON };
        /// The node refuses the transaction or its simulation fails.
        Rejected => "destination refused the transaction", Disposition::Retry { after: LATER };
        /// Cannot happen.
        Bug => "broken invariant in the submitter, please report it", Disposition::Halt;
    }
}

port_error! {
    /// Why a [`Cosigner`](crate::ports::Cosigner) gave no signature.
    CosignError, CosignErrorKind {
        /// Real so far, not deep or final enough in the cosigner's own view, or signed with other confirmations that
        /// have not expired yet.
        NotYet => "packet may not be signed yet", Disposition::Retry { after: SOON };
        /// The cosigner could not be reached or could not verify.
        Unavailable => "cosigner is not available", Disposition::Retry { after: SOON };
        /// The cosigner's source or destination is halted.
        Halted => "chain is halted", Disposition::Retry { after: LATER };
        /// The cosigner's own look at the packet does not support the proposal.
        Refused => "cosigner refused the proposal", Disposition::Reject;
        /// Another payload was signed for the slot.
        Equivocation => "slot is already signed otherwise", Disposition::Reject;
        /// The cosigner's verifier saw a contradiction.
        Contradiction => "seats contradict each other", Disposition::Halt;
        /// The key failed for good.
        Key => "attesting key cannot be used", Disposition::Halt;
        /// Cannot happen.
        Bug => "broken invariant in the cosigner, please report it", Disposition::Halt;
    }
}

port_error! {
    /// Why the [`Journal`](crate::ports::Journal) did not take an intent.
    JournalError, JournalErrorKind {
        /// The slot already has another payload.
        Equivocation => "slot was already signed with another payload", Disposition::Reject;
        /// The same payload is out with other confirmations and has not expired.
        Confirmations => "slot is signed with other confirmations that have not expired", Disposition::Reject;
        /// Too little room is left on the disk to sign anything; what else must be recorded still has some.
        NoSpace => "too little disk space is left to sign", Disposition::Retry { after: LATER };
        /// The database failed; nothing may be signed.
        Storage => "journal could not be written", Disposition::Retry { after: SOON };
        /// The chain of rows is broken or shortened.
        Tampered => "journal is not intact", Disposition::Halt;
        /// Nobody has begun a journal here, or it is gone.
        Missing => "there is no journal", Disposition::Halt;
    }
}

port_error! {
    /// Why a durable port failed: jobs, cursors, finalized hashes, halts, outbox, evidence, audit log, leases.
    StoreError, StoreErrorKind {
        /// The database failed or is not reachable.
        Storage => "store could not be read or written", Disposition::Retry { after: SOON };
        /// Somebody else saved a newer version; load again.
        Conflict => "record was changed by somebody else", Disposition::Retry { after: Duration::ZERO };
        /// A row does not read back as what was written.
        Corrupt => "store holds a record that cannot be read", Disposition::Halt;
        /// A hash differs from the one recorded for the same final height.
        FinalityChanged => "a final block's hash changed", Disposition::Halt;
    }
}

port_error! {
    /// Why a [`JobQueue`](crate::ports::JobQueue) failed. Losing the queue loses nothing: the sweeper refills it.
    QueueError, QueueErrorKind {
        /// The queue is full; the sweeper brings the job back.
        Full => "queue is full", Disposition::Retry { after: SOON };
        /// The queue cannot be reached.
        Unavailable => "queue is not available", Disposition::Retry { after: SOON };
        /// The queue was closed for the stop.
        Closed => "queue is closed", Disposition::Reject;
    }
}
