//! Where several processes keep what they must not forget.

use std::{path::PathBuf, time::Duration};

pub use dvn_store::PostgresTls;
use secrecy::SecretString;

use super::{reader::Section, scalar};

/// A PostgreSQL database in place of the embedded store.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Postgres {
    /// Host name, address, or the folder of a socket.
    pub host: String,
    /// 5432 by default.
    pub port: u16,
    /// The database.
    pub database: String,
    /// The role that owns its tables.
    pub user: String,
    /// The role's password; nothing where the server trusts it by other means.
    pub password: Option<SecretString>,
    /// How the connection is protected; `verify-full` by default, `disable` in dev.
    pub tls: PostgresTls,
    /// The certificates of the authorities that are believed, in PEM; by default those that the web believes.
    pub ca: Option<PathBuf>,
    /// The most connections at once, 2 to 100; 10 by default.
    pub connections: u32,
    /// How long one call may take, 1 s to 60 s; 5 s by default. It is an error after that, and tried again.
    pub timeout: Duration,
}

pub(super) fn read(mut section: Section<'_>) -> Option<Postgres> {
    const MODES: &[(&str, PostgresTls)] = &[
        ("disable", PostgresTls::Disable),
        ("require", PostgresTls::Require),
        ("verify-ca", PostgresTls::VerifyCa),
        ("verify-full", PostgresTls::VerifyFull),
    ];
    let host = section.needed("host", "where PostgreSQL runs", scalar::text);
    let port = section.parsed("port", scalar::number(1..=u16::MAX)).unwrap_or(5_432);
    let database = section.needed("database", "the name of the database", scalar::text);
    let user = section.needed("user", "the name of its user", scalar::text);
    let password = section.given_secret("password");
    let is_dev = section.reader.is_dev();
    let by_default = if is_dev { PostgresTls::Disable } else { PostgresTls::VerifyFull };
    let tls = section.parsed("tls", scalar::choice(MODES)).unwrap_or(by_default);
    if matches!(tls, PostgresTls::Disable | PostgresTls::Require) && !is_dev {
        let message = "whoever stands between this node and its journal can then answer for it: use verify-full";
        section.reader.warning(&section.place_at("tls"), message);
    }
    let ca = section.parsed("ca_file", scalar::text).map(PathBuf::from);
    let connections = section.parsed("connections", scalar::number(2..=100)).unwrap_or(10);
    let second = Duration::from_secs(1);
    let range = second..=second.saturating_mul(60);
    let timeout = section.parsed("timeout", scalar::duration(range)).unwrap_or(second.saturating_mul(5));
    section.finish();
    Some(Postgres {
        host: host?,
        port,
        database: database?,
        user: user?,
        password: password?,
        tls,
        ca,
        connections,
        timeout,
    })
}
