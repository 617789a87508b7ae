//! What may go wrong with an answer.

/// What a request is answered with in place of the truth.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// An error of the service.
    Error {
        /// HTTP status.
        status: u16,
        /// The service's word for it.
        code: String,
        /// The header `x-acs-retry-after`.
        retry_after_ms: Option<u64>,
    },
    /// A page of something in between, with this status.
    Html(u16),
    /// No answer, ever.
    Hang,
    /// A good answer of which the end is missing.
    Truncated,
    /// A good answer without its `Value`.
    Empty,
    /// A signature with a high s.
    HighS,
    /// A signature as 64 bytes, without DER.
    Bare,
    /// A signature over another digest.
    OtherDigest,
    /// A signature of another key.
    OtherKey,
    /// Every signature with one nonce.
    OneNonce,
    /// Bytes that are no signature.
    Noise,
}

impl Fault {
    /// An error of the service, as in `Fault::error(403, "Forbidden.NoPermission")`.
    #[must_use]
    pub fn error(status: u16, code: &str) -> Self {
        Self::Error { status, code: code.to_owned(), retry_after_ms: None }
    }

    /// What the service says when an account asks too often.
    #[must_use]
    pub fn throttling() -> Self {
        Self::error(400, "Throttling.User")
    }
}

/// A fault for some requests.
#[derive(Debug)]
pub(super) struct Rule {
    action: String,
    left: u32,
    pub(super) fault: Fault,
}

impl Rule {
    pub(super) fn new(action: &str, times: u32, fault: Fault) -> Self {
        Self { action: action.to_owned(), left: times, fault }
    }

    /// Whether it is for this request, which then counts.
    pub(super) fn fires(&mut self, action: &str) -> bool {
        let fires = self.action == action && self.left > 0;
        if fires {
            self.left = self.left.saturating_sub(1);
        }
        fires
    }
}
