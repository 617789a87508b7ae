//! Packets in numbers, seen and not yet signable.

use alloy_primitives::{B256, keccak256};
use dvn_core::{
    ids::{BlockNumber, BlockRef, Eid, Nonce, PayloadHash},
    job::{Job, Location, State, Wake},
    packet::{Claim, Header},
    ports::Store,
};

/// A height that no chain reaches.
pub(crate) const NEVER: BlockNumber = BlockNumber(1_000_000_000_000);

/// Packets of a block, and of a path.
const TOGETHER: u64 = 500;

pub(crate) fn waiting((src_eid, dst_eid): (Eid, Eid), number: u64, until: BlockNumber) -> Job {
    let app = |of: u64| B256::left_padding_from(&(of + 1).to_be_bytes());
    let nonce = Nonce(number % TOGETHER + 1);
    let header = Header { nonce, src_eid, sender: app(number / TOGETHER), dst_eid, receiver: app(7) };
    let claim = Claim { header, payload_hash: PayloadHash(keccak256(number.to_be_bytes())) };
    let block = BlockRef { number: BlockNumber(1), hash: keccak256(b"block") };
    let tx_hash = keccak256((number / 10).to_be_bytes());
    let mut job = Job::observed(claim, Location { src_eid, block, tx_hash, log_index: number }, std::time::UNIX_EPOCH);
    (job.state, job.wake) = (State::Waiting, Wake::AtHead(until));
    job
}

pub(crate) async fn fill(store: &Store, path: (Eid, Eid), count: u64, until: BlockNumber) {
    let all: Vec<Job> = (0..count).map(|number| waiting(path, number, until)).collect();
    for some in all.chunks(5_000) {
        store.jobs.observe_all(some).await.unwrap();
    }
}
