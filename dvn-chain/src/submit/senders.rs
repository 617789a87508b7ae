//! Several sending keys of one destination: each has its own nonces, and they share the work without doubling it.

use alloy::primitives::Address;
use async_trait::async_trait;
use dvn_core::{
    destination::DestinationView,
    error::{SubmitError, SubmitErrorKind},
    ids::{BlockNumber, JobId},
    packet::Claim,
    ports::{Chain, Fence, Head, History, Settlement, SignedAttestation, SubmissionId, Submitted, Submitter},
    signature::Committee,
};
use futures::future::join_all;

use super::EvmSubmitter;

/// One destination with several senders. A batch goes out from the one that has the fewest transactions in flight, so that one that
/// is stuck does not keep the work back.
///
/// Whoever leads the destination leads all of them.
#[derive(Debug)]
pub struct SharedSubmitter {
    first: EvmSubmitter,
    others: Vec<EvmSubmitter>,
    /// Held while a batch is given out, so that no item is given out twice.
    desk: tokio::sync::Mutex<()>,
}

impl SharedSubmitter {
    /// Shares the work among submitters that differ in their sender alone, and have one outbox.
    #[must_use]
    pub fn new(first: EvmSubmitter, others: Vec<EvmSubmitter>) -> Self {
        Self { first, others, desk: tokio::sync::Mutex::default() }
    }

    fn all(&self) -> impl Iterator<Item = &EvmSubmitter> {
        std::iter::once(&self.first).chain(&self.others)
    }

    /// Every sender with the number of its open transactions, the least busy first; what is under way leaves the batch.
    async fn by_work<'a>(
        &'a self,
        batch: &mut Vec<SignedAttestation>,
        sent: &mut Vec<(JobId, SubmissionId)>,
    ) -> Result<Vec<(usize, &'a EvmSubmitter)>, SubmitError> {
        let mut lanes = Vec::new();
        for lane in self.all() {
            let open = lane.outbox.open(lane.lane_id()).await.map_err(|it| lane.store(it))?;
            let carrier = |job: JobId| open.iter().find(|it| it.items.iter().any(|item| item.job == job));
            batch.retain(|item| match carrier(item.job) {
                Some(transaction) => {
                    sent.push((item.job, transaction.id));
                    false
                }
                None => true,
            });
            lanes.push((open.len(), lane));
        }
        // Stable: of two that are equally busy the first in the configuration.
        lanes.sort_by_key(|(open, _)| *open);
        Ok(lanes)
    }
}

/// Whether another sender may do what this one could not.
fn is_about_the_sender(error: &SubmitError) -> bool {
    matches!(error.kind(), SubmitErrorKind::Underfunded | SubmitErrorKind::Signer | SubmitErrorKind::Rejected)
}

#[async_trait]
impl Submitter for SharedSubmitter {
    fn chain(&self) -> &Chain {
        self.first.chain()
    }

    fn lead(&self, fence: Fence) {
        self.all().for_each(|lane| lane.lead(fence.clone()));
    }

    async fn committee(&self, candidates: &[Address]) -> Result<Committee, SubmitError> {
        self.first.committee(candidates).await
    }

    async fn view(&self, claim: &Claim) -> Result<DestinationView, SubmitError> {
        self.first.view(claim).await
    }

    async fn submit(&self, mut batch: Vec<SignedAttestation>) -> Result<Submitted, SubmitError> {
        let _turn = self.desk.lock().await;
        let mut sent = Vec::new();
        let lanes = self.by_work(&mut batch, &mut sent).await?;
        if batch.is_empty() {
            return Ok(Submitted { sent, refused: Vec::new() });
        }
        let mut failed = None;
        for (_, lane) in lanes {
            match lane.submit(batch.clone()).await {
                Ok(mut submitted) => {
                    submitted.sent.extend(sent);
                    return Ok(submitted);
                }
                Err(error) if is_about_the_sender(&error) => {
                    let (chain, sender) = (&self.chain().name, lane.sender.address());
                    tracing::warn!(chain, %sender, %error, "sender cannot send, another one is tried");
                    failed = Some(error);
                }
                Err(error) => return Err(error),
            }
        }
        Err(failed.unwrap_or_else(|| SubmitError::new(SubmitErrorKind::Bug).chain(&self.chain().name)))
    }

    fn most_items(&self) -> usize {
        self.all().map(Submitter::most_items).min().unwrap_or(usize::MAX)
    }

    async fn has_room(&self) -> Result<bool, SubmitError> {
        for lane in self.all() {
            if lane.has_room().await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn settle(&self) -> Result<Vec<Settlement>, SubmitError> {
        let (mut settlements, mut failed) = (Vec::new(), None);
        for result in join_all(self.all().map(Submitter::settle)).await {
            match result {
                Ok(more) => settlements.extend(more),
                Err(error) if error.kind() == SubmitErrorKind::Contradiction => return Err(error),
                // One sender's trouble must not keep back what is known of the others.
                Err(error) => {
                    tracing::warn!(chain = self.chain().name, %error, "a sender's transactions could not be looked after");
                    failed = Some(error);
                }
            }
        }
        match failed {
            Some(error) if settlements.is_empty() => Err(error),
            _ => Ok(settlements),
        }
    }

    async fn cancel(&self, jobs: &[JobId]) -> Result<(), SubmitError> {
        // All are tried before one's failure is told.
        join_all(self.all().map(|lane| lane.cancel(jobs))).await.into_iter().collect()
    }

    async fn close(&self, submission: SubmissionId) -> Result<(), SubmitError> {
        // Closing what is closed changes nothing, and each forgets what it remembers of it.
        for lane in self.all() {
            lane.close(submission).await?;
        }
        Ok(())
    }

    /// While one sender is idle, a batch need not fill.
    async fn is_busy(&self) -> Result<bool, SubmitError> {
        for lane in self.all() {
            if !lane.is_busy().await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn history(&self, from: BlockNumber, to: BlockNumber) -> Result<History, SubmitError> {
        self.first.history(from, to).await
    }

    async fn head(&self) -> Result<Head, SubmitError> {
        self.first.head().await
    }
}
