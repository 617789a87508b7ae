//! Follows one source: blocks that may still change give early hints, settled blocks are read once for good and move the
//! cursor. What a node missed while it was away is read beside that, see [`backfill`].

mod backfill;
mod ledger;
mod take;

use std::{sync::Arc, time::Duration};

use tokio::{sync::Mutex, time::Instant};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use self::ledger::Ledger;

use super::{Engine, RETRY, pause, progress::Backfill, record::chain_of};
use crate::{
    builder::Source,
    error::{ChainSourceError, Disposition, StoreError},
    ids::BlockNumber,
    ports::{Chain, Head},
};

pub(crate) async fn run(engine: Arc<Engine>, source: Source, stop: CancellationToken) {
    let reading = Reading { engine, source, ledger: Arc::default() };
    let follower = Follower { reading: reading.clone(), read: None, tip: BlockNumber(0), head: None };
    tokio::join!(follow(follower, &stop), backfill::run(reading, &stop));
}

async fn follow(mut follower: Follower, stop: &CancellationToken) {
    let mut failures: u32 = 0;
    while !stop.is_cancelled() {
        let result = tokio::select! {
            () = stop.cancelled() => return,
            result = follower.round() => result,
        };
        let least = match result {
            Ok(()) => {
                failures = 0;
                continue;
            }
            Err(error) => follower.reading.note(&error).await,
        };
        failures = failures.saturating_add(1);
        if !pause(stop, RETRY.after(failures).max(least)).await {
            return;
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum ObserveError {
    #[error("source could not be read")]
    Source(#[from] ChainSourceError),
    #[error("store failed")]
    Store(#[from] StoreError),
}

/// A source with what was read of it, for those who read.
#[derive(Clone)]
struct Reading {
    engine: Arc<Engine>,
    source: Source,
    /// Nothing until the durable cursor is loaded.
    ledger: Arc<Mutex<Option<Ledger>>>,
}

struct Follower {
    reading: Reading,
    /// The last settled block that was read here, or is left to the backfill.
    read: Option<BlockNumber>,
    /// The last block that was read for hints only.
    tip: BlockNumber,
    head: Option<Head>,
}

/// Further behind than so many settled blocks, the newest are read first and the rest beside them. Fewer are a question or two.
const FAR: u64 = 2_000;
/// So many settled blocks are the newest.
const NEAR: u64 = 1_000;
/// How long a halted source rests before it is looked at again; the halt stays whatever is seen then.
const HALTED: Duration = Duration::from_secs(5);

impl Follower {
    /// One step: learn the head, read one stretch of settled blocks and the new tip, wake the jobs that became ripe.
    async fn round(&mut self) -> Result<(), ObserveError> {
        let behind = matches!((self.read, self.head), (Some(read), Some(head)) if read < head.settled);
        let seen = if behind { None } else { self.head };
        let Reading { engine, source, .. } = self.reading.clone();
        let head = source.scanner.next_head(seen).await?;
        let read = self.begin(head).await?;
        if self.head.is_some_and(|before| head.latest < before.latest) {
            // The chain became shorter: what was read above the settled height is void.
            self.tip = read;
        }
        self.head = Some(head);
        let eid = source.scanner.chain().eid;
        let read = self.read_settled(read, head).await?;
        self.read_tip(read, head).await?;
        engine.wake_ripe(eid, head).await?;
        engine.progress.source(eid, |it| {
            it.head = Some(head);
            it.error = None;
        });
        degraded(&source.scanner.chain().name, false);
        self.gauge(head);
        Ok(())
    }

    /// The last settled block that was read here. A new chain starts at its configured block or at the settled head; what is
    /// far behind is left to the backfill.
    async fn begin(&mut self, head: Head) -> Result<BlockNumber, StoreError> {
        let read = match self.read {
            Some(read) => read,
            None => self.load(head).await?,
        };
        let read = if head.settled.0.saturating_sub(read.0) > FAR {
            let left = head.settled.below(NEAR);
            self.reading.leave(left).await;
            self.tip = self.tip.max(left);
            left
        } else {
            read
        };
        self.read = Some(read);
        Ok(read)
    }

    /// The durable cursor.
    async fn load(&mut self, head: Head) -> Result<BlockNumber, StoreError> {
        let Reading { engine, source, ledger } = &self.reading;
        let eid = source.scanner.chain().eid;
        let cursor = match engine.store.cursors.load(eid).await? {
            Some(cursor) => {
                engine.turns.came_back(eid, head.settled);
                cursor
            }
            None => {
                let start = source.start_block.map_or(head.settled, |start| start.below(1));
                engine.store.cursors.advance(eid, start).await?;
                start
            }
        };
        *ledger.lock().await = Some(Ledger::new(cursor));
        self.tip = cursor;
        Ok(cursor)
    }

    async fn read_settled(&mut self, read: BlockNumber, head: Head) -> Result<BlockNumber, ObserveError> {
        if read >= head.settled {
            return Ok(read);
        }
        let Reading { engine, source, .. } = &self.reading;
        let scan = source.scanner.scan(read.above(1)..=head.settled).await?;
        engine.take_settled(&source.scanner.chain().name, &scan).await?;
        let through = scan.through.min(head.settled);
        self.reading.read(read.above(1), through).await?;
        self.read = Some(through);
        self.tip = self.tip.max(through);
        Ok(through)
    }

    async fn read_tip(&mut self, read: BlockNumber, head: Head) -> Result<(), ObserveError> {
        // A node that catches up reads what is settled first; hints would only repeat it.
        if read < head.settled || self.tip >= head.latest {
            return Ok(());
        }
        let Reading { engine, source, .. } = &self.reading;
        let scan = source.scanner.scan(self.tip.above(1)..=head.latest).await?;
        engine.take_all(&source.scanner.chain().name, &scan.assignments).await?;
        self.tip = scan.through.min(head.latest);
        Ok(())
    }

    #[expect(clippy::cast_precision_loss, reason = "a gauge of heights below 2^53")]
    fn gauge(&self, head: Head) {
        let chain = self.reading.source.scanner.chain().name.clone();
        metrics::gauge!("dvn_source_head_block", "chain" => chain.clone()).set(head.latest.0 as f64);
        metrics::gauge!("dvn_source_settled_block", "chain" => chain).set(head.settled.0 as f64);
    }
}

impl Reading {
    /// Leaves what was not read up to this block to the backfill.
    async fn leave(&self, through: BlockNumber) {
        let mut ledger = self.ledger.lock().await;
        if let Some(ledger) = ledger.as_mut() {
            ledger.leave(through);
            let (chain, left) = (&self.source.scanner.chain().name, ledger.left());
            tracing::info!(chain, left, "blocks were missed, they are read beside the new ones");
            self.tell(ledger);
        }
    }

    /// Blocks were read whole, and what they hold is stored: moves the durable cursor as far as nothing before it is missing.
    async fn read(&self, from: BlockNumber, through: BlockNumber) -> Result<(), StoreError> {
        let mut ledger = self.ledger.lock().await;
        if let Some(ledger) = ledger.as_mut() {
            ledger.read(from, through);
            // Under the lock, so that the cursor never tells of more than the ledger.
            self.engine.store.cursors.advance(self.source.scanner.chain().eid, ledger.cursor()).await?;
            self.tell(ledger);
        }
        Ok(())
    }

    #[expect(clippy::cast_precision_loss, reason = "a gauge of heights below 2^53")]
    fn tell(&self, ledger: &Ledger) {
        let Chain { name, eid } = self.source.scanner.chain();
        self.engine.progress.source(*eid, |it| {
            it.cursor = Some(ledger.cursor());
            it.backfill = Backfill::after(it.backfill, ledger.left(), ledger.filled(), Instant::now());
        });
        metrics::gauge!("dvn_source_cursor_block", "chain" => name.clone()).set(ledger.cursor().0 as f64);
        metrics::gauge!("dvn_source_backfill_blocks", "chain" => name.clone()).set(ledger.left() as f64);
    }

    /// Says why the source could not be followed, and stops the chain where that asks for it.
    async fn note(&self, error: &ObserveError) -> Duration {
        let text = chain_of(error);
        let chain = self.source.scanner.chain();
        warn!(chain = chain.name, error = text, "source could not be followed");
        self.engine.progress.source(chain.eid, |it| it.error = Some(text.clone()));
        degraded(&chain.name, true);
        let (disposition, evidence) = match error {
            ObserveError::Source(error) => (error.disposition(), error.evidence()),
            ObserveError::Store(error) => (error.disposition(), error.evidence()),
        };
        match disposition {
            Disposition::Retry { after } => after,
            Disposition::Reject => Duration::from_secs(30),
            Disposition::Halt => {
                if let Err(error) = self.engine.halt_chain(chain.eid, &text, evidence).await {
                    tracing::error!(chain = chain.name, %error, "halt could not be recorded");
                }
                HALTED
            }
        }
    }
}

/// Whether too few seats answer to follow a source: what to alert on.
fn degraded(chain: &str, is: bool) {
    metrics::gauge!("dvn_source_degraded", "chain" => chain.to_owned()).set(if is { 1.0 } else { 0.0 });
}
