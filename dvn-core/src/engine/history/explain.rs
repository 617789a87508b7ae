//! Does this node know why the destination shows an attestation of ours?

use alloy_primitives::B256;
use tokio::time::Instant;
use tracing::{error, warn};

use super::{HistoryError, Open, Watched, key_of_shown};
use crate::{
    engine::{
        Engine,
        audit::{Audited, Gone},
    },
    error::StoreError,
    ids::{BlockNumber, BlockRef, Eid},
    job::{Job, Location, State},
    packet::Claim,
    ports::{Cause, Observed, Shown},
};

/// Packets of peers that are looked for at once.
const MOST_OPEN: usize = 10_000;

impl Engine {
    pub(super) async fn explain(&self, eid: Eid, shown: &Shown, watched: &mut Watched) -> Result<(), HistoryError> {
        if !watched.is_new(key_of_shown(shown)) {
            return Ok(());
        }
        let Some(own) = self.attestor.signer(eid) else {
            return Ok(());
        };
        if shown.causes.is_empty() {
            // Unknown signers count as ours.
            return self.explain_unknown(eid, shown).await;
        }
        let mut is_ours = false;
        for cause in &shown.causes {
            for (_, signature) in cause.signers.iter().filter(|(signer, _)| *signer == own) {
                is_ours = true;
                self.explain_ours(eid, shown, cause, signature).await?;
            }
        }
        if !is_ours && shown.confirmations.0 > 0 {
            self.explain_peers(shown, watched).await?;
        }
        Ok(())
    }

    /// What this node signed stands in its journal, to the letter.
    async fn explain_ours(
        &self,
        eid: Eid,
        shown: &Shown,
        cause: &Cause,
        signature: &alloy_primitives::Signature,
    ) -> Result<(), HistoryError> {
        let rows = self.store.journal.slot(shown.claim.header.guid()).await?;
        if rows.iter().any(|row| row.intent.attestation == cause.attestation) {
            return Ok(());
        }
        self.rolled_back(eid, shown, cause.attestation, Some(signature)).await
    }

    async fn explain_unknown(&self, eid: Eid, shown: &Shown) -> Result<(), HistoryError> {
        let rows = self.store.journal.slot(shown.claim.header.guid()).await?;
        let same = |it: &crate::attestation::Attestation| {
            it.claim == shown.claim && it.confirmations == shown.confirmations && it.target == shown.target
        };
        if rows.iter().any(|row| same(&row.intent.attestation)) {
            return Ok(());
        }
        let (guid, tx_hash) = (shown.claim.header.guid(), shown.tx_hash);
        error!(%guid, %tx_hash, "it does not show who signed this attestation, and the journal does not know it");
        let attestation = self.unknown_attestation(eid, shown).await?;
        self.rolled_back(eid, shown, attestation, None).await
    }

    /// Peers alone attested it: this node has verified it too, or looks now.
    async fn explain_peers(&self, shown: &Shown, watched: &mut Watched) -> Result<(), HistoryError> {
        if !self.views.sources.contains_key(&shown.claim.header.src_eid) {
            let (guid, src) = (shown.claim.header.guid(), shown.claim.header.src_eid.0);
            warn!(%guid, src, "peers attested a packet of a source that this node does not watch");
            return Ok(());
        }
        if self.is_explained(&shown.claim).await? || watched.open.len() >= MOST_OPEN {
            return Ok(());
        }
        let cursor = self.store.cursors.load(shown.claim.header.src_eid).await?;
        watched.open.entry(shown.claim).or_insert(Open { since: Instant::now(), cursor });
        Ok(())
    }

    /// Whether this node's own look supports the packet; where it does not, the attestation is taken back.
    async fn is_explained(&self, claim: &Claim) -> Result<bool, StoreError> {
        let Some(mut job) = self.store.jobs.load(claim.job_id()).await? else {
            return Ok(false);
        };
        match job.state {
            State::Verified
            | State::Signed
            | State::Submitted
            | State::Attested
            | State::Committed
            | State::Retracting
            | State::Retracted => Ok(true),
            State::Observed | State::Waiting | State::Held(_) | State::Refused(_) | State::Orphaned => {
                match self.audit_now(&job).await {
                    Audited::Holds => Ok(true),
                    Audited::Unknown => Ok(false),
                    Audited::Gone(gone) => self.doubt_attested(&mut job, gone).await.map(|()| true),
                }
            }
        }
    }

    /// Looks again for what peers attested. What the source still does not show, although it was read on, is forged.
    pub(super) async fn explain_open(&self, eid: Eid, watched: &mut Watched) -> Result<(), HistoryError> {
        for (claim, open) in watched.open.clone() {
            if self.is_explained(&claim).await? {
                watched.open.remove(&claim);
                continue;
            }
            let src_eid = claim.header.src_eid;
            let was_read_on = self.store.cursors.load(src_eid).await? > open.cursor;
            if open.since.elapsed() < self.tuning.unseen || !was_read_on {
                continue;
            }
            if self.store.jobs.load(claim.job_id()).await?.is_some() {
                // It was seen, and cannot be verified or denied yet.
                continue;
            }
            let guid = claim.header.guid();
            error!(%guid, dst = eid.0, "peers attested a packet that the source does not show");
            let mut job = Job::observed(claim, nowhere(src_eid), self.clock.now());
            if let Observed::Known(known) = self.store.jobs.observe(&job).await? {
                job = *known;
            }
            let reason = format!("peers attested packet {guid}, which the source does not show");
            self.doubt_attested(&mut job, Gone { reason, evidence: None }).await?;
            watched.open.remove(&claim);
        }
        Ok(())
    }
}

/// Where a packet stands that nobody saw.
const fn nowhere(src_eid: Eid) -> Location {
    let block = BlockRef { number: BlockNumber(0), hash: B256::ZERO };
    Location { src_eid, block, tx_hash: B256::ZERO, log_index: 0 }
}
