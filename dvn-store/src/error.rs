//! Why a store could not be opened, and how the database's failures become the ports' errors.

use std::{io, path::PathBuf};

use dvn_core::error::{JournalError, JournalErrorKind, Source, StoreError, StoreErrorKind};

use crate::postgres::Unsafe;

/// Why a store could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The folder cannot be made or written to.
    #[error("data_dir {path} cannot be used; it has to be a folder that this process may write")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Another process holds the folder.
    #[error("another dvn-node uses this data_dir ({path}); stop it, or give this one its own folder")]
    Locked {
        /// The folder.
        path: PathBuf,
    },
    /// There is nothing to read yet.
    #[error("there is no store in data_dir {path}; `dvn-node --config FILE journal init --reason TEXT` makes one")]
    Missing {
        /// The folder.
        path: PathBuf,
    },
    /// The store was written by a newer release.
    #[error("store has schema {found}, this release knows {known}; use the release that wrote it, or a newer one")]
    Newer {
        /// The store's schema.
        found: i64,
        /// This release's.
        known: i64,
    },
    /// The store was written by an older release and not yet brought up to date.
    #[error("store has schema {found}, this release needs {known}; `dvn-node run` brings it up to date")]
    Older {
        /// The store's schema, 0 where there is none.
        found: i64,
        /// This release's.
        known: i64,
    },
    /// The schema that the store was made with is not the one this release knows by the same number.
    #[error("store's schema was changed by hand or by another build")]
    Schema(#[source] Source),
    /// There is nothing in the database yet.
    #[error(
        "there is no store in database {database} of PostgreSQL at {host}; `dvn-node --config FILE journal init --reason TEXT` \
         makes one"
    )]
    Absent {
        /// `postgres.database`.
        database: String,
        /// `postgres.host`.
        host: String,
    },
    /// The server would forget what it promised, so that a journal on it is none.
    #[error("postgres: {problem}")]
    Unsafe {
        /// What is wrong with it, and what to do.
        problem: String,
    },
    /// The database failed.
    #[error("store's database could not be opened")]
    Database(#[source] Source),
}

impl OpenError {
    pub(crate) fn of_database(error: sqlx::Error) -> Self {
        match error {
            sqlx::Error::Configuration(problem) if problem.is::<Unsafe>() => {
                Self::Unsafe { problem: problem.to_string() }
            }
            error => Self::Database(error.into()),
        }
    }
}

/// A failure of the database as the durable ports report it.
pub(crate) fn storage(error: sqlx::Error) -> StoreError {
    StoreError::new(StoreErrorKind::Storage).caused_by(error)
}

/// As [`storage`], with a second record where only one may be as a conflict.
pub(crate) fn conflict(error: sqlx::Error, detail: &str) -> StoreError {
    if error.as_database_error().is_some_and(|error| error.is_unique_violation()) {
        return StoreError::new(StoreErrorKind::Conflict).because(detail).caused_by(error);
    }
    storage(error)
}

/// A failure of the database as the journal reports it: what the constraints refuse is an equivocation.
pub(crate) fn journal(error: sqlx::Error) -> JournalError {
    let refused = error.as_database_error().is_some_and(|error| {
        error.is_foreign_key_violation() || error.is_unique_violation() || error.message().starts_with("equivocation")
    });
    let kind = if refused { JournalErrorKind::Equivocation } else { JournalErrorKind::Storage };
    JournalError::new(kind).caused_by(error)
}
