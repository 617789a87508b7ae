//! What a queue in Redis is told by its operator.

use std::{fmt, fs, path::PathBuf, time::Duration};

use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo, RedisConnectionInfo, TlsCertificates, TlsMode};
use secrecy::{ExposeSecret, SecretString};
use thiserror::Error;

use super::{given::Pace, link::Target};

/// The port of Redis, where an address names none.
const PORT: u16 = 6379;

/// What stands behind the addresses.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub enum RedisKind {
    /// One server, or whatever a provider hides behind one address.
    #[default]
    Single,
    /// Sentinels that know which server is in charge.
    Sentinel {
        /// The name that they know the server by.
        master: String,
        /// The Sentinels' own password, where they have one.
        password: Option<SecretString>,
    },
    /// Nodes of a cluster, of which it finds the others.
    Cluster,
}

/// How the servers are recognised.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a plain record")]
pub struct RedisTls {
    /// A file with the authorities' certificates in PEM; without, those that the system trusts.
    pub ca: Option<PathBuf>,
}

/// Options of a [`RedisQueue`](super::RedisQueue).
#[derive(Clone)]
#[non_exhaustive]
pub struct RedisOptions {
    /// `host` or `host:port` of each server, Sentinel or node of a cluster.
    pub addresses: Vec<String>,
    /// What they are. Default: one server.
    pub kind: RedisKind,
    /// The user. Default: Redis's default user.
    pub user: Option<String>,
    /// The user's password.
    pub password: Option<SecretString>,
    /// The database's number. Default 0, the only one that a cluster has.
    pub db: u32,
    /// TLS to all servers, Sentinels included. Default: none.
    pub tls: Option<RedisTls>,
    /// What the streams' names start with; the same in all processes of one store, and in no others. Default `dvn`.
    pub prefix: String,
    /// What this process is called among those that share the queue; differs between them.
    pub instance: String,
    /// How long Redis may take to answer. Default 2 s.
    pub timeout: Duration,
    /// How long a worker may keep an entry before another gets it, and how long Redis may keep a job that is due before this
    /// process does it without. Default 30 s.
    pub visibility: Duration,
    /// About how many entries each stream holds at most; the oldest go first. Default 100 000.
    pub max_len: usize,
}

/// An option that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("redis option `{field}` {problem}")]
#[non_exhaustive]
pub struct RedisOptionsError {
    /// Which one.
    pub field: &'static str,
    /// What is wrong with it, and what to do.
    pub problem: String,
}

impl RedisOptions {
    /// One server at this address, and the defaults.
    #[must_use]
    pub fn new(address: impl Into<String>, instance: impl Into<String>) -> Self {
        Self {
            addresses: vec![address.into()],
            kind: RedisKind::Single,
            user: None,
            password: None,
            db: 0,
            tls: None,
            prefix: "dvn".to_owned(),
            instance: instance.into(),
            timeout: Duration::from_secs(2),
            visibility: Duration::from_secs(30),
            max_len: 100_000,
        }
    }

    /// How a job that stays due is treated.
    pub(super) fn pace(&self) -> Pace {
        Pace { again: self.visibility.checked_div(6).unwrap_or_default(), overdue: self.visibility }
    }

    /// Checks everything that can be checked without a connection.
    pub(super) fn target(&self) -> Result<Target, RedisOptionsError> {
        self.check()?;
        let certificates = self.certificates()?;
        let addresses = self.addresses.iter().map(|text| address(text)).collect::<Result<Vec<_>, _>>()?;
        Target::try_new(self, &addresses, certificates)
    }

    fn check(&self) -> Result<(), RedisOptionsError> {
        let is_name = |text: &str| (1..=100).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        if self.addresses.is_empty() {
            return Err(wrong("addresses", "names no server; give at least one as host:port"));
        }
        if matches!(self.kind, RedisKind::Single) && self.addresses.len() > 1 {
            return Err(wrong(
                "addresses",
                "names several servers; give one, or say that they are Sentinels or a cluster",
            ));
        }
        if matches!(self.kind, RedisKind::Cluster) && self.db != 0 {
            return Err(wrong("db", "must be 0, since a cluster has no other"));
        }
        if matches!(&self.kind, RedisKind::Sentinel { master, .. } if !is_name(master)) {
            return Err(wrong("sentinel.master", "must be the name that the Sentinels know the server by"));
        }
        if self.user.is_some() && self.password.is_none() {
            return Err(wrong("password", "is missing, while there is a user"));
        }
        if !is_name(&self.prefix) || self.prefix.contains(['{', '}']) {
            return Err(wrong("prefix", "must be 1 to 100 visible ASCII characters without braces"));
        }
        if !is_name(&self.instance) {
            return Err(wrong("instance", "must be 1 to 100 visible ASCII characters"));
        }
        if !(Duration::from_millis(10)..=Duration::from_secs(60)).contains(&self.timeout) {
            return Err(wrong("timeout", "must be 10 ms to 60 s"));
        }
        if !(Duration::from_millis(100)..=Duration::from_secs(3600)).contains(&self.visibility) {
            return Err(wrong("visibility", "must be 100 ms to 1 h"));
        }
        if !(100..=10_000_000).contains(&self.max_len) {
            return Err(wrong("max_len", "must be 100 to 10 000 000 entries"));
        }
        Ok(())
    }

