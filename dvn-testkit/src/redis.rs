//! Redis servers of their own for a test: one, one with a replica and a Sentinel, or a small cluster.
//!
//! All calls block until they are done; most take milliseconds.

use std::{
    fmt, io,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
};

use tempfile::TempDir;

use crate::server::{self, Process, ServerError};

mod builder;
mod cluster;
mod sentinel;
mod wire;

pub use builder::RedisBuilder;
pub use cluster::Cluster;
pub use sentinel::Sentinel;
pub use wire::Reply;

/// A running server on the loopback interface, with a password. Dropping it kills it and removes its folder.
pub struct Redis {
    // Before the folder, which it uses.
    process: Process,
    port: u16,
    tls: Option<builder::Tls>,
    password: String,
    _folder: TempDir,
}

impl Redis {
    /// Starts a server that forgets everything when it ends.
    ///
    /// # Errors
    /// [`ServerError`], among others where Redis is not installed.
    pub fn start() -> Result<Self, ServerError> {
        Self::builder().start()
    }

    /// A server as the caller wants it.
    #[must_use]
    pub fn builder() -> RedisBuilder {
        RedisBuilder::default()
    }

    /// For tests: starts a server, or returns `None` with a printed reason to skip where Redis is not installed.
    ///
    /// # Panics
    /// Where it is not installed and the variable `DVN_TEST_REQUIRE` is set, and where it does not start.
    #[must_use]
    #[expect(clippy::panic, reason = "for tests, which cannot go on without")]
    pub fn for_test(test: &str) -> Option<Self> {
        match Self::is_there(test).then(Self::start)? {
            Ok(started) => Some(started),
            Err(error) => panic!("{test}: {error}"),
        }
    }

    /// For tests: whether Redis is installed. Where it is not, says that the test is skipped.
    ///
    /// # Panics
    /// Where it is not installed and the variable `DVN_TEST_REQUIRE` is set.
    #[must_use]
    pub fn is_there(test: &str) -> bool {
        server::required(test, builder::program().map(drop))
    }

    /// Whether Redis is installed.
    #[must_use]
    pub fn is_installed() -> bool {
        builder::program().is_ok()
    }

    /// Where it listens without TLS.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), self.port)
    }

    /// Where it listens with TLS, where it was asked for that.
    #[must_use]
    pub fn tls_address(&self) -> Option<SocketAddr> {
        self.tls.as_ref().map(|tls| SocketAddr::from((Ipv4Addr::LOCALHOST, tls.port)))
    }

    /// The authority that signed the certificate, where it was asked for TLS.
    #[must_use]
    pub fn ca(&self) -> Option<&Path> {
        self.tls.as_ref().map(|tls| tls.ca.as_path())
    }

    /// The password of the default user. It holds characters that need care in URLs.
    #[must_use]
    pub fn password(&self) -> &str {
        &self.password
    }

    /// Sends one command over a connection of its own, with the password, and returns the reply.
    ///
    /// # Errors
    /// When it does not answer within some seconds. An error that it answers is a [`Reply::Error`].
    pub fn command(&self, words: &[&str]) -> io::Result<Reply> {
        wire::Connection::open(self.address(), Some(&self.password))?.command(words)
    }

    /// Forgets everything, as `FLUSHALL`.
    ///
    /// # Errors
    /// When it does not answer, or refuses.
    pub fn flush_all(&self) -> io::Result<()> {
        self.command(&["FLUSHALL"])?.ok()
    }

    /// Kills the server. Nothing happens where it does not run.
    ///
    /// # Errors
    /// [`ServerError`].
    pub fn kill(&self) -> Result<(), ServerError> {
        self.process.kill()
    }

    /// Starts it again on the same port, with what it had written where it is persistent. Nothing happens where it runs.
    ///
    /// # Errors
    /// [`ServerError`].
    pub fn start_again(&self) -> Result<(), ServerError> {
        self.process.start(|_| self.command(&["PING"]).is_ok_and(|reply| reply.ok().is_ok()))
    }

    /// Freezes the server: connections stand and nothing answers.
    ///
    /// # Errors
    /// [`ServerError`].
    pub fn pause(&self) -> Result<(), ServerError> {
        self.process.pause()
    }

    /// Ends [`Redis::pause`].
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

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redis").field("port", &self.port).finish_non_exhaustive()
    }
}
