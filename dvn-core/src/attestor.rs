//! Policy, then journal, then signer: the only code that uses the attesting key.

mod asked;
mod errors;
mod quarantine;
mod retract;
mod told;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};

use alloy_primitives::{Address, Signature};
use async_trait::async_trait;
use tokio::{sync::OnceCell, time::Instant};
use tracing::{error, info, warn};

use self::{
    asked::Asked,
    errors::{from_assess, from_journal, from_sign, refused},
};
use crate::{
    assess::{Assessment, Judged, Views},
    attestation::Attestation,
    engine::lock,
    error::{CosignError, CosignErrorKind, Disposition, SignError, SignErrorKind},
    ids::{Eid, Vid},
    job::{Hold, Location},
    policy::{self, Verdict},
    ports::{
        AuditLog, Clock, Cosigner, Evidence, Halts, Intent, JobStore, Journal, Proposal, Purpose, Retraction, Signer,
        Submitter,
    },
    signature,
};

/// Signs what it has verified itself, and nothing else.
///
/// A proposal names a packet and two numbers. The attestor reads the packet with its own verifier and the destination
/// with its own seats, builds the call from what it read, makes the intent durable, and only then uses the key.
pub struct Attestor {
    views: Views,
    keys: BTreeMap<Eid, Key>,
    jobs: Arc<dyn JobStore>,
    journal: Arc<dyn Journal>,
    evidence: Arc<dyn Evidence>,
    audit: Arc<dyn AuditLog>,
    halts: Arc<dyn Halts>,
    clock: Arc<dyn Clock>,
    life: Duration,
    /// Destinations whose history agreed with the journal since this process began.
    reconciled: Mutex<BTreeSet<Eid>>,
    asked: Asked,
}

/// The attesting key for one DVN contract.
struct Key {
    signer: Arc<dyn Signer>,
    /// The contract's `vid` is immutable; what was read first is what is signed ever after.
    vid: OnceCell<Vid>,
}

impl fmt::Debug for Attestor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys: Vec<_> = self.keys.iter().map(|(eid, key)| (eid, key.signer.address())).collect();
        f.debug_struct("Attestor").field("keys", &keys).finish_non_exhaustive()
    }
}

