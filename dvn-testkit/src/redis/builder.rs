//! Starting one server.

use std::{
    fs::{self, File},
    io::Write as _,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use tempfile::TempDir;

use super::Redis;
use crate::{
    server::{self, Account, Process, ServerError, Start},
    tls::Authority,
};

/// What a server is started with.
#[derive(Debug, Clone, Default)]
pub struct RedisBuilder {
    settings: Vec<(String, String)>,
    persistent: bool,
    tls: bool,
    password: Option<String>,
}

/// The listener with TLS.
pub(super) struct Tls {
    pub(super) port: u16,
    pub(super) ca: PathBuf,
}

impl RedisBuilder {
    /// A line of `redis.conf`, such as `("maxmemory", "1mb")`.
    #[must_use]
    pub fn setting(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Writes every command to the disk before it is answered. Without this, everything goes with the process.
    #[must_use]
    pub const fn persistent(mut self) -> Self {
        self.persistent = true;
        self
    }

    /// Listens with TLS on a second port, with a certificate for `127.0.0.1` by an authority of its own. Clients need
    /// none.
    #[must_use]
    pub const fn tls(mut self) -> Self {
        self.tls = true;
        self
    }

    /// The password, where several servers must have the same.
    pub(super) fn password(mut self, password: &str) -> Self {
        self.password = Some(password.to_owned());
        self
    }

    /// Starts the server.
    ///
    /// # Errors
    /// [`ServerError`], among others where Redis is not installed.
    pub fn start(self) -> Result<Redis, ServerError> {
        let (folder, port) = (folder()?, port()?);
        let password = self.password.clone().unwrap_or_else(|| password(port));
        let mut lines = vec![
            ("port", port.to_string()),
            ("requirepass", password.clone()),
            ("save", String::new()),
            ("appendonly", if self.persistent { "yes" } else { "no" }.to_owned()),
            ("appendfsync", "always".to_owned()),
        ];
        let tls = self.tls.then(|| listen_with_tls(folder.path(), &mut lines)).transpose()?;
        lines.extend(self.settings.iter().map(|(name, value)| (name.as_str(), value.clone())));
        let process = process(folder.path(), &lines, &[])?;
        let server = Redis { process, port, tls, password, _folder: folder };
        server.start_again()?;
        Ok(server)
    }
}

/// Unlike that of any other server, so that whoever meets the wrong one notices.
pub(super) fn password(port: u16) -> String {
    format!("redis{port} p@ss:w/rd%20&?#")
}

pub(super) fn folder() -> Result<TempDir, ServerError> {
    TempDir::with_prefix("dvn-redis-").map_err(ServerError::io(std::env::temp_dir()))
}

pub(super) fn port() -> Result<u16, ServerError> {
    server::free_port().map_err(ServerError::process("redis-server"))
}

pub(super) fn program() -> Result<PathBuf, ServerError> {
    server::find("redis-server", "redis-server", &[])
}

/// A process with this configuration, which is not started yet.
pub(super) fn process(folder: &Path, lines: &[(&str, String)], flags: &[&str]) -> Result<Process, ServerError> {
    let file = folder.join("redis.conf");
    let always = [("bind", "127.0.0.1".to_owned()), ("dir", folder.display().to_string())];
    let text = always.iter().chain(lines).map(|(name, value)| line(name, value)).collect::<String>();
    // It holds the password.
    let written = File::options().write(true).create_new(true).mode(0o600).open(&file);
    written.and_then(|mut file| file.write_all(text.as_bytes())).map_err(ServerError::io(&file))?;
    let arguments = [file.display().to_string()].into_iter().chain(flags.iter().map(|&flag| flag.to_owned()));
    Process::new(Start {
        program: program()?,
        arguments: arguments.collect(),
        account: Account::current(),
        folder: folder.to_owned(),
    })
}

/// A name may hold several words, of which the value is the last.
fn line(name: &str, value: &str) -> String {
    let value = value.replace('\\', "\\\\").replace('"', "\\\"");
    format!("{name} \"{value}\"\n")
}

fn listen_with_tls(folder: &Path, lines: &mut Vec<(&str, String)>) -> Result<Tls, ServerError> {
    let files = Authority::new().and_then(|authority| authority.issue("127.0.0.1", folder));
    let files = files.map_err(ServerError::io(folder))?;
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    fs::set_permissions(&files.key, private).map_err(ServerError::io(&files.key))?;
    let port = port()?;
    lines.extend([
        ("tls-port", port.to_string()),
        ("tls-cert-file", files.cert.display().to_string()),
        ("tls-key-file", files.key.display().to_string()),
        ("tls-ca-cert-file", files.ca.display().to_string()),
        ("tls-auth-clients", "no".to_owned()),
    ]);
    Ok(Tls { port, ca: files.ca })
}
