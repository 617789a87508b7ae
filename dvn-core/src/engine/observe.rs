//! Follows one source: blocks that may still change give early hints, settled blocks are read once for good and move the
//! cursor.

use std::{sync::Arc, time::Duration};

use serde_json::json;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::{Engine, RETRY, pause, record::chain_of};
use crate::{
    builder::Source,
    error::{ChainSourceError, Disposition, StoreError},
    ids::{BlockNumber, JobId},
    job::{Job, Move},
    ports::{Assignment, AuditEntry, Due, Head, Observed},
};

/// Packets that are stored in one transaction.
const TOGETHER: usize = 200;

pub(crate) async fn run(engine: Arc<Engine>, source: Source, stop: CancellationToken) {
    let mut follower = Follower { engine, source, cursor: None, tip: BlockNumber(0), head: None, swept: None };
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
            Err(error) => follower.note(&error).await,
        };
        failures = failures.saturating_add(1);
        if !pause(&stop, RETRY.after(failures).max(least)).await {
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

struct Follower {
    engine: Arc<Engine>,
    source: Source,
    /// Mirrors the durable cursor.
    cursor: Option<BlockNumber>,
    /// The last block that was read for hints only.
    tip: BlockNumber,
    head: Option<Head>,
    /// The last block that was read a second time, and when.
    swept: Option<(BlockNumber, Instant)>,
}

/// How many blocks before the cursor a restarted node reads again: those that the last process may not have come to.
const READ_AGAIN: u64 = 1_000;
/// How long a halted source rests before it is looked at again; the halt stays whatever is seen then.
const HALTED: Duration = Duration::from_secs(5);

impl Follower {
    /// One step: learn the head, read one stretch of settled blocks and the new tip, wake the jobs that became ripe.
    async fn round(&mut self) -> Result<(), ObserveError> {
        let behind = matches!((self.cursor, self.head), (Some(cursor), Some(head)) if cursor < head.settled);
        let seen = if behind { None } else { self.head };
        let head = self.source.scanner.next_head(seen).await?;
        let cursor = self.cursor(head).await?;
        if self.head.is_some_and(|before| head.latest < before.latest) {
            // The chain became shorter: what was read above the settled height is void.
            self.tip = cursor;
        }
        self.head = Some(head);
        let eid = self.source.scanner.chain().eid;
        let cursor = self.read_settled(cursor, head).await?;
        self.read_tip(cursor, head).await?;
        self.engine.wake_ripe(eid, head).await?;
        self.engine.progress.source(eid, |it| {
            it.head = Some(head);
            it.cursor = Some(cursor);
            it.error = None;
        });
        degraded(&self.source.scanner.chain().name, false);
        self.gauge(head, cursor);
        self.sweep(cursor).await
    }

    /// The durable cursor; a new chain starts at its configured block or at the settled head.
    async fn cursor(&mut self, head: Head) -> Result<BlockNumber, StoreError> {
        if let Some(cursor) = self.cursor {
            return Ok(cursor);
        }
        let eid = self.source.scanner.chain().eid;
        let cursor = match self.engine.store.cursors.load(eid).await? {
            Some(cursor) => {
                self.engine.turns.came_back(eid, head.settled);
                cursor
            }
            None => {
                let start = self.source.start_block.map_or(head.settled, |start| start.below(1));
                self.engine.store.cursors.advance(eid, start).await?;
                start
            }
        };
        self.cursor = Some(cursor);
        self.tip = cursor;
        self.swept = Some((cursor.below(READ_AGAIN), Instant::now()));
        Ok(cursor)
    }

    async fn read_settled(&mut self, cursor: BlockNumber, head: Head) -> Result<BlockNumber, ObserveError> {
        if cursor >= head.settled {
            return Ok(cursor);
        }
        let scan = self.source.scanner.scan(cursor.above(1)..=head.settled).await?;
        // Before the jobs: a packet that is looked at must find itself and its forerunners noted.
        self.engine.store.paths.note(&scan.sightings).await?;
        self.take(&scan.assignments).await?;
        let through = scan.through.min(head.settled);
        self.engine.store.cursors.advance(self.source.scanner.chain().eid, through).await?;
        self.cursor = Some(through);
        self.tip = self.tip.max(through);
        Ok(through)
    }

    async fn read_tip(&mut self, cursor: BlockNumber, head: Head) -> Result<(), ObserveError> {
        // A node that catches up reads what is settled first; hints would only repeat it.
        if cursor < head.settled || self.tip >= head.latest {
            return Ok(());
        }
        let scan = self.source.scanner.scan(self.tip.above(1)..=head.latest).await?;
        self.take(&scan.assignments).await?;
        self.tip = scan.through.min(head.latest);
        Ok(())
    }

    /// Reads what was read before once more, for whatever a seat hid or this node missed the first time.
    async fn sweep(&mut self, cursor: BlockNumber) -> Result<(), ObserveError> {
        let Some((mut swept, since)) = self.swept else {
            return Ok(());
        };
        if since.elapsed() < self.engine.tuning.resweep {
            return Ok(());
        }
        if self.engine.store.paths.has_gap(self.source.scanner.chain().eid).await? {
            // What is missing was missed by every look so far; it is looked for until it is found.
            swept = swept.min(cursor.below(READ_AGAIN));
        }
        if swept >= cursor {
            return Ok(());
        }
        let scan = self.source.scanner.rescan(swept.above(1)..=cursor).await?;
        self.engine.store.paths.note(&scan.sightings).await?;
        self.take(&scan.assignments).await?;
        self.swept = Some((scan.through.min(cursor), Instant::now()));
        Ok(())
    }

    async fn take(&self, assignments: &[Assignment]) -> Result<(), StoreError> {
        for some in assignments.chunks(TOGETHER) {
            self.engine.take(&self.source.scanner.chain().name, some).await?;
        }
        Ok(())
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

    #[expect(clippy::cast_precision_loss, reason = "a gauge of heights below 2^53")]
    fn gauge(&self, head: Head, cursor: BlockNumber) {
        let chain = self.source.scanner.chain().name.clone();
        metrics::gauge!("dvn_source_head_block", "chain" => chain.clone()).set(head.latest.0 as f64);
        metrics::gauge!("dvn_source_settled_block", "chain" => chain.clone()).set(head.settled.0 as f64);
        metrics::gauge!("dvn_source_cursor_block", "chain" => chain).set(cursor.0 as f64);
    }
}

/// Whether too few seats answer to follow a source: what to alert on.
fn degraded(chain: &str, is: bool) {
    metrics::gauge!("dvn_source_degraded", "chain" => chain.to_owned()).set(if is { 1.0 } else { 0.0 });
}

impl Engine {
    /// Stores hints as jobs, and moves known jobs to where their packets stand now.
    async fn take(&self, chain: &str, assignments: &[Assignment]) -> Result<(), StoreError> {
        let now = self.clock.now();
        let jobs: Vec<Job> = assignments.iter().map(|it| Job::observed(it.claim, it.location, now)).collect();
        let observed = self.store.jobs.observe_all(&jobs).await?;
        let news = jobs.iter().zip(&observed).filter(|(_, observed)| matches!(observed, Observed::New));
        let entries: Vec<AuditEntry> = news.map(|(job, _)| self.first_sight(job)).collect();
        self.store.audit.append(&entries).await?;
        for ((assignment, job), observed) in assignments.iter().zip(&jobs).zip(observed) {
            let (due, status) = match observed {
                Observed::New => (Due::from(job), "observed"),
                Observed::Known(known) if known.location == assignment.location => continue,
                Observed::Known(known) => match self.relocate(known.id, assignment).await? {
                    Some(moved) => (moved, "moved"),
                    None => continue,
                },
            };
            metrics::counter!("dvn_events_received_total", "chain" => chain.to_owned(), "status" => status)
                .increment(1);
            if let Err(error) = self.queue.push(due).await {
                debug!(guid = %assignment.claim.header.guid(), %error, "left to the sweeper");
            }
        }
        Ok(())
    }

    /// Tells of a packet that nobody here saw before.
    fn first_sight(&self, job: &Job) -> AuditEntry {
        let (guid, location) = (job.claim.header.guid(), job.location);
        let block = location.block;
        tracing::info!(%guid, nonce = job.claim.header.nonce.0, src = location.src_eid.0, dst = job.dst_eid().0, %block,
            to = "observed", "packet observed");
        let detail = json!({ "block": block.number.0, "block_hash": block.hash, "tx": location.tx_hash });
        self.entry("listener", "observed", Some(guid), (None, detail))
    }

    /// A known packet in another block: a reorg moved it. One seat's word suffices to look again at an orphaned packet,
    /// while one that still stands moves only when the threshold of seats says so; else a single liar could lead the
    /// verifier away from where the packet is.
    async fn relocate(&self, id: JobId, assignment: &Assignment) -> Result<Option<Due>, StoreError> {
        // As it is now: the same packet may have been moved by what was seen just before.
        let Some(mut job) = self.store.jobs.load(id).await? else {
            return Ok(None);
        };
        let orphaned = matches!(job.state, crate::job::State::Orphaned);
        if !(assignment.agreed || orphaned) {
            return Ok(None);
        }
        job.location = assignment.location;
        let detail = json!({ "block": job.location.block.number.0, "block_hash": job.location.block.hash });
        if orphaned || job.state.is_before_signing() {
            self.advance("listener", &mut job, Move::Observe, self.wake_now(), detail).await?;
        } else {
            self.store.jobs.save(&mut job).await?;
            self.audit("listener", "relocated", Some(job.claim.header.guid()), detail).await?;
        }
        Ok(Some(Due::from(&job)))
    }
}
