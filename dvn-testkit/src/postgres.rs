//! A PostgreSQL server of its own for a test: started in a second, frozen, killed and started again.
//!
//! All calls block until they are done; most take milliseconds, [`Postgres::start`] about a second.

use std::{
    fmt,
    net::Ipv4Addr,
    path::{Path, PathBuf},
};

use tempfile::TempDir;

use crate::server::{self, Process, ServerError};

mod builder;
mod programs;
mod standby;

pub use builder::PostgresBuilder;
use programs::Programs;

/// A running server with an empty data folder. It listens on the loopback interface alone and lets nobody in without a
/// password. Dropping it kills it and removes its folder.
pub struct Postgres {
    // Before the folder, which it uses.
    process: Process,
    programs: Programs,
    port: u16,
    password: String,
    ca: Option<PathBuf>,
    _folder: TempDir,
}

/// The superuser, who has the same password as [`USER`].
pub const SUPERUSER: &str = "postgres";
/// A user without special rights, who owns the databases that are created here.
pub const USER: &str = "dvn";

impl Postgres {
    /// Starts a server with the settings that a production server has; writes reach the disk.
    ///
    /// # Errors
    /// [`ServerError`], among others where PostgreSQL is not installed.
    pub fn start() -> Result<Self, ServerError> {
        Self::builder().start()
    }

    /// A server with settings of the caller's.
    #[must_use]
    pub fn builder() -> PostgresBuilder {
        PostgresBuilder::default()
    }

    /// For tests: starts a server whose writes need not reach the disk, or returns `None` with a printed reason to skip
    /// where PostgreSQL is not installed.
    ///
    /// # Panics
    /// Where it is not installed and the variable `DVN_TEST_REQUIRE` is set, and where it does not start.
    #[must_use]
    #[expect(clippy::panic, reason = "for tests, which cannot go on without")]
    pub fn for_test(test: &str) -> Option<Self> {
        if !Self::is_there(test) {
            return None;
        }
        match Self::builder().setting("fsync", "off").start() {
            Ok(started) => Some(started),
            Err(error) => panic!("{test}: {error}"),
        }
    }

    /// For tests: whether PostgreSQL is installed. Where it is not, says that the test is skipped.
    ///
    /// # Panics
    /// Where it is not installed and the variable `DVN_TEST_REQUIRE` is set.
    #[must_use]
    pub fn is_there(test: &str) -> bool {
        server::required(test, Programs::find().map(drop))
    }

    /// Whether PostgreSQL is installed.
    #[must_use]
    pub fn is_installed() -> bool {
        Programs::find().is_ok()
    }

    /// The address it listens on.
    #[must_use]
    pub fn host(&self) -> String {
        Ipv4Addr::LOCALHOST.to_string()
    }

    /// The port, which it keeps when it is started again.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The password of both users. It holds characters that need care in URLs and connection strings.
    #[must_use]
    pub fn password(&self) -> &str {
        &self.password
    }

    /// The authority that signed the server's certificate, where it was asked for TLS.
    #[must_use]
    pub fn ca(&self) -> Option<&Path> {
        self.ca.as_deref()
    }

    /// The folder with the data, for tests that copy or damage it.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        builder::data(self.process.folder())
    }

    /// Creates an empty database that belongs to [`USER`].
    ///
    /// # Errors
    /// [`ServerError`].
    pub fn create_database(&self, name: &str) -> Result<(), ServerError> {
        let name = name.replace('"', "\"\"");
        self.sql(SUPERUSER, &format!("CREATE DATABASE \"{name}\" OWNER {USER}")).map(drop)
    }

    /// Runs SQL as the superuser in a database and returns the rows as text, fields apart by `|`.
    ///
    /// # Errors
    /// [`ServerError`].
    pub fn sql(&self, database: &str, sql: &str) -> Result<String, ServerError> {
        let mut client = self.programs.client();
        client.args([
            "--no-psqlrc",
            "--quiet",
            "--tuples-only",
            "--no-align",
            "--set=ON_ERROR_STOP=1",
            "--no-password",
        ]);
        client.args(["--host", &self.host(), "--port", &self.port.to_string(), "--username", SUPERUSER]);
        client.args(["--dbname", database, "--command", sql]).env("PGPASSWORD", &self.password);
        programs::run(&mut client)
    }

    /// Ends all sessions in order, stops, and starts again.
    ///
    /// # Errors
    /// [`ServerError`].
    pub fn restart(&self) -> Result<(), ServerError> {
        self.stop()?;
        self.start_again()
    }

    /// Stops in order: open transactions are rolled back, everything else is written.
    ///
    /// # Errors
    /// [`ServerError`].
    pub fn stop(&self) -> Result<(), ServerError> {
        self.process.ask_to_end("-INT")
    }

    /// Stops at once, as `pg_ctl stop -m immediate`: the next start recovers from the log.
    ///
    /// # Errors
    /// [`ServerError`].
    pub fn stop_immediately(&self) -> Result<(), ServerError> {
        self.process.ask_to_end("-QUIT")
    }

    /// Kills the server and everything that it started. Nothing happens where it does not run.
    ///
    /// # Errors
    /// [`ServerError`].
    pub fn kill(&self) -> Result<(), ServerError> {
        self.process.kill()
    }

    /// Starts it again on the same data and port, and returns when it takes connections. Nothing happens where it runs.
    ///
    /// # Errors
    /// [`ServerError`].
    pub fn start_again(&self) -> Result<(), ServerError> {
        let data = self.data();
        self.process.start(|id| builder::is_ready(&data, id))
    }

    /// Freezes the server and everything that it started: connections stand and nothing answers.
    ///
    /// # Errors
    /// [`ServerError`].
    pub fn pause(&self) -> Result<(), ServerError> {
        self.process.pause()
    }

    /// Ends [`Postgres::pause`].
    ///
    /// # Errors
    /// [`ServerError`].
    pub fn resume(&self) -> Result<(), ServerError> {
        self.process.resume()
    }

    /// The end of what it printed.
    #[must_use]
    pub fn log(&self) -> String {
        self.process.printed()
    }
}

impl fmt::Debug for Postgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Postgres").field("port", &self.port).finish_non_exhaustive()
    }
}
