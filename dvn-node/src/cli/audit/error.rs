use std::path::PathBuf;

use thiserror::Error;

use crate::cli::Exit;

/// Why a command about the audit log was refused.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AuditCommandError {
    /// The log is not what was written.
    #[error("the audit log was tampered with: {0}")]
    Tampered(String),
    /// The kept head cannot be read.
    #[error(
        "the audit log's head in {} cannot be read: it was edited, or the path is another file's; compare with another head by \
         --head FILE", path.display()
    )]
    Head {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The archive is there already.
    #[error("{} is there already; rows go to a new file, since an old one may be the only copy of others", .0.display())]
    Exists(PathBuf),
    /// The archive does not hold what was written to it.
    #[error("line {line} of {} does not read back as it was written; nothing was removed", path.display())]
    Archive {
        /// The file.
        path: PathBuf,
        /// Which line, from 1.
        line: u64,
    },
}

impl AuditCommandError {
    /// The exit code's meaning.
    pub(in crate::cli) const fn exit(&self) -> Exit {
        match self {
            Self::Tampered(_) | Self::Head { .. } => Exit::Refused,
            Self::Exists(_) | Self::Archive { .. } => Exit::Failed,
        }
    }
}
