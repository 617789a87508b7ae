//! What an earlier process of this node had a quorum for, and may not have sent. Peers took it to be gone and may have taken its
//! place, so that it sends last.

use std::collections::HashSet;

use tokio::time::Instant;

use super::Engine;
use crate::{
    error::StoreError,
    ids::{Eid, JobId},
    job::{Job, State},
};

/// Jobs that are remembered; beyond, some are sent at once, which costs gas where another did too.
const MOST: usize = 1_000;

/// The signed jobs that a lane found when it began.
#[derive(Debug)]
pub(super) struct Inherited {
    jobs: HashSet<JobId>,
    found: Instant,
}

impl Inherited {
    pub(super) async fn find(engine: &Engine, eid: Eid) -> Result<Self, StoreError> {
        let jobs = engine.store.jobs.in_state(eid, State::Signed, MOST).await?;
        Ok(Self { jobs: jobs.into_iter().map(|job| job.id).collect(), found: Instant::now() })
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
