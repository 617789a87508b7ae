//! How to reach the server.

use std::{path::PathBuf, time::Duration};

use secrecy::{ExposeSecret as _, SecretString};
use sqlx::postgres::{PgConnectOptions, PgSslMode};

/// How a connection is protected, in libpq's words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the modes that can be relied on")]
pub enum PostgresTls {
    /// Plain.
    Disable,
    /// Encrypted to whoever answers.
    Require,
    /// Encrypted to somebody whom an authority knows.
    VerifyCa,
    /// Encrypted to the very host.
    #[default]
    VerifyFull,
}

/// Where the database is, and how long anything may take. `Debug` shows no password.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PostgresOptions {
    /// Host name, address, or the folder of a socket.
    pub host: String,
    /// 5432 by default.
    pub port: u16,
    /// The database.
    pub database: String,
    /// The role, which owns the tables.
    pub user: String,
    /// Its password; nothing where the server trusts it by other means.
    pub password: Option<SecretString>,
    /// [`PostgresTls::VerifyFull`] by default.
    pub tls: PostgresTls,
    /// Certificates of the authorities that are believed, in PEM; by default those that the web believes.
    pub ca: Option<PathBuf>,
    /// The most connections at once; 10 by default.
    pub connections: u32,
    /// How long one call may take, from waiting for a connection to the answer; 5 s by default. Then it is an error.
    pub timeout: Duration,
    /// How long what was signed may stay valid: a failover quarantines the journal for so long. 25 hours by default, more than any
    /// configuration of the node allows.
    pub longest_life: Duration,
}

impl PostgresOptions {
    /// Everything else by default.
    #[must_use]
    pub fn new(host: impl Into<String>, database: impl Into<String>, user: impl Into<String>) -> Self {
        Self {
            host: host.into(),
            port: 5_432,
            database: database.into(),
            user: user.into(),
            password: None,
            tls: PostgresTls::default(),
            ca: None,
            connections: 10,
            timeout: Duration::from_secs(5),
            longest_life: Duration::from_secs(25 * 3_600),
        }
    }

    /// For work that may take long: without the server's own deadlines.
    pub(super) fn patient(&self) -> PgConnectOptions {
        let mode = match self.tls {
            PostgresTls::Disable => PgSslMode::Disable,
            PostgresTls::Require => PgSslMode::Require,
            PostgresTls::VerifyCa => PgSslMode::VerifyCa,
            PostgresTls::VerifyFull => PgSslMode::VerifyFull,
        };
        let mut options = PgConnectOptions::new_without_pgpass()
            .host(&self.host)
            .port(self.port)
            .database(&self.database)
            .username(&self.user)
            .ssl_mode(mode)
            .application_name("dvn-node");
        if let Some(password) = &self.password {
            options = options.password(password.expose_secret());
        }
        if let Some(ca) = &self.ca {
            options = options.ssl_root_cert(ca);
        }
        options
    }

    /// The server gives up by itself when this process has given up, so that nothing it left there holds a lock.
    pub(super) fn hasty(&self) -> PgConnectOptions {
        let limit = self.timeout.as_millis().to_string();
        self.patient().options([
            ("statement_timeout", limit.as_str()),
            ("lock_timeout", limit.as_str()),
            ("idle_in_transaction_session_timeout", limit.as_str()),
        ])
    }
}
