//! Our signature is on the chain and not in the journal: the journal was rolled back, or somebody else uses the key.

use std::time::{Duration, SystemTime};

use alloy_primitives::{B256, Signature};
use serde_json::json;
use tracing::{error, warn};

use super::HistoryError;
use crate::{
    attestation::Attestation,
    engine::{Engine, record::chain_of},
    error::{JournalErrorKind, SubmitError, SubmitErrorKind},
    ids::Eid,
    policy::{self, EXPIRATION_SLACK, longest_life},
    ports::{HaltScope, Intent, Purpose, Quarantine, Shown},
};

impl Engine {
    /// Stops everything, and rebuilds what is missing from what the chain shows.
    pub(super) async fn rolled_back(
        &self,
        eid: Eid,
        shown: &Shown,
        attestation: Attestation,
        signature: Option<&Signature>,
    ) -> Result<(), HistoryError> {
        let (guid, tx_hash) = (shown.claim.header.guid(), shown.tx_hash);
        error!(%guid, %tx_hash, block = %shown.block, "journal_rollback_detected");
        metrics::counter!("dvn_journal_rollbacks_total").increment(1);
        let reason = format!(
            "journal_rollback_detected: transaction {tx_hash} on eid {eid} shows our signature for packet {guid}, which the \
             journal does not know: it was rolled back, or somebody else uses the key"
        );
        self.halt(HaltScope::All, &reason, Some(guid), None).await?;
        self.quarantine(reason).await?;
        self.recover(eid, attestation, signature).await
    }

    async fn quarantine(&self, reason: String) -> Result<(), HistoryError> {
        let until = end(self.clock.now(), self.tuning.life);
        Ok(self.store.journal.quarantine(Quarantine { until, reason }).await?)
    }

    /// The row that is missing, so that its slot is closed to every other payload.
    async fn recover(
        &self,
        eid: Eid,
        attestation: Attestation,
        signature: Option<&Signature>,
    ) -> Result<(), HistoryError> {
        let guid = attestation.claim.header.guid();
        let intent = Intent {
            purpose: Purpose::Recovered,
            attestation,
            signer: self.attestor.signer(eid).unwrap_or_default(),
            source_block: B256::ZERO,
            evidence: B256::ZERO,
            now: attestation.expiration,
            at: self.clock.now(),
        };
        match self.store.journal.intend(&intent).await {
            Ok(head) => {
                if let Some(signature) = signature {
                    self.store.journal.signed(head.rows, &signature.as_bytes().into()).await?;
                }
                warn!(%guid, sequence = head.rows, "the journal has what the chain shows");
                let detail = json!({ "sequence": head.rows, "payload": attestation.claim.payload_hash.0 });
                Ok(self.audit("auditor", "journal_recovered", Some(guid), detail).await?)
            }
            Err(error) if error.kind() == JournalErrorKind::Equivocation => {
                error!(%guid, error = chain_of(&error), "equivocation: two payloads of one slot carry our signature");
                metrics::counter!("dvn_equivocations_total").increment(1);
                let detail = json!({ "payload": attestation.claim.payload_hash.0, "error": chain_of(&error) });
                Ok(self.audit("auditor", "equivocation", Some(guid), detail).await?)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The call that must have been signed, where the transaction does not show it, with the latest expiration that it can have.
    pub(super) async fn unknown_attestation(&self, eid: Eid, shown: &Shown) -> Result<Attestation, HistoryError> {
        let missing = || SubmitError::new(SubmitErrorKind::Bug).because("a destination that is not served");
        let submitter = self.views.destinations.get(&eid).ok_or_else(missing)?;
        let (committee, view) = tokio::try_join!(submitter.committee(&[]), submitter.view(&shown.claim))?;
        let expiration = policy::expiration(view.time, self.tuning.life).plus(EXPIRATION_SLACK.as_secs());
        Ok(Attestation {
            claim: shown.claim,
            confirmations: shown.confirmations,
            expiration,
            vid: committee.vid,
            target: shown.target,
        })
    }
}

fn end(now: SystemTime, life: Duration) -> SystemTime {
    now.checked_add(longest_life(life)).unwrap_or(now)
}
