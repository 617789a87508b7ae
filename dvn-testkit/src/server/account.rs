//! Whom a server runs as: PostgreSQL refuses to be root, which tests in containers often are.

use std::{
    io,
    os::unix::{fs::chown, process::CommandExt},
    path::Path,
    process::Command,
};

/// A user without rights, in order of preference. The first is made by PostgreSQL's package.
const NAMES: [&str; 2] = ["postgres", "nobody"];

/// The user and group that a program is started as. Where this process is not root, everything stays as it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Account(Option<(u32, u32)>);

impl Account {
    /// That of this process.
    pub(crate) const fn current() -> Self {
        Self(None)
    }

    /// An account that is not root's.
    pub(crate) fn unprivileged() -> io::Result<Self> {
        if id("-u", None)? != 0 {
            return Ok(Self(None));
        }
        let known = |name: &&str| Some((id("-u", Some(name)).ok()?, id("-g", Some(name)).ok()?));
        let account = NAMES.iter().find_map(known);
        let account =
            account.ok_or_else(|| io::Error::other("this is root, and there is neither `postgres` nor `nobody`"))?;
        Ok(Self(Some(account)))
    }

    /// Makes the program run as this account.
    pub(crate) fn assume<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        match self.0 {
            Some((user, group)) => command.uid(user).gid(group),
            None => command,
        }
    }

    /// Gives a file or folder to this account.
    pub(crate) fn give(&self, path: &Path) -> io::Result<()> {
        self.0.map_or(Ok(()), |(user, group)| chown(path, Some(user), Some(group)))
    }
}

fn id(flag: &str, name: Option<&str>) -> io::Result<u32> {
    let output = Command::new("id").arg(flag).args(name).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim().parse().map_err(|_| io::Error::other(format!("`id {flag}` failed: {}", output.status)))
}
