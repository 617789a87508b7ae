//! What an earlier process of this node had a quorum for, and may not have sent. Peers took it to be gone and may have taken its
//! place, so that it sends last.

use std::{collections::HashSet, sync::Mutex};

use tokio::time::Instant;

use super::{Engine, lock};
use crate::{
    error::StoreError,
    ids::{Eid, JobId},
    job::{Job, State},
};

/// Jobs that are remembered; beyond, some are sent at once, which costs gas where another did too.
const MOST: usize = 1_000;

/// Jobs of its own that a process remembers until its lane begins; beyond, it begins anew, which only costs time.
const MOST_OWN: usize = 10_000;

/// What this process had a quorum for before its lane began: that is sent at once.
#[derive(Debug, Default)]
pub(crate) struct Own(Mutex<Noted>);

#[derive(Debug, Default)]
struct Noted {
    jobs: HashSet<JobId>,
    has_begun: bool,
}

impl Own {
    /// Noted before it is saved as signed, so that the lane knows of whatever it finds.
    pub(super) fn note(&self, job: JobId) {
        let mut noted = lock(&self.0);
        if noted.has_begun {
            return;
        }
        if noted.jobs.len() >= MOST_OWN {
            noted.jobs.clear();
        }
        noted.jobs.insert(job);
    }

    fn take(&self) -> HashSet<JobId> {
        let mut noted = lock(&self.0);
        noted.has_begun = true;
        std::mem::take(&mut noted.jobs)
    }
}

/// The signed jobs that a lane found when it began, and that are not of this process.
#[derive(Debug)]
pub(super) struct Inherited {
    jobs: HashSet<JobId>,
    found: Instant,
}

impl Inherited {
    pub(super) async fn find(engine: &Engine, eid: Eid, own: &Own) -> Result<Self, StoreError> {
        let jobs = engine.store.jobs.in_state(eid, State::Signed, MOST).await?;
        let own = own.take();
        let jobs = jobs.into_iter().map(|job| job.id).filter(|id| !own.contains(id)).collect();
        Ok(Self { jobs, found: Instant::now() })
    }

    pub(super) fn len(&self) -> usize {
        self.jobs.len()
    }

    /// Whether the job is still left to others. What is not is forgotten.
    pub(super) fn waits(&mut self, engine: &Engine, job: &Job) -> bool {
        if !self.jobs.contains(&job.id) {
            return false;
        }
        let waits = engine.turn_to_send(&job.location, self.found).is_some();
        if !waits {
            self.jobs.remove(&job.id);
        }
        waits
    }
}
