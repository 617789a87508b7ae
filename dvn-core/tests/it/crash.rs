//! A crash before and after every single durable write of a packet's way, one after the other.

mod power;
mod switched;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::SystemTime,
};

use alloy_primitives::{B256, Bytes};
use async_trait::async_trait;
use dvn_core::{
    error::{JournalError, StoreError},
    ids::{BlockNumber, Eid, Guid, JobId},
    job::{Job, State},
    ports::{
        AuditCut, AuditEntry, AuditHead, AuditLog, AuditQuery, AuditRow, Cursors, Due, Evidence, EvidenceBundle, Head,
        Intent, JobStore, Journal, JournalHead, JournalId, JournalRow, JournalState, Observed, OldEvidence, Quarantine,
        Store, Tally,
    },
};
use dvn_store::Sqlite;
use tokio::sync::Notify;

use crate::{
    engine::key,
    world::{Chains, Running, World, until_state},
};

/// Counts writes, and freezes everything that writes from the chosen moment on: to the store that is a crash.
#[derive(Debug)]
struct Gate {
    passed: AtomicU64,
    crash_at: u64,
    crashed: Notify,
}

impl Gate {
    async fn pass(&self) {
        if self.passed.fetch_add(1, Ordering::SeqCst) >= self.crash_at {
            self.crashed.notify_one();
            std::future::pending::<()>().await;
        }
    }
}

/// A store behind a gate.
#[derive(Debug)]
struct Gated {
    gate: Arc<Gate>,
    inner: Store,
}

impl Gated {
    fn store(gate: &Arc<Gate>, inner: &Store) -> Store {
        let gated = Arc::new(Self { gate: Arc::clone(gate), inner: inner.clone() });
        Store {
            jobs: gated.clone(),
            cursors: gated.clone(),
            journal: gated.clone(),
            evidence: gated.clone(),
            audit: gated,
            ..inner.clone()
        }
    }

    /// A write with a chance to crash before it and after it.
    async fn write<T>(&self, write: impl Future<Output = T>) -> T {
        self.gate.pass().await;
        let written = write.await;
        self.gate.pass().await;
        written
    }
}

#[async_trait]
impl JobStore for Gated {
    async fn observe(&self, job: &Job) -> Result<Observed, StoreError> {
        self.write(self.inner.jobs.observe(job)).await
    }
    async fn load(&self, id: JobId) -> Result<Option<Job>, StoreError> {
        self.inner.jobs.load(id).await
    }
    async fn save(&self, job: &mut Job) -> Result<(), StoreError> {
        self.write(self.inner.jobs.save(job)).await
    }
    async fn due(&self, now: SystemTime, limit: usize) -> Result<Vec<Due>, StoreError> {
        self.inner.jobs.due(now, limit).await
    }
    async fn ripened(&self, src_eid: Eid, since: Head, head: Head, limit: usize) -> Result<Vec<Due>, StoreError> {
        self.inner.jobs.ripened(src_eid, since, head, limit).await
    }

    async fn ripe(&self, src_eid: Eid, head: Head, limit: usize) -> Result<Vec<Due>, StoreError> {
        self.inner.jobs.ripe(src_eid, head, limit).await
    }
    async fn in_state(&self, dst_eid: Eid, state: State, limit: usize) -> Result<Vec<Job>, StoreError> {
        self.inner.jobs.in_state(dst_eid, state, limit).await
    }
    async fn by_guid(&self, guid: Guid) -> Result<Vec<Job>, StoreError> {
        self.inner.jobs.by_guid(guid).await
    }
    async fn by_transaction(&self, tx_hash: B256) -> Result<Vec<Job>, StoreError> {
        self.inner.jobs.by_transaction(tx_hash).await
    }
    async fn tally(&self) -> Result<Vec<Tally>, StoreError> {
        self.inner.jobs.tally().await
    }
}

#[async_trait]
impl Cursors for Gated {
    async fn load(&self, eid: Eid) -> Result<Option<BlockNumber>, StoreError> {
        self.inner.cursors.load(eid).await
    }
    async fn advance(&self, eid: Eid, through: BlockNumber) -> Result<(), StoreError> {
        self.write(self.inner.cursors.advance(eid, through)).await
    }
}

