//! Every change of a job goes through here: the move, the save, the audit row, the log line.

use std::time::Duration;

use alloy_primitives::B256;
use serde_json::{Value, json};
use tracing::{error, info, warn};

use super::{Engine, RETRY};
use crate::{
    error::{Disposition, StoreError, StoreErrorKind},
    ids::{Eid, Guid},
    job::{Job, Move, Wake},
    ports::{AuditEntry, EvidenceBundle, Halt, HaltScope},
};

/// What went wrong with a job, in words, and the answers that show it.
pub(crate) struct Failure<'a> {
    pub(crate) reason: String,
    pub(crate) evidence: Option<&'a EvidenceBundle>,
}

impl Engine {
    /// Applies a move, saves the job and writes the audit row. On an error of the save the job in the store is unchanged.
    pub(crate) async fn advance(
        &self,
        actor: &str,
        job: &mut Job,
        step: Move,
        wake: Wake,
        detail: Value,
    ) -> Result<(), StoreError> {
        self.advance_on(actor, job, step, wake, (None, detail)).await
    }

    /// As [`Engine::advance`], with the digest of the document that the move is based on.
    pub(crate) async fn advance_on(
        &self,
        actor: &str,
        job: &mut Job,
        step: Move,
        wake: Wake,
        told: (Option<B256>, Value),
    ) -> Result<(), StoreError> {
        let row = self.save_moved(actor, job, step, wake, told).await?;
        self.store.audit.append(&[row]).await
    }

    /// Says what to tell the audit log.
    async fn save_moved(
        &self,
        actor: &str,
        job: &mut Job,
        step: Move,
        wake: Wake,
        (evidence, detail): (Option<B256>, Value),
    ) -> Result<AuditEntry, StoreError> {
        let from = job.state;
        job.apply(step, wake).map_err(|illegal| StoreError::new(StoreErrorKind::Corrupt).caused_by(illegal))?;
        self.store.jobs.save(job).await?;
        let guid = job.claim.header.guid();
        let to = job.state;
        self.progress.moved(job, self.clock.now());
        info!(%guid, nonce = job.claim.header.nonce.0, src = job.location.src_eid.0, dst = job.dst_eid().0,
            from = from.name(), to = to.name(), reason = to.reason(), %detail, "job moved");
        let detail = json!({ "from": from.name(), "to": to.name(), "reason": to.reason(), "detail": detail });
        Ok(self.entry(actor, to.name(), Some(guid), (evidence, detail)))
    }

    /// As [`Engine::advance`] of many at once, so that they share the waits for the disk. What fails keeps none of the others.
    pub(crate) async fn advance_all(
        &self,
        actor: &str,
        moves: Vec<(Job, Move, Wake, Value)>,
    ) -> Result<(), StoreError> {
        let moved = moves.into_iter().map(async |(mut job, step, wake, detail)| {
            let row = self.save_moved(actor, &mut job, step, wake, (None, detail)).await?;
            Ok::<_, StoreError>(row)
        });
        let (mut rows, mut failed) = (Vec::new(), None);
        for row in futures::future::join_all(moved).await {
            match row {
                Ok(row) => rows.push(row),
                Err(error) => failed = Some(error),
            }
        }
        self.store.audit.append(&rows).await?;
        failed.map_or(Ok(()), Err)
    }

    /// Notes a failure and asks to be woken later, further away with every failure in a row.
    pub(crate) async fn postpone(&self, job: &mut Job, reason: String, least: Duration) -> Result<(), StoreError> {
        job.attempts = job.attempts.saturating_add(1);
        let guid = job.claim.header.guid();
        if job.last_error.as_deref() != Some(reason.as_str()) {
            warn!(%guid, state = job.state.name(), reason, "job postponed");
        }
        job.last_error = Some(reason);
        job.wake = self.wake_in(RETRY.after(job.attempts).max(least));
        self.store.jobs.save(job).await
    }

    /// Acts on a failure by its disposition; a halt stops the chain that it was about.
    pub(crate) async fn fail(
        &self,
        job: &mut Job,
        chain: Eid,
        disposition: Disposition,
        failure: Failure<'_>,
    ) -> Result<(), StoreError> {
        let reason = failure.reason;
        match disposition {
            Disposition::Retry { after } => self.postpone(job, reason, after).await,
            Disposition::Reject => {
                let step = Move::Hold(crate::job::Hold::Failed);
                self.advance("engine", job, step, Wake::Never, json!({ "error": reason })).await
            }
            Disposition::Halt => {
                let guid = Some(job.claim.header.guid());
                self.halt(HaltScope::Chain(chain), &reason, guid, failure.evidence).await?;
                self.postpone(job, reason, Duration::from_secs(5)).await
            }
        }
    }

    /// Raises a halt and says so, once. What it is based on is stored first, so that a halt that names evidence has it.
    pub(crate) async fn halt(
        &self,
        scope: HaltScope,
        reason: &str,
        guid: Option<Guid>,
        evidence: Option<&EvidenceBundle>,
    ) -> Result<(), StoreError> {
        if self.store.halts.standing().await?.iter().any(|halt| halt.scope == scope) {
            return Ok(());
        }
        let since = self.clock.now();
        if let Some(bundle) = evidence {
            // Without the document the halt still stands; it must never wait for it.
            if let Err(error) = self.store.evidence.put_halt(bundle, since).await {
                warn!(error = chain_of(&error), "evidence of a halt was not stored");
            }
        }
        let digest = evidence.map(EvidenceBundle::digest);
        self.store.halts.raise(Halt { scope, reason: reason.to_owned(), evidence: digest, since }).await?;
        // Told once it is on record, so that whoever reads the line finds the halt.
        error!(?scope, reason, "halted");
        metrics::counter!("dvn_halts_total").increment(1);
        let detail = json!({ "scope": format!("{scope:?}"), "reason": reason });
        self.audit_on("engine", "halt", guid, (digest, detail)).await?;
        self.wake_attested(scope).await
    }

    /// Whether a halt stands that stops work between two chains.
    pub(crate) async fn is_halted(&self, src: Eid, dst: Eid) -> Result<bool, StoreError> {
        Ok(self.store.halts.standing().await?.iter().any(|halt| halt.scope.stops(src, dst)))
    }

    pub(crate) fn wake_now(&self) -> Wake {
        Wake::At(self.clock.now())
    }

    pub(crate) fn wake_in(&self, pause: Duration) -> Wake {
        let now = self.clock.now();
        Wake::At(now.checked_add(pause).unwrap_or(now))
    }

    pub(crate) async fn audit(
        &self,
        actor: &str,
        action: &str,
        guid: Option<Guid>,
        detail: Value,
    ) -> Result<(), StoreError> {
        self.audit_on(actor, action, guid, (None, detail)).await
    }

    async fn audit_on(
        &self,
        actor: &str,
        action: &str,
        guid: Option<Guid>,
        (evidence, detail): (Option<B256>, Value),
    ) -> Result<(), StoreError> {
        self.store.audit.append(&[self.entry(actor, action, guid, (evidence, detail))]).await
    }

    pub(super) fn entry(
        &self,
        actor: &str,
        action: &str,
        guid: Option<Guid>,
        (evidence, detail): (Option<B256>, Value),
    ) -> AuditEntry {
        let (actor, action) = (actor.to_owned(), action.to_owned());
        AuditEntry { at: self.clock.now(), actor, action, guid, evidence, detail: detail.to_string() }
    }
}

/// An error with all its causes in one line.
pub(crate) fn chain_of(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
