//! Brings signed jobs to one destination: batches them, has them submitted, and takes note of what became of them.

mod round;

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use alloy_primitives::Signature;
use serde_json::json;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, warn};

use self::round::Round;
use super::{Engine, Lane, record::chain_of};
use crate::{
    attestation::Attestation,
    destination::DestinationView,
    error::{Disposition, StoreError, SubmitError, SubmitErrorKind},
    ids::Eid,
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
/// Pause after the first simulation that showed no effect; doubled each time.
const REFUSED: Duration = Duration::from_millis(500);

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
            Ok(()) if round.rests() => Duration::ZERO,
            Ok(()) => {
                engine.progress.lane(eid, None);
                degraded(lane, false);
                round.trouble = None;
                Duration::ZERO
            }
            Err(error) => engine.note(lane, &error, &mut round).await,
        };
    }
    let name = lease_name(eid);
    if let Err(error) = engine.store.leases.release(&name, &engine.tuning.instance).await {
        warn!(%error, "lease was not given back");
    }
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

impl LaneError {
    /// A stable word.
    const fn kind(&self) -> &'static str {
        match self {
            Self::Destination(error) => error.kind().name(),
            Self::Store(error) => error.kind().name(),
        }
    }

    /// Whether only what is new has to wait, while what is open goes on.
    fn keeps_queued(&self) -> bool {
        use SubmitErrorKind::{Budget, FeeCap, Rejected, Underfunded};
        matches!(self, Self::Destination(error) if matches!(error.kind(), Budget | FeeCap | Underfunded | Rejected))
    }
}

impl Engine {
    /// One round of a lane: what cannot wait, then what is open, then what is new.
    async fn tend(&self, eid: Eid, lane: &Lane, round: &mut Round) -> Result<(), LaneError> {
        if !self.leads(eid, lane).await? {
            return Ok(());
        }
        // What is open is looked after whatever keeps what is urgent from being sent.
        let urgent = self.urgent(eid, lane).await;
        self.settle(lane).await?;
        urgent?;
        if round.rests() {
            return Ok(());
        }
        let began = Instant::now();
        while self.submit_some(eid, lane, round).await? {
            if began.elapsed() >= lane.poll {
                // In a flood what is urgent or open has its turn too; the rest follows at once.
                lane.bell.notify_one();
                break;
            }
        }
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

    /// Says how long the lane does nothing at all.
    async fn note(&self, lane: &Lane, error: &LaneError, round: &mut Round) -> Duration {
        let text = chain_of(error);
        let chain = lane.submitter.chain();
        let kind = error.kind();
        // A fee that stays too high is said once and shown for as long.
        if round.trouble.replace(kind) == Some(kind) {
            debug!(chain = chain.name, error = text, "lane still fails");
        } else {
            warn!(chain = chain.name, error = text, "lane failed");
        }
        metrics::counter!("dvn_lane_failures_total", "chain" => chain.name.clone(), "kind" => kind).increment(1);
        self.progress.lane(chain.eid, Some(text.clone()));
        degraded(lane, true);
        let disposition = match error {
            LaneError::Destination(error) => error.disposition(),
            LaneError::Store(error) => error.disposition(),
        };
        match disposition {
            Disposition::Retry { after } if error.keeps_queued() => {
                round.rest(after);
                Duration::ZERO
            }
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
            let is_attested = |it: &Settlement| matches!(it.outcome, Outcome::Attested { .. });
            let (attested, others): (Vec<_>, Vec<_>) = settlements.into_iter().partition(is_attested);
            self.attested(lane, attested).await?;
            for settlement in others {
                self.take_note(settlement).await?;
            }
            // Closed last: after a crash in between the same reports come again, and find the jobs moved already.
            lane.submitter.close(submission).await?;
        }
        Ok(())
    }

    /// Most settlements say this, and a batch's come together.
    async fn attested(&self, lane: &Lane, settlements: Vec<Settlement>) -> Result<(), LaneError> {
        let mut moves = Vec::with_capacity(settlements.len());
        let loads = settlements.iter().map(|it| self.store.jobs.load(it.job));
        let jobs = futures::future::try_join_all(loads).await?;
        for (settlement, job) in settlements.into_iter().zip(jobs) {
            match (&settlement.outcome, job) {
                (Outcome::Attested { block, tx_hash }, Some(mut job))
                    if matches!(job.state, State::Signed | State::Submitted) =>
                {
                    job.attested_in = Some(*block);
                    let detail = json!({ "block": block.number.0, "tx": tx_hash });
                    moves.push((job, Move::Attest, self.wake_in(lane.first_look()), detail));
                }
                _ => self.take_note(settlement).await?,
            }
        }
        let count = u64::try_from(moves.len()).unwrap_or(u64::MAX);
        self.advance_all("submitter", moves).await?;
        let chain = lane.submitter.chain().name.clone();
        metrics::counter!("dvn_submission_success_total", "target_chain" => chain).increment(count);
        Ok(())
    }

    async fn take_note(&self, settlement: Settlement) -> Result<(), LaneError> {
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
            // Moved before, and told once more after a crash.
            Outcome::Attested { .. } => {}
            Outcome::Ineffective { reason } => self.resign(&mut job, &reason).await?,
            Outcome::Cancelled => {
                let detail = json!({ "cancelled": true });
                self.advance("submitter", &mut job, Move::Verify, self.wake_now(), detail).await?;
            }
        }
        Ok(())
    }

    /// What would have no effect as it is: as after a transaction without effect, with growing pauses.
    async fn sign_anew(&self, job: &mut Job, reason: &str, tried: usize) -> Result<(), StoreError> {
        let detail = json!({ "refused": reason, "tried": tried });
        if tried >= MOST_SUBMISSIONS {
            return self.advance("submitter", job, Move::Hold(Hold::Failed), Wake::Never, detail).await;
        }
        let doublings = u32::try_from(tried.saturating_sub(1)).unwrap_or(u32::MAX);
        let pause = REFUSED.saturating_mul(2_u32.saturating_pow(doublings));
        self.advance("submitter", job, Move::Verify, self.wake_in(pause), detail).await
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
