//! One look at a packet from both ends: the verifier's at the source, the destination's view, and the policy's verdict.
//! The engine uses it to decide when to propose, the attestor, on its own, to decide whether to sign.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use crate::{
    destination::DestinationView,
    error::{Disposition, StoreError, SubmitError, VerifyError, VerifyErrorKind},
    ids::{Confirmations, Eid},
    job::{Hold, Location, Refusal},
    policy::{self, Floor, Verdict},
    ports::{Cursors, EvidenceBundle, Neighbours, Observation, Paths, Sighting, Submitter, Verification, Verifier},
};

/// The chains that a DVN can look at, and what it saw of their paths.
#[derive(Clone, Debug)]
pub(crate) struct Views {
    pub(crate) sources: BTreeMap<Eid, SourceView>,
    pub(crate) destinations: BTreeMap<Eid, Arc<dyn Submitter>>,
    pub(crate) paths: Arc<dyn Paths>,
    pub(crate) cursors: Arc<dyn Cursors>,
}

/// How one source is looked at.
#[derive(Clone, Debug)]
pub(crate) struct SourceView {
    pub(crate) verifier: Arc<dyn Verifier>,
    pub(crate) floor: Floor,
    /// Whether the packets before one on its path must have been seen.
    pub(crate) asks_neighbours: bool,
    /// Who looks again at what was attested.
    pub(crate) auditor: Option<Auditor>,
}

/// Another pair of eyes on a source.
#[derive(Clone, Debug)]
pub(crate) struct Auditor {
    pub(crate) verifier: Arc<dyn Verifier>,
    /// How long after the attestation it looks for the first time.
    pub(crate) after: Duration,
}

/// What a look found.
#[derive(Debug)]
pub(crate) enum Assessment {
    Judged(Box<Judged>),
    Orphaned,
    Rejected { refusal: Refusal, is_settled: bool },
}

/// A real packet with the policy's verdict.
#[derive(Debug)]
pub(crate) struct Judged {
    pub(crate) seen: Observation,
    pub(crate) view: DestinationView,
    pub(crate) verdict: Verdict,
}

/// Which end could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AssessError {
    #[error("source could not be verified")]
    Source(#[from] VerifyError),
    #[error("destination could not be read")]
    Destination(#[from] SubmitError),
    #[error("what was seen of the path could not be read")]
    Paths(#[from] StoreError),
}

impl AssessError {
    pub(crate) const fn disposition(&self) -> Disposition {
        match self {
            Self::Source(error) => error.disposition(),
            Self::Destination(error) => error.disposition(),
            Self::Paths(error) => error.disposition(),
        }
    }

    /// The answers that show a contradiction.
    pub(crate) fn evidence(&self) -> Option<&EvidenceBundle> {
        match self {
            Self::Source(error) => error.evidence(),
            Self::Destination(error) => error.evidence(),
            Self::Paths(error) => error.evidence(),
        }
    }
}

impl Views {
    /// Looks at a location; `first_send` is the send configuration's confirmations when the packet was first seen.
    pub(crate) async fn assess(
        &self,
        location: &Location,
        first_send: Option<Confirmations>,
    ) -> Result<Assessment, AssessError> {
        let source = self.sources.get(&location.src_eid).ok_or_else(|| {
            VerifyError::new(VerifyErrorKind::Foreign).because(format!("no source has eid {}", location.src_eid))
        })?;
        let seen = match source.verifier.verify(location).await? {
            Verification::Found(seen) => *seen,
            Verification::Orphaned => return Ok(Assessment::Orphaned),
            Verification::Rejected { refusal, is_settled } => return Ok(Assessment::Rejected { refusal, is_settled }),
        };
        if seen.location != *location || seen.claim.header.src_eid != location.src_eid {
            let detail = "the verifier answered for another packet than it was asked about";
            return Err(VerifyError::new(VerifyErrorKind::Bug).because(detail).into());
        }
        let is_settled = location.block.number <= seen.head.settled;
        if !seen.assigned {
            return Ok(Assessment::Rejected { refusal: Refusal::NotAssigned, is_settled });
        }
        let Some(destination) = self.destinations.get(&seen.claim.header.dst_eid) else {
            return Ok(Assessment::Rejected { refusal: Refusal::DestinationNotServed, is_settled: true });
        };
        let view = destination.view(&seen.claim).await?;
        let mut verdict = policy::judge(&seen, &view, source.floor, first_send);
        if matches!(verdict, Verdict::Sign { .. }) && source.asks_neighbours {
            verdict = self.after_neighbours(&seen, verdict).await?;
        }
        Ok(Assessment::Judged(Box::new(Judged { seen, view, verdict })))
    }

    /// Whether the source is past the packet's block, so that it has noted whatever it will.
    async fn has_read(&self, seen: &Observation) -> Result<bool, StoreError> {
        let cursor = self.cursors.load(seen.location.src_eid).await?;
        Ok(cursor.is_some_and(|cursor| cursor >= seen.location.block.number))
    }

    /// A packet whose forerunners nobody saw is held: they are hidden from us, or it was invented.
    async fn after_neighbours(&self, seen: &Observation, verdict: Verdict) -> Result<Verdict, StoreError> {
        let header = &seen.claim.header;
        let mut neighbours = self.paths.neighbours(header.path(), header.nonce).await?;
        if neighbours == Neighbours::Unread && self.has_read(seen).await? {
            // The source missed it, or too few seats showed it to it; now it is verified, in a settled block.
            self.paths.note(&[Sighting { path: header.path(), nonce: header.nonce }]).await?;
            neighbours = self.paths.neighbours(header.path(), header.nonce).await?;
        }
        Ok(match neighbours {
            Neighbours::Seen => verdict,
            // The source reads the packet's block at this very moment.
            Neighbours::Unread => Verdict::Wait { head: seen.head.latest },
            Neighbours::Gap { first, last } => {
                let guid = header.guid();
                tracing::debug!(%guid, nonce = header.nonce.0, %first, %last, "packets before this one were never seen");
                Verdict::Hold(Hold::NonceGap)
            }
        })
    }
}
