//! What a node missed while it was away is read beside what is new, and its cursor passes nothing that was not read.

use std::{
    ops::RangeInclusive,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use dvn_core::{
    Destination, Dvn, Progress, Source,
    error::{ChainSourceError, ChainSourceErrorKind},
    ids::{BlockNumber, Nonce},
    job::{Hold, State},
    packet::Claim,
    ports::{Chain, ChainSource, Head, Neighbours, Scan, Signer},
};
use tokio::sync::Semaphore;

use crate::{
    engine::Setup,
    world::{Chains, Running, SRC, World, note, until_state},
};

/// How far a node is behind.
const BEHIND: u64 = 100_000;
/// So many of the newest of these blocks are read before the others.
const NEAR: u64 = 1_000;

/// A source whose old blocks are only read while it is allowed.
#[derive(Debug)]
struct Old {
    world: World,
    allowed: Semaphore,
    /// Nothing that holds this block can be read.
    broken: AtomicU64,
    /// Blocks that one question reads.
    most: u64,
    asked: Mutex<Vec<(u64, u64)>>,
}

impl Old {
    fn asked(&self) -> Vec<(u64, u64)> {
        self.asked.lock().unwrap().clone()
    }
}

#[async_trait]
impl ChainSource for Old {
    fn chain(&self) -> &Chain {
        ChainSource::chain(&self.world)
    }

    async fn next_head(&self, seen: Option<Head>) -> Result<Head, ChainSourceError> {
        self.world.next_head(seen).await
    }

    async fn scan(&self, range: RangeInclusive<BlockNumber>) -> Result<Scan, ChainSourceError> {
        let (from, to) = (*range.start(), *range.end());
        self.asked.lock().unwrap().push((from.0, to.0));
        if from.0 <= BEHIND - NEAR {
            self.allowed.acquire().await.unwrap().forget();
        }
        let to = to.min(from.above(self.most - 1));
        if (from.0..=to.0).contains(&self.broken.load(Ordering::Relaxed)) {
            return Err(ChainSourceError::new(ChainSourceErrorKind::Missing));
        }
        self.world.scan(from..=to).await
    }
}

struct Stage {
    setup: Setup,
    source: Arc<Old>,
}

impl Stage {
    /// Packets in these old blocks, in order.
    async fn new(most: u64, blocks: &[u64]) -> (Self, Vec<Claim>) {
        let setup = Setup::new().await;
        let mut claims = Vec::new();
        {
            let mut chains = setup.world.lock();
            (chains.latest, chains.settled) = (BEHIND + 10, BEHIND);
            for (block, nonce) in blocks.iter().zip(1..) {
                let claim = Chains::packet(nonce, b"old");
                chains.send(claim, *block);
                claims.push(claim);
            }
        }
        let (allowed, broken, asked) = (Semaphore::new(0), AtomicU64::new(u64::MAX), Mutex::default());
        let source = Arc::new(Old { world: setup.world.clone(), allowed, broken, most, asked });
        (Self { setup, source }, claims)
    }

    fn start(&self) -> (Running, Progress) {
        let signer: Arc<dyn Signer> = self.setup.signer.clone();
        let source = Source::new(self.source.clone(), Arc::new(self.setup.world.clone()));
        let destination = Destination::new(Arc::new(self.setup.world.clone()), signer);
        let dvn = Dvn::builder()
            .source(source.with_start_block(BlockNumber(1)))
            .destination(destination.with_poll(Duration::from_millis(5)))
            .store(self.setup.store.clone())
            .instance("test")
            .sweep(Duration::from_millis(5))
            .build()
            .unwrap();
        let progress = dvn.progress();
        (Running::start(dvn), progress)
    }

    /// A packet in a block that is new.
    fn send(&self, nonce: u64) -> Claim {
        let claim = Chains::packet(nonce, b"new");
        let mut chains = self.setup.world.lock();
        let block = chains.latest;
        chains.send(claim, block);
        chains.mine(20);
        claim
    }

    async fn cursor(&self) -> u64 {
        self.setup.store.cursors.load(SRC).await.unwrap().unwrap_or_default().0
    }

    async fn catches_up(&self) {
        let block = self.setup.world.lock().settled;
        for _ in 0..10_000 {
            if self.cursor().await >= block {
                return;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        panic!("the cursor stays at {}", self.cursor().await);
    }
}

#[tokio::test]
async fn fresh_packets_do_not_wait_for_old_ones() {
    let (stage, old) = Stage::new(u64::MAX, &[10, 40_000, BEHIND - 2 * NEAR]).await;
    let (running, progress) = stage.start();
    // The packets before it on its path are old, and nobody has read them.
    let fresh = stage.send(4);
    until_state(&stage.setup.store, fresh, State::Committed).await;
    assert_eq!(stage.cursor().await, 0, "nothing of what is old was read");
    let backfill = progress.report().sources[&SRC].backfill.unwrap();
    assert!((BEHIND - NEAR..BEHIND).contains(&backfill.left), "{backfill:?}");
    assert_eq!((backfill.done, backfill.estimate), (0, None));
    stage.source.allowed.add_permits(1_000);
    for claim in old {
        until_state(&stage.setup.store, claim, State::Committed).await;
    }
    stage.catches_up().await;
    assert_eq!(progress.report().sources[&SRC].backfill, None);
    running.stop().await;
    let old: Vec<_> = stage.source.asked().into_iter().filter(|(from, _)| *from <= BEHIND - NEAR).collect();
    let oldest = [(1, 16_384), (16_385, 32_768), (32_769, 49_152), (49_153, 65_536)];
    assert_eq!(old[..4], oldest, "several at once, while none is allowed to end, and the oldest first");
}

#[tokio::test]
async fn the_cursor_does_not_pass_what_cannot_be_read() {
    let (stage, _) = Stage::new(1_000, &[]).await;
    stage.source.broken.store(30_000, Ordering::Relaxed);
    stage.source.allowed.add_permits(10_000);
    let (running, progress) = stage.start();
    let fresh = stage.send(1);
    until_state(&stage.setup.store, fresh, State::Committed).await;
    // Later stretches are read, and again and again it is tried to read this one.
    let left = || progress.report().sources[&SRC].backfill.map_or(0, |it| it.left);
    for _ in 0..10_000 {
        if left() < 60_000 && stage.cursor().await > 28_000 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let cursor = stage.cursor().await;
    assert!((28_000..30_000).contains(&cursor), "{cursor}");
    stage.source.broken.store(u64::MAX, Ordering::Relaxed);
    stage.catches_up().await;
    assert_eq!(left(), 0);
    running.stop().await;
}

#[tokio::test]
async fn a_crash_at_any_point_of_the_backfill_loses_no_packet() {
    let blocks: Vec<u64> = (1..=20).map(|at| at * (BEHIND / 25)).collect();
    let (stage, old) = Stage::new(3_000, &blocks).await;
    let mut before = 0;
    for crash in 0..8 {
        let (running, _) = stage.start();
        stage.source.allowed.add_permits(crash);
        tokio::time::sleep(Duration::from_millis(20 + 5 * u64::try_from(crash).unwrap())).await;
        running.crash().await;
        let cursor = stage.cursor().await;
        assert!(cursor >= before, "the cursor went back from {before} to {cursor}");
        let read: Vec<_> = old.iter().zip(&blocks).filter(|(_, block)| **block <= cursor).collect();
        for (claim, _) in read {
            assert!(stage.setup.store.jobs.load(claim.job_id()).await.unwrap().is_some(), "the cursor passed a packet");
        }
        before = cursor;
        stage.setup.world.lock().mine(7);
    }
    stage.source.allowed.add_permits(10_000);
    let (running, _) = stage.start();
    for claim in old {
        until_state(&stage.setup.store, claim, State::Committed).await;
    }
    stage.catches_up().await;
    running.stop().await;
}

/// A node that knew the path: the gap closes once the packets between were read, and not before.
#[tokio::test]
async fn a_packet_ahead_of_unread_ones_is_held_until_they_are_read() {
    let (stage, old) = Stage::new(u64::MAX, &[10, 50_000]).await;
    note(&stage.setup.store, old[0]).await;
    let (running, _) = stage.start();
    let fresh = stage.send(3);
    until_state(&stage.setup.store, fresh, State::Held(Hold::NonceGap)).await;
    assert_eq!(stage.setup.executed(), 0);
    stage.source.allowed.add_permits(1_000);
    until_state(&stage.setup.store, old[1], State::Committed).await;
    let path = fresh.header.path();
    assert_eq!(stage.setup.store.paths.neighbours(path, Nonce(3)).await.unwrap(), Neighbours::Seen);
    running.stop().await;
}
