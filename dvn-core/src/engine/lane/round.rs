//! One round of a lane's new work: which jobs make the next batch, whether they still need sending, and what became of them.

use std::{
    collections::{BTreeMap, HashMap, btree_map::Entry},
    time::Duration,
};

use alloy_primitives::{Address, B256};
use serde_json::json;
use tokio::time::Instant;
use tracing::debug;

use super::{LaneError, usable};
use crate::{
    destination::{Decision, DestinationView},
    engine::{Engine, Lane, inherited::Inherited, record::chain_of},
    error::{Disposition, StoreError, SubmitError},
    ids::{Eid, JobId},
    job::{Job, Move, State, Wake},
    ports::{SignedAttestation, SubmissionId, Submitted},
    signature::Committee,
};

/// How long a job is left alone that the destination could not be asked about.
const UNREADABLE: Duration = Duration::from_secs(2);
/// Jobs whose refusals are remembered; beyond, counting begins anew.
const MOST_REFUSALS: usize = 10_000;

/// What a lane remembers from round to round. Losing it costs time and nothing else.
#[derive(Debug, Default)]
pub(super) struct Round {
    /// Since when a batch fills.
    waiting_since: Option<Instant>,
    /// Whether the last transaction had no room for all that was due.
    is_left_over: bool,
    inherited: Option<Inherited>,
    /// Jobs that could not be looked at, and until when they make room for others.
    unreadable: HashMap<JobId, Instant>,
    /// How often a simulation showed that sending a job would have no effect.
    refusals: HashMap<JobId, usize>,
    /// Until when nothing new is sent, while what is open goes on.
    rest: Option<Instant>,
    /// The kind of what went wrong last, until something goes well.
    pub(super) trouble: Option<&'static str>,
}

impl Round {
    /// Whether nothing new is to be sent for now.
    pub(super) fn rests(&self) -> bool {
        self.rest.is_some_and(|until| Instant::now() < until)
    }

    pub(super) fn rest(&mut self, pause: Duration) {
        self.rest = Instant::now().checked_add(pause);
    }

    fn leave(&mut self, job: JobId) {
        let now = Instant::now();
        self.unreadable.insert(job, now.checked_add(UNREADABLE).unwrap_or(now));
    }

    /// Counts a refusal.
    fn refused(&mut self, job: JobId) -> usize {
        if self.refusals.len() >= MOST_REFUSALS {
            self.refusals.clear();
        }
        let tried = self.refusals.entry(job).or_default();
        *tried = tried.saturating_add(1);
        *tried
    }
}

impl Engine {
    /// Submits one batch if one is due. Says whether another may be waiting.
    pub(super) async fn submit_some(&self, eid: Eid, lane: &Lane, round: &mut Round) -> Result<bool, LaneError> {
        let jobs = self.candidates(eid, lane, round).await?;
        if jobs.is_empty() {
            round.waiting_since = None;
            return Ok(false);
        }
        if !self.is_batch_due(lane, jobs.len(), round).await? {
            return Ok(false);
        }
        round.waiting_since = None;
        let is_full = jobs.len() >= lane.batch.max_items;
        let ready = self.ready(lane, jobs, round).await?;
        if ready.is_empty() {
            return Ok(false);
        }
        let left = self.submit(lane, ready, round).await?;
        // What did not fit goes with the next transaction, and waits for no other.
        round.is_left_over = left > 0;
        Ok(is_full || left > 0)
    }

    /// Signed jobs, as many as a batch may have, without those that are not looked at for now.
    async fn candidates(&self, eid: Eid, lane: &Lane, round: &mut Round) -> Result<Vec<Job>, StoreError> {
        let now = Instant::now();
        round.unreadable.retain(|_, until| *until > now);
        let Round { inherited, unreadable, .. } = round;
        let inherited = match inherited {
            Some(inherited) => inherited,
            None => inherited.insert(Inherited::find(self, eid, &lane.own).await?),
        };
        let most = lane.batch.max_items.saturating_add(inherited.len()).saturating_add(unreadable.len());
        let mut jobs = self.store.jobs.in_state(eid, State::Signed, most).await?;
        jobs.retain(|job| !unreadable.contains_key(&job.id) && !inherited.waits(self, job));
        jobs.truncate(lane.batch.max_items);
        Ok(jobs)
    }

    /// A lone packet on an idle lane never waits; behind an open transaction a batch may fill, and what fills one goes.
    async fn is_batch_due(&self, lane: &Lane, items: usize, round: &mut Round) -> Result<bool, SubmitError> {
        if !lane.submitter.has_room().await? {
            return Ok(false);
        }
        let full = lane.batch.max_items.min(lane.submitter.most_items());
        if items >= full || std::mem::take(&mut round.is_left_over) || !lane.submitter.is_busy().await? {
            return Ok(true);
        }
        let since = *round.waiting_since.get_or_insert_with(Instant::now);
        Ok(since.elapsed() >= lane.batch.max_wait)
    }

    /// Asks the destination about each job once more and keeps those that it still lacks.
    async fn ready(
        &self,
        lane: &Lane,
        jobs: Vec<Job>,
        round: &mut Round,
    ) -> Result<Vec<(Job, SignedAttestation)>, LaneError> {
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
                    debug!(guid = %job.claim.header.guid(), error = chain_of(&error), "left for a later round");
                    round.leave(job.id);
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

    /// Says how many did not fit.
    async fn submit(
        &self,
        lane: &Lane,
        ready: Vec<(Job, SignedAttestation)>,
        round: &mut Round,
    ) -> Result<usize, LaneError> {
        let mut jobs: BTreeMap<JobId, Job> = ready.iter().map(|(job, _)| (job.id, job.clone())).collect();
        let batch = ready.into_iter().map(|(_, item)| item).collect();
        let Submitted { sent, refused } = lane.submitter.submit(batch).await?;
        let is_something_done = !sent.is_empty() || !refused.is_empty();
        let (mut moves, mut hashes) = (Vec::new(), BTreeMap::new());
        for (id, submission) in sent {
            let Some(job) = jobs.remove(&id) else {
                continue;
            };
            round.refusals.remove(&id);
            let hash = match hashes.entry(submission) {
                Entry::Occupied(known) => *known.get(),
                Entry::Vacant(new) => *new.insert(self.transaction_of(id, submission).await?),
            };
            let detail = json!({ "submission": submission.0, "tx": hash });
            moves.push((job, Move::Submit, Wake::Never, detail));
        }
        self.advance_all("submitter", moves).await?;
        for (id, reason) in refused {
            if let Some(mut job) = jobs.remove(&id) {
                let tried = round.refused(id);
                self.sign_anew(&mut job, &reason, tried).await?;
            }
        }
        // A submitter that takes nothing is not asked again at once.
        Ok(if is_something_done { jobs.len() } else { 0 })
    }

    /// The hash of a submission's newest form, where the outbox is what the submitter keeps it in.
    async fn transaction_of(&self, job: JobId, submission: SubmissionId) -> Result<Option<B256>, StoreError> {
        let kept = self.store.outbox.of_job(job).await?.into_iter().find(|it| it.id == submission);
        Ok(kept.and_then(|it| it.attempts.last().map(|attempt| attempt.tx_hash)))
    }
}
