//! Which waiting jobs a new head makes signable: those that it brings, and not all that wait.

use std::{
    collections::HashMap,
    sync::Mutex,
    time::{Duration, Instant},
};

use super::{Engine, lock};
use crate::{
    error::StoreError,
    ids::{BlockNumber, Eid},
    ports::Head,
};

/// Ripe jobs that are taken at once; the others follow with the next sweep.
const LIMIT: usize = 10_000;
/// Least time between two looks at all that wait, which find what a queue lost and what was saved while a head passed.
const LEAST: Duration = Duration::from_secs(1);
/// Such looks take one part in so many of the time.
const SHARE: u32 = 50;

/// How far each source is, and through which head its jobs are queued.
#[derive(Debug, Default)]
pub(crate) struct Calendar(Mutex<HashMap<Eid, Page>>);

#[derive(Clone, Copy, Debug)]
struct Page {
    head: Head,
    /// The heads of the last two rounds that queued all they found. The next one begins at the elder, since a job may be saved as
    /// waiting for the newer while that passes.
    queued: Option<(Head, Head)>,
    /// When all that waits was looked at, and how long that took.
    looked: Option<(Instant, Duration)>,
}

impl Page {
    /// From which head on it suffices to look; nothing where all has to be looked at.
    fn since(&self) -> Option<Head> {
        let (at, took) = self.looked?;
        if at.elapsed() >= LEAST.max(took.saturating_mul(SHARE)) {
            return None;
        }
        let (elder, _) = self.queued?;
        // A chain that became shorter has its blocks come again.
        Some(Head { latest: elder.latest.min(self.head.latest), settled: elder.settled.min(self.head.settled) })
    }
}

impl Calendar {
    /// Whether the newest head makes a job signable.
    pub(super) fn has_come(&self, src_eid: Eid, number: BlockNumber, block: BlockNumber) -> bool {
        lock(&self.0).get(&src_eid).is_some_and(|page| page.head.latest >= number && page.head.settled >= block)
    }

    fn turn(&self, src_eid: Eid, head: Head) -> Page {
        let mut pages = lock(&self.0);
        let page = pages.entry(src_eid).or_insert(Page { head, queued: None, looked: None });
        page.head = head;
        *page
    }

    fn looked(&self, src_eid: Eid, at: Instant) {
        if let Some(page) = lock(&self.0).get_mut(&src_eid) {
            page.looked = Some((at, at.elapsed()));
        }
    }

    fn queued(&self, src_eid: Eid, head: Head, all: bool) {
        if let Some(page) = lock(&self.0).get_mut(&src_eid) {
            page.queued = all.then(|| (page.queued.map_or(head, |(_, newer)| newer), head));
        }
    }

    /// Sources of which not all was queued.
    fn unfinished(&self) -> Vec<(Eid, Head)> {
        lock(&self.0).iter().filter(|(_, page)| page.queued.is_none()).map(|(eid, page)| (*eid, page.head)).collect()
    }
}

impl Engine {
    /// Queues the jobs that a new head makes signable.
    pub(crate) async fn wake_ripe(&self, src_eid: Eid, head: Head) -> Result<(), StoreError> {
        let jobs = &self.store.jobs;
        let ripe = match self.calendar.turn(src_eid, head).since() {
            Some(since) => jobs.ripened(src_eid, since, head, LIMIT).await?,
            None => {
                let started = Instant::now();
                let ripe = jobs.ripe(src_eid, head, LIMIT).await?;
                self.calendar.looked(src_eid, started);
                ripe
            }
        };
        let is_all = ripe.len() < LIMIT;
        let is_queued = self.enqueue(ripe).await;
        self.calendar.queued(src_eid, head, is_all && is_queued);
        Ok(())
    }

    /// Goes on where a queue was full, or more became ripe than were taken at once.
    pub(super) async fn wake_the_rest(&self) -> Result<(), StoreError> {
        for (src_eid, head) in self.calendar.unfinished() {
            self.wake_ripe(src_eid, head).await?;
        }
        Ok(())
    }
}
