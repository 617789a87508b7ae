//! Takes an attestation back: collects signatures over `verify(header, payloadHash, 0)`, which the lane sends before anything
//! else, and sees to it that nothing brings the attestation to life again while a signature over it has not expired.

use std::time::Duration;

use alloy_primitives::Bytes;
use serde_json::json;
use tracing::{error, info, warn};

use super::{
    Engine,
    audit::Audited,
    collect::Ask,
    record::{Failure, chain_of},
};
use crate::{
    destination::DestinationView,
    error::StoreError,
    ids::Confirmations,
    job::{Job, Move, Signed, Wake},
    policy::{self, EXPIRATION_SLACK},
    ports::Retraction,
};

/// Retraction signatures that expire sooner than this are collected anew.
const MARGIN_SECONDS: u64 = 60;
/// Least time between two attempts to collect.
const AGAIN: Duration = Duration::from_secs(1);

impl Engine {
    /// One round of taking an attestation back.
    pub(crate) async fn take_back(&self, job: &mut Job) -> Result<(), StoreError> {
        let Some(view) = self.view_of(job).await? else {
            return Ok(());
        };
        if view.is_past(&job.claim) {
            error!(guid = %job.claim.header.guid(), "the packet was committed before it could be taken back");
            metrics::counter!("dvn_retractions_too_late_total").increment(1);
            let detail = json!({ "too_late": true, "at": view.at.number.0 });
            return self.advance("auditor", job, Move::Commit, Wake::Never, detail).await;
        }
        if !view.shows_attestation() {
            return self.retracted(job, &view).await;
        }
        if is_ready(job, &view) {
            // The lane sends it; what becomes of it is read from the destination.
            return self.wait_for_lane(job).await;
        }
        if let Some(left) = self.turn_to_take_back(job) {
            job.wake = self.wake_in(left.min(self.poll_of(job)));
            return self.store.jobs.save(job).await;
        }
        if job.attempts > 0 && matches!(self.audit_now(job).await, Audited::Holds) {
            warn!(guid = %job.claim.header.guid(), "the evidence is there again, the attestation stays");
            let detail = json!({ "evidence_is_back": true });
            return self.advance("auditor", job, Move::Attest, self.wake_now(), detail).await;
        }
        self.collect_retraction(job, &view).await
    }

    async fn collect_retraction(&self, job: &mut Job, view: &DestinationView) -> Result<(), StoreError> {
        let expiration = policy::expiration(view.time, self.tuning.life);
        let retraction = Retraction { claim: job.claim, location: job.location, expiration };
        match self.collect(job, &Ask::TakeBack(retraction)).await {
            Ok(signed) => {
                info!(guid = %job.claim.header.guid(), "a quorum signed the retraction");
                job.signed = Some(signed);
                self.wait_for_lane(job).await?;
                let detail = json!({ "expiration": expiration.0 });
                self.audit("attestor", "retraction_signed", Some(job.claim.header.guid()), detail).await
            }
            Err(error) => {
                let text = chain_of(&error);
                error!(guid = %job.claim.header.guid(), error = text, "no quorum for a retraction");
                self.postpone(job, text, AGAIN).await
            }
        }
    }

    async fn wait_for_lane(&self, job: &mut Job) -> Result<(), StoreError> {
        job.wake = self.wake_in(self.poll_of(job));
        self.store.jobs.save(job).await?;
        if let Some(lane) = self.lanes.get(&job.dst_eid()) {
            lane.bell.notify_one();
        }
        Ok(())
    }

    /// The destination shows no attestation any more. Signatures that are out can bring it back until they expire.
    pub(crate) async fn retracted(&self, job: &mut Job, view: &DestinationView) -> Result<(), StoreError> {
        self.forget_attested(job);
        self.turns.forget(job.id);
        let latest = policy::expiration(view.time, self.tuning.life).plus(EXPIRATION_SLACK.as_secs());
        let (confirmations, target) = (Confirmations(0), view.receive_lib);
        job.signed = Some(Signed { confirmations, expiration: latest, target, signatures: Bytes::new() });
        job.attested_in = None;
        metrics::counter!("dvn_retractions_total").increment(1);
        let detail = json!({ "at": view.at.number.0, "guarded_until": latest.0 });
        self.advance("auditor", job, Move::Retract, self.wake_in(self.poll_of(job)), detail).await
    }

    /// Watches what was taken back until every signature over it has expired.
    pub(crate) async fn guard(&self, job: &mut Job) -> Result<(), StoreError> {
        let Some(view) = self.view_of(job).await? else {
            return Ok(());
        };
        if view.shows_attestation() {
            error!(guid = %job.claim.header.guid(), "an attestation that was taken back is there again");
            metrics::counter!("dvn_attestations_replayed_total").increment(1);
            job.signed = None;
            let detail = json!({ "replayed": true, "at": view.at.number.0 });
            return self.advance("auditor", job, Move::TakeBack, self.wake_now(), detail).await;
        }
        let is_over = job.signed.as_ref().is_none_or(|signed| signed.expiration < view.time);
        job.wake = if is_over { Wake::Never } else { self.wake_in(self.poll_of(job).max(AGAIN)) };
        self.store.jobs.save(job).await
    }

    /// What the destination shows; nothing where it could not be read, and the job was postponed.
    async fn view_of(&self, job: &mut Job) -> Result<Option<DestinationView>, StoreError> {
        let Some(submitter) = self.views.destinations.get(&job.dst_eid()) else {
            return Ok(None);
        };
        match submitter.view(&job.claim).await {
            Ok(view) => Ok(Some(view)),
            Err(error) => {
                let failure = Failure { reason: chain_of(&error), evidence: error.evidence() };
                self.fail(job, job.dst_eid(), error.disposition(), failure).await?;
                Ok(None)
            }
        }
    }
}

/// Whether a retraction is signed that can still be sent.
pub(crate) fn is_ready(job: &Job, view: &DestinationView) -> bool {
    job.signed.as_ref().is_some_and(|signed| {
        let lasts = signed.expiration > view.time.plus(MARGIN_SECONDS);
        signed.confirmations == Confirmations(0) && !signed.signatures.is_empty() && lasts
    })
}
