use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex},
    time::SystemTime,
};

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
    /// Why the source could not be read, while it could not.
    pub error: Option<String>,
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
