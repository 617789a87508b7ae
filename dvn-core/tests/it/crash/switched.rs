//! T22: a crash at every place between evidence and job, on files, and another payload on the chain after it.

use std::{
    path::Path,
    sync::{Arc, Mutex, atomic::AtomicU64},
    time::Duration,
};

use alloy_primitives::{Address, B256, Signature};
use async_trait::async_trait;
use dvn_core::{
    error::SignError,
    job::{Job, State},
    packet::Claim,
    ports::{Signer, Store},
};
use dvn_store::{Mirrored, Sqlite};
use tokio::sync::Notify;

use super::{Gate, Gated};
use crate::{
    engine::key,
    world::{Chains, Running, World, until_state},
};

/// A device that may be cut off before and after it signed, and that remembers what it did.
#[derive(Debug)]
struct Device {
    inner: Arc<dyn Signer>,
    gate: Option<Arc<Gate>>,
    signed: Arc<Mutex<Vec<B256>>>,
}

#[async_trait]
impl Signer for Device {
    fn address(&self) -> Address {
        self.inner.address()
    }

    async fn sign_digest(&self, digest: B256) -> Result<Signature, SignError> {
        if let Some(gate) = &self.gate {
            gate.pass().await;
        }
        let signature = self.inner.sign_digest(digest).await?;
        self.signed.lock().unwrap().push(digest);
        if let Some(gate) = &self.gate {
            gate.pass().await;
        }
        Ok(signature)
    }
}

/// A store on files, with its mirror, as after the start of a process.
pub(super) async fn open(folder: &Path, gate: Option<&Arc<Gate>>) -> (Sqlite, Store) {
    let sqlite = Sqlite::open(folder.join("data")).await.unwrap();
    let mut store = sqlite.store();
    if store.journal.state().await.is_err() {
        store.journal.begin(None).await.unwrap();
    }
    let mirror = folder.join("journal.head");
    // So that what only happens at the first start is done.
    drop(Mirrored::open(store.journal.clone(), &mirror).await.unwrap());
    let Some(gate) = gate else {
        store.journal = Arc::new(Mirrored::open(store.journal, &mirror).await.unwrap());
        return (sqlite, store);
    };
    // One gate around the commit alone, and one around commit and mirror.
    let committing = Gated::store(gate, &store);
    store.journal = Arc::new(Mirrored::open(committing.journal, &mirror).await.unwrap());
    let gated = Gated::store(gate, &store);
    (sqlite, gated)
}

fn is_settled(job: Option<Job>) -> bool {
    job.is_some_and(|job| matches!(job.state, State::Committed | State::Held(_)))
}

struct Case {
    folder: tempfile::TempDir,
    world: World,
    signed: Arc<Mutex<Vec<B256>>>,
}

const FIRST: &[u8] = b"hello";
const SECOND: &[u8] = b"other";

impl Case {
    fn signer(&self, gate: Option<&Arc<Gate>>) -> Arc<dyn Signer> {
        Arc::new(Device { inner: key(1), gate: gate.cloned(), signed: Arc::clone(&self.signed) })
    }

    /// The process that crashes. Says whether it came so far.
    async fn crash_at(&self, place: u64) -> bool {
        let gate = Arc::new(Gate { passed: AtomicU64::new(0), crash_at: place, crashed: Notify::new() });
        let (sqlite, store) = open(self.folder.path(), Some(&gate)).await;
        let running = Running::start(self.world.builder(&store, self.signer(Some(&gate))).build().unwrap());
        let crashed = tokio::select! {
            () = gate.crashed.notified() => true,
            _ = until_state(&store, Chains::packet(1, FIRST), State::Committed) => false,
        };
        running.crash().await;
        sqlite.close().await;
        crashed
    }

    /// The process after it, until `claim` has got as far as it can.
    async fn settle(&self, claim: Claim) {
        let (sqlite, store) = open(self.folder.path(), None).await;
        let running = Running::start(self.world.builder(&store, self.signer(None)).build().unwrap());
        let settled = async {
            while !is_settled(store.jobs.load(claim.job_id()).await.unwrap()) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), settled).await.unwrap();
        running.stop().await;
        sqlite.close().await;
    }

    /// The other payload stands on the chain now, in a later block.
    fn switch(&self, message: &'static [u8]) -> Claim {
        let claim = Chains::packet(1, message);
        let mut chains = self.world.lock();
        let from = chains.settled + 1;
        chains.reorg(1);
        chains.mine(20);
        chains.send(claim, from);
        claim
    }

    /// What the device signed is in the journal, all of it for one payload.
    async fn judge(&self, place: u64) -> Claim {
        let (sqlite, store) = open(self.folder.path(), None).await;
        store.journal.verify().await.unwrap();
        let rows = store.journal.slot(Chains::packet(1, FIRST).header.guid()).await.unwrap();
        let claim = rows.first().unwrap().intent.attestation.claim;
        assert!(rows.iter().all(|row| row.intent.attestation.claim == claim), "two payloads after a crash at {place}");
        let known: Vec<B256> = rows.iter().map(|row| row.intent.attestation.digest()).collect();
        for digest in self.signed.lock().unwrap().iter() {
            assert!(known.contains(digest), "a signature without its record after a crash at {place}");
        }
        sqlite.close().await;
        claim
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn t22_a_crash_anywhere_and_another_payload_after_it_never_sign_a_slot_twice() {
    let (mut place, mut kept) = (0, [0; 2]);
    loop {
        let world = World::new(key(1).address());
        let case = Case { folder: tempfile::tempdir().unwrap(), world, signed: Arc::default() };
        case.world.lock().send(Chains::packet(1, FIRST), 80);
        if !case.crash_at(place).await {
            break;
        }
        case.settle(case.switch(SECOND)).await;
        let claim = case.judge(place).await;
        // Whichever payload was first is not lost: it is attested once the chain has it again.
        if claim == Chains::packet(1, FIRST) {
            kept[0] += 1;
            case.settle(case.switch(FIRST)).await;
        } else {
            kept[1] += 1;
        }
        assert_eq!(case.judge(place).await, claim);
        let executed = case.world.lock().executed.clone();
        assert!(!executed.is_empty(), "nothing was attested after a crash at {place}");
        assert!(executed.iter().all(|it| it.attestation.claim == claim), "a crash at {place}");
        place += 1;
    }
    assert!(kept[0] >= 12 && kept[1] >= 4, "crashes that left the first payload or the second: {kept:?}");
}
