//! Whose turn it is to propose a packet. A proposer that fails is followed by the next in rank; two that propose the same
//! cost gas and never correctness.

use std::{collections::HashMap, sync::Mutex, time::Duration};

use tokio::time::Instant;

use super::{Engine, lock};
use crate::{
    ids::{BlockNumber, Eid, JobId},
    job::Job,
    rank,
};

/// How many takeovers a proposer has that asked for a signature: it has to collect the others and to be mined.
const COLLECTING: u32 = 4;
/// Jobs whose time is remembered; beyond, remembering begins anew, which only costs time.
const MOST: usize = 100_000;

/// When jobs became signable in this node's own view, and since when it follows each source.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    since: Mutex<HashMap<JobId, Instant>>,
    /// The settled height of each source when this process, which was not its store's first, began to follow it.
    came_back_at: Mutex<HashMap<Eid, (BlockNumber, Instant)>>,
}

impl Turns {
    fn since(&self, job: JobId) -> Instant {
        let mut turns = lock(&self.since);
        if turns.len() >= MOST && !turns.contains_key(&job) {
            turns.clear();
        }
        *turns.entry(job).or_insert_with(Instant::now)
    }

    /// A node that was away does not know who proposes what was settled meanwhile.
    pub(crate) fn came_back(&self, src_eid: Eid, settled: BlockNumber) {
        lock(&self.came_back_at).insert(src_eid, (settled, Instant::now()));
    }

    /// Whether others may have taken this node to be gone when the packet became signable; `unnoticed` is how long they may not
    /// have seen that it is back.
    fn was_away(&self, job: &Job, unnoticed: Duration) -> bool {
        let came_back_at = lock(&self.came_back_at).get(&job.location.src_eid).copied();
        came_back_at.is_some_and(|(settled, at)| job.location.block.number <= settled || at.elapsed() < unnoticed)
    }

    /// Forgets a job that was signed or needs no signature any more.
    pub(crate) fn forget(&self, job: JobId) {
        lock(&self.since).remove(&job);
    }
}

impl Engine {
    /// How long this node still leaves a signable job to others; nothing when it is its own turn. Those before it in rank have
    /// their time, and so has whoever took its place while it was away; a proposer that asked this node has some more.
    pub(crate) fn turn(&self, job: &Job) -> Option<Duration> {
        let before = self.turn_by_rank(job).or_else(|| self.turn_after_absence(job))?;
        let asked = self.attestor.asked_by_peer(&job.location);
        let collecting = self.tuning.takeover.saturating_mul(COLLECTING);
        some(asked.map_or(before, |asked| before.max(collecting.saturating_sub(asked.elapsed()))))
    }

    /// What is left of the time for whoever took the place of this node, which is first in rank and was away. It is longer than
    /// the next in rank waits, who may have seen that this node is back.
    fn turn_after_absence(&self, job: &Job) -> Option<Duration> {
        let takeover = self.tuning.takeover;
        let is_alone = !self.cosigners.iter().skip(1).any(|it| it.is_healthy());
        if is_alone || !self.turns.was_away(job, takeover) {
            return None;
        }
        Some(takeover.saturating_mul(2).saturating_sub(self.turns.since(job.id).elapsed()))
    }

    /// As [`Engine::turn`], for what must not wait any longer than its place in rank.
    pub(crate) fn turn_to_take_back(&self, job: &Job) -> Option<Duration> {
        some(self.turn_by_rank(job)?)
    }

    /// What is left of the time of those before this node; nothing where nobody is before it.
    fn turn_by_rank(&self, job: &Job) -> Option<Duration> {
        let dst_eid = job.dst_eid();
        let own = self.attestor.signer(dst_eid)?;
        let known = self.cosigners.iter().filter_map(|it| Some((it.address(dst_eid)?, it.is_healthy())));
        let healthy: HashMap<_, _> = known.collect();
        let order = rank::order(job.location.src_eid, dst_eid, job.location.block.number, healthy.keys().copied());
        // Whoever failed its last health call is passed over.
        let before = order
            .iter()
            .take_while(|signer| **signer != own)
            .filter(|signer| healthy.get(*signer).copied().unwrap_or_default())
            .count();
        if before == 0 {
            return None;
        }
        let waits = self.tuning.takeover.saturating_mul(u32::try_from(before).unwrap_or(u32::MAX));
        Some(waits.saturating_sub(self.turns.since(job.id).elapsed()))
    }
}

fn some(left: Duration) -> Option<Duration> {
    (!left.is_zero()).then_some(left)
}
