//! Keeps the status page up to date from what the engine and the store say.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use dvn_core::{
    Progress, ProgressReport,
    ids::Eid,
    ports::{Clock, Halt, HaltScope, Store, SystemClock, Tally},
};
use tracing::warn;

use super::disk::Disk;
use crate::{
    config::Config,
    http::{BackfillStatus, ChainStatus, JobCount, JournalStatus, NodeStatus, PacketLine, Role, Snapshot},
    peers::Peer,
};

/// How often, unless it takes long.
const EVERY: Duration = Duration::from_millis(500);
/// A report takes one part in so many of the time: jobs are counted, and a store keeps them all.
const SHARE: u32 = 50;

pub(super) struct Reporter {
    chains: BTreeMap<u32, (String, Role)>,
    store: Store,
    progress: Progress,
    peers: Vec<Arc<Peer>>,
    disk: Disk,
    status: NodeStatus,
}

/// Reports for ever.
pub(super) async fn run(reporter: Reporter) {
    loop {
        let started = Instant::now();
        reporter.round().await;
        tokio::time::sleep(EVERY.max(started.elapsed().saturating_mul(SHARE))).await;
    }
}

impl Reporter {
    pub(super) fn new(
        config: &Config,
        store: Store,
        progress: Progress,
        peers: &[Arc<Peer>],
        status: NodeStatus,
    ) -> Self {
        let mut chains = BTreeMap::new();
        for source in &config.sources {
            chains.insert(source.network.eid.0, (source.network.name.clone(), Role::Source));
        }
        for target in &config.targets {
            let chain = chains.entry(target.network.eid.0);
            let chain = chain.or_insert_with(|| (target.network.name.clone(), Role::Target));
            if chain.1 == Role::Source {
                chain.1 = Role::Both;
            }
        }
        Self { chains, store, progress, peers: peers.to_vec(), disk: Disk::of(&config.service), status }
    }

    async fn round(&self) {
        let report = self.progress.report();
        let disk_full = self.disk.look();
        match self.read().await {
            Ok((tallies, halts, journal)) => self.status.update(|it| {
                it.store_works = true;
                it.tell_journal(journal);
                it.disk_full = disk_full;
                self.tell(it, &report, &tallies, &halts);
            }),
            Err(error) => {
                warn!(error, "status could not be read");
                self.status.update(|it| it.store_works = false);
            }
        }
    }

    async fn read(&self) -> Result<(Vec<Tally>, Vec<Halt>, JournalStatus), String> {
        let read = tokio::try_join!(self.store.jobs.tally(), self.store.halts.standing());
        let (tallies, halts) = read.map_err(|error| error.to_string())?;
        let journal = &self.store.journal;
        let (state, head) = tokio::try_join!(journal.state(), journal.head()).map_err(|error| error.to_string())?;
        Ok((tallies, halts, JournalStatus::new(state, head, SystemClock::new().now())))
    }

    fn tell(&self, snapshot: &mut Snapshot, report: &ProgressReport, tallies: &[Tally], halts: &[Halt]) {
        snapshot.key_works = report.key_error.is_none();
        snapshot.detail.clone_from(&report.key_error);
        snapshot.chains =
            self.chains.iter().map(|(eid, (name, role))| chain(name, *eid, *role, report, halts)).collect();
        snapshot.peers = self.peers.iter().map(|peer| peer.status()).collect();
        snapshot.jobs = tallies.iter().map(job_count).collect();
        snapshot.packets = report.recent.iter().map(packet_line).collect();
    }
}

fn chain(name: &str, eid: u32, role: Role, report: &ProgressReport, halts: &[Halt]) -> ChainStatus {
    let mut status = ChainStatus::new(name, eid, role);
    let halt =
        halts.iter().find(|halt| matches!(halt.scope, HaltScope::All) || halt.scope == HaltScope::Chain(Eid(eid)));
    status.halted = halt.map(|halt| halt.reason.clone());
    if let Some(source) = report.sources.get(&Eid(eid)) {
        status.latest = source.head.map(|head| head.latest.0);
        status.settled = source.head.map(|head| head.settled.0);
        status.cursor = source.cursor.map(|cursor| cursor.0);
        status.backfill =
            source.backfill.map(|it| BackfillStatus::new(it.left, it.estimate.map(|left| left.as_secs())));
        status.error.clone_from(&source.error);
    }
    if let Some(Some(error)) = report.lanes.get(&Eid(eid)) {
        status.error = Some(error.clone());
    }
    status
}

fn job_count(tally: &Tally) -> JobCount {
    JobCount {
        src_eid: tally.src_eid.0,
        dst_eid: tally.dst_eid.0,
        state: tally.state.name(),
        reason: tally.state.reason(),
        count: tally.count,
    }
}

fn packet_line(recent: &dvn_core::RecentMove) -> PacketLine {
    PacketLine {
        guid: recent.guid.to_string(),
        src_eid: recent.src_eid.0,
        dst_eid: recent.dst_eid.0,
        nonce: recent.nonce.0,
        state: recent.state.name(),
        at: recent.at,
    }
}
