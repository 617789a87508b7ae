//! What comes before everything else in a lane: stopping what is in flight when a chain halts, and taking attestations back.

use serde_json::json;
use tracing::{debug, warn};

use super::{
    Engine, Lane,
    lane::{LaneError, usable},
    record::chain_of,
    retract::is_ready,
};
use crate::{
    error::Disposition,
    ids::{Eid, JobId},
    job::{Job, State},
    ports::SignedAttestation,
};

/// Jobs that are looked at in one round.
const MOST: usize = 1_000;

impl Engine {
    pub(super) async fn urgent(&self, eid: Eid, lane: &Lane) -> Result<(), LaneError> {
        self.cancel_halted(eid, lane).await?;
        self.submit_retractions(eid, lane).await
    }

    /// A halt stops what is in flight too, as far as it is not mined yet.
    async fn cancel_halted(&self, eid: Eid, lane: &Lane) -> Result<(), LaneError> {
        let halts = self.store.halts.standing().await?;
        if halts.is_empty() {
            return Ok(());
        }
        let submitted = self.store.jobs.in_state(eid, State::Submitted, MOST).await?;
        let is_halted = |job: &&Job| halts.iter().any(|halt| halt.scope.stops(job.location.src_eid, eid));
        let unwanted: Vec<JobId> = submitted.iter().filter(is_halted).map(|job| job.id).collect();
        if unwanted.is_empty() {
            return Ok(());
        }
        Ok(lane.submitter.cancel(&unwanted).await?)
    }

    /// Neither a halt nor a batch that fills holds up a retraction.
    async fn submit_retractions(&self, eid: Eid, lane: &Lane) -> Result<(), LaneError> {
        let jobs = self.store.jobs.in_state(eid, State::Retracting, lane.batch.max_items).await?;
        if jobs.is_empty() {
            return Ok(());
        }
        let candidates: Vec<_> = self.cosigners.iter().filter_map(|it| it.address(eid)).collect();
        let committee = lane.submitter.committee(&candidates).await?;
        let mut batch: Vec<SignedAttestation> = Vec::new();
        for job in jobs {
            let view = match lane.submitter.view(&job.claim).await {
                Ok(view) => view,
                Err(error) if matches!(error.disposition(), Disposition::Halt) => return Err(error.into()),
                Err(error) => {
                    debug!(guid = %job.claim.header.guid(), error = chain_of(&error), "left for the next round");
                    continue;
                }
            };
            if !view.shows_attestation() || !is_ready(&job, &view) {
                continue;
            }
            match usable(&job, &view, &committee) {
                Ok(item) => batch.push(item),
                Err(reason) => self.collect_again(job, &reason).await?,
            }
        }
        if !batch.is_empty() {
            lane.submitter.submit(batch).await?;
        }
        Ok(())
    }

    async fn collect_again(&self, mut job: Job, reason: &str) -> Result<(), LaneError> {
        warn!(guid = %job.claim.header.guid(), reason, "a retraction is signed anew");
        job.signed = None;
        job.wake = self.wake_now();
        self.store.jobs.save(&mut job).await?;
        let detail = json!({ "stale": reason });
        Ok(self.audit("submitter", "retraction_stale", Some(job.claim.header.guid()), detail).await?)
    }
}
