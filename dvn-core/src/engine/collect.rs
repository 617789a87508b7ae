//! Asks every cosigner at once and takes the first quorum of good signatures.

use futures::stream::{FuturesUnordered, StreamExt};
use tracing::warn;

use super::{Engine, record::chain_of};
use crate::{
    attestation::Attestation,
    error::{CosignError, CosignErrorKind, SubmitError},
    ids::{ChainTime, Confirmations, Eid},
    job::{Job, Signed},
    ports::{Cosigner, Proposal, Retraction},
    signature::{self, Committee, SignatureSet},
};

#[derive(Debug, thiserror::Error)]
pub(crate) enum CollectError {
    #[error("destination could not be read")]
    Destination(#[from] SubmitError),
    #[error("no quorum of signatures: {}", .0.kind().name())]
    Cosigners(#[source] CosignError),
}

/// What cosigners are asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ask {
    Attest(Proposal),
    TakeBack(Retraction),
}

impl Ask {
    const fn dst_eid(&self) -> Eid {
        match self {
            Self::Attest(proposal) => proposal.dst_eid,
            Self::TakeBack(retraction) => retraction.claim.header.dst_eid,
        }
    }

    const fn numbers(&self) -> (Confirmations, ChainTime) {
        match self {
            Self::Attest(proposal) => (proposal.confirmations, proposal.expiration),
            Self::TakeBack(retraction) => (Confirmations(0), retraction.expiration),
        }
    }
}

impl Engine {
    /// A quorum of signatures over the call that this node's own reading gives, or why there is none.
    pub(crate) async fn collect(&self, job: &Job, ask: &Ask) -> Result<Signed, CollectError> {
        let dst_eid = ask.dst_eid();
        let destination = self.views.destinations.get(&dst_eid);
        let destination =
            destination.ok_or_else(|| CollectError::Cosigners(CosignError::new(CosignErrorKind::Refused)))?;
        let candidates: Vec<_> = self.cosigners.iter().filter_map(|it| it.address(dst_eid)).collect();
        let (committee, view) = tokio::try_join!(destination.committee(&candidates), destination.view(&job.claim))?;
        let (confirmations, expiration) = ask.numbers();
        let (vid, target) = (committee.vid, view.receive_lib);
        let attestation = Attestation { claim: job.claim, confirmations, expiration, vid, target };
        let asked = self.ask(&attestation, &committee, ask);
        let set = tokio::time::timeout(self.tuning.timeout, asked)
            .await
            .unwrap_or_else(|_| Err(CosignError::new(CosignErrorKind::Unavailable)))
            .map_err(CollectError::Cosigners)?;
        Ok(Signed {
            confirmations: attestation.confirmations,
            expiration: attestation.expiration,
            target: attestation.target,
            signatures: set.to_bytes(),
        })
    }

    async fn ask(
        &self,
        attestation: &Attestation,
        committee: &Committee,
        ask: &Ask,
    ) -> Result<SignatureSet, CosignError> {
        let digest = attestation.digest();
        let guid = attestation.claim.header.guid();
        let mut answers: FuturesUnordered<_> =
            self.cosigners.iter().map(|cosigner| ask_one(cosigner.as_ref(), ask)).collect();
        let mut signatures = Vec::new();
        let mut worst: Option<CosignError> = None;
        while let Some((cosigner, answer)) = answers.next().await {
            let expected = cosigner.address(ask.dst_eid()).unwrap_or_default();
            let checked = answer.map_err(|error| (error.kind().name(), error)).and_then(|it| {
                let wrong = |error| ("Signature", CosignError::new(CosignErrorKind::Refused).caused_by(error));
                signature::check(digest, &it, expected).map(|()| it).map_err(wrong)
            });
            match checked {
                Ok(signature) => signatures.push(signature),
                Err((what, error)) => {
                    self.count_peer(cosigner, ask, what, &error);
                    warn!(%guid, cosigner = cosigner.name(), error = chain_of(&error), "no signature");
                    if worst.as_ref().is_none_or(|worst| rank(worst.kind()) < rank(error.kind())) {
                        worst = Some(error);
                    }
                }
            }
            if let Ok(set) = SignatureSet::try_new(digest, committee, signatures.iter().copied()) {
                return Ok(set);
            }
        }
        Err(worst.unwrap_or_else(|| CosignError::new(CosignErrorKind::Unavailable)))
    }
}

impl Engine {
    /// The own attestor counts its device's errors itself; a peer that only waits is in no trouble.
    fn count_peer(&self, cosigner: &dyn Cosigner, ask: &Ask, what: &str, error: &CosignError) {
        let is_own = cosigner.address(ask.dst_eid()) == self.attestor.signer(ask.dst_eid());
        if is_own || error.kind() == CosignErrorKind::NotYet {
            return;
        }
        let chain = self.views.destinations.get(&ask.dst_eid()).map_or_else(String::new, |it| it.chain().name.clone());
        let labels = [("chain", chain), ("error_type", format!("Peer{what}"))];
        metrics::counter!("dvn_signing_errors_total", &labels).increment(1);
    }
}

async fn ask_one<'a>(
    cosigner: &'a dyn Cosigner,
    ask: &Ask,
) -> (&'a dyn Cosigner, Result<alloy_primitives::Signature, CosignError>) {
    let answer = match ask {
        Ask::Attest(proposal) => cosigner.cosign(proposal).await,
        Ask::TakeBack(retraction) => cosigner.take_back(retraction).await,
    };
    (cosigner, answer)
}

/// How much a failure matters to the job, so that a cosigner's alarm is not lost among its neighbours' excuses.
const fn rank(kind: CosignErrorKind) -> u8 {
    match kind {
        CosignErrorKind::Unavailable => 0,
        CosignErrorKind::NotYet => 1,
        CosignErrorKind::Halted => 2,
        CosignErrorKind::Refused => 3,
        CosignErrorKind::Bug => 4,
        CosignErrorKind::Key => 5,
        CosignErrorKind::Equivocation => 6,
        CosignErrorKind::Contradiction => 7,
    }
}
