//! What durability costs: a journal intent and a job's save on the embedded store, each synced to disk.
#![expect(clippy::unwrap_used, reason = "a benchmark stops when something is off")]

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, UNIX_EPOCH},
};

use alloy_primitives::{Address, B256};
use criterion::{Criterion, criterion_group, criterion_main};
use dvn_core::{
    attestation::Attestation,
    ids::{BlockNumber, BlockRef, ChainTime, Confirmations, Eid, Nonce, PayloadHash, Vid},
    job::{Job, Location},
    packet::{Claim, Header},
    ports::{Intent, Purpose},
};
use dvn_store::Sqlite;

fn claim(nonce: u64) -> Claim {
    let header = Header {
        nonce: Nonce(nonce),
        src_eid: Eid(30101),
        sender: Address::repeat_byte(1).into_word(),
        dst_eid: Eid(30212),
        receiver: Address::repeat_byte(2).into_word(),
    };
    Claim { header, payload_hash: PayloadHash(B256::repeat_byte(3)) }
}

fn intent(nonce: u64) -> Intent {
    let attestation = Attestation {
        claim: claim(nonce),
        confirmations: Confirmations(15),
        expiration: ChainTime(1_893_456_000),
        vid: Vid(212),
        target: Address::repeat_byte(0x16),
    };
    Intent {
        purpose: Purpose::Sign,
        attestation,
        signer: Address::repeat_byte(9),
        source_block: B256::repeat_byte(1),
        evidence: B256::repeat_byte(2),
        now: ChainTime(1_700_000_000),
        at: UNIX_EPOCH,
    }
}

fn sqlite(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let folder = std::env::temp_dir().join(format!("dvn-bench-{}", std::process::id()));
    let sqlite = runtime.block_on(Sqlite::open(&folder)).unwrap();
    let store = sqlite.store();
    runtime.block_on(store.journal.begin(None)).unwrap();
    let next = AtomicU64::new(1);
    criterion.bench_function("sqlite/journal intent", |bench| {
        bench.iter(|| runtime.block_on(store.journal.intend(&intent(next.fetch_add(1, Ordering::Relaxed)))).unwrap());
    });
    let location = Location {
        src_eid: Eid(30101),
        block: BlockRef { number: BlockNumber(1), hash: B256::repeat_byte(1) },
        tx_hash: B256::repeat_byte(2),
        log_index: 3,
    };
    criterion.bench_function("sqlite/observe a new job", |bench| {
        bench.iter(|| {
            let job = Job::observed(claim(next.fetch_add(1, Ordering::Relaxed)), location, UNIX_EPOCH);
            runtime.block_on(store.jobs.observe(&job)).unwrap()
        });
    });
    drop((store, sqlite));
    std::fs::remove_dir_all(&folder).unwrap();
}

criterion_group! {
    name = durable;
    config = Criterion::default().measurement_time(Duration::from_secs(3)).warm_up_time(Duration::from_millis(500)).sample_size(30);
    targets = sqlite
}
criterion_main!(durable);
