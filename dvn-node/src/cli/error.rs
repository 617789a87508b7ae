use std::{
    error::Error,
    io::{self, Write},
    process::ExitCode,
};

use dvn_core::error::{JournalError, SignError, StoreError};
use dvn_hsm::provision::ProvisionError;
use dvn_store::{MirrorError, OpenError};
use thiserror::Error;

use super::{AuditCommandError, JournalCommandError, StoreCommandError};
use crate::{
    config::LoadError,
    run::{self, RunError},
};

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a contract with scripts")]
pub enum Exit {
    /// It is done.
    Done,
    /// It failed.
    Failed,
    /// The command line or the configuration is wrong.
    Usage,
    /// It was refused for safety: a halt, the journal, another key.
    Refused,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::Refused => 3,
        })
    }
}

/// Why a command failed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CliError {
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] LoadError),
    /// The store cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The journal failed.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A command about the audit log was refused.
    #[error(transparent)]
    AuditCommand(#[from] AuditCommandError),
    /// A command about the journal was refused.
    #[error(transparent)]
    JournalCommand(#[from] JournalCommandError),
    /// A command about the store was refused.
    #[error(transparent)]
    StoreCommand(#[from] StoreCommandError),
    /// The journal's mirror cannot be used, or does not go with the journal.
    #[error(transparent)]
    Mirror(#[from] MirrorError),
    /// The node failed.
    #[error(transparent)]
    Run(#[from] RunError),
    /// A key does not sign as it should.
    #[error("{path}: the key failed its self-test")]
    Selftest {
        /// Where the key is configured.
        path: String,
        /// Why.
        source: SignError,
    },
    /// No key was made.
    #[error("hsm: the key was not made")]
    Provision(#[from] ProvisionError),
    /// There is no device that could make one.
    #[error("hsm: a development key is given to the node, which does not make one: any 32 random bytes in hex will do")]
    NoDevice,
    /// Neither guid nor transaction.
    #[error("name a packet by its guid, or by --tx and the source transaction")]
    NoQuery,
    /// The store knows nothing of it.
    #[error("no packet {0} in the store")]
    UnknownPacket(String),
    /// The configuration has no such chain.
    #[error("no chain {name} in the configuration; there are: {known}")]
    UnknownChain {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// There is nothing to clear.
    #[error("no halt stands for {0}")]
    NotHalted(String),
    /// The halt was raised without a document.
    #[error("the halt of {0} has no evidence: it was raised by hand or by an older release")]
    NoEvidence(String),
    /// Nothing is missing before the packet.
    #[error("nothing is known to be missing before packet {0}")]
    NoGap(String),
    /// More is missing than a word can explain.
    #[error("more than {most} packets are missing before packet {guid}; look for what hides them")]
    LargeGap {
        /// The packet.
        guid: String,
        /// The bound.
        most: u64,
    },
    /// The answer cannot be written, or the operating system failed.
    #[error("input or output failed")]
    Io(#[from] io::Error),
}

impl CliError {
    /// The exit code's meaning.
    #[must_use]
    pub const fn exit(&self) -> Exit {
        match self {
            Self::Config(_) | Self::NoQuery | Self::UnknownChain { .. } | Self::NoDevice => Exit::Usage,
            Self::Provision(ProvisionError::KeyExists(_)) => Exit::Refused,
            Self::Run(error) => error.exit(),
            Self::Journal(_) | Self::Selftest { .. } => Exit::Refused,
            Self::JournalCommand(error) => error.exit(),
            Self::AuditCommand(error) => error.exit(),
            Self::StoreCommand(error) => error.exit(),
            Self::Open(OpenError::Unsafe { .. }) => Exit::Refused,
            Self::Mirror(error) if run::is_refusal(error) => Exit::Refused,
            Self::LargeGap { .. } => Exit::Refused,
            Self::Provision(_)
            | Self::Open(_)
            | Self::Store(_)
            | Self::Mirror(_)
            | Self::UnknownPacket(_)
            | Self::NotHalted(_)
            | Self::NoEvidence(_)
            | Self::NoGap(_)
            | Self::Io(_) => Exit::Failed,
        }
    }

    /// Writes it with its causes.
    ///
    /// # Errors
    /// Whatever the writer says.
    pub fn write_to(&self, err: &mut dyn Write) -> io::Result<()> {
        write!(err, "error: {self}")?;
        let mut cause = self.source();
        while let Some(error) = cause {
            write!(err, ": {error}")?;
            cause = error.source();
        }
        writeln!(err)
    }
}
