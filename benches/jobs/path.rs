//! A job's way as the engine goes it: a source's follower observes and pushes one block after the other, workers take an
//! entry, claim the job, move it twice and acknowledge.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, UNIX_EPOCH},
};

use alloy_primitives::{Address, B256, Bytes};
use dvn_core::{
    ids::{BlockNumber, BlockRef, ChainTime, Confirmations, Eid, Nonce, PayloadHash},
    job::{Job, Location, Move, Signed, Wake},
    packet::{Claim, Header},
    ports::{Due, JobQueue, JobStore, Observed},
};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// How many packets a source's block holds.
const BLOCK: usize = 25;

/// How long so many new jobs take.
pub(crate) async fn run(jobs: &Arc<dyn JobStore>, queue: &Arc<dyn JobQueue>, workers: usize, count: u64) -> Duration {
    static NONCE: AtomicU64 = AtomicU64::new(1);
    let first = NONCE.fetch_add(count, Ordering::Relaxed);
    let (left, end) = (Arc::new(AtomicU64::new(count)), CancellationToken::new());
    let mut tasks = JoinSet::new();
    let start = Instant::now();
    for _worker in 0..workers {
        tasks.spawn(work(jobs.clone(), queue.clone(), left.clone(), end.clone()));
    }
    let new: Vec<Job> = (first..first + count).map(observed).collect();
    for block in new.chunks(BLOCK) {
        let observed = jobs.observe_all(block).await.unwrap();
        assert!(observed.iter().all(|it| *it == Observed::New));
        for job in block {
            queue.push(Due::from(job)).await.unwrap();
        }
    }
    while tasks.join_next().await.transpose().unwrap().is_some() {}
    start.elapsed()
}

async fn work(jobs: Arc<dyn JobStore>, queue: Arc<dyn JobQueue>, left: Arc<AtomicU64>, end: CancellationToken) {
    loop {
        let entry = tokio::select! {
            () = end.cancelled() => return,
            entry = queue.pop() => entry.unwrap(),
        };
        let claimed = jobs.claim(entry.id, "bench", UNIX_EPOCH, Duration::from_secs(30)).await;
        let mut job = claimed.unwrap().unwrap();
        job.apply(Move::Verify, Wake::At(UNIX_EPOCH)).unwrap();
        jobs.save(&mut job).await.unwrap();
        job.signed = Some(Signed {
            confirmations: Confirmations(15),
            expiration: ChainTime(1_893_456_000),
            target: Address::repeat_byte(0x16),
            signatures: Bytes::from(vec![7; 130]),
        });
        job.apply(Move::Sign, Wake::Never).unwrap();
        jobs.save(&mut job).await.unwrap();
        queue.ack(entry).await.unwrap();
        if left.fetch_sub(1, Ordering::Relaxed) == 1 {
            end.cancel();
        }
    }
}

fn observed(nonce: u64) -> Job {
    let header = Header {
        nonce: Nonce(nonce),
        src_eid: Eid(30101),
        sender: Address::repeat_byte(1).into_word(),
        dst_eid: Eid(30212),
        receiver: Address::repeat_byte(2).into_word(),
    };
    let location = Location {
        src_eid: Eid(30101),
        block: BlockRef { number: BlockNumber(nonce / 25), hash: B256::repeat_byte(1) },
        tx_hash: B256::left_padding_from(&nonce.to_be_bytes()),
        log_index: nonce % 25,
    };
    Job::observed(Claim { header, payload_hash: PayloadHash(B256::repeat_byte(3)) }, location, UNIX_EPOCH)
}
