//! A node's key, files and sources, and the process that runs on them at the moment.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use alloy_primitives::{B256, Signature};
use dvn_core::{
    Dvn,
    attestation::Attestation,
    attestor::Attestor,
    ids::{BlockNumber, BlockRef, ChainTime, Confirmations},
    job::Location,
    longest_life,
    packet::Claim,
    policy,
    ports::{Cause, Clock, Cosigner, HaltScope, Journal, Proposal, Quarantine, Shown, Store},
};
use dvn_store::{Mirror, MirrorError, Mirrored, Sqlite};

use super::{
    Ledger, Made, PAYLOADS, SLOTS,
    faults::{At, DATABASE, Device, Life, MortalEvidence, MortalJournal, MortalSigner, WHOLE},
};
use crate::{
    engine::key,
    world::{Chains, DST, LIB, VID, World, note},
};

const LIFE: Duration = Duration::from_secs(900);

/// The destination's time is everybody's.
#[derive(Debug)]
struct WorldClock(World);

impl Clock for WorldClock {
    fn now(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(self.0.lock().time)
    }
}

struct Process {
    dvn: Dvn,
    attestor: Arc<Attestor>,
    store: Store,
    sqlite: Sqlite,
    life: Arc<Life>,
}

pub(super) struct Member {
    world: World,
    pub(super) device: Arc<Device>,
    folder: tempfile::TempDir,
    /// Where each payload of each slot stands now.
    places: BTreeMap<(u64, usize), Location>,
    process: Option<Process>,
    /// The last signature that was given.
    given: Option<(Attestation, Signature)>,
    /// A copy was put in the journal's place that does not know everything.
    pub(super) lost_its_journal: bool,
}

impl Process {
    /// Compares the destination with the journal. The operator looks at whatever stands then, and lifts it.
    async fn watch(&self) {
        self.dvn.reconcile().await.unwrap();
        self.store.halts.clear(HaltScope::All).await.unwrap();
    }
}

fn claim(slot: u64, payload: usize) -> Claim {
    Chains::packet(slot, PAYLOADS[payload])
}