    fn certificates(&self) -> Result<Option<TlsCertificates>, RedisOptionsError> {
        let Some(tls) = &self.tls else {
            return Ok(None);
        };
        let read = |path: &PathBuf| {
            let failed = |error| wrong("tls.ca", format!("cannot be read from {}: {error}", path.display()));
            fs::read(path).map_err(failed)
        };
        let root_cert = tls.ca.as_ref().map(read).transpose()?;
        if root_cert.as_ref().is_some_and(|pem| !pem.windows(27).any(|part| part == b"-----BEGIN CERTIFICATE-----")) {
            return Err(wrong("tls.ca", "holds no certificate in PEM"));
        }
        Ok(Some(TlsCertificates { client_tls: None, root_cert }))
    }

    /// The user and the database, for servers.
    pub(super) fn login(&self) -> RedisConnectionInfo {
        let mut login = RedisConnectionInfo::default().set_db(i64::from(self.db)).set_skip_set_lib_name();
        if let Some(user) = &self.user {
            login = login.set_username(user);
        }
        if let Some(password) = &self.password {
            login = login.set_password(password.expose_secret());
        }
        login
    }

    pub(super) fn tls_mode(&self) -> Option<TlsMode> {
        self.tls.as_ref().map(|_| TlsMode::Secure)
    }

    /// How one server is reached.
    pub(super) fn info(&self, address: &(String, u16)) -> Result<ConnectionInfo, RedisOptionsError> {
        let info = self.socket(address).into_connection_info();
        let info = info.map_err(|_| wrong("addresses", "is no address"))?;
        Ok(info.set_redis_settings(self.login()))
    }

    pub(super) fn socket(&self, (host, port): &(String, u16)) -> ConnectionAddr {
        let (host, port) = (host.clone(), *port);
        match self.tls {
            Some(_) => ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None },
            None => ConnectionAddr::Tcp(host, port),
        }
    }
}

impl fmt::Debug for RedisOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisOptions")
            .field("addresses", &self.addresses)
            .field("kind", &self.kind)
            .field("user", &self.user)
            .field("has_password", &self.password.is_some())
            .field("db", &self.db)
            .field("tls", &self.tls)
            .field("prefix", &self.prefix)
            .field("instance", &self.instance)
            .field("timeout", &self.timeout)
            .field("visibility", &self.visibility)
            .field("max_len", &self.max_len)
            .finish()
    }
}

pub(super) fn wrong(field: &'static str, problem: impl Into<String>) -> RedisOptionsError {
    RedisOptionsError { field, problem: problem.into() }
}

/// `host`, `host:port`, `[v6]` or `[v6]:port`.
fn address(text: &str) -> Result<(String, u16), RedisOptionsError> {
    let bad = || wrong("addresses", format!("holds `{}`, which is not host:port", shown(text)));
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']').ok_or_else(bad)?;
            (host, rest.strip_prefix(':').or_else(|| rest.is_empty().then_some("")).ok_or_else(bad)?)
        }
        None => text.split_once(':').unwrap_or((text, "")),
    };
    let is_host = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':');
    if host.is_empty() || !host.bytes().all(is_host) {
        return Err(bad());
    }
    let port = if port.is_empty() { PORT } else { port.parse().map_err(|_| bad())? };
    Ok((host.to_owned(), port))
}

/// A URL with a password may have been given by mistake.
fn shown(text: &str) -> &str {
    if text.contains('@') { "…" } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_a_host_and_perhaps_a_port() {
        for (text, host, port) in [
            ("redis", "redis", 6379),
            ("10.0.2.50:6380", "10.0.2.50", 6380),
            ("[::1]", "::1", 6379),
            ("[fe80::1]:7", "fe80::1", 7),
        ] {
            assert_eq!(address(text).unwrap(), (host.to_owned(), port), "{text}");
        }
        for text in ["", ":1", "a:b", "a:1:2", "a:99999", "[::1", "[::1]x", "redis://h", "h/0", "redis://:secret@h"] {
            let error = address(text).unwrap_err();
            assert_eq!(error.field, "addresses", "{text}");
            assert!(!error.to_string().contains("secret"));
        }
    }

    #[test]
    fn every_problem_names_its_field() {
        type Case = (&'static str, fn(&mut RedisOptions));
        let good = || RedisOptions { password: Some("hidden".into()), ..RedisOptions::new("h", "me") };
        assert!(good().check().is_ok());
        let cases: [Case; 12] = [
            ("addresses", |it| it.addresses.clear()),
            ("addresses", |it| it.addresses.push("other".to_owned())),
            ("db", |it| (it.kind, it.db) = (RedisKind::Cluster, 1)),
            ("sentinel.master", |it| it.kind = RedisKind::Sentinel { master: String::new(), password: None }),
            ("password", |it| (it.user, it.password) = (Some("dvn".to_owned()), None)),
            ("prefix", |it| it.prefix = "{a}".to_owned()),
            ("instance", |it| it.instance.clear()),
            ("timeout", |it| it.timeout = Duration::ZERO),
            ("visibility", |it| it.visibility = Duration::ZERO),
            ("max_len", |it| it.max_len = 0),
            ("tls.ca", |it| it.tls = Some(RedisTls { ca: Some("/nowhere".into()) })),
            ("tls.ca", |it| it.tls = Some(RedisTls { ca: Some("/dev/null".into()) })),
        ];
        for (field, change) in cases {
            let mut options = good();
            change(&mut options);
            let error = options.target().err().unwrap();
            assert_eq!(error.field, field, "{error}");
        }
        assert!(!format!("{:?}", good()).contains("hidden"));
    }
}
