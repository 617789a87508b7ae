//! Taking back: the one thing that is signed without being verified, since it can only make our word worth less.

use alloy_primitives::{B256, Signature};
use tracing::{info, warn};

use super::{
    Attestor,
    errors::{from_assess, from_journal, refused},
};
use crate::{
    assess::Judged,
    attestation::Attestation,
    destination::DestinationView,
    error::{CosignError, CosignErrorKind, StoreError},
    ids::{Confirmations, Guid},
    job::Location,
    packet::Claim,
    policy,
    ports::{Intent, JournalRow, Purpose, Retraction, Verification},
};

impl Attestor {
    /// Signs `verify(header, payloadHash, 0)` for a claim that is attested, unless this node can verify the packet itself now,
    /// with the seats that vote and with those that audit. Neither a halt nor a quarantine stops it. From then on the slot
    /// signs nothing else until an operator releases it.
    ///
    /// # Errors
    /// [`CosignError`].
    ///
    /// # Cancel safety
    /// The signature may be made, and journaled, when the future is dropped; asking again is safe.
    pub async fn retract(&self, retraction: &Retraction) -> Result<Signature, CosignError> {
        let Retraction { claim, expiration, .. } = *retraction;
        let dst_eid = claim.header.dst_eid;
        let key = self.key(dst_eid)?;
        let view = self.submitter(dst_eid)?.view(&claim).await.map_err(|error| from_assess(error.into()))?;
        self.refuse_unless_attested(&claim, &view).await?;
        if !policy::accepts_expiration(expiration, view.time, self.life) {
            return Err(refused(format!("expiration {expiration} is not within bounds at {}", view.time)));
        }
        self.refuse_if_verified(retraction).await?;
        let vid = self.committed_vid(dst_eid, key).await?;
        let (confirmations, target) = (Confirmations(0), view.receive_lib);
        let intent = Intent {
            purpose: Purpose::Sign,
            attestation: Attestation { claim, confirmations, expiration, vid, target },
            signer: key.signer.address(),
            source_block: retraction.location.block.hash,
            evidence: B256::ZERO,
            now: view.time,
            at: self.clock.now(),
        };
        warn!(guid = %claim.header.guid(), payload = %claim.payload_hash, "signing a retraction");
        self.journaled(&intent, key).await
    }

    /// There is something to take back: the destination shows our record, or we signed one that may still get there.
    async fn refuse_unless_attested(&self, claim: &Claim, view: &DestinationView) -> Result<(), CosignError> {
        if view.is_past(claim) {
            return Err(refused("the packet is committed, it cannot be taken back any more"));
        }
        if view.shows_attestation() {
            return Ok(());
        }
        let rows = self.journal.slot(claim.header.guid()).await.map_err(from_journal)?;
        let ours = rows.iter().map(|row| &row.intent.attestation);
        if ours.clone().any(|it| it.claim == *claim && !it.is_retraction() && it.expiration > view.time) {
            return Ok(());
        }
        Err(refused("nothing is attested for this packet"))
    }

    /// A packet that this node can verify at this moment is not taken back, whoever asks.
    async fn refuse_if_verified(&self, retraction: &Retraction) -> Result<(), CosignError> {
        let unavailable = |error: StoreError| {
            CosignError::new(CosignErrorKind::Unavailable).because("jobs could not be read").caused_by(error)
        };
        let guid = retraction.claim.header.guid();
        let jobs = self.jobs.by_guid(guid).await.map_err(unavailable)?;
        let own = jobs.iter().filter(|job| job.claim == retraction.claim).map(|job| job.location);
        let mut places: Vec<Location> = own.collect();
        if !places.contains(&retraction.location) {
            places.push(retraction.location);
        }
        for place in places {
            if self.stands(&retraction.claim, &place).await {
                return Err(refused(format!("the packet is genuine: it stands in block {}", place.block)));
            }
        }
        info!(%guid, "this packet cannot be verified now");
        Ok(())
    }

    /// Whether every verifier of the source finds this very packet there, in a settled block.
    async fn stands(&self, claim: &Claim, place: &Location) -> bool {
        if place.src_eid != claim.header.src_eid {
            return false;
        }
        let Some(source) = self.views.sources.get(&place.src_eid) else {
            return false;
        };
        for verifier in std::iter::once(&source.verifier).chain(source.auditor.as_ref().map(|it| &it.verifier)) {
            match verifier.verify(place).await {
                Ok(Verification::Found(seen)) if is_the_packet(&seen, claim, place) => {}
                Ok(_) | Err(_) => return false,
            }
        }
        true
    }

    /// Nothing more is attested for what the destination shows as taken back, whoever took it, until an operator releases it.
    pub(super) async fn refuse_if_taken_back(&self, judged: &Judged) -> Result<(), CosignError> {
        if !judged.view.is_taken_back() || self.is_released(judged.seen.claim.header.guid()).await? {
            return Ok(());
        }
        Err(refused("the packet was taken back, an operator has to release it"))
    }

    /// Whether an operator's release is the last word about a slot that was taken back.
    pub(crate) async fn is_released(&self, guid: Guid) -> Result<bool, CosignError> {
        let rows = self.journal.slot(guid).await.map_err(from_journal)?;
        Ok(JournalRow::last_word(&rows).is_some_and(JournalRow::is_release))
    }
}

fn is_the_packet(seen: &crate::ports::Observation, claim: &Claim, place: &Location) -> bool {
    seen.claim == *claim && seen.assigned && seen.location == *place && place.block.number <= seen.head.settled
}
