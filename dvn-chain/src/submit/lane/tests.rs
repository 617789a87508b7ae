use alloy::primitives::{Address, B256};
use dvn_core::{
    ids::Eid,
    ports::{Attempt, LaneId},
};

use super::*;

fn open(nonces: &[u64]) -> Vec<OutboxTransaction> {
    let lane = LaneId { dst_eid: Eid(30212), sender: Address::ZERO };
    let attempt =
        Attempt { tx_hash: B256::ZERO, raw: Bytes::new(), max_fee: 1, priority_fee: 1, at: SystemTime::UNIX_EPOCH };
    let one = |nonce: &u64| OutboxTransaction {
        id: SubmissionId(*nonce),
        lane,
        nonce: *nonce,
        items: vec![],
        attempts: vec![attempt.clone()],
        open: true,
    };
    nonces.iter().map(one).collect()
}

#[test]
fn a_nonce_follows_the_chain_and_every_open_transaction() {
    assert_eq!(next_nonce(5, &open(&[]), None), 5);
    assert_eq!(next_nonce(5, &open(&[5, 6]), None), 7);
    assert_eq!(next_nonce(9, &open(&[5, 6]), None), 9);
    // A seat that lags must not make us use a nonce twice.
    assert_eq!(next_nonce(4, &open(&[5, 6]), None), 7);
}

#[test]
fn a_standing_gap_is_filled_first() {
    assert_eq!(next_nonce(4, &open(&[5, 6]), Some(4)), 4);
    assert_eq!(next_nonce(5, &open(&[5, 6]), Some(4)), 7);
    assert_eq!(next_nonce(5, &open(&[5, 6]), Some(5)), 7);
}

#[test]
fn a_gap_counts_once_it_stood_a_while() {
    let memory = LaneMemory { gap: Some((4, BlockNumber(100))), ..LaneMemory::default() };
    assert_eq!(gap::standing(&memory, BlockNumber(107)), None);
    assert_eq!(gap::standing(&memory, BlockNumber(108)), Some(4));
}
