//! PostgreSQL's programs, and running those that end by themselves.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::server::{self, ServerError};

/// Where Debian puts one folder for each major version.
const VERSIONS: &str = "/usr/lib/postgresql";

/// Where the programs are.
#[derive(Debug, Clone)]
pub(super) struct Programs {
    pub(super) initdb: PathBuf,
    pub(super) server: PathBuf,
    client: PathBuf,
    pub(super) backup: PathBuf,
}

impl Programs {
    /// The newest version that is installed.
    pub(super) fn find() -> Result<Self, ServerError> {
        let folders = versions();
        let find = |program| server::find(program, "postgresql", &folders);
        Ok(Self {
            initdb: find("initdb")?,
            server: find("postgres")?,
            client: find("psql")?,
            backup: find("pg_basebackup")?,
        })
    }

    pub(super) fn client(&self) -> Command {
        Command::new(&self.client)
    }
}

/// The folders of all versions, the newest last.
fn versions() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(VERSIONS).into_iter().flatten().flatten();
    let mut versions = entries
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse::<u32>().ok()?, entry.path().join("bin"))))
        .collect::<Vec<_>>();
    versions.sort();
    versions.into_iter().map(|(_, folder)| folder).collect()
}

/// Runs a program to its end and returns what it printed, without the white space around it.
pub(super) fn run(command: &mut Command) -> Result<String, ServerError> {
    let program = Path::new(command.get_program()).file_name().unwrap_or_default().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output().map_err(ServerError::process(&program))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned());
    }
    let printed = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).trim().to_owned());
    Err(ServerError::Refused { program, output: printed.join("\n").trim().to_owned() })
}
