//! What all servers of others have in common that tests start, freeze and kill.
//!
//! A server is a process with children of its own and a folder. It ends when its value is dropped, and also when this
//! process ends in any other way: a small watcher sees that and kills what is left.

use std::{io, path::PathBuf, time::Duration};

mod account;
mod guard;
mod ports;
mod process;
mod programs;
pub(crate) mod stopping;
mod tree;

pub(crate) use account::Account;
pub(crate) use ports::free_port;
pub(crate) use process::{Process, Start};
pub(crate) use programs::find;

/// How long a server may take to start or to end before that is an error.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// How often it is looked at meanwhile.
pub(crate) const POLL: Duration = Duration::from_millis(5);

/// Why a server could not be started, or told to do something.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// Its programs are not installed.
    #[error("{program} is not installed; on Debian the package is {package}")]
    Missing {
        /// The program that was looked for.
        program: &'static str,
        /// Where it comes from.
        package: &'static str,
    },
    /// A folder or file of it cannot be used.
    #[error("cannot use {}", path.display())]
    Io {
        /// Which one.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A program cannot be run, or not be signalled.
    #[error("{program} cannot be run or signalled")]
    Process {
        /// Which one.
        program: String,
        /// What the system said.
        source: io::Error,
    },
    /// A program or the server refused.
    #[error("{program} failed: {output}")]
    Refused {
        /// Which one.
        program: String,
        /// The end of what it printed or answered.
        output: String,
    },
    /// It did not come up, or not end, in time.
    #[error("{program} is not {wanted} after {:?}; it printed: {output}", PATIENCE)]
    Slow {
        /// Which one.
        program: String,
        /// What it should be by now.
        wanted: &'static str,
        /// The end of what it printed.
        output: String,
    },
    /// It is not running.
    #[error("{program} is not running")]
    Stopped {
        /// Which one.
        program: String,
    },
}

impl ServerError {
    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }

    pub(crate) fn process(program: &str) -> impl FnOnce(io::Error) -> Self + use<> {
        let program = program.to_owned();
        move |source| Self::Process { program, source }
    }
}

/// For tests: whether something is installed. Where it is not, says that the test is skipped.
///
/// # Panics
/// Where it is not and the variable `DVN_TEST_REQUIRE` is set, so that a run that promised not to skip fails.
#[expect(clippy::print_stderr, reason = "a skipped test says so to the person who runs it")]
pub(crate) fn required(test: &str, found: Result<(), ServerError>) -> bool {
    let Err(missing) = found else {
        return true;
    };
    let message = format!("{test}: {missing}; `cargo xtask test` installs it");
    assert!(std::env::var_os("DVN_TEST_REQUIRE").is_none(), "{message}");
    eprintln!("skipped {message}");
    false
}
