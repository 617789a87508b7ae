//! Takes entries from Redis as workers need them, those that dead workers left, and cleans up.

use std::time::Duration;

use dvn_core::job::Stage;
use redis::{RedisError, Value};
use tokio::time::{Instant, timeout};
use tracing::debug;

use super::{
    link::Link,
    session::{BLOCK, Ended, make_groups},
    shared::Shared,
    streams::{Found, Streams},
};

/// How many entries of each stage wait here at most. More would be kept from processes with idle workers.
const AHEAD: usize = 8;
/// How long the stages with room are left alone while there is no room for some other one, and no worker takes anything.
const SHORT: Duration = Duration::from_millis(20);
/// How many abandoned entries are taken over at once.
const CLAIM: usize = 64;
/// A process that asked for nothing for so long is gone, and its name is removed.
const GONE: Duration = Duration::from_secs(3600);

/// Reads until something goes wrong.
pub(super) async fn run(shared: &Shared, streams: &Streams, link: Link) -> Ended {
    let mut reader = Reader { shared, streams, link };
    let mut care = Instant::now();
    loop {
        let step = async {
            if Instant::now() >= care {
                reader.care().await?;
                // Some abandoned entry waits a half longer than it has to.
                care = later(shared.options.visibility.checked_div(2).unwrap_or(BLOCK));
            }
            reader.read().await
        };
        match step.await {
            Err(Ended::Redis(error)) if error.code() == Some("NOGROUP") || error.code() == Some("UNBLOCKED") => {
                if let Err(ended) = reader.start_over().await {
                    return ended;
                }
            }
            Err(ended) => return ended,
            Ok(()) => {}
        }
    }
}

fn later(pause: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(pause).unwrap_or(now)
}

struct Reader<'a> {
    shared: &'a Shared,
    streams: &'a Streams,
    link: Link,
}

impl Reader<'_> {
    /// One read, of those stages that have room.
    async fn read(&mut self) -> Result<(), Ended> {
        let room = |stage: &Stage| AHEAD.saturating_sub(self.shared.local.waiting(*stage));
        let stages = Stage::ALL.into_iter().filter(|stage| room(stage) > 0).collect::<Vec<_>>();
        let Some(count) = stages.iter().map(room).min() else {
            self.shared.taken.notified().await;
            return Ok(());
        };
        let all_have_room = stages.len() == Stage::ALL.len();
        let reply = self.ask(&self.streams.read(&stages, count, all_have_room.then_some(BLOCK))).await?;
        let found = self.streams.read_entries(&reply);
        if found.is_empty() && !all_have_room {
            // A read that waits in Redis would not see that a worker made room for the others.
            let _ = timeout(SHORT, self.shared.taken.notified()).await;
        }
        self.take(found);
        Ok(())
    }

    /// What is done now and then.
    async fn care(&mut self) -> Result<(), Ended> {
        self.shared.tidy();
        for stage in Stage::ALL {
            let reply = self.ask(&self.streams.claim(stage, self.shared.options.visibility, CLAIM)).await?;
            self.take(Streams::claimed_entries(stage, &reply));
            let reply = self.ask(&self.streams.consumers(stage)).await?;
            let idle = GONE.max(self.shared.options.visibility.saturating_mul(4));
            for name in self.streams.gone(&reply, idle) {
                debug!(name, stage = stage.name(), "a process that is gone is forgotten");
                self.ask(&self.streams.remove_consumer(stage, name)).await?;
            }
        }
        Ok(())
    }

    /// The streams are gone, so that everything is given to Redis anew.
    async fn start_over(&mut self) -> Result<(), Ended> {
        let patience = self.shared.options.timeout;
        timeout(patience, make_groups(&mut self.link, self.streams)).await.map_err(|_| Ended::Silent)??;
        self.shared.lost();
        Ok(())
    }

    fn take(&self, found: Vec<Found>) {
        for found in found {
            match found {
                Found::Job(entry) => {
                    // One that waits here already, or has no room, is not needed twice.
                    if !self.shared.local.insert(entry.clone()).unwrap_or(false) {
                        self.shared.discard(entry);
                    }
                }
                Found::Strange(entry) => {
                    metrics::counter!("dvn_queue_rejected_total").increment(1);
                    self.shared.discard(entry);
                }
            }
        }
    }

    async fn ask(&mut self, command: &redis::Cmd) -> Result<Value, Ended> {
        let patience = self.shared.options.timeout.saturating_add(BLOCK);
        let asked = timeout(patience, self.link.command(command)).await;
        Ok(asked.map_err(|_| Ended::Silent)?.map_err(|error: RedisError| error)?)
    }
}
