use std::time::Duration;

use alloy_primitives::{Address, B256, Bytes};

use super::{DST, SRC, at, attestation, hash, kind_of};
use crate::{
    error::{StoreError, StoreErrorKind},
    ids::JobId,
    ports::{Attempt, Fence, LaneId, NewTransaction, Outbox, OutboxItem, OutboxTransaction, Store, SubmissionId},
};

/// [`Outbox`]: one open transaction per nonce and per job, every form kept in order.
pub async fn outbox(make: &impl AsyncFn() -> Store) {
    transactions_read_back(&*make().await.outbox).await;
    open_transactions_exclude_each_other(&*make().await.outbox).await;
    open_transactions_come_by_nonce(&*make().await.outbox).await;
    only_open_transactions_are_replaced(&*make().await.outbox).await;
    costs_add_up_by_destination_and_time(&*make().await.outbox).await;
    a_leader_that_was_replaced_writes_nothing(&make().await).await;
    of_concurrent_puts_one_wins(make().await).await;
}

const LANE: LaneId = LaneId { dst_eid: DST, sender: Address::repeat_byte(0x5e) };

fn attempt(byte: u8) -> Attempt {
    let raw = Bytes::from(vec![byte; 300]);
    Attempt { tx_hash: hash(byte), raw, max_fee: u128::MAX, priority_fee: u128::from(byte), at: at(u64::from(byte)) }
}

fn item(packet: u64) -> OutboxItem {
    let attestation = attestation(packet, "a", u64::MAX, u64::MAX);
    OutboxItem { job: attestation.claim.job_id(), attestation }
}

fn transaction(nonce: u64, packets: &[u64]) -> NewTransaction {
    NewTransaction { lane: LANE, nonce, items: packets.iter().copied().map(item).collect(), attempt: attempt(1) }
}

fn kept(id: SubmissionId, new: NewTransaction, open: bool) -> OutboxTransaction {
    let NewTransaction { lane, nonce, items, attempt } = new;
    OutboxTransaction { id, lane, nonce, items, attempts: vec![attempt], open }
}

async fn transactions_read_back(outbox: &dyn Outbox) {
    assert_eq!(outbox.open(LANE).await.unwrap(), []);
    // Items stay in the given order, which is neither that of nonces nor of ids.
    let new = transaction(u64::MAX, &[3, 1, u64::MAX, 2]);
    let id = outbox.put(new.clone(), None).await.unwrap();
    let mut expected = kept(id, new, true);
    assert_eq!(outbox.open(LANE).await.unwrap(), [expected.clone()]);
    for byte in [9, 2, 5] {
        outbox.replace(id, attempt(byte), None).await.unwrap();
        expected.attempts.push(attempt(byte));
    }
    for packet in [1, 2, 3, u64::MAX] {
        assert_eq!(outbox.of_job(item(packet).job).await.unwrap(), [expected.clone()]);
    }
    outbox.close(id).await.unwrap();
    outbox.close(id).await.unwrap();
    expected.open = false;
    assert_eq!(outbox.open(LANE).await.unwrap(), []);
    assert_eq!(outbox.of_job(item(1).job).await.unwrap(), [expected]);
    assert_eq!(outbox.of_job(JobId(B256::ZERO)).await.unwrap(), []);
}

async fn conflicts(outbox: &dyn Outbox, new: NewTransaction) {
    let before = outbox.open(LANE).await.unwrap();
    assert_eq!(kind_of(outbox.put(new, None).await, StoreError::kind), StoreErrorKind::Conflict);
    assert_eq!(outbox.open(LANE).await.unwrap(), before, "a refused transaction leaves nothing");
}

async fn open_transactions_exclude_each_other(outbox: &dyn Outbox) {
    let first = outbox.put(transaction(7, &[1, 2]), None).await.unwrap();
    conflicts(outbox, transaction(7, &[3])).await;
    conflicts(outbox, transaction(8, &[3, 2])).await;
    conflicts(outbox, transaction(8, &[4, 4])).await;
    for lane in [LaneId { sender: Address::ZERO, ..LANE }, LaneId { dst_eid: SRC, ..LANE }] {
        let nonce = NewTransaction { lane, ..transaction(7, &[u64::from(lane.dst_eid.0)]) };
        outbox.put(nonce, None).await.unwrap();
        conflicts(outbox, NewTransaction { lane, ..transaction(8, &[1]) }).await;
    }
    outbox.close(first).await.unwrap();
    // The nonce and the jobs are free again; both transactions stay on record.
    let second = outbox.put(transaction(7, &[2, 1]), None).await.unwrap();
    assert!(second > first);
    let ids: Vec<_> = outbox.of_job(item(1).job).await.unwrap().iter().map(|it| (it.id, it.open)).collect();
    assert_eq!(ids, [(first, false), (second, true)]);
}

