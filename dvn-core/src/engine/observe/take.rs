//! What a source reported becomes jobs.

use serde_json::json;
use tracing::debug;

use crate::{
    engine::Engine,
    error::StoreError,
    ids::JobId,
    job::{Job, Move},
    ports::{Assignment, AuditEntry, Due, Observed, Scan},
};

/// Packets that are stored in one transaction.
const TOGETHER: usize = 200;

impl Engine {
    /// Stores what settled blocks hold.
    pub(super) async fn take_settled(&self, chain: &str, scan: &Scan) -> Result<(), StoreError> {
        // Before the jobs: a packet that is looked at must find itself and its forerunners noted.
        self.store.paths.note(&scan.sightings).await?;
        self.take_all(chain, &scan.assignments).await
    }

    /// Stores hints, a bounded number at a time.
    pub(super) async fn take_all(&self, chain: &str, assignments: &[Assignment]) -> Result<(), StoreError> {
        for some in assignments.chunks(TOGETHER) {
            self.take(chain, some).await?;
        }
        Ok(())
    }

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
