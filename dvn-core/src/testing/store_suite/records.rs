use std::time::Duration;

use super::{DST, SRC, at, block, claim, hash, job, kind_of};
use crate::{
    error::{StoreError, StoreErrorKind},
    ids::{BlockNumber, BlockRef},
    job::{Move, Refusal, Wake},
    ports::{EvidenceBundle, Halt, HaltScope, Lease, Store},
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
    evidence_of_done_packets(make).await;
}

/// What is old and not needed any more goes, and nothing else.
async fn evidence_of_done_packets(make: &impl AsyncFn() -> Store) {
    let store = make().await;
    let (evidence, bundle) = (&store.evidence, EvidenceBundle::new("{\"votes\":3}"));
    let guid = |nonce| claim(nonce, "hello").header.guid();
    // 1 is done, 2 is under way, 3 has no job.
    for nonce in 1..=3 {
        evidence.put(guid(nonce), &bundle, at(nonce)).await.unwrap();
    }
    for (nonce, step) in [(1, Move::Refuse(Refusal::NotGenuine)), (2, Move::Verify)] {
        let mut job = job(nonce);
        store.jobs.observe(&job).await.unwrap();
        job.apply(step, Wake::Never).unwrap();
        store.jobs.save(&mut job).await.unwrap();
    }
    let later = at(9);
    assert_eq!(evidence.of_done(at(1), 0, 9).await.unwrap(), [], "it is not older than itself");
    let done = evidence.of_done(later, 0, 9).await.unwrap();
    assert_eq!(done.iter().map(|it| (it.guid, it.at, &it.bundle)).collect::<Vec<_>>(), [(guid(1), at(1), &bundle)]);
    let position = done[0].position;
    assert_eq!(evidence.of_done(later, position, 9).await.unwrap(), []);
    for (before, other) in [(later, position + 1), (later, position + 2), (at(1), position)] {
        assert!(!evidence.remove_done(before, other).await.unwrap(), "{other}");
    }
    assert!(evidence.remove_done(later, position).await.unwrap());
    assert!(!evidence.remove_done(later, position).await.unwrap());
    let mut left = [true; 3];
    for (nonce, left) in (1..=3).zip(&mut left) {
        *left = !evidence.of_packet(guid(nonce)).await.unwrap().is_empty();
    }
    assert_eq!(left, [false, true, true]);
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
