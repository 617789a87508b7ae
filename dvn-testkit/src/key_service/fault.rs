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
        /// The pause that it asks for, in the header that it has for this.
        retry_after_ms: Option<u64>,
    },
    /// What the service says when an account asks too often.
    Throttling,
    /// A page of something in between, with this status.
    Html(u16),
    /// No answer, ever.
    Hang,
    /// A good answer of which the end is missing.
    Truncated,
    /// A good answer without its signature.
    Empty,
    /// A good answer that names another key.
    OtherName,
    /// A signature with a high s.
    HighS,
    /// A signature whose r begins with a zero byte, so that its DER is shorter than usual.
    Short,
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
    pub const fn throttling() -> Self {
        Self::Throttling
    }

    /// Throttling in the service's own word.
    pub(crate) fn in_words(self, status: u16, code: &str) -> Self {
        if self == Self::Throttling { Self::error(status, code) } else { self }
    }
}

/// The faults that wait for their requests; a service may have more kinds of them.
#[derive(Debug)]
pub(crate) struct Rules<F = Fault>(Vec<Rule<F>>);

impl<F> Default for Rules<F> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<F: Clone> Rules<F> {
    pub(crate) fn push(&mut self, rule: Rule<F>) {
        self.0.push(rule);
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// What goes wrong with this action, if a rule says so. Its turn is used up.
    pub(crate) fn fault(&mut self, action: &str) -> Option<F> {
        let mut rules = self.0.iter_mut();
        let rule = rules.find_map(|rule| rule.fires(action).then_some(rule))?;
        Some(rule.fault.clone())
    }
}

/// A fault for some requests.
#[derive(Debug)]
pub(crate) struct Rule<F = Fault> {
    action: String,
    left: u32,
    fault: F,
}

impl<F> Rule<F> {
    pub(crate) fn new(action: &str, times: u32, fault: F) -> Self {
        Self { action: action.to_owned(), left: times, fault }
    }

    /// Whether it is for this request, which then counts.
    fn fires(&mut self, action: &str) -> bool {
        let fires = self.action == action && self.left > 0;
        if fires {
            self.left = self.left.saturating_sub(1);
        }
        fires
    }
}
