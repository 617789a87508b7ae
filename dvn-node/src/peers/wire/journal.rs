use alloy_primitives::B256;
use dvn_core::ports::{JournalHead, JournalId};
use serde::{Deserialize, Serialize};

/// A journal as its node shows it: its name and how far it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(in crate::peers) struct ShownJournal {
    pub(in crate::peers) id: B256,
    pub(in crate::peers) rows: u64,
    /// The newest row's hash; zero without rows.
    pub(in crate::peers) head: B256,
}

impl ShownJournal {
    pub(in crate::peers) const fn new(id: JournalId, head: JournalHead) -> Self {
        Self { id: id.0, rows: head.rows, head: head.hash }
    }
}

/// What a look asks about.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(in crate::peers) struct Look {
    /// The row whose hash the answer is to have.
    pub(in crate::peers) rows: Option<u64>,
}
