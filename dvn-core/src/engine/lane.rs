//! Brings signed jobs to one destination: batches them, has them submitted, and takes note of what became of them.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use alloy_primitives::{Address, B256, Signature};
use serde_json::json;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, warn};

use super::{Engine, Lane, inherited::Inherited, record::chain_of};
use crate::{
    attestation::Attestation,
    destination::{Decision, DestinationView},
    error::{Disposition, StoreError, SubmitError},
    ids::{Eid, JobId},
    job::{Hold, Job, Move, Signed, State, Wake},
    ports::{Fence, Outcome, Settlement, SignedAttestation, SubmissionId},
    signature::{Committee, SIGNATURE_LEN, SignatureSet},
};

/// Signatures that expire sooner than this are not worth sending.
const EXPIRY_MARGIN_SECONDS: u64 = 60;
/// A leader that is not heard of for so long is replaced: several rounds, so that a slow one is not.
const LEASE: Duration = Duration::from_secs(5);
const LEASE_POLLS: u32 = 4;
/// After so many transactions without effect a job is held: something is wrong that gas does not mend.
const MOST_SUBMISSIONS: usize = 5;

pub(crate) async fn run(engine: Arc<Engine>, eid: Eid, stop: CancellationToken) {
    let Some(lane) = engine.lanes.get(&eid) else {
        return;
    };
    let mut round = Round::default();
    let mut quiet = Duration::ZERO;
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            () = lane.bell.notified(), if quiet.is_zero() => {}
            () = tokio::time::sleep(lane.poll.max(quiet)) => {}
        }
        quiet = match engine.tend(eid, lane, &mut round).await {
            Ok(()) => {
                engine.progress.lane(eid, None);
                degraded(lane, false);
                Duration::ZERO
            }
            Err(error) => engine.note(lane, &error).await,
        };
    }
    let name = lease_name(eid);
    if let Err(error) = engine.store.leases.release(&name, &engine.tuning.instance).await {
        warn!(%error, "lease was not given back");
    }
}

/// What a lane remembers from round to round.
#[derive(Debug, Default)]
struct Round {
    /// Since when a batch fills.
    waiting_since: Option<Instant>,
    inherited: Option<Inherited>,
}

/// Whether a destination could not be read or written in the last round: what to alert on.
fn degraded(lane: &Lane, is: bool) {
    let chain = lane.submitter.chain().name.clone();
    metrics::gauge!("dvn_target_degraded", "chain" => chain).set(if is { 1.0 } else { 0.0 });
}

fn lease_name(eid: Eid) -> String {
    format!("lane/{eid}")
}

