//! Whose turn it is to propose a packet. A proposer that fails is followed by the next in rank; two that propose the same
//! cost gas and never correctness.

use std::{collections::HashMap, sync::Mutex, time::Duration};

use tokio::time::Instant;

use super::{Engine, lock};
use crate::{
    error::StoreError,
    ids::{BlockNumber, Eid, JobId},
    job::{Job, Location, State},
    ports::{Cosigner, Due},
    rank,
};

/// How many takeovers a proposer has that asked for a signature: it has to collect the others and to be mined.
const COLLECTING: u32 = 4;
/// How many takeovers a packet waits at most for a proposer that is there and has its hands full of others.
const BUSY: u32 = 10;
/// How many takeovers a node that came back leaves to whoever took its place: more than the next in rank waits, which may have
/// seen that it is back.
const AFTER_RETURN: u32 = 2;
/// Jobs whose time is remembered; beyond, remembering begins anew, which only costs time.
const MOST: usize = 100_000;
/// Verified jobs for a destination that are looked at when a peer is lost; others are when their time comes.
const WOKEN: usize = 1_000;

/// When jobs became signable in this node's own view, and since when it follows each source.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    since: Mutex<HashMap<JobId, Instant>>,
    /// The settled height of each source when this process, which was not its store's first, began to follow it.
    came_back_at: Mutex<HashMap<Eid, (BlockNumber, Instant)>>,
    /// Each peer as it was when it was last looked at.
    peers: Mutex<HashMap<String, Seen>>,
}

/// Whether a peer was there, and when it last ceased to be.
#[derive(Clone, Copy, Debug)]
struct Seen {
    is_healthy: bool,
    lost_at: Option<Instant>,
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

    /// Takes note of a peer's health, and says whether it was lost since the last look.
    fn notice(&self, peer: &dyn Cosigner) -> bool {
        let is_healthy = peer.is_healthy();
        let mut peers = lock(&self.peers);
        let seen = peers.entry(peer.name().to_owned()).or_insert(Seen { is_healthy, lost_at: None });
        let is_lost = seen.is_healthy && !is_healthy;
        seen.is_healthy = is_healthy;
        if is_lost {
            seen.lost_at = Some(Instant::now());
        }
        is_lost
    }

    fn lost_at(&self, peer: &str) -> Option<Instant> {
        lock(&self.peers).get(peer)?.lost_at
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
        let rank = self.turn_by_rank(job);
        let absence = if rank.is_none_or(|left| left.is_zero()) { self.turn_after_absence(job) } else { None };
        let others_propose = rank.is_some() || absence.is_some();
        let asking = self.turn_after_asking(&job.location, others_propose);
        [rank, absence, asking].into_iter().flatten().max().and_then(some)
    }

    /// How long this node still leaves what an earlier process had a quorum for, and did not send, to whoever took its place.
    /// `since` is when this process found it.
    pub(crate) fn turn_to_send(&self, location: &Location, since: Instant) -> Option<Duration> {
        if self.is_alone() {
            return None;
        }
        let absence = self.tuning.takeover.saturating_mul(AFTER_RETURN).saturating_sub(since.elapsed());
        self.turn_after_asking(location, true).into_iter().chain([absence]).max().and_then(some)
    }

    /// Whether none of the others is there.
    fn is_alone(&self) -> bool {
        !self.cosigners.iter().skip(1).any(|it| it.is_healthy())
    }

    /// What is left of the time of those that asked for a signature. Who was lost since may have sent its transaction before, and
    /// has one takeover for that, also where it is back and has forgotten what it was collecting; who is there is collecting,
    /// unless this node is the one to propose.
    fn turn_after_asking(&self, location: &Location, others_propose: bool) -> Option<Duration> {
        let asked = self.attestor.asked_by_peers(location);
        let left = self.cosigners.iter().skip(1).filter_map(|peer| {
            let asked_at = *asked.get(peer.name())?;
            let is_lost = !peer.is_healthy() || self.turns.lost_at(peer.name()).is_some_and(|at| at > asked_at);
            let takeovers = match (is_lost, others_propose) {
                (true, _) => 1,
                (false, true) => COLLECTING,
                (false, false) => return None,
            };
            Some(self.tuning.takeover.saturating_mul(takeovers).saturating_sub(asked_at.elapsed()))
        });
        left.max()
    }