fn copy(from: &Path, to: &Path) {
    let _ = fs::remove_dir_all(to);
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

impl Member {
    pub(super) async fn new() -> Self {
        let device = Arc::new(Device { key: key(1), signed: Mutex::default() });
        let world = World::new(device.key.address());
        let folder = tempfile::tempdir().unwrap();
        let mut member = Self {
            world,
            device,
            folder,
            places: BTreeMap::new(),
            process: None,
            given: None,
            lost_its_journal: false,
        };
        member.send();
        let sqlite = Sqlite::open(member.data()).await.unwrap();
        let store = sqlite.store();
        store.journal.begin(None).await.unwrap();
        for slot in 1..=SLOTS {
            note(&store, claim(slot, 0)).await;
        }
        sqlite.close().await;
        drop((sqlite, store));
        member.start().await.unwrap();
        member
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn aside(&self) -> PathBuf {
        self.folder.path().join("aside")
    }

    fn head(&self) -> PathBuf {
        self.folder.path().join("journal.head")
    }

    pub(super) fn time(&self) -> u64 {
        self.world.lock().time
    }

    /// Every payload of every slot is on the chain, in a settled block: whoever owns the seats shows what he likes.
    fn send(&mut self) {
        let mut chains = self.world.lock();
        for slot in 1..=SLOTS {
            for payload in 0..PAYLOADS.len() {
                let location = chains.send(claim(slot, payload), 75 + slot * 2 + u64::try_from(payload).unwrap());
                self.places.insert((slot, payload), location);
            }
        }
    }

    async fn open(&self, data: &Path) -> Result<Process, MirrorError> {
        let sqlite = Sqlite::open(data).await.unwrap();
        let mut store = sqlite.store();
        store.journal.verify().await?;
        let life = Arc::new(Life::default());
        let mortal =
            |inner, around| -> Arc<dyn Journal> { Arc::new(MortalJournal { inner, life: Arc::clone(&life), around }) };
        let mirrored = Mirrored::open(mortal(store.journal, DATABASE), &self.head()).await?;
        store.journal = mortal(Arc::new(mirrored), WHOLE);
        store.evidence = Arc::new(MortalEvidence { inner: store.evidence, life: Arc::clone(&life) });
        let signer = Arc::new(MortalSigner { device: Arc::clone(&self.device), life: Arc::clone(&life) });
        let clock = Arc::new(WorldClock(self.world.clone()));
        let dvn = self.world.builder(&store, signer).clock(clock).build().unwrap();
        let process = Process { attestor: dvn.attestor(), dvn, store, sqlite, life };
        process.watch().await;
        Ok(process)
    }

    /// What a running node does every two seconds.
    pub(super) async fn watch(&self) {
        self.process.as_ref().unwrap().watch().await;
    }

    async fn start(&mut self) -> Result<(), MirrorError> {
        self.process = Some(self.open(&self.data()).await?);
        Ok(())
    }

    async fn stop(&mut self) {
        if let Some(Process { sqlite, .. }) = self.process.take() {
            sqlite.close().await;
        }
    }

    pub(super) async fn restart(&mut self) {
        self.stop().await;
        self.start().await.unwrap();
    }

    /// Proposals that come at once; the process may die over them, and is started again then.
    pub(super) async fn propose(&mut self, proposals: &[(u64, usize)], dies: Option<At>, ledger: &mut Ledger) {
        let process = self.process.as_ref().unwrap();
        process.life.dies_at(dies);
        let asked: Vec<_> = proposals.iter().map(|(slot, payload)| self.proposed(*slot, *payload, ledger)).collect();
        let answers = asked.iter().map(|(attestation, proposal)| async {
            process.attestor.cosign(proposal).await.ok().map(|signature| (*attestation, signature))
        });
        let answers = futures::future::join_all(answers).await;
        let given = answers.into_iter().flatten().last();
        let is_over = process.life.is_over();
        self.given = given.or(self.given.take());
        if is_over {
            self.restart().await;
        } else {
            self.process.as_ref().unwrap().life.dies_at(None);
        }
    }

    fn proposed(&self, slot: u64, payload: usize, ledger: &mut Ledger) -> (Attestation, Proposal) {
        let expiration = policy::expiration(ChainTime(self.time()), LIFE);
        let (claim, confirmations) = (claim(slot, payload), Confirmations(5));
        let attestation = Attestation { claim, confirmations, expiration, vid: VID, target: LIB };
        ledger.meanings.insert(attestation.digest(), Made { claim, expiration });
        let location = self.places[&(slot, payload)];
        (attestation, Proposal { location, dst_eid: DST, confirmations, expiration })
    }

    /// The contract takes what has not expired.
    pub(super) fn execute(&mut self) {
        let Some((attestation, signature)) = self.given else { return };
        let mut chains = self.world.lock();
        if attestation.expiration.0 <= chains.time {
            return;
        }
        chains.time += 1;
        let block = BlockRef { number: BlockNumber(chains.time), hash: B256::repeat_byte(9) };
        let Attestation { claim, confirmations, target, .. } = attestation;
        let causes = vec![Cause { attestation, signers: vec![(self.device.key.address(), signature)] }];
        chains.shown.push(Shown { block, tx_hash: claim.job_id().0, claim, confirmations, target, causes });
    }

    pub(super) fn was_executed(&self, claim: &Claim) -> bool {
        self.world.lock().shown.iter().any(|shown| shown.claim == *claim)
    }

    /// The payloads that the destination shows, by slot.
    pub(super) fn executed_payloads(&self) -> BTreeMap<u64, BTreeSet<B256>> {
        let mut payloads: BTreeMap<u64, BTreeSet<B256>> = BTreeMap::new();
        for shown in &self.world.lock().shown {
            payloads.entry(shown.claim.header.nonce.0).or_default().insert(shown.claim.payload_hash.0);
        }
        payloads
    }

    pub(super) fn wait(&mut self, seconds: u64) {
        self.world.lock().time += seconds;
    }

    pub(super) fn reorg(&mut self) {
        self.world.lock().reorg(70);
        self.send();
    }

    pub(super) fn back_up(&mut self) {
        copy(&self.data(), &self.aside());
    }

    /// Yesterday's folder. The mirror is elsewhere and knows better, so that the operator has to accept the loss.
    pub(super) async fn restore(&mut self) {
        if !self.aside().exists() {
            return;
        }
        let rows = self.process.as_ref().unwrap().store.journal.head().await.unwrap();
        self.stop().await;
        copy(&self.aside(), &self.data());
        let sqlite = Sqlite::open(self.data()).await.unwrap();
        let journal = sqlite.store().journal;
        let is_whole = journal.head().await.unwrap() == rows;
        sqlite.close().await;
        drop((sqlite, journal));
        match self.open(&self.data()).await {
            Ok(process) => {
                assert!(is_whole || self.lost_its_journal, "a shortened journal was taken");
                self.process = Some(process);
            }
            Err(_) => self.accept_the_loss().await,
        }
    }

    async fn accept_the_loss(&mut self) {
        self.lost_its_journal = true;
        let until = WorldClock(self.world.clone()).now() + longest_life(LIFE);
        let sqlite = Sqlite::open(self.data()).await.unwrap();
        let journal = sqlite.store().journal;
        journal.begin(Some(Quarantine { until, reason: "restored".to_owned() })).await.unwrap();
        let mirror = Mirror::seize(&self.head()).unwrap();
        drop(mirror.dangerous_adopt(Arc::clone(&journal)).await.unwrap());
        sqlite.close().await;
        drop((sqlite, journal));
        self.start().await.unwrap();
    }

    /// A copy of the folder, with the configuration of the original, so that it has the same mirror.
    pub(super) async fn start_the_copy(&mut self) {
        // A folder of its own each time: what an earlier copy left would make a database of two halves.
        let place = tempfile::tempdir_in(self.folder.path()).unwrap();
        let copied = place.path().join("copied");
        copy(&self.data(), &copied);
        let refused = self.open(&copied).await.err();
        let locked = matches!(refused, Some(MirrorError::Locked { .. }));
        assert!(locked, "the copy was not refused for its mirror's lock (none: it was opened): {refused:?}");
    }

    /// Whether either payload of a slot is signed now.
    pub(super) async fn signs_one_of(&mut self, slot: u64, ledger: &mut Ledger) -> bool {
        for payload in 0..PAYLOADS.len() {
            self.given = None;
            self.propose(&[(slot, payload)], None, ledger).await;
            if self.given.is_some() {
                return true;
            }
        }
        false
    }
}
