//! What a proxy can do to an answer.

use alloy_primitives::{Address, B256};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::Url;

use super::ForgedBranch;

/// One way to fail or to lie.
///
/// Those that break the transport (`Hang`, `Reset`, `Status` and most kinds of `Hostile`) concern the whole HTTP
/// request, also when only one call of a batch matched; the others concern one call and leave its neighbours alone.
/// In JSON a fault is its name, or an object with its name: `"hang"`, `{ "stale_head": { "blocks": 5 } }`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Fault {
    /// Waits, and then lets the rules behind this one decide.
    Delay {
        /// For how many milliseconds.
        ms: u64,
    },
    /// Never answers, and keeps the connection open.
    Hang,
    /// Closes the connection without an answer.
    Reset,
    /// Answers with this HTTP status and a short text. A WebSocket is closed.
    Status {
        /// The status code.
        code: u16,
        /// The header `Retry-After`, in seconds.
        #[serde(default)]
        retry_after: Option<u64>,
    },
    /// Answers with a JSON-RPC error.
    RpcError {
        /// Its code.
        code: i64,
        /// Its message.
        message: String,
    },
    /// Answers `null`, as a node that does not know.
    Null,
    /// Answers `[]`, as a node that found nothing.
    Empty,
    /// Answers `null` to `eth_getTransactionReceipt` and `eth_getBlockReceipts`.
    NullReceipts,
    /// The node is so many blocks behind: its number, its tags, its logs, and everything above is unknown.
    StaleHead {
        /// By how many blocks.
        blocks: u64,
    },
    /// Leaves logs out of `eth_getLogs` and of receipts: those that match both conditions, or all.
    DropLogs {
        /// Only those of this contract.
        #[serde(default)]
        address: Option<Address>,
        /// Only those with this topic, at any place.
        #[serde(default)]
        topic: Option<B256>,
    },
    /// Sets one value inside the result.
    Mutate {
        /// Where, as a JSON pointer (RFC 6901) from the result; the empty pointer is the result itself. A member that
        /// is missing is added; where its parent is missing nothing happens.
        pointer: String,
        /// What.
        value: Value,
    },
    /// Removes one value inside the result.
    Remove {
        /// Where, as a JSON pointer from the result.
        pointer: String,
    },
    /// Says that this is another chain, to `eth_chainId` and `net_version`.
    ChainId {
        /// Which one.
        id: u64,
    },
    /// The tags `safe` and `finalized` go back, and nothing else.
    RegressFinality {
        /// By how many blocks.
        blocks: u64,
    },
    /// State older than so many blocks is gone: calls, proofs, storage, balances and code at an explicit block fail as
    /// go-ethereum fails without an archive.
    PruneState {
        /// How many blocks below the newest one are kept.
        blocks: u64,
    },
    /// Another node answers.
    Route {
        /// Which one.
        url: Url,
    },
    /// Each call is answered by the next node in turn, as behind a load balancer whose nodes differ.
    Alternate {
        /// The nodes.
        urls: Vec<Url>,
    },
    /// An answer that is made to hurt its reader.
    Hostile {
        /// How.
        kind: Hostile,
    },
    /// The node is on a branch that nobody mined.
    Forge(ForgedBranch),
}

/// Answers that are made to hurt their reader. None of them is held in memory here, however large.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Hostile {
    /// Well-formed, with a result of so many bytes.
    Oversized {
        /// How many.
        bytes: u64,
    },
    /// A body that never ends.
    Endless,
    /// The true answer, one byte a second.
    Slow,
    /// Well-formed, with arrays in arrays.
    Deep {
        /// How many levels.
        levels: u64,
    },
    /// Well-formed and small on the wire, with a result of so many bytes once it is inflated.
    GzipBomb {
        /// How many.
        bytes: u64,
    },
    /// A web page with status 200.
    WrongContentType,
    /// The true answer to another question: its id is not that of the call. Concerns one call.
    WrongId,
    /// The result is `NaN`, which is not JSON. Concerns one call.
    Nan,
    /// The first half of the true answer.
    Truncated,
    /// Text that is not JSON and says that it is.
    NotJson,
}

impl Fault {
    /// Whether the fault concerns the whole HTTP request.
    pub(super) const fn breaks_transport(&self) -> bool {
        match self {
            Self::Hang | Self::Reset | Self::Status { .. } => true,
            Self::Hostile { kind } => !matches!(kind, Hostile::WrongId | Hostile::Nan),
            _ => false,
        }
    }
}
