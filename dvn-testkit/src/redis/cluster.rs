//! A cluster of three servers without replicas.

use std::{io, net::SocketAddr, thread, time::Instant};

use super::{Redis, builder};
use crate::server::{PATIENCE, POLL, ServerError};

const SLOTS: u32 = 16_384;

/// Three servers, each with a third of the slots. Dropping it kills them.
#[derive(Debug)]
pub struct Cluster {
    servers: Vec<Redis>,
}

impl Cluster {
    /// Starts the servers and returns once each says that all slots are served.
    ///
    /// # Errors
    /// [`ServerError`], among others where Redis is not installed.
    pub fn start() -> Result<Self, ServerError> {
        let password = builder::password(builder::port()?);
        let servers = (0..3).map(|_| {
            let server = Redis::builder().password(&password).setting("masterauth", &password);
            server.setting("cluster-enabled", "yes").setting("cluster-node-timeout", "2000").start()
        });
        let cluster = Self { servers: servers.collect::<Result<_, _>>()? };
        cluster.form().map_err(ServerError::process("redis-server"))?;
        Ok(cluster)
    }

    /// Where the servers listen.
    #[must_use]
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.servers.iter().map(Redis::address).collect()
    }

    /// The password of all.
    #[must_use]
    pub fn password(&self) -> &str {
        self.servers.first().map_or("", Redis::password)
    }

    /// The servers.
    #[must_use]
    pub fn servers(&self) -> &[Redis] {
        &self.servers
    }

    fn form(&self) -> io::Result<()> {
        let mut first = 0_u32;
        for (number, server) in (1_u32..).zip(&self.servers) {
            let end = SLOTS.saturating_mul(number).checked_div(3).unwrap_or(SLOTS);
            let last = end.saturating_sub(1).to_string();
            server.command(&["CLUSTER", "ADDSLOTSRANGE", &first.to_string(), &last])?.ok()?;
            server.command(&["CLUSTER", "SET-CONFIG-EPOCH", &number.to_string()])?.ok()?;
            first = end;
        }
        let Some((head, others)) = self.servers.split_first() else {
            return Ok(());
        };
        for other in others {
            head.command(&["CLUSTER", "MEET", "127.0.0.1", &other.address().port().to_string()])?.ok()?;
        }
        let started = Instant::now();
        while started.elapsed() < PATIENCE {
            if self.servers.iter().all(is_whole) {
                return Ok(());
            }
            thread::sleep(POLL);
        }
        Err(io::Error::new(io::ErrorKind::TimedOut, "the cluster does not form"))
    }
}

fn is_whole(server: &Redis) -> bool {
    server.command(&["CLUSTER", "INFO"]).is_ok_and(|reply| {
        let text = reply.text().unwrap_or_default();
        text.contains("cluster_state:ok") && text.contains("cluster_known_nodes:3")
    })
}
