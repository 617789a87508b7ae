//! Looks at a destination that serve several callers. A flood of packets is looked at from many sides at once: whoever comes while a
//! question is out shares the next one, and what was read at a height serves while that is the newest.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use alloy::primitives::Address;
use dvn_core::{destination::DestinationView, ids::BlockNumber, packet::Claim, ports::Head, signature::Committee};
use tokio::{
    sync::oneshot::{self, error::TryRecvError},
    time::Instant,
};

use super::{SubmitterConfig, view};
use crate::{
    head,
    panel::{Panel, PanelError},
};

/// Claims of one question: six calls each, and many providers take a hundred in one request.
const TOGETHER: usize = 16;

type Answer = Result<DestinationView, PanelError>;

/// What was seen of a destination, and who waits to see more.
#[derive(Debug, Default)]
pub(super) struct Looks {
    /// How long a height counts as the newest; nothing is shared where this is zero.
    fresh: Duration,
    height: tokio::sync::Mutex<Option<(BlockNumber, Instant)>>,
    head: tokio::sync::Mutex<Option<(Head, Instant)>>,
    seen: Mutex<Seen>,
    waiting: Mutex<Vec<(Claim, oneshot::Sender<Answer>)>>,
    /// Whoever holds it asks for all that wait.
    turn: tokio::sync::Mutex<()>,
}

/// What was read at one height.
#[derive(Debug, Default)]
struct Seen {
    at: BlockNumber,
    views: HashMap<Claim, DestinationView>,
    committees: HashMap<Vec<Address>, Committee>,
}

impl Looks {
    pub(super) const fn share_for(&mut self, fresh: Duration) {
        self.fresh = fresh;
    }

    /// The newest height, asked for no more often than it stays fresh.
    async fn height(&self, panel: &Panel) -> Result<BlockNumber, PanelError> {
        let mut newest = self.height.lock().await;
        if let Some((number, read)) = *newest
            && read.elapsed() < self.fresh
        {
            return Ok(number);
        }
        let began = Instant::now();
        let number = head::latest(panel).await?;
        *newest = Some((number, began));
        let mut seen = self.seen();
        if seen.at != number {
            *seen = Seen { at: number, ..Seen::default() };
        }
        Ok(number)
    }

    /// The newest and the newest final block, asked for no more often than they stay fresh.
    pub(super) async fn head(&self, panel: &Panel, config: &SubmitterConfig) -> Result<Head, PanelError> {
        let mut newest = self.head.lock().await;
        if let Some((head, read)) = *newest
            && read.elapsed() < self.fresh
        {
            return Ok(head);
        }
        let began = Instant::now();
        let head = head::head(panel, config.finality, config.floor).await?;
        *newest = Some((head, began));
        Ok(head)
    }

    pub(super) async fn committee(
        &self,
        panel: &Panel,
        dvn: Address,
        candidates: &[Address],
    ) -> Result<Committee, PanelError> {
        if self.fresh.is_zero() {
            return view::committee(panel, dvn, candidates, head::latest(panel).await?).await;
        }
        let at = self.height(panel).await?;
        let known = self.seen_at(at).and_then(|seen| seen.committees.get(candidates).cloned());
        if let Some(committee) = known {
            return Ok(committee);
        }
        let committee = view::committee(panel, dvn, candidates, at).await?;
        if let Some(mut seen) = self.seen_at(at) {
            seen.committees.insert(candidates.to_vec(), committee.clone());
        }
        Ok(committee)
    }

    /// A dropped call takes nothing from the others: they ask themselves.
    pub(super) async fn view(&self, panel: &Panel, config: &SubmitterConfig, claim: &Claim) -> Answer {
        if self.fresh.is_zero() {
            return view::view(panel, config, claim, head::latest(panel).await?).await;
        }
        loop {
            let at = self.height(panel).await?;
            if let Some(view) = self.seen_at(at).and_then(|seen| seen.views.get(claim).copied()) {
                return Ok(view);
            }
            let (sender, mut answer) = oneshot::channel();
            self.waiting().push((*claim, sender));
            tokio::select! {
                biased;
                told = &mut answer => if let Ok(told) = told { return told },
                _turn = self.turn.lock() => loop {
                    match answer.try_recv() {
                        Ok(told) => return told,
                        Err(TryRecvError::Empty) => self.ask_some(panel, config).await,
                        Err(TryRecvError::Closed) => break,
                    }
                },
            }
            // Whoever asked for this one was dropped.
        }
    }

    /// Asks for those that wait the longest.
    async fn ask_some(&self, panel: &Panel, config: &SubmitterConfig) {
        let (claims, senders): (Vec<Claim>, Vec<_>) = {
            let mut waiting = self.waiting();
            waiting.retain(|(_, sender)| !sender.is_closed());
            let count = waiting.len().min(TOGETHER);
            waiting.drain(..count).unzip()
        };
        let answers = match self.height(panel).await {
            Ok(at) => {
                let answers = view::views(panel, config, &claims, at).await;
                if let Some(mut seen) = self.seen_at(at) {
                    let read =
                        claims.iter().zip(&answers).filter_map(|(claim, view)| Some((*claim, *view.as_ref().ok()?)));
                    seen.views.extend(read);
                }
                answers
            }
            Err(error) => claims.iter().map(|_| Err(error.clone())).collect(),
        };
        for (sender, answer) in senders.into_iter().zip(answers) {
            // Whoever is gone needs no answer.
            let _ = sender.send(answer);
        }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn seen_at(&self, at: BlockNumber) -> Option<MutexGuard<'_, Seen>> {
        Some(self.seen()).filter(|seen| seen.at == at)
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<(Claim, oneshot::Sender<Answer>)>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
