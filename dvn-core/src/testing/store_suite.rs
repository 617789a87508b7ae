//! What every store has to do, as functions that panic where it does not. Each takes a maker of fresh, empty stores.
//!
//! ```
//! # #[tokio::main]
//! # async fn main() {
//! # let make = async || dvn_store::Sqlite::in_memory().await.expect("opens").store();
//! dvn_core::testing::store_suite::run(&make).await;
//! # }
//! ```
//!
//! A multi-threaded tokio runtime lets the races of the suite happen. Instants have whole microseconds; a store need not
//! keep more.
#![expect(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    clippy::arithmetic_side_effects,
    reason = "a suite stops the test where something is off"
)]

use std::{
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use alloy_primitives::{Address, B256, Bytes};

use crate::{
    attestation::Attestation,
    ids::{BlockNumber, BlockRef, ChainTime, Confirmations, Eid, Nonce, Vid},
    job::{Job, Location},
    packet::{Claim, Header, Packet},
    ports::{Intent, Store},
};

mod audit;
mod jobs;
mod journal;
mod outbox;
mod paths;
mod records;

pub use audit::audit;
pub use jobs::jobs;
pub use journal::journal;
pub use outbox::outbox;
pub use paths::paths;
pub use records::{cursors, evidence, finalized, halts, leases};

/// The whole suite.
pub async fn run(make: &impl AsyncFn() -> Store) {
    jobs(make).await;
    cursors(make).await;
    paths(make).await;
    finalized(make).await;
    journal(make).await;
    halts(make).await;
    outbox(make).await;
    evidence(make).await;
    audit(make).await;
    leases(make).await;
}

const SRC: Eid = Eid(30101);
const DST: Eid = Eid(30212);

/// Microseconds after a moment of 2023.
fn at(micros: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_700_000_000) + Duration::from_micros(micros)
}

fn hash(byte: u8) -> B256 {
    B256::repeat_byte(byte)
}

fn block(number: u64) -> BlockRef {
    BlockRef { number: BlockNumber(number), hash: B256::from(alloy_primitives::U256::from(number)) }
}

fn claim(nonce: u64, message: &'static str) -> Claim {
    let header = Header { nonce: Nonce(nonce), src_eid: SRC, sender: hash(0x51), dst_eid: DST, receiver: hash(0x52) };
    Packet { header, message: Bytes::from_static(message.as_bytes()) }.claim()
}

fn job(nonce: u64) -> Job {
    let claim = claim(nonce, "hello");
    let location = Location { src_eid: SRC, block: block(nonce), tx_hash: claim.job_id().0, log_index: 3 };
    Job::observed(claim, location, at(nonce))
}

fn attestation(nonce: u64, message: &'static str, confirmations: u64, expiration: u64) -> Attestation {
    Attestation {
        claim: claim(nonce, message),
        confirmations: Confirmations(confirmations),
        expiration: ChainTime(expiration),
        vid: Vid(212),
        target: Address::repeat_byte(0x16),
    }
}

fn intent(attestation: Attestation, now: u64) -> Intent {
    Intent {
        purpose: crate::ports::Purpose::Sign,
        attestation,
        signer: Address::repeat_byte(0x77),
        source_block: hash(0x0b),
        evidence: hash(0xe1),
        now: ChainTime(now),
        at: at(now),
    }
}

/// The kind of an error that must be there.
fn kind_of<T: fmt::Debug, E: fmt::Debug, K>(result: Result<T, E>, kind: impl FnOnce(&E) -> K) -> K {
    kind(&result.unwrap_err())
}
