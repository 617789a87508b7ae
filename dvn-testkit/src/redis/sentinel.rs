//! A server with a replica, and a Sentinel that makes the replica the server where the first fails.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    thread,
    time::Instant,
};

use tempfile::TempDir;

use super::{Redis, Reply, builder, wire};
use crate::server::{PATIENCE, POLL, Process, ServerError};

/// Two servers and who watches them. Dropping it kills all three.
#[derive(Debug)]
pub struct Sentinel {
    process: Process,
    port: u16,
    password: String,
    servers: [Redis; 2],
    _folder: TempDir,
}

impl Sentinel {
    /// By which name the Sentinel is asked for the server.
    pub const NAME: &str = "dvn";

    /// Starts all three and returns once the Sentinel knows both servers. The Sentinel has the servers' password too.
    ///
    /// # Errors
    /// [`ServerError`], among others where Redis is not installed.
    pub fn start() -> Result<Self, ServerError> {
        let (folder, port) = (builder::folder()?, builder::port()?);
        let password = builder::password(port);
        let server = || Redis::builder().password(&password).setting("masterauth", &password);
        let first = server().start()?;
        let first_port = first.address().port();
        let second = server().setting("replicaof 127.0.0.1", &first_port.to_string());
        let second = second.setting("repl-diskless-sync-delay", "0").start()?;
        let lines = [
            ("port", port.to_string()),
            ("requirepass", password.clone()),
            (&format!("sentinel monitor {} 127.0.0.1 {first_port}", Self::NAME), "1".to_owned()),
            (&format!("sentinel auth-pass {}", Self::NAME), password.clone()),
            (&format!("sentinel down-after-milliseconds {}", Self::NAME), "500".to_owned()),
            (&format!("sentinel failover-timeout {}", Self::NAME), "3000".to_owned()),
        ];
        let process = builder::process(folder.path(), &lines, &["--sentinel"])?;
        let sentinel = Self { process, port, password, servers: [first, second], _folder: folder };
        sentinel.process.start(|_| sentinel.is_complete())?;
        Ok(sentinel)
    }

    /// Where the Sentinel listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), self.port)
    }

    /// The password of the Sentinel and both servers.
    #[must_use]
    pub fn password(&self) -> &str {
        &self.password
    }

    /// Both servers; the first is the one in charge at the start.
    #[must_use]
    pub const fn servers(&self) -> &[Redis; 2] {
        &self.servers
    }

    /// Waits until the second server is in charge.
    ///
    /// # Errors
    /// Where that takes too long.
    pub fn until_taken_over(&self) -> io::Result<()> {
        let started = Instant::now();
        while started.elapsed() < PATIENCE {
            let role = self.servers[1].command(&["ROLE"])?;
            if role.list().first().and_then(Reply::text) == Some("master") && self.names_second() {
                return Ok(());
            }
            thread::sleep(POLL);
        }
        Err(io::Error::new(io::ErrorKind::TimedOut, "the replica is not made the server"))
    }

    fn names_second(&self) -> bool {
        let wanted = self.servers[1].address().port().to_string();
        let named = self.command(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", Self::NAME]);
        named.is_ok_and(|reply| reply.list().get(1).and_then(Reply::text) == Some(&wanted))
    }

    fn is_complete(&self) -> bool {
        self.command(&["SENTINEL", "REPLICAS", Self::NAME]).is_ok_and(|reply| {
            reply.list().iter().any(|replica| {
                let fields = replica.list();
                let is = |name, wanted| {
                    fields.chunks(2).any(|pair| {
                        pair.first().and_then(Reply::text) == Some(name)
                            && pair.get(1).and_then(Reply::text) == Some(wanted)
                    })
                };
                is("flags", "slave") && is("master-link-status", "ok")
            })
        })
    }

    fn command(&self, words: &[&str]) -> io::Result<Reply> {
        wire::Connection::open(self.address(), Some(&self.password))?.command(words)
    }
}
