//! One connection after the other, for as long as the queue lives.

use std::{sync::Arc, time::Duration};

use dvn_core::job::Stage;
use redis::RedisError;
use tokio::time::{sleep, timeout};

use super::{
    link::{Link, Target},
    reader,
    shared::Shared,
    streams::Streams,
    writer,
};

/// How long one read waits for an entry.
pub(super) const BLOCK: Duration = Duration::from_secs(1);
/// The pause before the first new attempt to connect, which doubles up to the last.
const FIRST: Duration = Duration::from_millis(100);
const LAST: Duration = Duration::from_secs(3);

/// Why a session ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum Ended {
    /// Redis said so, or nothing any more.
    #[error("{0}")]
    Redis(#[from] RedisError),
    /// It does not answer.
    #[error("no answer in time")]
    Silent,
}

/// Connects and serves until it is aborted.
pub(super) async fn run(shared: Arc<Shared>, mut target: Target) {
    let streams = Streams::new(&shared.options);
    let mut pause = FIRST;
    loop {
        match open(&shared, &mut target, &streams).await {
            Ok((read, write)) => {
                shared.up();
                pause = FIRST;
                let ended = tokio::select! {
                    ended = reader::run(&shared, &streams, read) => ended,
                    ended = writer::run(&shared, &streams, write) => ended,
                };
                shared.down(&ended.to_string());
            }
            Err(error) => shared.down(&error.to_string()),
        }
        sleep(pause).await;
        pause = pause.saturating_mul(2).min(LAST);
    }
}

/// Two connections, since one of them waits, and the groups.
async fn open(shared: &Shared, target: &mut Target, streams: &Streams) -> Result<(Link, Link), Ended> {
    let patience = shared.options.timeout;
    let opening = async {
        let mut write = target.connect(patience, patience).await?;
        make_groups(&mut write, streams).await?;
        let read = target.connect(patience, patience.saturating_add(BLOCK)).await?;
        Ok::<_, RedisError>((read, write))
    };
    // Both connections, the names of the servers, and what a Sentinel or a cluster has to tell.
    Ok(timeout(patience.saturating_mul(4), opening).await.map_err(|_| Ended::Silent)??)
}

/// Makes what is missing of the streams and their groups.
pub(super) async fn make_groups(link: &mut Link, streams: &Streams) -> Result<(), RedisError> {
    for stage in Stage::ALL {
        match link.command(&streams.make_group(stage)).await {
            Err(error) if error.code() != Some("BUSYGROUP") => return Err(error),
            _ => {}
        }
    }
    Ok(())
}
