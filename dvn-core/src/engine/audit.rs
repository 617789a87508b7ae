//! Looks again at what was attested, until it is committed: an attestation can be taken back as long as nobody acted on it.

use std::{collections::HashMap, sync::Mutex, time::Duration};

use serde_json::json;
use tokio::time::Instant;
use tracing::{debug, error};

use super::{Engine, lock, record::chain_of};
use crate::{
    assess::Auditor,
    error::{StoreError, VerifyErrorKind},
    ids::{Eid, JobId},
    job::{Job, Move, State},
    ports::{EvidenceBundle, HaltScope, Observation, Verification},
};

/// Where nobody else audits, the verifier looks again after this.
const SECOND_LOOK: Duration = Duration::from_secs(120);
/// From the first look to the second; doubled from look to look.
const AGAIN: Duration = Duration::from_secs(30);
/// The longest time between two looks.
const SELDOM: Duration = Duration::from_secs(600);
/// Between two looks at a packet of a halted chain, and after one that told nothing.
const URGENT: Duration = Duration::from_secs(2);
/// Attested jobs that are woken when their chain halts.
const MOST: usize = 10_000;

/// When each attested job is looked at next.
#[derive(Debug, Default)]
pub(crate) struct Audits(Mutex<HashMap<JobId, Next>>);

#[derive(Clone, Copy, Debug)]
struct Next {
    at: Instant,
    looks: u32,
}

impl Audits {
    fn is_due(&self, job: JobId, after: Duration, is_urgent: bool) -> bool {
        let now = Instant::now();
        let first = || Next { at: now.checked_add(after).unwrap_or(now), looks: 0 };
        let next = *lock(&self.0).entry(job).or_insert_with(first);
        is_urgent || next.at <= now
    }

    fn looked(&self, job: JobId, told: bool) {
        let mut audits = lock(&self.0);
        let now = Instant::now();
        let looks = audits.get(&job).map_or(0, |next| next.looks).saturating_add(u32::from(told));
        let pause = if told { AGAIN.saturating_mul(1 << looks.min(6)).min(SELDOM) } else { URGENT };
        audits.insert(job, Next { at: now.checked_add(pause).unwrap_or(now), looks });
    }

    /// How long until the next look.
    pub(crate) fn next(&self, job: JobId) -> Option<Duration> {
        lock(&self.0).get(&job).map(|next| next.at.saturating_duration_since(Instant::now()))
    }

    pub(crate) fn forget(&self, job: JobId) {
        lock(&self.0).remove(&job);
    }
}

/// What an audit says of a packet.
#[derive(Debug)]
pub(crate) enum Audited {
    Holds,
    /// There is no evidence any more, or it is disputed.
    Gone(Gone),
    /// Not due, or the chain could not be read.
    Unknown,
}

/// Why an attestation has nothing to stand on.
#[derive(Debug)]
pub(crate) struct Gone {
    pub(crate) reason: String,
    pub(crate) evidence: Option<EvidenceBundle>,
}

impl Engine {
    /// Audits a job when its time has come, and at short intervals while its source is halted.
    pub(crate) async fn audit_if_due(&self, job: &Job) -> Result<Audited, StoreError> {
        let is_urgent = self.is_halted(job.location.src_eid, job.location.src_eid).await?
            && self.audits.next(job.id).is_none_or(|next| next > URGENT);
        let Some(auditor) = self.auditor(job.location.src_eid) else {
            return Ok(Audited::Unknown);
        };
        if !self.audits.is_due(job.id, auditor.after, is_urgent) {
            return Ok(Audited::Unknown);
        }
        let audited = self.audit_packet(job, &auditor).await;
        let told = matches!(audited, Audited::Holds);
        self.audits.looked(job.id, told && !is_urgent);
        Ok(audited)
    }

    fn auditor(&self, src_eid: Eid) -> Option<Auditor> {
        let source = self.views.sources.get(&src_eid)?;
        let own = || Auditor { verifier: std::sync::Arc::clone(&source.verifier), after: SECOND_LOOK };
        Some(source.auditor.clone().unwrap_or_else(own))
    }

    /// Looks now.
    pub(crate) async fn audit_now(&self, job: &Job) -> Audited {
        match self.auditor(job.location.src_eid) {
            Some(auditor) => self.audit_packet(job, &auditor).await,
            None => Audited::Unknown,
        }
    }

    async fn audit_packet(&self, job: &Job, auditor: &Auditor) -> Audited {
        let gone = |reason: String| Audited::Gone(Gone { reason, evidence: None });
        let block = job.location.block;
        match auditor.verifier.verify(&job.location).await {
            Ok(Verification::Found(seen)) => found(job, &seen),
            Ok(Verification::Orphaned) => gone(format!("audit: block {block} is not on the chain")),
            Ok(Verification::Rejected { refusal, is_settled: true }) => {
                gone(format!("audit: there is no such packet in block {block}: {refusal:?}"))
            }
            Ok(Verification::Rejected { .. }) => Audited::Unknown,
            Err(error) if error.kind() == VerifyErrorKind::Contradiction => {
                let reason = format!("audit: {}", chain_of(&error));
                Audited::Gone(Gone { reason, evidence: error.evidence().cloned() })
            }
            Err(error) => {
                debug!(guid = %job.claim.header.guid(), error = chain_of(&error), "audit is not possible now");
                Audited::Unknown
            }
        }
    }

    /// Halts the source and begins to take the attestation back.
    pub(crate) async fn doubt_attested(&self, job: &mut Job, gone: Gone) -> Result<(), StoreError> {
        let Gone { reason, evidence } = gone;
        let (guid, src_eid) = (job.claim.header.guid(), job.location.src_eid);
        error!(%guid, reason, "an attestation has lost its evidence, taking it back");
        let chain = self.views.sources.get(&src_eid).map(|it| it.verifier.chain().name.clone());
        metrics::counter!("dvn_audit_failures_total", "chain" => chain.unwrap_or_default()).increment(1);
        self.halt(HaltScope::Chain(src_eid), &reason, Some(guid), evidence.as_ref()).await?;
        self.forget_attested(job);
        job.signed = None;
        let told = (evidence.as_ref().map(EvidenceBundle::digest), json!({ "reason": reason }));
        self.advance_on("auditor", job, Move::TakeBack, self.wake_now(), told).await?;
        self.take_back(job).await
    }

    /// Lets every attested packet of a chain be looked at now: the chain was halted.
    pub(crate) async fn wake_attested(&self, scope: HaltScope) -> Result<(), StoreError> {
        for dst_eid in self.lanes.keys() {
            for mut job in self.store.jobs.in_state(*dst_eid, State::Attested, MOST).await? {
                let concerns = scope == HaltScope::All || scope == HaltScope::Chain(job.location.src_eid);
                if !concerns || lock(&self.in_hand).contains(&job.id) {
                    continue;
                }
                job.wake = self.wake_now();
                if let Err(error) = self.store.jobs.save(&mut job).await {
                    debug!(guid = %job.claim.header.guid(), error = chain_of(&error), "left to its next look");
                }
            }
        }
        Ok(())
    }
}

fn found(job: &Job, seen: &Observation) -> Audited {
    if seen.location != job.location {
        return Audited::Unknown;
    }
    if seen.claim == job.claim && seen.assigned {
        return Audited::Holds;
    }
    let reason = format!("audit: block {} holds another packet in its place", job.location.block);
    Audited::Gone(Gone { reason, evidence: Some(seen.evidence.clone()) })
}
