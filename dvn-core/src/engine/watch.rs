//! Looks after an attested packet until its destination holds it for good, at growing intervals.

use std::time::Duration;

use serde_json::json;
use tracing::error;

use super::{
    Engine, Lane,
    audit::Audited,
    lock,
    record::{Failure, chain_of},
};
use crate::{
    backoff::Backoff,
    destination::{Decision, DestinationView},
    error::{StoreError, SubmitError},
    ids::BlockNumber,
    job::{Job, Move, Wake},
};

/// The longest time between two looks.
const SELDOM: Duration = Duration::from_secs(60);
/// The first look comes after so many polls, which are two blocks: nobody commits sooner, and in a flood looks are what costs most.
const AT_FIRST: u32 = 4;

impl Lane {
    /// How long after its attestation a packet is looked at.
    pub(super) fn first_look(&self) -> Duration {
        self.poll.saturating_mul(AT_FIRST)
    }
}

impl Engine {
    pub(crate) async fn watch(&self, job: &mut Job) -> Result<(), StoreError> {
        match self.audit_if_due(job).await? {
            Audited::Gone(reason) => return self.doubt_attested(job, reason).await,
            Audited::Holds | Audited::Unknown => {}
        }
        let (view, settled) = match self.look(job).await {
            Ok(Some(seen)) => seen,
            Ok(None) => return Ok(()),
            Err(error) => {
                let failure = Failure { reason: chain_of(&error), evidence: error.evidence() };
                return self.fail(job, job.dst_eid(), error.disposition(), failure).await;
            }
        };
        let at = view.at.number;
        match view.decide(&job.claim) {
            Decision::Committed => {
                let first = *lock(&self.committed_at).entry(job.id).or_insert(at);
                if settled < first {
                    return self.look_again(job).await;
                }
                self.forget_attested(job);
                self.advance("submitter", job, Move::Commit, Wake::Never, json!({ "final": settled.0 })).await
            }
            Decision::Attested => self.look_again(job).await,
            Decision::Submit(_) if view.is_taken_back() => {
                error!(guid = %job.claim.header.guid(), "a quorum of peers took back what is attested");
                self.retracted(job, &view).await
            }
            Decision::Submit(_) => {
                self.forget_attested(job);
                job.attested_in = None;
                let detail = json!({ "lost_at": at.0 });
                self.advance("submitter", job, Move::Verify, self.wake_now(), detail).await
            }
            Decision::Hold(hold) => self.hold(job, hold, json!({ "at": at.0 })).await,
        }
    }

    async fn look(&self, job: &Job) -> Result<Option<(DestinationView, BlockNumber)>, SubmitError> {
        let Some(submitter) = self.views.destinations.get(&job.dst_eid()) else {
            return Ok(None);
        };
        let (view, head) = tokio::try_join!(submitter.view(&job.claim), submitter.head())?;
        Ok(Some((view, head.settled)))
    }

    /// What this process remembers of a job while it is attested.
    pub(crate) fn forget_attested(&self, job: &Job) {
        lock(&self.committed_at).remove(&job.id);
        self.audits.forget(job.id);
    }

    async fn look_again(&self, job: &mut Job) -> Result<(), StoreError> {
        job.attempts = job.attempts.saturating_add(1);
        let first = self.lanes.get(&job.dst_eid()).map_or(SELDOM, Lane::first_look);
        let pause = Backoff::new(first, SELDOM).after(job.attempts);
        // An audit that is due sooner is not slept through.
        let pause = self.audits.next(job.id).map_or(pause, |next| pause.min(next));
        job.wake = self.wake_in(pause);
        self.store.jobs.save(job).await
    }

    /// How often this job's destination is looked at.
    pub(crate) fn poll_of(&self, job: &Job) -> Duration {
        self.lanes.get(&job.dst_eid()).map_or(SELDOM, |lane| lane.poll)
    }
}
