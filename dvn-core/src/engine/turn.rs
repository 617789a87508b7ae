//! Whose turn it is to propose a packet. A proposer that fails is followed by the next in rank; two that propose the same
//! cost gas and never correctness.

use std::{collections::HashMap, sync::Mutex, time::Duration};

use tokio::time::Instant;

use super::{Engine, lock};
use crate::{ids::JobId, job::Job, rank};

/// How many takeovers a proposer has that was given a signature: it has to collect the others and to be mined.
const COLLECTING: u32 = 4;
/// Jobs whose time is remembered; beyond, remembering begins anew, which only costs time.
const MOST: usize = 100_000;

/// When jobs became signable in this node's own view.
#[derive(Debug, Default)]
pub(crate) struct Turns(Mutex<HashMap<JobId, Instant>>);

impl Turns {
    fn since(&self, job: JobId) -> Instant {
        let mut turns = lock(&self.0);
        if turns.len() >= MOST && !turns.contains_key(&job) {
            turns.clear();
        }
        *turns.entry(job).or_insert_with(Instant::now)
    }

    /// Forgets a job that was signed or needs no signature any more.
    pub(crate) fn forget(&self, job: JobId) {
        lock(&self.0).remove(&job);
    }
}

impl Engine {
    /// How long this node still leaves a signable job to those before it in rank; nothing when it is its own turn. A proposer
    /// that was given a signature has some time more.
    pub(crate) fn turn(&self, job: &Job) -> Option<Duration> {
        let before = self.turn_by_rank(job)?;
        let Some(given) = self.attestor.given_to_peer(job.claim.header.guid()) else {
            return some(before);
        };
        some(before.max(self.tuning.takeover.saturating_mul(COLLECTING).saturating_sub(given.elapsed())))
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
