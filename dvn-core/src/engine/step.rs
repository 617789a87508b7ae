//! Takes one job at a time and brings it as far as it can go now.

use std::{sync::Arc, time::Duration};

use alloy_primitives::B256;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use super::{
    Engine, RETRY,
    collect::{Ask, CollectError},
    lock, pause,
    record::{Failure, chain_of},
};
use crate::{
    assess::{AssessError, Assessment, Judged},
    error::{CosignErrorKind, Disposition, StoreError, StoreErrorKind},
    ids::{Eid, JobId},
    job::{Hold, Job, Move, State, Wake},
    policy::{self, Verdict},
    ports::{EvidenceBundle, HaltScope, Proposal},
};

/// How long other processes leave a job to a worker that does not come back: longer than a quorum takes to collect.
const CLAIM: Duration = Duration::from_secs(60);
/// How long a job of a halted chain rests before it looks whether the halt was lifted.
const HALTED: Duration = Duration::from_secs(5);
/// How long a resumable hold rests.
const HELD: Duration = Duration::from_secs(30);
/// How long to leave a key alone that cannot be used.
const KEY: Duration = Duration::from_secs(30);

pub(crate) async fn run(engine: Arc<Engine>, stop: CancellationToken) {
    let mut is_failing = false;
    loop {
        let popped = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            popped = engine.queue.pop() => popped,
        };
        match popped {
            Ok(entry) => {
                is_failing = false;
                engine.work(entry.id).await;
                if let Err(error) = engine.queue.ack(entry).await {
                    debug!(%error, "the job may come again");
                }
            }
            Err(error) => {
                if !std::mem::replace(&mut is_failing, true) {
                    warn!(%error, "queue failed; this is said once until it works again");
                }
                if !pause(&stop, RETRY.after(1)).await {
                    return;
                }
            }
        }
    }
}

/// A job that this worker holds; dropping it gives the job back.
struct InHand<'a>(&'a Engine, JobId);

impl Drop for InHand<'_> {
    fn drop(&mut self) {
        lock(&self.0.in_hand).remove(&self.1);
    }
}

impl Engine {
    async fn work(&self, id: JobId) {
        if !lock(&self.in_hand).insert(id) {
            return;
        }
        let _in_hand = InHand(self, id);
        if let Err(error) = self.step(id).await {
            // The job in the store is as it was, and still due; a conflict means that another worker was faster.
            debug!(job = %id, error = chain_of(&error), "step not saved");
            if error.disposition() == Disposition::Halt {
                error!(job = %id, error = chain_of(&error), "store failed");
            }
        }
    }

    async fn step(&self, id: JobId) -> Result<(), StoreError> {
        let claimed = self.store.jobs.claim(id, &self.tuning.instance, self.clock.now(), CLAIM).await?;
        let Some(mut job) = claimed else {
            return Ok(());
        };
        let is_called = lock(&self.called).remove(&id);
        if !is_called && !self.is_due(&job) {
            return Ok(());
        }
        match job.state {
            // What was attested is looked after in a halt too, and taken back.
            State::Attested => self.watch(&mut job).await,
            State::Retracting => self.take_back(&mut job).await,
            State::Retracted => self.guard(&mut job).await,
            _ if self.is_halted(job.location.src_eid, job.dst_eid()).await? => self.rest(&mut job, HALTED).await,
            State::Observed | State::Waiting | State::Verified => self.examine(&mut job).await,
            State::Held(hold) if hold.resumes() => self.examine(&mut job).await,
            State::Signed | State::Submitted => Ok(()),
            State::Committed | State::Held(_) | State::Refused(_) | State::Orphaned => Ok(()),
        }
    }

    /// Whether the store itself would have sent somebody: queues repeat themselves, and may be written to by others.
    fn is_due(&self, job: &Job) -> bool {
        match job.wake {
            Wake::At(at) => at <= self.clock.now(),
            Wake::AtHead(number) => self.calendar.has_come(job.location.src_eid, number, job.location.block.number),
            Wake::Never => false,
        }
    }

    async fn rest(&self, job: &mut Job, pause: Duration) -> Result<(), StoreError> {
        if !matches!(job.wake, Wake::Never) {
            job.wake = self.wake_in(pause);
            self.store.jobs.save(job).await?;
        }
        Ok(())
    }

