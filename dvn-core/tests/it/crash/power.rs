//! T27: what is in the files at the moment when the device is asked. That they are synced by then is tested where they are
//! written: `database::tests` and `mirror::tests` of `dvn-store`.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use alloy_primitives::{Address, B256, Signature};
use async_trait::async_trait;
use dvn_core::{error::SignError, job::State, ports::Signer};
use dvn_store::{Comparison, Mirror, Sqlite};

use super::switched::open;
use crate::{
    engine::key,
    world::{Chains, Running, World, until_state},
};

/// A device that takes a copy of the node's files before it signs.
#[derive(Debug)]
struct Copying {
    inner: Arc<dyn Signer>,
    folder: PathBuf,
    copies: Mutex<Vec<(B256, PathBuf)>>,
}

#[async_trait]
impl Signer for Copying {
    fn address(&self) -> Address {
        self.inner.address()
    }

    async fn sign_digest(&self, digest: B256) -> Result<Signature, SignError> {
        let copy = {
            let mut copies = self.copies.lock().unwrap();
            let copy = self.folder.join(format!("copy-{}", copies.len()));
            copies.push((digest, copy.clone()));
            copy
        };
        // Other packets are signed meanwhile, and files are not copied all at one moment. What this call needs is looked for in
        // the first copy; the mirror must fit a journal that was copied after it, since a newer mirror names rows that an older
        // copy of the journal cannot hold.
        copy_files(&self.folder.join("data"), &copy.join("data"));
        std::fs::copy(self.folder.join("journal.head"), copy.join("journal.head")).unwrap();
        copy_files(&self.folder.join("data"), &copy.join("later"));
        self.inner.sign_digest(digest).await
    }
}

fn copy_files(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn t27_when_the_device_is_asked_the_record_and_its_mirror_are_in_the_files() {
    let folder = tempfile::tempdir().unwrap();
    let device = Arc::new(Copying { inner: key(1), folder: folder.path().to_owned(), copies: Mutex::default() });
    let world = World::new(device.address());
    let claims = [1, 2, 3, 4].map(|nonce| Chains::packet(nonce, b"hello"));
    for (claim, height) in claims.into_iter().zip(80..) {
        world.lock().send(claim, height);
    }
    let (sqlite, store) = open(folder.path(), None).await;
    let running = Running::start(world.builder(&store, device.clone()).build().unwrap());
    for claim in claims {
        until_state(&store, claim, State::Committed).await;
    }
    running.stop().await;
    sqlite.close().await;

    let copies = device.copies.lock().unwrap().clone();
    assert!(copies.len() >= claims.len(), "{copies:?}");
    for (digest, copy) in copies {
        let journal = Sqlite::open(copy.join("data")).await.unwrap().store().journal;
        let rows = journal.rows(0, 100).await.unwrap();
        let row = rows.iter().find(|row| row.intent.attestation.digest() == digest);
        let row = row.map(|row| row.sequence);
        let kept = Mirror::read(&copy.join("journal.head")).unwrap();
        assert!(row.is_some(), "the record is not in {}", copy.display());
        assert!(kept.is_some_and(|kept| Some(kept.head.rows) >= row), "the mirror is behind in {}", copy.display());
        let later = Sqlite::open(copy.join("later")).await.unwrap().store().journal;
        let comparison = Comparison::of(&*later, kept).await.unwrap();
        assert!(matches!(comparison, Comparison::Fits { .. }), "{comparison:?} in {}", copy.display());
    }
}
