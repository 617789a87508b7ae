//! Every way to edit a receipt in one field.
#![expect(clippy::arithmetic_side_effects, reason = "positions in a recorded block")]

use alloy::primitives::{Address, Bloom, Bytes, U64};

use super::*;

/// Every way to edit one field of a receipt, or one of its logs.
pub(super) fn edited_receipts(receipt: &Receipt, place: usize) -> Vec<Receipt> {
    let mut edited = Vec::new();
    let mut edit = |with: &dyn Fn(&mut Receipt)| {
        let mut copy = receipt.clone();
        with(&mut copy);
        edited.push(copy);
    };
    let one = U64::from(1);
    edit(&|it| it.status = Some(it.status.unwrap_or_default() ^ one));
    edit(&|it| it.cumulative_gas_used ^= one);
    edit(&|it| it.logs_bloom = Some(Bloom::repeat_byte(0x11)));
    edit(&|it| it.logs.push(Log { address: Address::ZERO, topics: vec![], data: Bytes::new(), log_index: None }));
    if let Some(root) = receipt.root {
        edit(&|it| it.root = Some(root ^ B256::with_last_byte(1)));
        edit(&|it| it.root = None);
    }
    if receipt.deposit_receipt_version.is_some() {
        edit(&|it| it.deposit_nonce = Some(it.deposit_nonce.unwrap_or_default() ^ one));
        edit(&|it| it.deposit_receipt_version = Some(it.deposit_receipt_version.unwrap_or_default() ^ one));
        edit(&|it| it.deposit_receipt_version = None);
    }
    // 0x78 is left out: like 0 it has no prefix, so that the trie does not tell the two apart.
    let kind = receipt.kind.unwrap_or_default().to::<u64>();
    for other in [0, 1, 2, 3, 4, 5, 0x6a, 0x7e, 0x100].into_iter().filter(|it| *it != kind) {
        edit(&|it| it.kind = Some(U64::from(other)));
    }
    for at in 0..receipt.logs.len() {
        edit(&|it| _ = it.logs.remove(at));
        edit(&|it| it.logs.insert(at, it.logs[at].clone()));
        if at > 0 && receipt.logs[at] != receipt.logs[at - 1] {
            edit(&|it| it.logs.swap(at, at - 1));
        }
        for log in edited_logs(&receipt.logs[at], place + at) {
            edit(&|it| it.logs[at] = log.clone());
        }
    }
    edited
}

/// Every way to edit one field of a log.
fn edited_logs(log: &Log, place: usize) -> Vec<Log> {
    let mut edited = Vec::new();
    let mut edit = |with: &dyn Fn(&mut Log)| {
        let mut copy = log.clone();
        with(&mut copy);
        edited.push(copy);
    };
    edit(&|it| it.address.0[some_byte(place, 20)] ^= 1);
    edit(&|it| it.topics.push(B256::ZERO));
    for topic in 0..log.topics.len() {
        edit(&|it| it.topics[topic].0[some_byte(place + topic, 32)] ^= 1);
        edit(&|it| _ = it.topics.remove(topic));
    }
    edit(&|it| it.data = [&it.data[..], &[0]].concat().into());
    if !log.data.is_empty() {
        edit(&|it| it.data = it.data.slice(1..));
        edit(&|it| {
            let mut data = it.data.to_vec();
            data[some_byte(place, log.data.len())] ^= 1;
            it.data = data.into();
        });
    }
    edited
}

/// A byte of this many, another one for each place, so that all are met sooner or later.
fn some_byte(place: usize, count: usize) -> usize {
    place.wrapping_mul(0x9e37_79b9) % count
}
