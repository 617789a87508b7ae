//! Why one attempt failed, with the class that reaches the caller.

use std::{fmt, time::Duration};

use dvn_core::error::{SignError, SignErrorKind};
use thiserror::Error;

/// One failed attempt. The cause is a clause for people and never holds a secret: what a service answers in words may
/// repeat our own headers and is left out by those who make this.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    kind: SignErrorKind,
    cause: String,
    after: Duration,
    is_corruption: bool,
}

impl Failure {
    /// A failure of this class.
    pub(crate) fn new(kind: SignErrorKind, cause: impl Into<String>) -> Self {
        Self { kind, cause: cause.into(), after: Duration::ZERO, is_corruption: false }
    }

    /// A passing failure of the service or the way to it.
    pub(crate) fn unavailable(cause: impl Into<String>) -> Self {
        Self::new(SignErrorKind::Unavailable, cause)
    }

    /// An answer, or our request, that was changed on the way, as its checksum tells: once that happens, and is then
    /// `Integrity`.
    #[cfg(any(feature = "gcp_kms", test))]
    pub(crate) fn corrupted(cause: impl Into<String>) -> Self {
        Self { is_corruption: true, ..Self::new(SignErrorKind::Integrity, cause) }
    }

    /// With the pause that the service asks for.
    pub(crate) fn after(mut self, pause: Option<Duration>) -> Self {
        self.after = pause.unwrap_or_default();
        self
    }

    /// Its class.
    pub(crate) const fn kind(&self) -> SignErrorKind {
        self.kind
    }

    /// The least pause before another attempt.
    pub(super) const fn asked_pause(&self) -> Duration {
        self.after
    }

    /// Whether another attempt may succeed. A refused right or a missing key stays what it is, and a wrong signature
    /// must be seen by people.
    pub(super) const fn is_passing(&self) -> bool {
        matches!(self.kind(), SignErrorKind::Unavailable | SignErrorKind::Timeout | SignErrorKind::Throttled)
    }

    /// Whether it was changed on the way, for which one other attempt is made.
    pub(super) const fn is_corruption(&self) -> bool {
        self.is_corruption
    }

    /// Whether the service is out of order, for all that is known.
    pub(super) const fn is_outage(&self) -> bool {
        matches!(self.kind(), SignErrorKind::Unavailable | SignErrorKind::Timeout)
    }

    /// The port's error, with the cause behind it.
    pub(crate) fn into_error(self, key: &str) -> SignError {
        SignError::new(self.kind).key(key).caused_by(Cause(self.cause))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.cause)
    }
}

#[derive(Debug, Error)]
#[error("{0}")]
struct Cause(String);
