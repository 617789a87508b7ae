//! A second destination with the same contracts under another eid.

use alloy_primitives::Address;
use async_trait::async_trait;
use dvn_core::{
    destination::DestinationView,
    error::SubmitError,
    ids::{BlockNumber, Eid, JobId},
    packet::Claim,
    ports::{Chain, Head, History, Settlement, SignedAttestation, SubmissionId, Submitted, Submitter},
    signature::Committee,
};

use super::World;

/// It is the first one, asked under the other eid.
#[derive(Clone, Debug)]
pub(crate) struct Elsewhere(pub(crate) World);

pub(crate) const ELSEWHERE: Eid = Eid(30184);

#[async_trait]
impl Submitter for Elsewhere {
    fn chain(&self) -> &Chain {
        static CHAIN: std::sync::LazyLock<Chain> =
            std::sync::LazyLock::new(|| Chain { name: "base".to_owned(), eid: ELSEWHERE });
        &CHAIN
    }

    async fn committee(&self, candidates: &[Address]) -> Result<Committee, SubmitError> {
        self.0.committee(candidates).await
    }

    async fn view(&self, claim: &Claim) -> Result<DestinationView, SubmitError> {
        self.0.view(claim).await
    }

    async fn submit(&self, batch: Vec<SignedAttestation>) -> Result<Submitted, SubmitError> {
        self.0.submit(batch).await
    }

    async fn settle(&self) -> Result<Vec<Settlement>, SubmitError> {
        self.0.settle().await
    }

    async fn cancel(&self, jobs: &[JobId]) -> Result<(), SubmitError> {
        self.0.cancel(jobs).await
    }

    async fn close(&self, submission: SubmissionId) -> Result<(), SubmitError> {
        self.0.close(submission).await
    }

    async fn is_busy(&self) -> Result<bool, SubmitError> {
        self.0.is_busy().await
    }

    async fn history(&self, from: BlockNumber, to: BlockNumber) -> Result<History, SubmitError> {
        self.0.history(from, to).await
    }

    async fn head(&self) -> Result<Head, SubmitError> {
        self.0.head().await
    }
}