#[derive(Debug, thiserror::Error)]
pub(super) enum LaneError {
    #[error("destination failed")]
    Destination(#[from] SubmitError),
    #[error("store failed")]
    Store(#[from] StoreError),
}

impl Engine {
    /// One round of a lane: what cannot wait, then what is open, then what is new.
    async fn tend(&self, eid: Eid, lane: &Lane, round: &mut Round) -> Result<(), LaneError> {
        if !self.leads(eid, lane).await? {
            return Ok(());
        }
        self.urgent(eid, lane).await?;
        self.settle(lane).await?;
        while self.submit_some(eid, lane, round).await? {}
        Ok(())
    }

    /// Of several processes on one store one leads a lane.
    async fn leads(&self, eid: Eid, lane: &Lane) -> Result<bool, StoreError> {
        let ttl = lane.poll.saturating_mul(LEASE_POLLS).max(LEASE);
        let name = lease_name(eid);
        let lease = self.store.leases.acquire(&name, &self.tuning.instance, self.clock.now(), ttl).await?;
        let Some(lease) = lease else { return Ok(false) };
        lane.submitter.lead(Fence { lease: name, number: lease.fence });
        Ok(true)
    }

    async fn note(&self, lane: &Lane, error: &LaneError) -> Duration {
        let text = chain_of(error);
        let chain = lane.submitter.chain();
        warn!(chain = chain.name, error = text, "lane failed");
        self.progress.lane(chain.eid, Some(text.clone()));
        degraded(lane, true);
        let disposition = match error {
            LaneError::Destination(error) => error.disposition(),
            LaneError::Store(error) => error.disposition(),
        };
        match disposition {
            Disposition::Retry { after } => after,
            Disposition::Reject => Duration::from_secs(5),
            Disposition::Halt => {
                let evidence = match error {
                    LaneError::Destination(error) => error.evidence(),
                    LaneError::Store(error) => error.evidence(),
                };
                if let Err(error) = self.halt_chain(chain.eid, &text, evidence).await {
                    error!(chain = chain.name, %error, "halt could not be recorded");
                }
                Duration::from_secs(5)
            }
        }
    }

    // Settling

    async fn settle(&self, lane: &Lane) -> Result<(), LaneError> {
        let mut by_submission: BTreeMap<SubmissionId, Vec<Settlement>> = BTreeMap::new();
        for settlement in lane.submitter.settle().await? {
            by_submission.entry(settlement.submission).or_default().push(settlement);
        }
        for (submission, settlements) in by_submission {
            for settlement in settlements {
                self.take_note(lane, settlement).await?;
            }
            // Closed last: after a crash in between the same reports come again, and find the jobs moved already.
            lane.submitter.close(submission).await?;
        }
        Ok(())
    }

    async fn take_note(&self, lane: &Lane, settlement: Settlement) -> Result<(), LaneError> {
        let Some(mut job) = self.store.jobs.load(settlement.job).await? else {
            return Ok(());
        };
        if job.state == State::Retracting {
            // Whatever the transaction did, the next look at the destination says how the record stands.
            if !matches!(settlement.outcome, Outcome::Attested { .. }) {
                job.signed = None;
            }
            job.wake = self.wake_now();
            return Ok(self.store.jobs.save(&mut job).await?);
        }
        if !matches!(job.state, State::Signed | State::Submitted) {
            return Ok(());
        }
        match settlement.outcome {
            Outcome::Attested { block, tx_hash } => {
                job.attested_in = Some(block);
                let detail = json!({ "block": block.number.0, "tx": tx_hash });
                self.advance("submitter", &mut job, Move::Attest, self.wake_now(), detail).await?;
                let chain = lane.submitter.chain().name.clone();
                metrics::counter!("dvn_submission_success_total", "target_chain" => chain).increment(1);
            }
            Outcome::Ineffective { reason } => self.resign(&mut job, &reason).await?,
            Outcome::Cancelled => {
                let detail = json!({ "cancelled": true });
                self.advance("submitter", &mut job, Move::Verify, self.wake_now(), detail).await?;
            }
        }
        Ok(())
    }

    /// A transaction without effect: look from both ends again, unless that was tried often enough.
    async fn resign(&self, job: &mut Job, reason: &str) -> Result<(), StoreError> {
        warn!(guid = %job.claim.header.guid(), reason, "submission had no effect");
        let tried = self.store.outbox.of_job(job.id).await?.len();
        if tried >= MOST_SUBMISSIONS {
            let detail = json!({ "reason": reason, "submissions": tried });
            return self.advance("submitter", job, Move::Hold(Hold::Failed), Wake::Never, detail).await;
        }
        self.advance("submitter", job, Move::Verify, self.wake_now(), json!({ "reason": reason })).await
    }

    // Submitting

    /// Submits one batch if one is due. Says whether another may be waiting.
    async fn submit_some(&self, eid: Eid, lane: &Lane, round: &mut Round) -> Result<bool, LaneError> {
        let Round { waiting_since, inherited } = round;
        let inherited = match inherited {
            Some(inherited) => inherited,
            None => inherited.insert(Inherited::find(self, eid, &lane.own).await?),
        };
        let most = lane.batch.max_items.saturating_add(inherited.len());
        let mut jobs = self.store.jobs.in_state(eid, State::Signed, most).await?;
        jobs.retain(|job| !inherited.waits(self, job));
        jobs.truncate(lane.batch.max_items);
        if jobs.is_empty() {
            *waiting_since = None;
            return Ok(false);
        }
        if !self.is_batch_due(lane, jobs.len(), waiting_since).await? {
            return Ok(false);
        }
        *waiting_since = None;
        let full = jobs.len() >= lane.batch.max_items;
        let ready = self.ready(lane, jobs).await?;
        if ready.is_empty() {
            return Ok(false);
        }
        self.submit(lane, ready).await?;
        Ok(full)
    }

    /// A lone packet on an idle lane never waits; behind an open transaction a batch may fill.
    async fn is_batch_due(
        &self,
        lane: &Lane,
        items: usize,
        waiting_since: &mut Option<Instant>,
    ) -> Result<bool, SubmitError> {
        if items >= lane.batch.max_items || !lane.submitter.is_busy().await? {
            return Ok(true);
        }
        let since = *waiting_since.get_or_insert_with(Instant::now);
        Ok(since.elapsed() >= lane.batch.max_wait)
    }

    /// Asks the destination about each job once more and keeps those that it still lacks.
    async fn ready(&self, lane: &Lane, jobs: Vec<Job>) -> Result<Vec<(Job, SignedAttestation)>, LaneError> {
        let candidates: Vec<Address> =
            self.cosigners.iter().filter_map(|it| it.address(lane.submitter.chain().eid)).collect();
        let committee = lane.submitter.committee(&candidates).await?;
        let views = jobs.iter().map(|job| lane.submitter.view(&job.claim));
        let views = futures::future::join_all(views).await;
        let halts = self.store.halts.standing().await?;
        let mut ready = Vec::new();
        for (mut job, view) in jobs.into_iter().zip(views) {
            if halts.iter().any(|halt| halt.scope.stops(job.location.src_eid, job.dst_eid())) {
                // What is signed but not sent stays unsent; once the halt is lifted it is verified from the start.
                self.advance("submitter", &mut job, Move::Verify, self.wake_now(), json!({ "halted": true })).await?;
                continue;
            }
            let view = match view {
                Ok(view) => view,
                Err(error) if matches!(error.disposition(), Disposition::Halt) => return Err(error.into()),
                Err(error) => {
                    // One packet that cannot be looked at must not hold up the others; it stays signed.
                    debug!(guid = %job.claim.header.guid(), error = chain_of(&error), "left for the next round");
                    continue;
                }
            };
            if let Some(item) = self.still_wanted(&mut job, &view, &committee).await? {
                ready.push((job, item));
            }
        }
        Ok(ready)
    }

    async fn still_wanted(
        &self,
        job: &mut Job,
        view: &DestinationView,
        committee: &Committee,
    ) -> Result<Option<SignedAttestation>, StoreError> {
        let stale = match view.decide(&job.claim) {
            Decision::Committed | Decision::Attested => {
                let detail = json!({ "found_on_destination": true, "at": view.at.number.0 });
                self.advance("submitter", job, Move::Attest, self.wake_now(), detail).await?;
                return Ok(None);
            }
            Decision::Hold(hold) => {
                self.hold(job, hold, json!({ "at": view.at.number.0 })).await?;
                return Ok(None);
            }
            Decision::Submit(config) => match usable(job, view, committee) {
                Ok(item) if item.attestation.confirmations >= config.confirmations => return Ok(Some(item)),
                Ok(_) => "the receiver asks for more confirmations now".to_owned(),
                Err(reason) => reason,
            },
        };
        self.advance("submitter", job, Move::Verify, self.wake_now(), json!({ "stale": stale })).await?;
        Ok(None)
    }

    async fn submit(&self, lane: &Lane, ready: Vec<(Job, SignedAttestation)>) -> Result<(), LaneError> {
        let mut jobs: BTreeMap<JobId, Job> = ready.iter().map(|(job, _)| (job.id, job.clone())).collect();
        let batch = ready.into_iter().map(|(_, item)| item).collect();
        for (id, submission) in lane.submitter.submit(batch).await? {
            let Some(job) = jobs.get_mut(&id) else {
                continue;
            };
            let detail = json!({ "submission": submission.0, "tx": self.transaction_of(id, submission).await? });
            self.advance("submitter", job, Move::Submit, Wake::Never, detail).await?;
        }
        Ok(())
    }
}

impl Engine {
    /// The hash of a submission's newest form, where the outbox is what the submitter keeps it in.
    async fn transaction_of(&self, job: JobId, submission: SubmissionId) -> Result<Option<B256>, StoreError> {
        let kept = self.store.outbox.of_job(job).await?.into_iter().find(|it| it.id == submission);
        Ok(kept.and_then(|it| it.attempts.last().map(|attempt| attempt.tx_hash)))
    }
}

/// Rebuilds the call and checks the stored signatures against it, as the contract would.
pub(super) fn usable(job: &Job, view: &DestinationView, committee: &Committee) -> Result<SignedAttestation, String> {
    let signed = job.signed.as_ref().ok_or("no signatures are stored")?;
    let Signed { confirmations, expiration, target, signatures } = signed;
    if expiration.0 <= view.time.plus(EXPIRY_MARGIN_SECONDS).0 {
        return Err(format!("signatures expire at {expiration}"));
    }
    if *target != view.receive_lib {
        return Err("the receiver uses another library now".to_owned());
    }
    let (claim, vid) = (job.claim, committee.vid);
    let attestation =
        Attestation { claim, confirmations: *confirmations, expiration: *expiration, vid, target: *target };
    let parsed: Result<Vec<Signature>, _> = signatures.chunks(SIGNATURE_LEN).map(Signature::from_raw).collect();
    let parsed = parsed.map_err(|error| error.to_string())?;
    let signatures =
        SignatureSet::try_new(attestation.digest(), committee, parsed).map_err(|error| error.to_string())?;
    Ok(SignedAttestation { job: job.id, attestation, signatures })
}
