use alloy::primitives::Bytes;
use thiserror::Error;

use super::RedactedUrl;

/// Why a seat gave no usable answer. Texts come from the seat, shortened and without its URL.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SeatError {
    /// No answer in time.
    #[error("no answer in time")]
    Timeout,
    /// The connection failed.
    #[error("connection failed: {0}")]
    Connection(String),
    /// An HTTP status instead of an answer.
    #[error("HTTP status {0}")]
    Http(u16),
    /// The node says that the call failed.
    #[error("node says {code}: {message}")]
    Node {
        /// JSON-RPC error code.
        code: i64,
        /// The node's words.
        message: String,
        /// What a reverted call returned.
        data: Option<Bytes>,
    },
    /// Not the answer to what was asked, or one that contradicts itself.
    #[error("malformed answer: {0}")]
    Malformed(String),
    /// It sent more than the call may return.
    #[error("answer is longer than {0} bytes")]
    TooLong(usize),
    /// It was not asked: the calls that its daily budget allows are used up until midnight UTC.
    #[error("daily budget of {0} calls is used up until midnight UTC")]
    Budget(u64),
    /// It answers for another chain than the configured one.
    #[error("is on another chain: {0}")]
    Foreign(String),
    /// Its own final block went back, so that its word about finality is worth nothing until it is where it was.
    #[error("its final block went back from {from} to {to}")]
    Regressed {
        /// The highest that it ever called final.
        from: u64,
        /// What it calls final now.
        to: u64,
    },
}

/// "Limit exceeded" of EIP-1474.
const LIMIT_EXCEEDED: i64 = -32_005;
/// "Method not found" of JSON-RPC 2.0.
const METHOD_NOT_FOUND: i64 = -32_601;
/// geth's code for a reverted call.
const REVERTED: i64 = 3;

impl SeatError {
    pub(crate) fn malformed(what: impl Into<String>) -> Self {
        Self::Malformed(what.into())
    }

    /// A stable word for metrics.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Connection(_) => "connection",
            Self::Http(_) => "http",
            Self::Node { .. } => "error",
            Self::Malformed(_) | Self::TooLong(_) => "malformed",
            Self::Budget(_) => "budget",
            Self::Foreign(_) => "foreign_chain",
            Self::Regressed { .. } => "finality_regress",
        }
    }

    /// Whether a contract reverted: an answer about the chain's state, not a failure of the node.
    pub(crate) fn is_revert(&self) -> bool {
        match self {
            Self::Node { code, message, .. } => *code == REVERTED || message.to_ascii_lowercase().contains("revert"),
            _ => false,
        }
    }

    /// Whether the node lacks the method.
    pub(crate) fn is_unknown_method(&self) -> bool {
        const WORDS: [&str; 4] =
            ["method not found", "does not exist/is not available", "method not supported", "unsupported method"];
        match self {
            Self::Node { code, message, .. } => *code == METHOD_NOT_FOUND || mentions(message, &WORDS),
            _ => false,
        }
    }

    /// Whether the node does not keep the state that was asked for any more.
    pub(crate) fn is_pruned(&self) -> bool {
        const WORDS: [&str; 6] = [
            "missing trie node",
            "state is not available",
            "state not available",
            "historical state",
            "is pruned",
            "distance to target block exceeds",
        ];
        matches!(self, Self::Node { message, .. } if mentions(message, &WORDS))
    }

    /// Whether the way to the node broke, so that somebody else may answer next.
    pub(crate) const fn breaks_session(&self) -> bool {
        matches!(self, Self::Timeout | Self::Connection(_) | Self::Http(_))
    }

    /// Whether the node wants a smaller range of blocks.
    pub(crate) fn is_too_large(&self) -> bool {
        const WORDS: [&str; 12] = [
            "range",
            "too many",
            "too large",
            "too big",
            "limit exceeded",
            "exceeds the limit",
            "exceed maximum",
            "response size",
            "query returned more than",
            "up to a",
            "query timeout",
            "gap between",
        ];
        // A rate limit is no matter of size: asking for less at a time would mean asking more often.
        const RATE: [&str; 3] = ["rate", "too many requests", "per second"];
        match self {
            Self::Http(413) | Self::TooLong(_) => true,
            Self::Node { message, .. } if mentions(message, &RATE) => false,
            Self::Node { code, message, .. } => *code == LIMIT_EXCEEDED || mentions(message, &WORDS),
            _ => false,
        }
    }

    /// Whether the node has the transaction already, or one like it was mined: a broadcast that did no harm.
    pub(crate) fn is_known_transaction(&self) -> bool {
        const WORDS: [&str; 5] =
            ["already known", "already imported", "already exists", "nonce too low", "known transaction"];
        matches!(self, Self::Node { message, .. } if mentions(message, &WORDS))
    }

    pub(super) fn scrubbed(self, url: &RedactedUrl) -> Self {
        match self {
            Self::Timeout
            | Self::Http(_)
            | Self::TooLong(_)
            | Self::Budget(_)
            | Self::Foreign(_)
            | Self::Regressed { .. } => self,
            Self::Connection(text) => Self::Connection(url.scrub(&text)),
            Self::Node { code, message, data } => Self::Node { code, message: url.scrub(&message), data },
            Self::Malformed(text) => Self::Malformed(url.scrub(&text)),
        }
    }
}

fn mentions(message: &str, words: &[&str]) -> bool {
    let message = message.to_ascii_lowercase();
    words.iter().any(|word| message.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(code: i64, message: &str) -> SeatError {
        SeatError::Node { code, message: message.to_owned(), data: None }
    }

    #[test]
    fn nodes_ask_for_less_in_many_words() {
        for (code, message) in [
            (-32005, "query returned more than 10000 results"),
            (-32602, "eth_getLogs is limited to a 10,000 range"),
            (-32000, "exceed maximum block range: 5000"),
            (-32600, "You can make eth_getLogs requests with up to a 500 block range"),
            (-32000, "logs matched by query exceeds limit of 10000: too many logs"),
            (-32602, "Filter error: the gap between from and to epoch is larger than 1000"),
        ] {
            assert!(node(code, message).is_too_large(), "{message}");
        }
        assert!(!node(-32005, "daily request rate exceeded").is_too_large());
        assert!(!node(-32000, "header not found").is_too_large());
    }

    #[test]
    fn a_revert_is_told_from_a_failure() {
        assert!(node(3, "execution reverted").is_revert());
        assert!(node(-32015, "Transaction reverted").is_revert());
        assert!(!node(-32000, "header not found").is_revert());
        assert!(!SeatError::Timeout.is_revert());
    }
}