    /// Looks at both ends of the packet and acts on the verdict.
    async fn examine(&self, job: &mut Job) -> Result<(), StoreError> {
        let assessment = match self.views.assess(&job.location, job.first_send_confirmations).await {
            Ok(assessment) => assessment,
            Err(error) => {
                let chain = match &error {
                    AssessError::Source(_) | AssessError::Paths(_) => job.location.src_eid,
                    AssessError::Destination(_) => job.dst_eid(),
                };
                let failure = Failure { reason: chain_of(&error), evidence: error.evidence() };
                return self.fail(job, chain, error.disposition(), failure).await;
            }
        };
        match assessment {
            Assessment::Orphaned => self.orphan(job).await,
            Assessment::Rejected { refusal, is_settled: true } => self.refuse(job, refusal, None).await,
            Assessment::Rejected { refusal, .. } => self.doubt(job, refusal).await,
            Assessment::Judged(judged) if judged.seen.claim != job.claim => {
                // A source hinted at one packet and the chain has another one there; the true one gets its own job.
                self.refuse(job, crate::job::Refusal::NotGenuine, Some(&judged.seen.evidence)).await
            }
            Assessment::Judged(judged) => self.act(job, *judged).await,
        }
    }

    async fn orphan(&self, job: &mut Job) -> Result<(), StoreError> {
        let detail = json!({ "block": job.location.block.number.0, "block_hash": job.location.block.hash });
        self.advance("verifier", job, Move::Orphan, Wake::Never, detail).await
    }

    /// Not ours as it stands, in a block that a reorg may still replace: look again when it is settled.
    async fn doubt(&self, job: &mut Job, refusal: crate::job::Refusal) -> Result<(), StoreError> {
        let wake = Wake::AtHead(job.location.block.number);
        if matches!(job.state, State::Waiting) {
            job.wake = wake;
            return self.store.jobs.save(job).await;
        }
        self.advance("verifier", job, Move::Wait, wake, json!({ "doubt": format!("{refusal:?}") })).await
    }

    async fn refuse(
        &self,
        job: &mut Job,
        refusal: crate::job::Refusal,
        evidence: Option<&EvidenceBundle>,
    ) -> Result<(), StoreError> {
        let digest = self.keep(job, evidence).await?;
        if matches!(job.state, State::Verified | State::Held(_)) {
            // It was verified before and the same look says otherwise now: nobody's verdict but an operator's.
            let detail = json!({ "refusal": format!("{refusal:?}") });
            let step = Move::Hold(Hold::Failed);
            return self.advance_on("verifier", job, step, Wake::Never, (digest, detail)).await;
        }
        self.advance_on("verifier", job, Move::Refuse(refusal), Wake::Never, (digest, json!({}))).await
    }

    /// Stores what a decision is based on, before the decision.
    async fn keep(&self, job: &Job, evidence: Option<&EvidenceBundle>) -> Result<Option<B256>, StoreError> {
        let Some(bundle) = evidence else { return Ok(None) };
        self.store.evidence.put(job.claim.header.guid(), bundle, self.clock.now()).await?;
        Ok(Some(bundle.digest()))
    }

    async fn act(&self, job: &mut Job, judged: Judged) -> Result<(), StoreError> {
        if job.first_send_confirmations.is_none() {
            job.first_send_confirmations = Some(judged.seen.send_confirmations);
        }
        let numbers = json!({
            "block": judged.seen.location.block.number.0,
            "head": judged.seen.head.latest.0,
            "settled": judged.seen.head.settled.0,
            "send_confirmations": judged.seen.send_confirmations.0,
            "receive_confirmations": judged.view.config.map(|it| it.confirmations.0),
            "revocable": judged.view.config.is_none_or(|it| it.confirmations.0 > 0),
        });
        match judged.verdict {
            Verdict::Sign { .. } if judged.view.is_taken_back() && !self.is_released(job).await? => {
                self.retracted(job, &judged.view).await
            }
            Verdict::Sign { confirmations } => {
                if job.state != State::Verified {
                    let digest = self.keep(job, Some(&judged.seen.evidence)).await?;
                    self.advance_on("verifier", job, Move::Verify, self.wake_now(), (digest, numbers)).await?;
                    self.record_latency(job);
                }
                if let Some(left) = self.turn(job) {
                    job.wake = self.wake_in(left);
                    return self.store.jobs.save(job).await;
                }
                let expiration = policy::expiration(judged.view.time, self.tuning.life);
                let (location, dst_eid) = (job.location, job.dst_eid());
                self.sign(job, Proposal { location, dst_eid, confirmations, expiration }).await
            }
            Verdict::Wait { head } => {
                let wake = Wake::AtHead(head);
                if matches!(job.state, State::Waiting) {
                    job.wake = wake;
                    return self.store.jobs.save(job).await;
                }
                self.advance("verifier", job, Move::Wait, wake, numbers).await
            }
            Verdict::Committed | Verdict::Attested => {
                self.turns.forget(job.id);
                let detail = json!({ "found_on_destination": true, "at": judged.view.at.number.0 });
                self.advance("verifier", job, Move::Attest, self.wake_now(), detail).await
            }
            Verdict::Hold(hold) if job.state == State::Held(hold) => self.rest(job, HELD).await,
            Verdict::Hold(hold) => {
                let digest = self.keep(job, Some(&judged.seen.evidence)).await?;
                self.hold_on(job, hold, (digest, numbers)).await
            }
            Verdict::Refuse(refusal) => self.refuse(job, refusal, Some(&judged.seen.evidence)).await,
        }
    }

