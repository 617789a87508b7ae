//! Signatures in the audit log.

use alloy_primitives::B256;
use serde_json::json;

use super::Attestor;
use crate::{
    error::{CosignError, CosignErrorKind},
    ports::{AuditEntry, Intent},
};

impl Attestor {
    /// Tells what was signed. Where it cannot be told the signature stays here; asking again is safe.
    pub(super) async fn tell_signature(&self, intent: &Intent, sequence: u64) -> Result<(), CosignError> {
        let attestation = &intent.attestation;
        let action = if attestation.is_retraction() { "retraction_signature" } else { "signature" };
        let detail = json!({
            "journal": sequence,
            "digest": attestation.digest(),
            "signer": intent.signer,
            "payload_hash": attestation.claim.payload_hash.0,
            "confirmations": attestation.confirmations.0,
            "expiration": attestation.expiration.0,
            "vid": attestation.vid.0,
            "target": attestation.target,
            "source_block": intent.source_block,
        });
        let entry = AuditEntry {
            at: self.clock.now(),
            actor: "attestor".to_owned(),
            action: action.to_owned(),
            guid: Some(attestation.claim.header.guid()),
            evidence: Some(intent.evidence).filter(|digest| *digest != B256::ZERO),
            detail: detail.to_string(),
        };
        self.audit.append(&[entry]).await.map_err(|error| {
            CosignError::new(CosignErrorKind::Unavailable).because("the signature could not be told").caused_by(error)
        })
    }
}