async fn open_transactions_come_by_nonce(outbox: &dyn Outbox) {
    for nonce in [100, 9, u64::MAX, 0, 10] {
        outbox.put(transaction(nonce, &[nonce]), None).await.unwrap();
    }
    let nonces: Vec<_> = outbox.open(LANE).await.unwrap().iter().map(|it| it.nonce).collect();
    assert_eq!(nonces, [0, 9, 10, 100, u64::MAX]);
}

async fn only_open_transactions_are_replaced(outbox: &dyn Outbox) {
    let id = outbox.put(transaction(1, &[1]), None).await.unwrap();
    outbox.close(id).await.unwrap();
    for id in [id, SubmissionId(id.0 + 1), SubmissionId(u64::MAX)] {
        assert!(outbox.replace(id, attempt(2), None).await.is_err(), "{id:?}");
    }
    assert_eq!(outbox.of_job(item(1).job).await.unwrap(), [kept(id, transaction(1, &[1]), false)]);
}

async fn costs_add_up_by_destination_and_time(outbox: &dyn Outbox) {
    let other = LaneId { sender: Address::ZERO, ..LANE };
    let elsewhere = LaneId { dst_eid: SRC, ..LANE };
    let mut ids = Vec::new();
    for (lane, packet) in [(LANE, 1), (other, 2), (elsewhere, 3)] {
        ids.push(outbox.put(NewTransaction { lane, ..transaction(1, &[packet]) }, None).await.unwrap());
    }
    assert_eq!(outbox.charged(DST, at(0)).await.unwrap(), 0);
    let far = u128::from(u64::MAX).saturating_mul(10);
    for (id, wei, moment) in [(ids[0], far, 10), (ids[1], 7, 20), (ids[2], 1_000, 20)] {
        outbox.charge(id, wei, at(moment)).await.unwrap();
    }
    assert_eq!(outbox.charged(DST, at(10)).await.unwrap(), far.saturating_add(7));
    assert_eq!(outbox.charged(DST, at(11)).await.unwrap(), 7);
    assert_eq!(outbox.charged(SRC, at(11)).await.unwrap(), 1_000);
    assert_eq!(outbox.charged(DST, at(21)).await.unwrap(), 0);
    // What it took in truth takes the place of what it might, at the same moment, also once it is closed.
    outbox.close(ids[0]).await.unwrap();
    outbox.charge(ids[0], 3, at(99)).await.unwrap();
    assert_eq!(outbox.charged(DST, at(10)).await.unwrap(), 10);
    assert_eq!(outbox.charged(DST, at(11)).await.unwrap(), 7);
    // What nobody put costs nothing.
    outbox.charge(SubmissionId(u64::MAX), 5, at(10)).await.unwrap();
    assert_eq!(outbox.charged(DST, at(0)).await.unwrap(), 10);
}

/// Whoever leads a lane writes to it; who was replaced does not any more, whatever its clock says.
async fn a_leader_that_was_replaced_writes_nothing(store: &Store) {
    let acquire = async |holder: &str, now| {
        let lease = store.leases.acquire("lane", holder, at(now), Duration::from_micros(10)).await.unwrap().unwrap();
        Fence { lease: "lane".to_owned(), number: lease.fence }
    };
    let conflict = |result: Result<SubmissionId, StoreError>| {
        assert_eq!(kind_of(result, StoreError::kind), StoreErrorKind::Conflict);
    };
    let outbox = &*store.outbox;
    let first = acquire("a", 0).await;
    let id = outbox.put(transaction(1, &[1]), Some(&first)).await.unwrap();
    outbox.replace(id, attempt(2), Some(&first)).await.unwrap();
    let second = acquire("b", 20).await;
    conflict(outbox.put(transaction(2, &[2]), Some(&first)).await);
    conflict(outbox.replace(id, attempt(3), Some(&first)).await.map(|()| id));
    outbox.replace(id, attempt(4), Some(&second)).await.unwrap();
    outbox.put(transaction(2, &[2]), Some(&second)).await.unwrap();
    store.leases.release("lane", "b").await.unwrap();
    conflict(outbox.put(transaction(3, &[3]), Some(&second)).await);
    conflict(outbox.put(transaction(3, &[3]), Some(&Fence { lease: "no lease".to_owned(), number: 1 })).await);
    assert_eq!(outbox.open(LANE).await.unwrap().iter().map(|it| it.attempts.len()).collect::<Vec<_>>(), [3, 1]);
}

async fn of_concurrent_puts_one_wins(store: Store) {
    let mut tasks = tokio::task::JoinSet::new();
    for packet in 1..=8 {
        let outbox = store.outbox.clone();
        tasks.spawn(async move { outbox.put(transaction(1, &[packet]), None).await });
    }
    let won: Vec<_> = tasks.join_all().await.into_iter().flatten().collect();
    let open: Vec<_> = store.outbox.open(LANE).await.unwrap().iter().map(|it| it.id).collect();
    assert_eq!((won.len(), won), (1, open));
}