#[async_trait]
impl Journal for Gated {
    async fn intend(&self, intent: &Intent) -> Result<JournalHead, JournalError> {
        self.write(self.inner.journal.intend(intent)).await
    }
    async fn signed(&self, sequence: u64, signature: &Bytes) -> Result<(), JournalError> {
        self.write(self.inner.journal.signed(sequence, signature)).await
    }
    async fn slot(&self, guid: Guid) -> Result<Vec<JournalRow>, JournalError> {
        self.inner.journal.slot(guid).await
    }
    async fn rows(&self, after: u64, limit: usize) -> Result<Vec<JournalRow>, JournalError> {
        self.inner.journal.rows(after, limit).await
    }
    async fn head(&self) -> Result<JournalHead, JournalError> {
        self.inner.journal.head().await
    }
    async fn verify(&self) -> Result<JournalHead, JournalError> {
        self.inner.journal.verify().await
    }
    async fn begin(&self, quarantine: Option<Quarantine>) -> Result<JournalId, JournalError> {
        self.write(self.inner.journal.begin(quarantine)).await
    }
    async fn state(&self) -> Result<JournalState, JournalError> {
        self.inner.journal.state().await
    }
    async fn quarantine(&self, quarantine: Quarantine) -> Result<(), JournalError> {
        self.write(self.inner.journal.quarantine(quarantine)).await
    }
    async fn set_mirror(&self, place: &str) -> Result<(), JournalError> {
        self.write(self.inner.journal.set_mirror(place)).await
    }
    async fn anchor(&self, dst_eid: Eid) -> Result<Option<BlockNumber>, JournalError> {
        self.inner.journal.anchor(dst_eid).await
    }
    async fn set_anchor(&self, dst_eid: Eid, through: BlockNumber) -> Result<(), JournalError> {
        self.write(self.inner.journal.set_anchor(dst_eid, through)).await
    }
}

#[async_trait]
impl Evidence for Gated {
    async fn put(&self, guid: Guid, bundle: &EvidenceBundle, at: SystemTime) -> Result<(), StoreError> {
        self.write(self.inner.evidence.put(guid, bundle, at)).await
    }
    async fn of_packet(&self, guid: Guid) -> Result<Vec<EvidenceBundle>, StoreError> {
        self.inner.evidence.of_packet(guid).await
    }
    async fn put_halt(&self, bundle: &EvidenceBundle, at: SystemTime) -> Result<(), StoreError> {
        self.write(self.inner.evidence.put_halt(bundle, at)).await
    }
    async fn of_halt(&self, digest: B256) -> Result<Option<EvidenceBundle>, StoreError> {
        self.inner.evidence.of_halt(digest).await
    }
    async fn of_done(&self, before: SystemTime, after: u64, limit: usize) -> Result<Vec<OldEvidence>, StoreError> {
        self.inner.evidence.of_done(before, after, limit).await
    }
    async fn remove_done(&self, before: SystemTime, position: u64) -> Result<bool, StoreError> {
        self.write(self.inner.evidence.remove_done(before, position)).await
    }
}

#[async_trait]
impl AuditLog for Gated {
    async fn append(&self, entries: &[AuditEntry]) -> Result<(), StoreError> {
        self.write(self.inner.audit.append(entries)).await
    }
    async fn of_packet(&self, guid: Guid) -> Result<Vec<AuditRow>, StoreError> {
        self.inner.audit.of_packet(guid).await
    }
    async fn rows(&self, after: u64, limit: usize) -> Result<Vec<AuditRow>, StoreError> {
        self.inner.audit.rows(after, limit).await
    }
    async fn query(&self, query: &AuditQuery) -> Result<Vec<AuditRow>, StoreError> {
        self.inner.audit.query(query).await
    }
    async fn head(&self) -> Result<AuditHead, StoreError> {
        self.inner.audit.head().await
    }
    async fn base(&self) -> Result<AuditHead, StoreError> {
        self.inner.audit.base().await
    }
    async fn verify(&self) -> Result<AuditHead, StoreError> {
        self.inner.audit.verify().await
    }
    async fn cut(&self, cut: &AuditCut, entry: &AuditEntry) -> Result<u64, StoreError> {
        self.write(self.inner.audit.cut(cut, entry)).await
    }
}

/// Runs one packet with a crash at this write, then to its end without. Says whether the crash came.
async fn crash_at(write: u64) -> bool {
    let store = Sqlite::in_memory().await.unwrap().store();
    let signer = key(1);
    let world = World::new(signer.address());
    let claim = Chains::packet(1, b"hello");
    world.lock().send(claim, 80);

    let gate = Arc::new(Gate { passed: AtomicU64::new(0), crash_at: write, crashed: Notify::new() });
    let gated = Gated::store(&gate, &store);
    let running = Running::start(world.builder(&gated, signer.clone()).build().unwrap());
    let crashed = tokio::select! {
        () = gate.crashed.notified() => true,
        _ = until_state(&store, claim, State::Committed) => false,
    };
    running.crash().await;

    let running = Running::start(world.builder(&store, signer).build().unwrap());
    until_state(&store, claim, State::Committed).await;
    running.stop().await;
    let executed = world.lock().executed.len();
    assert_eq!(executed, 1, "crash at write {write}: executed {executed} times");
    let journal = store.journal.slot(claim.header.guid()).await.unwrap();
    assert!(journal.iter().all(|row| row.intent.attestation.claim == claim));
    store.journal.verify().await.unwrap();
    crashed
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_at_any_write_loses_nothing_and_repeats_nothing() {
    let mut writes = 0;
    while crash_at(writes).await {
        writes += 1;
    }
    assert!(writes > 20, "only {writes} moments were tried");
}
