use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use tokio::time::Instant;

use super::lock;
use crate::{
    ids::{BlockNumber, Eid, Guid, Nonce},
    job::{Job, State},
    ports::Head,
};

/// How many recent moves are kept.
const RECENT: usize = 50;

/// What a running DVN last saw and did. A hint for people; the store has the truth.
#[derive(Clone, Debug, Default)]
pub struct Progress(Arc<Mutex<ProgressReport>>);

/// All of it at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProgressReport {
    /// What was last seen of each source.
    pub sources: BTreeMap<Eid, SourceProgress>,
    /// Why each destination could not be written to, while it could not.
    pub lanes: BTreeMap<Eid, Option<String>>,
    /// Why the attesting key could not be used, while it could not.
    pub key_error: Option<String>,
    /// What moved last, newest first.
    pub recent: VecDeque<RecentMove>,
}

/// What was last seen of one source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SourceProgress {
    /// The chain's newest and newest settled block.
    pub head: Option<Head>,
    /// The last block whose assignments are all stored.
    pub cursor: Option<BlockNumber>,
    /// How far the reading of missed blocks is, while there are any.
    pub backfill: Option<Backfill>,
    /// Why the source could not be read, while it could not.
    pub error: Option<String>,
}

/// How far the reading of blocks is that were missed while the node was away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Backfill {
    /// Blocks that are still to be read.
    pub left: u64,
    /// Blocks that were read since it began.
    pub done: u64,
    /// How long the rest takes at the pace so far; nothing before the first blocks.
    pub estimate: Option<Duration>,
    since: Instant,
    done_before: u64,
}

impl Backfill {
    /// What follows of a source's numbers: blocks that are left, and all that were ever made good for.
    pub(crate) fn after(before: Option<Self>, left: u64, filled: u64, now: Instant) -> Option<Self> {
        if left == 0 {
            return None;
        }
        let (since, done_before) = before.map_or((now, filled), |it| (it.since, it.done_before));
        let done = filled.saturating_sub(done_before);
        let each = now.saturating_duration_since(since).as_secs_f64();
        let estimate = (done > 0).then(|| ratio(left, done) * each);
        let estimate = estimate.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        Some(Self { left, done, estimate, since, done_before })
    }
}

#[expect(clippy::cast_precision_loss, reason = "an estimate")]
fn ratio(left: u64, done: u64) -> f64 {
    left as f64 / done as f64
}

/// A job that moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecentMove {
    /// The packet.
    pub guid: Guid,
    /// Source.
    pub src_eid: Eid,
    /// Destination.
    pub dst_eid: Eid,
    /// Number on its path.
    pub nonce: Nonce,
    /// Where it came to.
    pub state: State,
    /// When.
    pub at: SystemTime,
}

impl Progress {
    /// The newest report.
    #[must_use]
    pub fn report(&self) -> ProgressReport {
        lock(&self.0).clone()
    }

    pub(crate) fn source(&self, eid: Eid, change: impl FnOnce(&mut SourceProgress)) {
        change(lock(&self.0).sources.entry(eid).or_default());
    }

    /// Whether blocks of a source that were missed are still to be read.
    pub(crate) fn is_catching_up(&self, eid: Eid) -> bool {
        lock(&self.0).sources.get(&eid).is_some_and(|it| it.backfill.is_some())
    }

    pub(crate) fn lane(&self, eid: Eid, error: Option<String>) {
        lock(&self.0).lanes.insert(eid, error);
    }

    pub(crate) fn key(&self, error: Option<String>) {
        lock(&self.0).key_error = error;
    }

    /// Puts a packet's newest state in front.
    pub(crate) fn moved(&self, job: &Job, at: SystemTime) {
        let header = &job.claim.header;
        let (guid, src_eid, dst_eid, nonce) = (header.guid(), header.src_eid, header.dst_eid, header.nonce);
        let mut report = lock(&self.0);
        report.recent.retain(|it| it.guid != guid);
        report.recent.push_front(RecentMove { guid, src_eid, dst_eid, nonce, state: job.state, at });
        report.recent.truncate(RECENT);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_estimate_is_what_the_pace_so_far_gives() {
        let now = Instant::now();
        let begun = Backfill::after(None, 1_000, 50, now);
        assert_eq!(begun.map(|it| (it.left, it.done, it.estimate)), Some((1_000, 0, None)));
        let now = now + Duration::from_secs(10);
        let later = Backfill::after(begun, 750, 300, now);
        assert_eq!(later.map(|it| (it.left, it.done, it.estimate)), Some((750, 250, Some(Duration::from_secs(30)))));
        assert_eq!(Backfill::after(later, 0, 1_050, now), None);
    }
}
