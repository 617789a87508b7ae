//! Making a data folder and starting a server on it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

use super::{
    Postgres, SUPERUSER, USER,
    programs::{self, Programs},
};
use crate::{
    server::{self, Account, Process, ServerError, Start},
    tls::Authority,
};

/// What a server is started with.
#[derive(Debug, Clone, Default)]
pub struct PostgresBuilder {
    settings: Vec<(String, String)>,
    tls: bool,
}

impl PostgresBuilder {
    /// A line of `postgresql.conf`, such as `("fsync", "off")`. Later ones win.
    #[must_use]
    pub fn setting(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Takes connections over TLS as well, with a certificate for `127.0.0.1` by an authority of its own.
    #[must_use]
    pub const fn tls(mut self) -> Self {
        self.tls = true;
        self
    }

    /// Starts the server.
    ///
    /// # Errors
    /// [`ServerError`], among others where PostgreSQL is not installed.
    pub fn start(self) -> Result<Postgres, ServerError> {
        let programs = Programs::find()?;
        let account = Account::unprivileged().map_err(ServerError::process("id"))?;
        let folder = TempDir::with_prefix("dvn-postgres-").map_err(ServerError::io(std::env::temp_dir()))?;
        account.give(folder.path()).map_err(ServerError::io(folder.path()))?;
        let port = server::free_port().map_err(ServerError::process("postgres"))?;
        let password = format!("pg{port} p@ss:w/rd%20&?#");
        make_data(&programs, account, folder.path(), &password)?;
        let ca = self.tls.then(|| certificate(account, folder.path())).transpose()?;
        self.configure(folder.path(), port)?;
        let process = process(&programs, account, folder.path())?;
        let started = Postgres { process, programs, port, password, ca, _folder: folder };
        started.start_again()?;
        let password = &started.password;
        started.sql(SUPERUSER, &format!("CREATE USER {USER} PASSWORD '{password}'"))?;
        Ok(started)
    }

    fn configure(&self, folder: &Path, port: u16) -> Result<(), ServerError> {
        let port = port.to_string();
        let ours = [("listen_addresses", "127.0.0.1"), ("port", &port), ("unix_socket_directories", "")];
        let tls = [("ssl", "on"), ("ssl_cert_file", "../127.0.0.1.pem"), ("ssl_key_file", "../127.0.0.1.key")];
        let theirs = self.settings.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        append(folder, ours.into_iter().chain(tls.into_iter().filter(|_| self.tls)).chain(theirs))
    }
}

/// The data folder within a server's folder.
pub(super) fn data(folder: &Path) -> PathBuf {
    folder.join("data")
}

/// A server on the data in a folder; nothing runs yet.
pub(super) fn process(programs: &Programs, account: Account, folder: &Path) -> Result<Process, ServerError> {
    Process::new(Start {
        program: programs.server.clone(),
        arguments: vec!["-D".to_owned(), data(folder).display().to_string()],
        account,
        folder: folder.to_owned(),
    })
}

/// Adds settings to those of a data folder; later ones win.
pub(super) fn append<'s>(
    folder: &Path,
    settings: impl IntoIterator<Item = (&'s str, &'s str)>,
) -> Result<(), ServerError> {
    let file = data(folder).join("postgresql.conf");
    let mut text = fs::read_to_string(&file).map_err(ServerError::io(&file))?;
    for (name, value) in settings {
        text.push_str(&format!("\n{name} = '{}'", value.replace('\'', "''")));
    }
    text.push('\n');
    fs::write(&file, text).map_err(ServerError::io(&file))
}

/// Whether the server of this process id takes connections: it says so in the eighth line of its lock file, in a word of its own
/// while it follows another one.
pub(super) fn is_ready(data: &Path, id: u32) -> bool {
    let text = fs::read_to_string(data.join("postmaster.pid")).unwrap_or_default();
    let lines = text.lines().map(str::trim).collect::<Vec<_>>();
    lines.first() == Some(&id.to_string().as_str()) && matches!(lines.get(7), Some(&("ready" | "standby")))
}

fn make_data(programs: &Programs, account: Account, folder: &Path, password: &str) -> Result<(), ServerError> {
    let file = folder.join("password");
    fs::write(&file, password).map_err(ServerError::io(&file))?;
    account.give(&file).map_err(ServerError::io(&file))?;
    let mut command = Command::new(&programs.initdb);
    command.arg("--pgdata").arg(data(folder)).arg("--pwfile").arg(&file).current_dir(folder);
    command.args(["--username", SUPERUSER, "--encoding", "UTF8", "--locale", "C"]);
    command.args(["--auth", "scram-sha-256", "--no-sync"]);
    let made = programs::run(account.assume(&mut command));
    let removed = fs::remove_file(&file).map_err(ServerError::io(&file));
    made.and(removed)
}

/// Writes the certificate and returns its authority's.
fn certificate(account: Account, folder: &Path) -> Result<PathBuf, ServerError> {
    let files = Authority::new().and_then(|authority| authority.issue("127.0.0.1", folder));
    let files = files.map_err(ServerError::io(folder))?;
    // The server refuses a key that others may read.
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    fs::set_permissions(&files.key, private).map_err(ServerError::io(&files.key))?;
    for file in [&files.key, &files.cert] {
        account.give(file).map_err(ServerError::io(file))?;
    }
    Ok(files.ca)
}
