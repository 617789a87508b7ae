//! One look at a packet from both ends: the verifier's at the source, the destination's view, and the policy's verdict.
//! The engine uses it to decide when to propose, the attestor, on its own, to decide whether to sign.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    destination::DestinationView,
    error::{Disposition, SubmitError, VerifyError, VerifyErrorKind},
    ids::{Confirmations, Eid},
    job::{Location, Refusal},
    policy::{self, Floor, Verdict},
    ports::{Observation, Submitter, Verification, Verifier},
};

/// The chains that a DVN can look at.
#[derive(Clone, Debug, Default)]
pub(crate) struct Views {
    pub(crate) sources: BTreeMap<Eid, SourceView>,
    pub(crate) destinations: BTreeMap<Eid, Arc<dyn Submitter>>,
}

/// How one source is looked at.
#[derive(Clone, Debug)]
pub(crate) struct SourceView {
    pub(crate) verifier: Arc<dyn Verifier>,
    pub(crate) floor: Floor,
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
}

impl AssessError {
    pub(crate) const fn disposition(&self) -> Disposition {
        match self {
            Self::Source(error) => error.disposition(),
            Self::Destination(error) => error.disposition(),
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
        let verdict = policy::judge(&seen, &view, source.floor, first_send);
        Ok(Assessment::Judged(Box::new(Judged { seen, view, verdict })))
    }
}
