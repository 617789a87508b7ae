//! A second server that follows a first one, and takes its place.

use std::{process::Command, thread, time::Instant};

use tempfile::TempDir;

use super::{Postgres, SUPERUSER, builder, programs};
use crate::server::{self, Account, PATIENCE, POLL, ServerError};

impl Postgres {
    /// Starts a hot standby: it follows this server asynchronously, answers queries and takes no writes. A copy of its data is made first.
    ///
    /// # Errors
    /// [`ServerError`].
    pub fn standby(&self) -> Result<Self, ServerError> {
        let account = Account::unprivileged().map_err(ServerError::process("id"))?;
        let folder = TempDir::with_prefix("dvn-postgres-").map_err(ServerError::io(std::env::temp_dir()))?;
        account.give(folder.path()).map_err(ServerError::io(folder.path()))?;
        let mut copy = Command::new(&self.programs.backup);
        copy.arg("--pgdata").arg(builder::data(folder.path())).current_dir(folder.path());
        copy.args(["--host", &self.host(), "--port", &self.port.to_string(), "--username", SUPERUSER]);
        copy.args(["--write-recovery-conf", "--wal-method=stream", "--checkpoint=fast", "--no-password", "--no-sync"]);
        programs::run(account.assume(&mut copy).env("PGPASSWORD", &self.password))?;
        let port = server::free_port().map_err(ServerError::process("postgres"))?;
        builder::append(folder.path(), [("port", port.to_string().as_str())])?;
        let process = builder::process(&self.programs, account, folder.path())?;
        let (programs, password, ca) = (self.programs.clone(), self.password.clone(), self.ca.clone());
        let standby = Self { process, programs, port, password, ca, _folder: folder };
        standby.start_again()?;
        Ok(standby)
    }

    /// Stops following: whatever the first server writes from now on does not come here.
    ///
    /// # Errors
    /// [`ServerError`].
    pub fn unfollow(&self) -> Result<(), ServerError> {
        self.sql(SUPERUSER, "ALTER SYSTEM SET primary_conninfo = ''")?;
        self.sql(SUPERUSER, "SELECT pg_reload_conf()")?;
        let receiver = "SELECT count(*) FROM pg_stat_wal_receiver";
        let started = Instant::now();
        while started.elapsed() < PATIENCE {
            if self.sql(SUPERUSER, receiver)? == "0" {
                return Ok(());
            }
            thread::sleep(POLL);
        }
        Err(ServerError::Slow { program: "postgres".to_owned(), wanted: "by itself", output: self.log() })
    }

    /// A standby becomes the primary, with what it has, and listens where the first server did, which is killed.
    ///
    /// # Errors
    /// [`ServerError`].
    pub fn take_over(&mut self, first: &Self) -> Result<(), ServerError> {
        first.kill()?;
        self.sql(SUPERUSER, "SELECT pg_promote()")?;
        self.stop()?;
        builder::append(self.process.folder(), [("port", first.port.to_string().as_str())])?;
        self.port = first.port;
        self.start_again()
    }
}
