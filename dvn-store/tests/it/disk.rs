//! What happens while the disk runs full.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::UNIX_EPOCH,
};

use dvn_core::{
    error::JournalErrorKind,
    ids::Confirmations,
    ports::{AuditEntry, Halt, HaltScope, Journal as _, Purpose},
};
use dvn_store::{DiskGuard, FreeSpace, Space};

use crate::fixture::{guid, intent, open};

const FLOOR: u64 = 1 << 20;

/// As much as is said; nothing is known at the largest number.
#[derive(Debug)]
struct Said(AtomicU64);

impl Space for Said {
    fn free(&self) -> io::Result<u64> {
        match self.0.load(Ordering::SeqCst) {
            u64::MAX => Err(io::Error::other("stale file handle")),
            free => Ok(free),
        }
    }
}

#[tokio::test]
async fn signing_stops_before_recording_does() {
    let dir = tempfile::tempdir().unwrap();
    let sqlite = open(dir.path()).await;
    let store = sqlite.store();
    let space = Arc::new(Said(AtomicU64::new(FLOOR)));
    let guard = DiskGuard::new(store.journal.clone(), space.clone(), FLOOR);
    guard.admits().await.unwrap();
    guard.intend(&intent(1, "a")).await.unwrap();
    for free in [FLOOR - 1, 0, u64::MAX] {
        space.0.store(free, Ordering::SeqCst);
        assert_eq!(guard.admits().await.unwrap_err().kind(), JournalErrorKind::NoSpace);
        let error = guard.intend(&intent(2, "a")).await.unwrap_err();
        assert_eq!(error.kind(), JournalErrorKind::NoSpace, "{error:?}");
        assert!(error.to_string().contains(if free < FLOOR { "service.min_free_disk" } else { "nobody knows" }));
        assert!(guard.slot(guid(2)).await.unwrap().is_empty());
    }
    // What stops signing, what takes back and what tells about it is still written.
    let mut back = intent(1, "a");
    back.attestation.confirmations = Confirmations(0);
    guard.intend(&back).await.unwrap();
    let mut recovered = intent(3, "a");
    recovered.purpose = Purpose::Recovered;
    guard.intend(&recovered).await.unwrap();
    let halt = Halt { scope: HaltScope::All, reason: "disk".to_owned(), evidence: None, since: UNIX_EPOCH };
    store.halts.raise(halt).await.unwrap();
    let entry = AuditEntry {
        at: UNIX_EPOCH,
        actor: "engine".to_owned(),
        action: "halt".to_owned(),
        guid: None,
        evidence: None,
        detail: "{}".to_owned(),
    };
    store.audit.append(&[entry]).await.unwrap();
    // Once there is room again, signing goes on.
    space.0.store(FLOOR, Ordering::SeqCst);
    guard.intend(&intent(2, "a")).await.unwrap();
    assert_eq!(guard.verify().await.unwrap().rows, 4);
}

#[tokio::test]
async fn a_real_file_system_is_asked() {
    let dir = tempfile::tempdir().unwrap();
    let sqlite = open(dir.path()).await;
    let space = Arc::new(FreeSpace::of(dir.path()));
    let free = space.free().unwrap();
    assert!(free > 0);
    let journal = sqlite.store().journal;
    let roomy = DiskGuard::new(journal.clone(), space.clone(), 1);
    roomy.intend(&intent(1, "a")).await.unwrap();
    let full = DiskGuard::new(journal.clone(), space, u64::MAX);
    assert_eq!(full.intend(&intent(2, "a")).await.unwrap_err().kind(), JournalErrorKind::NoSpace);
    let gone = DiskGuard::new(journal, Arc::new(FreeSpace::of(&dir.path().join("gone"))), 1);
    assert_eq!(gone.intend(&intent(2, "a")).await.unwrap_err().kind(), JournalErrorKind::NoSpace);
}
