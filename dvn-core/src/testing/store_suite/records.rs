use std::time::Duration;

use alloy_primitives::B256;

use super::{DST, SRC, at, block, claim, hash, kind_of};
use crate::{
    error::{StoreError, StoreErrorKind},
    ids::{BlockNumber, BlockRef, Guid},
    ports::{AuditEntry, EvidenceBundle, Halt, HaltScope, Lease, Store},
};

/// [`Cursors`](crate::ports::Cursors): forward only, by chain.
pub async fn cursors(make: &impl AsyncFn() -> Store) {
    let cursors = make().await.cursors;
    assert_eq!(cursors.load(SRC).await.unwrap(), None);
    for (through, expected) in [(9, 9), (100, 100), (10, 100), (100, 100), (u64::MAX, u64::MAX), (0, u64::MAX)] {
        cursors.advance(SRC, BlockNumber(through)).await.unwrap();
        assert_eq!(cursors.load(SRC).await.unwrap(), Some(BlockNumber(expected)));
    }
    assert_eq!(cursors.load(DST).await.unwrap(), None);
    cursors.advance(DST, BlockNumber(0)).await.unwrap();
    assert_eq!(cursors.load(DST).await.unwrap(), Some(BlockNumber(0)));
}

/// [`FinalizedHashes`](crate::ports::FinalizedHashes): the first hash of a height stays.
pub async fn finalized(make: &impl AsyncFn() -> Store) {
    let finalized = make().await.finalized;
    assert_eq!(finalized.newest(SRC).await.unwrap(), None);
    for number in [1, 2, u64::MAX] {
        finalized.record(SRC, block(number)).await.unwrap();
        finalized.record(SRC, block(number)).await.unwrap();
        let changed = BlockRef { hash: hash(0xbd), ..block(number) };
        for _ in 0..2 {
            let kind = kind_of(finalized.record(SRC, changed).await, StoreError::kind);
            assert_eq!(kind, StoreErrorKind::FinalityChanged);
        }
        finalized.record(SRC, block(number)).await.unwrap();
        finalized.record(DST, changed).await.unwrap();
        assert_eq!(finalized.newest(SRC).await.unwrap(), Some(block(number)));
    }
    let mut tasks = tokio::task::JoinSet::new();
    for byte in 1..=8 {
        let finalized = finalized.clone();
        tasks.spawn(async move { finalized.record(SRC, BlockRef { hash: hash(byte), ..block(3) }).await });
    }
    let recorded = tasks.join_all().await.into_iter().filter(Result::is_ok).count();
    assert_eq!(recorded, 1, "of concurrent hashes one is recorded");
}

/// [`Halts`](crate::ports::Halts): the first reason stays until an operator clears the halt.
pub async fn halts(make: &impl AsyncFn() -> Store) {
    let halts = make().await.halts;
    assert_eq!(halts.standing().await.unwrap(), []);
    let halt = |scope, reason: &str, since| Halt { scope, reason: reason.to_owned(), evidence: None, since: at(since) };
    let chain = Halt { evidence: Some(hash(7)), ..halt(HaltScope::Chain(SRC), "contradiction", 1) };
    let all = halt(HaltScope::All, "operator", 2);
    for raised in [chain.clone(), all.clone(), halt(HaltScope::Chain(SRC), "another", 3)] {
        halts.raise(raised).await.unwrap();
    }
    let standing = halts.standing().await.unwrap();
    assert!(standing.len() == 2 && standing.contains(&chain) && standing.contains(&all), "{standing:?}");
    assert!(!halts.clear(HaltScope::Chain(DST)).await.unwrap());
    assert!(halts.clear(HaltScope::All).await.unwrap());
    assert!(!halts.clear(HaltScope::All).await.unwrap());
    assert_eq!(halts.standing().await.unwrap(), [chain]);
    assert!(halts.clear(HaltScope::Chain(SRC)).await.unwrap());
    let later = halt(HaltScope::Chain(SRC), "later", 4);
    halts.raise(later.clone()).await.unwrap();
    assert_eq!(halts.standing().await.unwrap(), [later]);
}

