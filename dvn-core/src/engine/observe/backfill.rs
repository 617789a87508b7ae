//! Reads what a node missed while it was away, oldest first and several stretches at once, beside the follower, which reads
//! what is new. Once nothing is missing, it reads what was read before once more, for whatever was missed there.

use std::{ops::RangeInclusive, sync::Arc, time::Duration};

use futures::stream::{FuturesOrdered, StreamExt};
use tokio::time::Instant;
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use super::{ObserveError, Reading};
use crate::{
    engine::{RETRY, pause},
    error::ChainSourceError,
    ids::BlockNumber,
    ports::Scan,
};

/// Blocks of one stretch: several questions to the seats.
const STRETCH: u64 = 16_384;
/// Stretches that are read at once.
const AT_ONCE: usize = 4;
/// How often is looked whether there is anything to do.
const LOOK: Duration = Duration::from_millis(500);
/// How many blocks before the cursor a restarted node reads again: those that the last process may not have come to.
const READ_AGAIN: u64 = 1_000;

pub(super) async fn run(reading: Reading, stop: &CancellationToken) {
    let mut sweep = Sweep(None);
    let mut failures: u32 = 0;
    while !stop.is_cancelled() {
        let work = async {
            sweep.begin(&reading).await;
            fill(&reading).await?;
            sweep.round(&reading).await
        };
        let result = tokio::select! {
            () = stop.cancelled() => return,
            result = work => result,
        };
        let wait = match result {
            Ok(()) => {
                failures = 0;
                LOOK.min(reading.engine.tuning.resweep)
            }
            Err(error) => {
                failures = failures.saturating_add(1);
                reading.note(&error).await.max(RETRY.after(failures))
            }
        };
        if !pause(stop, wait).await {
            return;
        }
    }
}

/// Reads all that was left: several stretches at once, and what they hold is stored in the order of blocks, so that packets find
/// their forerunners. A stretch that cannot be read does not keep the others from it.
async fn fill(reading: &Reading) -> Result<(), ObserveError> {
    let mut in_work: Vec<RangeInclusive<BlockNumber>> = Vec::new();
    let mut stretches = FuturesOrdered::new();
    let mut failed = Vec::new();
    loop {
        while stretches.len() < AT_ONCE && failed.len() < AT_ONCE {
            let next = reading.ledger.lock().await.as_ref().and_then(|ledger| ledger.next(&in_work, STRETCH));
            let Some(range) = next else { break };
            in_work.push(range.clone());
            stretches.push_back(stretch(reading, range));
        }
        let Some((range, scan)) = stretches.next().await else {
            return failed.pop().map_or(Ok(()), Err);
        };
        match scan {
            Ok(scan) => {
                let (from, to) = (*range.start(), *range.end());
                reading.engine.take_settled(&reading.source.scanner.chain().name, &scan).await?;
                reading.read(from, scan.through.min(to)).await?;
                in_work.retain(|it| it.end() != range.end());
                if scan.through < to {
                    let rest = scan.through.above(1)..=to;
                    in_work.push(rest.clone());
                    stretches.push_front(stretch(reading, rest));
                }
            }
            // It is left, and out of the way until the next try.
            Err(error) => failed.push(error.into()),
        }
    }
}

/// Reads a stretch, or the beginning of it. It goes on while others are stored, and ends with whoever waits for it.
fn stretch(
    reading: &Reading,
    range: RangeInclusive<BlockNumber>,
) -> impl Future<Output = (RangeInclusive<BlockNumber>, Result<Scan, ChainSourceError>)> + use<> {
    let (scanner, asked) = (Arc::clone(&reading.source.scanner), range.clone());
    let task = AbortOnDropHandle::new(tokio::spawn(async move { scanner.scan(asked).await }));
    async move {
        match task.await {
            Ok(scan) => (range, scan),
            // As if it had happened here.
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => std::future::pending().await,
        }
    }
}

/// The last block that was read a second time, and when.
struct Sweep(Option<(BlockNumber, Instant)>);

impl Sweep {
    /// Takes the first cursor for what the last process came to.
    async fn begin(&mut self, reading: &Reading) {
        if self.0.is_none() {
            let cursor = reading.ledger.lock().await.as_ref().map(super::Ledger::cursor);
            self.0 = cursor.map(|cursor| (cursor.below(READ_AGAIN), Instant::now()));
        }
    }

    /// Reads what was read before once more, for whatever a seat hid or this node missed the first time.
    async fn round(&mut self, reading: &Reading) -> Result<(), ObserveError> {
        let cursor = reading.ledger.lock().await.as_ref().map(super::Ledger::cursor);
        let (Some((mut swept, since)), Some(cursor)) = (self.0, cursor) else {
            return Ok(());
        };
        if since.elapsed() < reading.engine.tuning.resweep {
            return Ok(());
        }
        if reading.engine.store.paths.has_gap(reading.source.scanner.chain().eid).await? {
            // What is missing was missed by every look so far; it is looked for until it is found.
            swept = swept.min(cursor.below(READ_AGAIN));
        }
        if swept >= cursor {
            return Ok(());
        }
        let scan = reading.source.scanner.rescan(swept.above(1)..=cursor).await?;
        reading.engine.take_settled(&reading.source.scanner.chain().name, &scan).await?;
        self.0 = Some((scan.through.min(cursor), Instant::now()));
        Ok(())
    }
}