    /// What is left of the time for whoever took the place of this node, which is the one to propose and was away.
    fn turn_after_absence(&self, job: &Job) -> Option<Duration> {
        let takeover = self.tuning.takeover;
        if self.is_alone() || !self.turns.was_away(job, takeover) {
            return None;
        }
        Some(takeover.saturating_mul(AFTER_RETURN).saturating_sub(self.turns.since(job.id).elapsed()))
    }

    /// As [`Engine::turn`], for what must not wait any longer than its place in rank.
    pub(crate) fn turn_to_take_back(&self, job: &Job) -> Option<Duration> {
        some(self.turn_by_rank(job)?)
    }

    /// What is left of the time of those before this node, none if they all failed their last health call; nothing where nobody is
    /// before it.
    fn turn_by_rank(&self, job: &Job) -> Option<Duration> {
        let before = self.before(job).filter(|before| !before.is_empty())?;
        let gone = before.iter().filter(|it| !it.is_healthy());
        let (lost, lost_at) = (gone.clone().count(), gone.filter_map(|it| self.turns.lost_at(it.name())).max());
        let left = before.len().saturating_sub(lost);
        let takeovers = |count| self.tuning.takeover.saturating_mul(u32::try_from(count).unwrap_or(u32::MAX));
        let waited = self.turns.since(job.id).elapsed();
        // From the loss on, or all that are left would propose together; and never longer than if nobody were gone.
        let since_loss = lost_at.map_or(waited, |at| at.elapsed().min(waited));
        let (early, late) =
            (takeovers(left).saturating_sub(since_loss), takeovers(before.len()).saturating_sub(waited));
        Some(early.min(late).max(self.turn_after_busy(&before, waited)))
    }

    /// In a flood whoever is first has not come to this packet yet. As long as it collects signatures for others it is not gone, and
    /// all would propose everything.
    fn turn_after_busy(&self, before: &[&dyn Cosigner], waited: Duration) -> Duration {
        let takeover = self.tuning.takeover;
        let given = before.iter().filter(|it| it.is_healthy()).filter_map(|it| self.attestor.given_to_peer(it.name()));
        let quiet = given.max().map_or(takeover, |at| at.elapsed());
        takeover.saturating_sub(quiet).min(takeover.saturating_mul(BUSY).saturating_sub(waited))
    }

    /// Those before this node in rank for a packet; nothing where this node does not serve the destination.
    fn before(&self, job: &Job) -> Option<Vec<&dyn Cosigner>> {
        let dst_eid = job.dst_eid();
        let own = self.attestor.signer(dst_eid)?;
        let known: HashMap<_, _> =
            self.cosigners.iter().filter_map(|it| Some((it.address(dst_eid)?, it.as_ref()))).collect();
        let order = rank::order(job.location.src_eid, dst_eid, job.location.block.number, known.keys().copied());
        let before = order.into_iter().take_while(|signer| *signer != own);
        Some(before.filter_map(|signer| known.get(&signer).copied()).collect())
    }

    /// When a peer is lost, what was left to it is looked at, and need not wait until its time is over.
    pub(crate) async fn notice_losses(&self) -> Result<(), StoreError> {
        let lost = self.cosigners.iter().skip(1).filter(|it| self.turns.notice(it.as_ref())).count();
        if lost == 0 {
            return Ok(());
        }
        for eid in self.lanes.keys() {
            let waiting = self.store.jobs.in_state(*eid, State::Verified, WOKEN).await?;
            lock(&self.called).extend(waiting.iter().map(|job| job.id));
            self.enqueue(waiting.iter().map(Due::from).collect()).await;
        }
        Ok(())
    }
}

fn some(left: Duration) -> Option<Duration> {
    (!left.is_zero()).then_some(left)
}