/// What an attestor remembers and by which clock.
pub(crate) struct Memory {
    pub(crate) jobs: Arc<dyn JobStore>,
    pub(crate) journal: Arc<dyn Journal>,
    pub(crate) evidence: Arc<dyn Evidence>,
    pub(crate) audit: Arc<dyn AuditLog>,
    pub(crate) halts: Arc<dyn Halts>,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Attestor {
    pub(crate) fn new(
        views: Views,
        signers: impl IntoIterator<Item = (Eid, Arc<dyn Signer>)>,
        memory: Memory,
        life: Duration,
    ) -> Self {
        let key = |signer| Key { signer, vid: OnceCell::new() };
        let keys = signers.into_iter().map(|(eid, signer)| (eid, key(signer))).collect();
        let Memory { jobs, journal, evidence, audit, halts, clock } = memory;
        Self {
            views,
            keys,
            jobs,
            journal,
            evidence,
            audit,
            halts,
            clock,
            life,
            reconciled: Mutex::default(),
            asked: Asked::default(),
        }
    }

    /// Verifies a peer's proposal and signs it, as [`Attestor::attest`] does. That peer is left the time to collect the other
    /// signatures and to submit before this node proposes the packet itself; `peer` is its [`Cosigner::name`].
    ///
    /// # Errors
    /// As [`Attestor::attest`].
    ///
    /// # Cancel safety
    /// The signature may be made, and journaled, when the future is dropped; asking again is safe.
    pub async fn attest_for_peer(&self, peer: &str, proposal: &Proposal) -> Result<Signature, CosignError> {
        self.asked.note(peer, proposal.location);
        let result = self.attest_packet(proposal).await.inspect_err(|error| page(proposal, error));
        match &result {
            Ok(_) => self.asked.note_given(peer),
            // Nobody collects signatures over what is refused.
            Err(error) if !matches!(error.disposition(), Disposition::Retry { .. }) => {
                self.asked.forget(peer, &proposal.location);
            }
            Err(_) => {}
        }
        result
    }

    /// When a peer was last given a signature, whatever for.
    pub(crate) fn given_to_peer(&self, peer: &str) -> Option<Instant> {
        self.asked.given(peer)
    }

    /// When each peer first asked for a signature over this packet, by name.
    pub(crate) fn asked_by_peers(&self, location: &Location) -> HashMap<String, Instant> {
        self.asked.of(location)
    }

    /// The address of the attesting key for a destination.
    pub(crate) fn signer(&self, dst_eid: Eid) -> Option<Address> {
        self.keys.get(&dst_eid).map(|key| key.signer.address())
    }

    /// Verifies a proposal and signs it.
    ///
    /// # Errors
    /// [`CosignError`]; no signature exists then that was not there before, except for the kinds `Unavailable` and `Key`,
    /// where the device may have signed and lost the answer. The journal has the intent in that case.
    pub async fn attest(&self, proposal: &Proposal) -> Result<Signature, CosignError> {
        self.attest_packet(proposal).await
    }

    async fn attest_packet(&self, proposal: &Proposal) -> Result<Signature, CosignError> {
        let judged = self.judge(proposal).await?;
        self.permit(proposal, &judged)?;
        self.refuse_until_reconciled(proposal.dst_eid)?;
        self.refuse_if_taken_back(&judged).await?;
        let key = self.key(proposal.dst_eid)?;
        let vid = self.committed_vid(proposal.dst_eid, key).await?;
        let attestation = Attestation {
            claim: judged.seen.claim,
            confirmations: proposal.confirmations,
            expiration: proposal.expiration,
            vid,
            target: judged.view.receive_lib,
        };
        self.refuse_if_halted(proposal).await?;
        self.refuse_if_quarantined(judged.view.time).await?;
        // Before the evidence is written.
        self.journal.admits().await.map_err(from_journal)?;
        let intent = self.intent(attestation, &judged, key).await?;
        self.journaled(&intent, key).await
    }

    /// Journal, then key, then the audit log: no signature leaves that is not told. Whatever is signed comes through here.
    async fn journaled(&self, intent: &Intent, key: &Key) -> Result<Signature, CosignError> {
        let head = self.journal.intend(intent).await.map_err(from_journal)?;
        let signature = self.sign(&intent.attestation, key).await?;
        self.journal.signed(head.rows, &signature.as_bytes().into()).await.map_err(from_journal)?;
        self.tell_signature(intent, head.rows).await?;
        let guid = intent.attestation.claim.header.guid();
        info!(%guid, sequence = head.rows, signer = %key.signer.address(), "signed");
        Ok(signature)
    }

    /// Finds out whether every attesting key can be used now, each once however many contracts it signs for.
    ///
    /// # Errors
    /// The first key's that cannot.
    ///
    /// # Cancel safety
    /// Dropping the future leaves nothing behind.
    pub async fn check_keys(&self) -> Result<(), SignError> {
        let keys: BTreeMap<Address, _> = self.keys.values().map(|key| (key.signer.address(), &key.signer)).collect();
        for signer in keys.into_values() {
            signer.check().await?;
        }
        Ok(())
    }

    /// The journal was compared with this destination. Says whether that is news.
    pub(crate) fn reconciled(&self, dst_eid: Eid) -> bool {
        lock(&self.reconciled).insert(dst_eid)
    }

    pub(crate) fn is_reconciled(&self, dst_eid: Eid) -> bool {
        lock(&self.reconciled).contains(&dst_eid)
    }

    /// Nothing is signed before it is known that the journal holds what the destination shows of this key.
    fn refuse_until_reconciled(&self, dst_eid: Eid) -> Result<(), CosignError> {
        if self.is_reconciled(dst_eid) {
            return Ok(());
        }
        let detail = "the journal was not compared with the destination's history yet";
        Err(CosignError::new(CosignErrorKind::Unavailable).because(detail))
    }

    async fn judge(&self, proposal: &Proposal) -> Result<Judged, CosignError> {
        match self.views.assess(&proposal.location, None).await.map_err(from_assess)? {
            Assessment::Judged(judged) => Ok(*judged),
            Assessment::Orphaned => Err(refused("the packet's block is not on the canonical chain")),
            Assessment::Rejected { refusal, .. } => Err(refused(format!("not a packet to attest: {refusal:?}"))),
        }
    }

    /// The policy's verdict, and the two numbers that the proposer chose.
    fn permit(&self, proposal: &Proposal, judged: &Judged) -> Result<(), CosignError> {
        let own = match judged.verdict {
            Verdict::Sign { confirmations } => confirmations,
            Verdict::Wait { head } => {
                return Err(CosignError::new(CosignErrorKind::NotYet)
                    .block(head)
                    .because("waiting for the source's head"));
            }
            Verdict::Committed | Verdict::Attested => return Err(refused("the destination already has it")),
            Verdict::Hold(Hold::ForeignPayload) => {
                return Err(CosignError::new(CosignErrorKind::Equivocation)
                    .because("the destination holds another payload for this nonce"));
            }
            Verdict::Hold(hold) => return Err(refused(format!("held: {hold:?}"))),
            Verdict::Refuse(refusal) => return Err(refused(format!("refused: {refusal:?}"))),
        };
        if proposal.dst_eid != judged.seen.claim.header.dst_eid {
            return Err(refused("the packet goes to another destination"));
        }
        let depth = judged.seen.head.latest.0.saturating_sub(judged.seen.location.block.number.0);
        if proposal.confirmations < own || proposal.confirmations.0 > depth.max(own.0) {
            let detail = format!("{} confirmations proposed, {own} to {depth} acceptable", proposal.confirmations);
            return Err(refused(detail));
        }
        if !policy::accepts_expiration(proposal.expiration, judged.view.time, self.life) {
            let detail = format!("expiration {} is not within bounds at {}", proposal.expiration, judged.view.time);
            return Err(refused(detail));
        }
        Ok(())
    }

    /// The contract's `vid`, once it is certain that this key signs for that contract and for no other one of this `vid`.
    async fn committed_vid(&self, dst_eid: Eid, key: &Key) -> Result<Vid, CosignError> {
        let submitter = self.submitter(dst_eid)?;
        let address = key.signer.address();
        let committee = submitter.committee(&[address]).await.map_err(|error| from_assess(error.into()))?;
        if !committee.members.contains(&address) {
            return Err(CosignError::new(CosignErrorKind::Key)
                .key(address.to_string())
                .because("the DVN contract does not list this key as a signer"));
        }
        let vid = *key.vid.get_or_init(|| async { committee.vid }).await;
        if vid != committee.vid {
            return Err(CosignError::new(CosignErrorKind::Contradiction)
                .because(format!("the DVN contract's vid was {vid} and is now {}", committee.vid)));
        }
        self.refuse_shared_key(dst_eid, key, vid)?;
        Ok(vid)
    }

    /// The signed hash holds neither chain id nor contract address, only the `vid`: one key with one `vid` on two
    /// contracts would sign for both at once.
    fn refuse_shared_key(&self, dst_eid: Eid, key: &Key, vid: Vid) -> Result<(), CosignError> {
        let address = key.signer.address();
        let twin = self.keys.iter().find(|(eid, other)| {
            **eid != dst_eid && other.signer.address() == address && other.vid.get() == Some(&vid)
        });
        match twin {
            Some((eid, _)) => Err(CosignError::new(CosignErrorKind::Key).key(address.to_string()).because(format!(
                "the DVN contract of eid {eid} has the same vid {vid} and the same key, give each its own"
            ))),
            None => Ok(()),
        }
    }

    async fn refuse_if_halted(&self, proposal: &Proposal) -> Result<(), CosignError> {
        let standing = self.halts.standing().await.map_err(|error| {
            CosignError::new(CosignErrorKind::Unavailable).because("halts could not be read").caused_by(error)
        })?;
        match standing.iter().find(|halt| halt.scope.stops(proposal.location.src_eid, proposal.dst_eid)) {
            Some(halt) => Err(CosignError::new(CosignErrorKind::Halted).because(halt.reason.clone())),
            None => Ok(()),
        }
    }

    /// What is to be signed, with its evidence stored.
    async fn intent(&self, attestation: Attestation, judged: &Judged, key: &Key) -> Result<Intent, CosignError> {
        let at = self.clock.now();
        let evidence = &judged.seen.evidence;
        self.evidence.put(attestation.claim.header.guid(), evidence, at).await.map_err(|error| {
            CosignError::new(CosignErrorKind::Unavailable).because("evidence could not be stored").caused_by(error)
        })?;
        Ok(Intent {
            purpose: Purpose::Sign,
            attestation,
            signer: key.signer.address(),
            source_block: judged.seen.location.block.hash,
            evidence: evidence.digest(),
            now: judged.view.time,
            at,
        })
    }

    async fn sign(&self, attestation: &Attestation, key: &Key) -> Result<Signature, CosignError> {
        let digest = attestation.digest();
        let signature = key.signer.sign_digest(digest).await.map_err(|error| self.count(attestation, error))?;
        // The device is not believed: a signature that is not this key's over this digest never leaves.
        if let Err(error) = signature::check(digest, &signature, key.signer.address()) {
            let error = SignError::new(SignErrorKind::Integrity).caused_by(error);
            return Err(self.count(attestation, error));
        }
        Ok(signature)
    }

    fn count(&self, attestation: &Attestation, error: SignError) -> CosignError {
        let dst_eid = attestation.claim.header.dst_eid;
        let chain = self.views.destinations.get(&dst_eid).map_or_else(String::new, |it| it.chain().name.clone());
        let error_type = error.kind().name();
        metrics::counter!("dvn_signing_errors_total", "chain" => chain, "error_type" => error_type).increment(1);
        warn!(guid = %attestation.claim.header.guid(), %error, "signing failed");
        from_sign(error)
    }

    fn key(&self, dst_eid: Eid) -> Result<&Key, CosignError> {
        self.keys.get(&dst_eid).ok_or_else(|| refused(format!("destination {dst_eid} is not served")))
    }

    fn submitter(&self, dst_eid: Eid) -> Result<&Arc<dyn Submitter>, CosignError> {
        self.views.destinations.get(&dst_eid).ok_or_else(|| refused(format!("destination {dst_eid} is not served")))
    }
}

#[async_trait]
impl Cosigner for Attestor {
    fn name(&self) -> &str {
        "self"
    }

    fn address(&self, dst_eid: Eid) -> Option<Address> {
        self.signer(dst_eid)
    }

    async fn cosign(&self, proposal: &Proposal) -> Result<Signature, CosignError> {
        self.attest(proposal).await
    }

    async fn take_back(&self, retraction: &Retraction) -> Result<Signature, CosignError> {
        self.retract(retraction).await
    }
}

/// A peer that verified another payload for a slot is news for people, whoever of the two was lied to.
fn page(proposal: &Proposal, error: &CosignError) {
    if error.kind() == CosignErrorKind::Equivocation {
        let location = &proposal.location;
        error!(block = %location.block, tx_hash = %location.tx_hash, %error, "equivocation_refused");
        metrics::counter!("dvn_equivocations_total").increment(1);
    }
}