    async fn is_released(&self, job: &Job) -> Result<bool, StoreError> {
        let released = self.attestor.is_released(job.claim.header.guid()).await;
        released.map_err(|error| StoreError::new(StoreErrorKind::Storage).caused_by(error))
    }

    /// From the first sight of a packet to its verification, the wait for finality included.
    fn record_latency(&self, job: &Job) {
        let chain = self.views.sources.get(&job.location.src_eid).map(|it| it.verifier.chain().name.clone());
        let latency = self.clock.now().duration_since(job.observed_at).unwrap_or_default();
        metrics::histogram!("dvn_verification_latency_seconds", "chain" => chain.unwrap_or_default())
            .record(latency.as_secs_f64());
    }

    pub(crate) async fn hold(&self, job: &mut Job, hold: Hold, detail: Value) -> Result<(), StoreError> {
        self.hold_on(job, hold, (None, detail)).await
    }

    async fn hold_on(&self, job: &mut Job, hold: Hold, told: (Option<B256>, Value)) -> Result<(), StoreError> {
        let wake = if hold.resumes() { self.wake_in(HELD) } else { Wake::Never };
        if matches!(hold, Hold::Equivocation | Hold::ForeignPayload) {
            let guid = job.claim.header.guid();
            error!(%guid, payload = %job.claim.payload_hash, ?hold, "another payload is known for this slot");
            metrics::counter!("dvn_equivocations_total").increment(1);
        }
        if matches!(hold, Hold::NonceGap) {
            let (guid, nonce) = (job.claim.header.guid(), job.claim.header.nonce.0);
            if self.progress.is_catching_up(job.location.src_eid) {
                info!(%guid, nonce, "packets before this one on its path are perhaps still to be read");
            } else {
                error!(%guid, nonce, "packets before this one on its path were never seen");
                metrics::counter!("dvn_nonce_gaps_total").increment(1);
            }
        }
        self.advance_on("verifier", job, Move::Hold(hold), wake, told).await
    }

    /// Collects a quorum of signatures for a verified job.
    async fn sign(&self, job: &mut Job, proposal: Proposal) -> Result<(), StoreError> {
        match self.collect(job, &Ask::Attest(proposal)).await {
            Ok(signed) => {
                self.progress.key(None);
                self.turns.forget(job.id);
                let detail = json!({ "confirmations": signed.confirmations.0, "expiration": signed.expiration.0 });
                job.signed = Some(signed);
                let lane = self.lanes.get(&job.dst_eid());
                if let Some(lane) = lane {
                    lane.own.note(job.id);
                }
                self.advance("attestor", job, Move::Sign, Wake::Never, detail).await?;
                if let Some(lane) = lane {
                    lane.bell.notify_one();
                }
                Ok(())
            }
            Err(error) => self.unsigned(job, error).await,
        }
    }

    async fn unsigned(&self, job: &mut Job, error: CollectError) -> Result<(), StoreError> {
        let text = chain_of(&error);
        match error {
            CollectError::Destination(error) => {
                let failure = Failure { reason: text, evidence: error.evidence() };
                self.fail(job, job.dst_eid(), error.disposition(), failure).await
            }
            CollectError::Cosigners(error) => match error.kind() {
                CosignErrorKind::Equivocation => self.hold(job, Hold::Equivocation, json!({ "error": text })).await,
                CosignErrorKind::Contradiction => {
                    let failure = Failure { reason: text, evidence: error.evidence() };
                    self.fail(job, job.location.src_eid, Disposition::Halt, failure).await
                }
                CosignErrorKind::Key | CosignErrorKind::Bug => {
                    self.progress.key(Some(text.clone()));
                    self.postpone(job, text, KEY).await
                }
                // The next look from both ends says what has changed.
                CosignErrorKind::NotYet
                | CosignErrorKind::Unavailable
                | CosignErrorKind::Halted
                | CosignErrorKind::Refused => self.postpone(job, text, Duration::ZERO).await,
            },
        }
    }

    /// Stops a chain on the word of a lane or of a source.
    pub(crate) async fn halt_chain(
        &self,
        eid: Eid,
        reason: &str,
        evidence: Option<&EvidenceBundle>,
    ) -> Result<(), StoreError> {
        self.halt(HaltScope::Chain(eid), reason, None, evidence).await
    }
}
