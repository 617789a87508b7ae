use std::path::PathBuf;

use alloy_primitives::B256;
use thiserror::Error;

use super::super::Exit;

/// Why a command about the journal was refused.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum JournalCommandError {
    /// There is nothing to begin.
    #[error("there is a journal of {rows} rows already, and it is intact: there is nothing to begin")]
    Exists {
        /// How many rows it has.
        rows: u64,
    },
    /// Something was there before.
    #[error("{found}: if what it knew is lost for good, say so with --accept-loss")]
    Loss {
        /// What was found.
        found: String,
    },
    /// Something was there before, so that the key is not new.
    #[error("{found}: this key may have signed, so that --key-is-new is not true here")]
    NotNew {
        /// What was found.
        found: String,
    },
    /// Rows were edited.
    #[error(
        "rows of this journal were edited, and no flag makes it good: move data_dir away, begin a new one, and bring over \
         what is whole with `journal export` and `journal import`"
    )]
    Edited(#[source] dvn_core::error::JournalError),
    /// An export cannot be used.
    #[error("{} is not a whole export of a journal: {problem}", path.display())]
    Document {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// An export and the journal know two payloads for one slot.
    #[error(
        "packet {guid} has payload {ours} in row {our_row} of this journal, and {theirs} in row {their_row} of the file: one \
         key signed both, or one of the two is forged; nothing was imported"
    )]
    Conflict {
        /// The packet.
        guid: B256,
        /// What the journal knows.
        ours: B256,
        /// Where.
        our_row: u64,
        /// What the file knows.
        theirs: B256,
        /// Where.
        their_row: u64,
    },
    /// An export contradicts itself.
    #[error("{problem}: one key signed both, or the file is forged; nothing was imported")]
    Contradictory {
        /// What does.
        problem: String,
    },
    /// Nobody else has this journal.
    #[error(
        "--replica is for a journal in `postgres` that several processes share: leave it out, and the old mirror is compared"
    )]
    Alone,
    /// A replica that has a mirror is no new one.
    #[error("{} is a mirror already: this replica ran before, leave --replica out and it is compared", path.display())]
    HasMirror {
        /// The file.
        path: PathBuf,
    },
    /// Nothing is to be released.
    #[error("packet {0} is not taken back, or was released since: there is nothing to release")]
    NotTakenBack(B256),
    /// The journal knows nothing of it.
    #[error("packet {0} was never signed by this node")]
    Unsigned(B256),
    /// Only a part could be exported.
    #[error("row {row} is not as it was written: the file holds the rows before it, and nothing from there on")]
    Cut {
        /// The first row that is left out.
        row: u64,
    },
}

impl JournalCommandError {
    /// The exit code's meaning.
    pub(in crate::cli) const fn exit(&self) -> Exit {
        match self {
            Self::NotTakenBack(_) | Self::Unsigned(_) => Exit::Failed,
            Self::Alone => Exit::Usage,
            Self::Exists { .. }
            | Self::Loss { .. }
            | Self::NotNew { .. }
            | Self::Edited(_)
            | Self::Document { .. }
            | Self::Conflict { .. }
            | Self::Contradictory { .. }
            | Self::HasMirror { .. }
            | Self::Cut { .. } => Exit::Refused,
        }
    }
}