/// [`Evidence`](crate::ports::Evidence): kept once, in order, by packet.
pub async fn evidence(make: &impl AsyncFn() -> Store) {
    let evidence = make().await.evidence;
    let (one, other) = (claim(1, "a").header.guid(), claim(2, "a").header.guid());
    let bundles = ["{\"z\":1}", "{\"a\":\"\u{e9}\"}", "{}"].map(EvidenceBundle::new);
    assert_eq!(evidence.of_packet(one).await.unwrap(), []);
    for (bundle, micros) in bundles.iter().zip([1, 2, 3]) {
        evidence.put(one, bundle, at(micros)).await.unwrap();
    }
    evidence.put(one, &bundles[0], at(9)).await.unwrap();
    evidence.put(other, &bundles[0], at(9)).await.unwrap();
    assert_eq!(evidence.of_packet(one).await.unwrap(), bundles);
    assert_eq!(evidence.of_packet(other).await.unwrap(), bundles[..1]);
    let of_halt = &bundles[1];
    assert_eq!(evidence.of_halt(of_halt.digest()).await.unwrap(), None);
    for micros in [1, 2] {
        evidence.put_halt(of_halt, at(micros)).await.unwrap();
    }
    assert_eq!(evidence.of_halt(of_halt.digest()).await.unwrap().as_ref(), Some(of_halt));
}

/// [`AuditLog`](crate::ports::AuditLog): in order, without gaps, each row with its own hash.
pub async fn audit(make: &impl AsyncFn() -> Store) {
    let audit = make().await.audit;
    let guids = [1, 2].map(|nonce| claim(nonce, "a").header.guid());
    let entry = |guid: Option<Guid>, action: &str| AuditEntry {
        at: at(1),
        actor: "verifier".to_owned(),
        action: action.to_owned(),
        guid,
        detail: "{\"why\":\"it's so\"}".to_owned(),
    };
    let [one, two] = guids.map(Some);
    let first = [entry(one, "observed"), entry(two, "observed"), entry(None, "halt"), entry(one, "verified")];
    audit.append(&first).await.unwrap();
    audit.append(&[]).await.unwrap();
    audit.append(&[entry(one, "verified")]).await.unwrap();
    let rows = audit.of_packet(guids[0]).await.unwrap();
    let read: Vec<_> = rows.iter().map(|row| (row.sequence, row.entry.clone())).collect();
    assert_eq!(read, [(1, entry(one, "observed")), (4, entry(one, "verified")), (5, entry(one, "verified"))]);
    let rows_of_two = audit.of_packet(guids[1]).await.unwrap();
    assert_eq!(rows_of_two.iter().map(|row| row.sequence).collect::<Vec<_>>(), [2]);
    let mut hashes: Vec<B256> = rows.iter().chain(&rows_of_two).map(|row| row.row_hash).collect();
    hashes.sort_unstable();
    hashes.dedup();
    assert_eq!(hashes.len(), 4, "equal entries at other places have other hashes");
}

/// [`Leases`](crate::ports::Leases): one holder at a time, and a fence that grows when it changes.
pub async fn leases(make: &impl AsyncFn() -> Store) {
    one_holder_at_a_time(&make().await).await;
    let store = make().await;
    let mut tasks = tokio::task::JoinSet::new();
    for holder in 0..8 {
        let leases = store.leases.clone();
        tasks.spawn(async move {
            leases.acquire("leader", &holder.to_string(), at(0), Duration::from_micros(5)).await.unwrap()
        });
    }
    assert_eq!(tasks.join_all().await.into_iter().flatten().count(), 1, "of concurrent takers one leads");
}

async fn one_holder_at_a_time(store: &Store) {
    let ttl = Duration::from_micros(100);
    let acquire = async |name: &str, holder: &str, now| store.leases.acquire(name, holder, at(now), ttl).await.unwrap();
    let held = |lease: Option<Lease>, until| {
        let lease = lease.unwrap();
        assert_eq!(lease.until, at(until));
        lease.fence
    };
    let first = held(acquire("leader", "a", 0).await, 100);
    assert_eq!(acquire("leader", "b", 99).await, None);
    assert_eq!(held(acquire("leader", "a", 50).await, 150), first, "renewed");
    assert_eq!(acquire("leader", "b", 149).await, None);
    held(acquire("other", "b", 149).await, 249);
    let second = held(acquire("leader", "b", 150).await, 250);
    assert!(second > first);
    assert_eq!(acquire("leader", "a", 160).await, None);
    store.leases.release("leader", "a").await.unwrap();
    assert_eq!(acquire("leader", "a", 160).await, None, "only its holder gives a lease back");
    store.leases.release("leader", "b").await.unwrap();
    let third = held(acquire("leader", "a", 160).await, 260);
    assert!(third > second);
    store.leases.release("nobody's", "a").await.unwrap();
}
