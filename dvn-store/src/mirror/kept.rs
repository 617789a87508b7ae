//! What a mirror keeps, and what it says of a journal.

use std::path::Path;

use alloy_primitives::B256;
use dvn_core::{
    error::{JournalError, JournalErrorKind},
    ports::{Journal, JournalHead, JournalId},
};

/// A head with the name of the journal whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_structs, reason = "a plain pair")]
pub struct KeptHead {
    /// The journal's name.
    pub journal: JournalId,
    /// Its head when it was written.
    pub head: JournalHead,
}

const ADVICE: &str = "put the newest copy of data_dir back, or accept the loss with `dvn-node --config FILE journal init \
                      --accept-loss --reason TEXT`, which signs nothing until what was signed has expired";

/// What a journal and its mirror say of each other.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "callers match on all of it, without a wildcard")]
pub enum Comparison {
    /// The head in the mirror is a row of the journal.
    Fits {
        /// Rows that are newer than the mirror, as a crash or a command beside the node leaves them.
        newer: u64,
    },
    /// The journal never had a mirror.
    New,
    /// There is neither.
    Nothing,
    /// The mirror is gone.
    MirrorGone {
        /// Where it was.
        place: String,
    },
    /// The journal is gone.
    JournalGone {
        /// What the mirror knows of it.
        kept: KeptHead,
    },
    /// The journal has fewer rows than it once had: an older copy was put in its place, or rows were cut off.
    Shortened {
        /// What the mirror knows of it.
        kept: JournalHead,
        /// What there is.
        rows: u64,
    },
    /// The journal has another row where the mirror's is: it went on from an older copy, or was made anew.
    Forked {
        /// What the mirror knows of it.
        kept: JournalHead,
        /// The hash of the row that is there.
        found: B256,
    },
    /// The mirror is another journal's, or this one was begun anew beside it.
    Another {
        /// The journal that the mirror is of.
        kept: JournalId,
        /// The one that is there.
        found: JournalId,
    },
}

impl Comparison {
    /// Compares a journal with what a mirror keeps. The rows between are not looked at; [`Journal::verify`] does that.
    ///
    /// # Errors
    /// [`JournalError`] where the journal cannot be read, or the row in question was edited.
    pub async fn of(journal: &dyn Journal, kept: Option<KeptHead>) -> Result<Self, JournalError> {
        let state = match journal.state().await {
            Ok(state) => state,
            Err(error) if error.kind() == JournalErrorKind::Missing => {
                return Ok(Self::without_journal(kept));
            }
            Err(error) => return Err(error),
        };
        let Some(KeptHead { journal: name, head: kept }) = kept else {
            return Ok(state.mirror.map_or(Self::New, |place| Self::MirrorGone { place }));
        };
        if name != state.id {
            return Ok(Self::Another { kept: name, found: state.id });
        }
        let rows = journal.head().await?.rows;
        let Some(newer) = rows.checked_sub(kept.rows) else {
            return Ok(Self::Shortened { kept, rows });
        };
        let found = hash_of(journal, kept.rows).await?;
        Ok(if found == kept.hash { Self::Fits { newer } } else { Self::Forked { kept, found } })
    }

    /// What a mirror says where there is no journal.
    #[must_use]
    pub fn without_journal(kept: Option<KeptHead>) -> Self {
        kept.map_or(Self::Nothing, |kept| Self::JournalGone { kept })
    }

    /// Refuses everything that says that the journal may have forgotten what was signed.
    ///
    /// # Errors
    /// [`JournalErrorKind::Tampered`] or [`JournalErrorKind::Missing`], with what to do.
    pub fn accept(self, path: &Path) -> Result<(), JournalError> {
        let path = path.display();
        let refused = |kind, detail: String| Err(JournalError::new(kind).because(detail));
        let tampered = |detail: String| refused(JournalErrorKind::Tampered, format!("{detail}; {ADVICE}"));
        match self {
            Self::Fits { .. } | Self::New => Ok(()),
            Self::Nothing => refused(
                JournalErrorKind::Missing,
                "nobody has begun one in data_dir; `dvn-node --config FILE journal init --reason TEXT` does, and \
                 docs/journal.md says what to consider"
                    .to_owned(),
            ),
            Self::JournalGone { kept } => refused(
                JournalErrorKind::Missing,
                format!("its mirror {path} knows one of {} rows; {ADVICE}", kept.head.rows),
            ),
            Self::MirrorGone { place } => tampered(format!(
                "its mirror {path} is gone, which was last kept at {place}: mount its disk, or, if \
                 `signing.journal_mirror` was changed, run `dvn-node --config FILE journal mirror --reason TEXT`"
            )),
            Self::Shortened { kept, rows } => {
                tampered(format!("it has {rows} rows, and had {} when its mirror {path} was written", kept.rows))
            }
            Self::Forked { kept, found } => tampered(format!(
                "its row {} has hash {found}, and had {} when its mirror {path} was written",
                kept.rows, kept.hash
            )),
            Self::Another { kept, found } => {
                tampered(format!("it is {found}, and its mirror {path} is that of journal {kept}"))
            }
        }
    }
}

/// The hash of a row that is there; zero before the first.
async fn hash_of(journal: &dyn Journal, row: u64) -> Result<B256, JournalError> {
    if row == 0 {
        return Ok(B256::ZERO);
    }
    let missing = || JournalError::new(JournalErrorKind::Tampered).because(format!("row {row} is missing"));
    journal.row(row).await?.map(|found| found.row_hash).ok_or_else(missing)
}
