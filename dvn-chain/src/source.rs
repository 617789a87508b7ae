//! What was assigned to us on a source chain: hints for the verifier, which reads everything again.

mod blooms;
mod cover;
mod pace;
mod pushed;
mod reach;
mod scan;

use std::{ops::RangeInclusive, sync::Arc, time::Duration};

use async_trait::async_trait;
use dvn_core::{
    error::{ChainSourceError, ChainSourceErrorKind},
    ids::BlockNumber,
    ports::{Chain, ChainSource, Head, Scan},
};
use tokio::time::sleep_until;

use self::{pace::Pace, pushed::Pushed, reach::Reach};
use crate::{
    panel::PanelError,
    range::Stride,
    reader::{EvmReader, ReadError},
};

/// Finds packets of a source chain: by the blooms of authentic headers where headers can be hashed and the range is short,
/// else by the logs that any seat shows.
#[derive(Debug)]
pub struct EvmSource {
    reader: Arc<EvmReader>,
    /// Blocks of one step, which all seats are asked about.
    stride: Stride,
    /// Blocks of one question to each seat, in their order.
    reaches: Vec<Reach>,
    pace: Pace,
    pushed: Pushed,
}

/// First questions that one step may be worth.
const LONGEST_STEP: u64 = 8;
const SHORTEST_POLL: Duration = Duration::from_millis(100);
const LONGEST_POLL: Duration = Duration::from_secs(15);

impl EvmSource {
    /// A source that shares what this reader knows.
    #[must_use]
    pub fn new(reader: Arc<EvmReader>) -> Self {
        let first = reader.config.log_range;
        let stride = Stride::new(first.saturating_mul(LONGEST_STEP));
        let reaches = reader.panel.seats().iter().map(|_| Reach::new(first)).collect();
        let pace = pace_of(&reader);
        let pushed = Pushed::new(Arc::clone(&reader.panel), reader.config.block_time);
        Self { reader, stride, reaches, pace, pushed }
    }

    /// A hint decides nothing, so that a dissent about one is no more than a missing answer.
    fn missing(&self, error: PanelError) -> ChainSourceError {
        ChainSourceError::new(ChainSourceErrorKind::Missing).chain(&self.reader.panel.chain().name).caused_by(error)
    }

    /// Here a dissent is about a final block.
    fn head_error(&self, error: ReadError) -> ChainSourceError {
        let chain = self.reader.panel.chain();
        let kind = match &error {
            error if error.is_contradiction() => ChainSourceErrorKind::Contradiction,
            ReadError::Panel(_) => ChainSourceErrorKind::Missing,
            ReadError::Store(_) => ChainSourceErrorKind::Store,
        };
        let evidence = error.evidence(chain);
        ChainSourceError::new(kind).chain(&chain.name).shown_by(evidence).caused_by(error)
    }

    /// Sleeps until the next question about heads is due: by the clock, or because enough seats pushed a new one.
    async fn until_due(&self, seen: Head) {
        self.pushed.start();
        let by_clock = async {
            if let Some(due) = self.pace.due(self.pushed.level().is_some()) {
                sleep_until(due).await;
            }
        };
        let by_push = async {
            self.pushed.news(|level| self.pace.is_news(level, seen.latest)).await;
            sleep_until(self.pace.admitted()).await;
        };
        tokio::select! {
            () = by_clock => {}
            () = by_push => {}
        }
    }

    async fn poll(&self) -> Result<Head, ChainSourceError> {
        let pushed = self.pushed.level();
        self.pace.begin(pushed);
        let head = self.reader.poll().await.map_err(|it| self.head_error(it))?;
        self.pace.end(pushed, head.latest);
        Ok(head)
    }
}

/// Once a block, since more often finds the same block again. Where blooms prove nothing, logs and the final block before are
/// asked for beside the heads; then eight blocks share three rounds of questions, so that an idle block costs as much.
fn pace_of(reader: &EvmReader) -> Pace {
    let (thirds, stride) = if reader.headers.is_some() { (3, 1) } else { (8, 3) };
    let interval = reader.config.block_time.saturating_mul(thirds).checked_div(3).unwrap_or(LONGEST_POLL);
    Pace::new(interval.clamp(SHORTEST_POLL, LONGEST_POLL), stride)
}

#[async_trait]
impl ChainSource for EvmSource {
    fn chain(&self) -> &Chain {
        self.reader.panel.chain()
    }

    async fn next_head(&self, seen: Option<Head>) -> Result<Head, ChainSourceError> {
        // Whoever has seen none, or has not read up to the one that it saw, is not kept waiting.
        let Some(seen) = seen else {
            return match self.reader.heads.fresh(self.reader.config.block_time) {
                Some((head, _)) => Ok(head),
                None => self.poll().await,
            };
        };
        loop {
            self.until_due(seen).await;
            let head = self.poll().await?;
            if head != seen {
                return Ok(head);
            }
        }
    }

    async fn scan(&self, range: RangeInclusive<BlockNumber>) -> Result<Scan, ChainSourceError> {
        if let Some(scan) = blooms::scan(self, &range).await {
            return Ok(scan);
        }
        let from = *range.start();
        let (scan, places) = scan::scan(self, range).await?;
        cover::ask(self, from..=scan.through, &places).await;
        Ok(scan)
    }

    /// By the logs that the seats show, whatever the blooms said.
    async fn rescan(&self, range: RangeInclusive<BlockNumber>) -> Result<Scan, ChainSourceError> {
        Ok(scan::scan(self, range).await?.0)
    }
}
