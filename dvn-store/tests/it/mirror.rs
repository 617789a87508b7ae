//! The head in a second place, on real files: what a restored, cut or copied folder looks like beside it.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use dvn_core::{error::JournalErrorKind, ports::Store};
use dvn_store::{Mirror, MirrorError, Mirrored, Sqlite};
use tempfile::TempDir;

use crate::{
    fixture::{guid, intent, open, raw},
    tampering::{drop_triggers, run},
};

/// A folder whose mirror is on another path.
struct Pair {
    folder: TempDir,
}

impl Pair {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("journal.head")
    }

    async fn open(&self) -> Result<(Sqlite, Store), MirrorError> {
        let sqlite = open(self.data()).await;
        let mut store = sqlite.store();
        store.journal = Arc::new(Mirrored::open(store.journal, &self.path()).await?);
        Ok((sqlite, store))
    }

    /// Journals these slots as a node does, and ends.
    async fn sign(&self, nonces: std::ops::RangeInclusive<u64>) {
        let (sqlite, store) = self.open().await.unwrap();
        for nonce in nonces {
            store.journal.intend(&intent(nonce, "a")).await.unwrap();
        }
        sqlite.close().await;
    }

    /// Why a node does not start.
    async fn refusal(&self) -> (JournalErrorKind, String) {
        let before = fs::read(self.path()).ok();
        let error = self.open().await.map(|_| ()).unwrap_err();
        assert_eq!(fs::read(self.path()).ok(), before, "the mirror is left as it is");
        let about = |error: &MirrorError| match error {
            MirrorError::Journal(error) => Some((error.kind(), error.to_string())),
            _ => None,
        };
        about(&error).unwrap()
    }
}

pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

#[tokio::test]
async fn a_journal_that_goes_on_fits_its_mirror() {
    let pair = Pair::new();
    for round in 0..3 {
        pair.sign(round * 5 + 1..=round * 5 + 5).await;
    }
    let (_sqlite, store) = pair.open().await.unwrap();
    let kept = Mirror::read(&pair.path()).unwrap().unwrap();
    assert_eq!(kept.head, store.journal.verify().await.unwrap());
    assert_eq!(kept.journal, store.journal.state().await.unwrap().id);
    assert_eq!(fs::read_to_string(pair.path()).unwrap().lines().count(), 1, "made anew when it is opened");
}

#[tokio::test]
async fn a_crash_between_journal_and_mirror_is_no_loss() {
    let pair = Pair::new();
    pair.sign(1..=5).await;
    // As a kill after the commit leaves it, or an operator's command beside the node.
    let beside = Sqlite::open_shared(pair.data()).await.unwrap().store();
    beside.journal.intend(&intent(6, "a")).await.unwrap();
    let mut torn = fs::read(pair.path()).unwrap();
    torn.extend_from_slice(b"journal 0x12");
    fs::write(pair.path(), torn).unwrap();
    let (_sqlite, store) = pair.open().await.unwrap();
    assert_eq!(Mirror::read(&pair.path()).unwrap().unwrap().head.rows, 6);
    assert_eq!(store.journal.verify().await.unwrap().rows, 6);
}

/// T23, the store's part: yesterday's copy of the folder in the place of today's.
#[tokio::test]
async fn t23_an_older_copy_of_the_folder_is_refused() {
    let pair = Pair::new();
    pair.sign(1..=10).await;
    let yesterday = pair.folder.path().join("yesterday");
    copy(&pair.data(), &yesterday);
    pair.sign(11..=50).await;
    fs::remove_dir_all(pair.data()).unwrap();
    copy(&yesterday, &pair.data());
    let (kind, told) = pair.refusal().await;
    assert_eq!(kind, JournalErrorKind::Tampered);
    for word in ["it has 10 rows, and had 50", "journal init --accept-loss"] {
        assert!(told.contains(word), "{told}");
    }
    // Not even once it has as many rows again, with other content.
    let beside = Sqlite::open_shared(pair.data()).await.unwrap().store();
    for nonce in 11..=50 {
        beside.journal.intend(&intent(nonce, "b")).await.unwrap();
    }
    let (kind, told) = pair.refusal().await;
    assert_eq!(kind, JournalErrorKind::Tampered);
    assert!(told.contains("its row 50 has hash"), "{told}");
}

/// T24, the store's part.
#[tokio::test]
async fn t24_a_journal_that_is_gone_is_missed() {
    let pair = Pair::new();
    let sqlite = Sqlite::open(pair.data()).await.unwrap();
    let error = Mirrored::open(sqlite.store().journal, &pair.path()).await.unwrap_err();
    assert!(error.to_string().contains("journal init --reason"), "{error}");
    assert!(!pair.path().exists(), "looking makes no mirror");
    drop(sqlite);
    pair.sign(1..=5).await;
    fs::remove_dir_all(pair.data()).unwrap();
    let sqlite = Sqlite::open(pair.data()).await.unwrap();
    let MirrorError::Journal(error) = Mirrored::open(sqlite.store().journal, &pair.path()).await.unwrap_err() else {
        panic!("not about the journal");
    };
    assert_eq!(error.kind(), JournalErrorKind::Missing);
    assert!(error.to_string().contains("knows one of 5 rows"), "{error}");
    // Begun anew it is another one, and stays refused.
    sqlite.store().journal.begin(None).await.unwrap();
    drop(sqlite);
    let (kind, told) = pair.refusal().await;
    assert!(kind == JournalErrorKind::Tampered && told.contains("is that of journal"), "{told}");
}

#[tokio::test]
async fn a_mirror_that_is_gone_is_missed() {
    let pair = Pair::new();
    pair.sign(1..=5).await;
    fs::remove_file(pair.path()).unwrap();
    let (kind, told) = pair.refusal().await;
    assert_eq!(kind, JournalErrorKind::Tampered);
    assert!(told.contains("was last kept at") && told.contains("journal mirror --reason"), "{told}");
    fs::write(pair.path(), "").unwrap();
    assert_eq!(pair.refusal().await.0, JournalErrorKind::Tampered, "nor is an empty one one");
}

#[tokio::test]
async fn rows_cut_off_at_the_end_show() {
    let pair = Pair::new();
    pair.sign(1..=5).await;
    let pool = raw(&pair.data(), false).await;
    drop_triggers(&pool).await;
    let cut = "DELETE FROM journal_slots WHERE guid = (SELECT guid FROM journal WHERE sequence = 5);
               DELETE FROM journal WHERE sequence = 5";
    run(&pool, cut).await.unwrap();
    pool.close().await;
    let (kind, told) = pair.refusal().await;
    assert!(kind == JournalErrorKind::Tampered && told.contains("it has 4 rows, and had 5"), "{told}");
}

/// T25: a copy of the folder beside the original, with the original's mirror.
#[tokio::test]
async fn t25_a_clone_with_the_same_mirror_is_locked_out() {
    let pair = Pair::new();
    pair.sign(1..=5).await;
    let (_sqlite, store) = pair.open().await.unwrap();
    let clone = pair.folder.path().join("clone");
    copy(&pair.data(), &clone);
    let cloned = Sqlite::open(&clone).await.unwrap();
    let error = Mirrored::open(cloned.store().journal, &pair.path()).await.unwrap_err();
    assert!(matches!(error, MirrorError::Locked { .. }), "{error:?}");
    assert!(error.to_string().contains("signing.journal_mirror"), "{error}");
    // Making the file anew, which the original does once in a while, gives nobody a chance.
    store.journal.begin(None).await.unwrap();
    assert!(matches!(Mirror::lock(&pair.path()), Err(MirrorError::Locked { .. })));
    assert!(matches!(Mirror::seize(&pair.path()), Err(MirrorError::Locked { .. })));
    drop(store);
    Mirror::lock(&pair.path()).unwrap();
}

/// T25: two handles of one store, one of them with the mirror, race 1,000 packets, a third of them with another payload.
#[tokio::test(flavor = "multi_thread")]
async fn t25_two_handles_race_a_thousand_packets_and_each_slot_gets_one_payload() {
    let pair = Pair::new();
    let (_sqlite, one) = pair.open().await.unwrap();
    let other = Sqlite::open_shared(pair.data()).await.unwrap().store();
    let mut tasks = tokio::task::JoinSet::new();
    for nonce in 1..=1_000 {
        let second = if nonce % 3 == 0 { "b" } else { "a" };
        for (journal, message) in [(one.journal.clone(), "a"), (other.journal.clone(), second)] {
            tasks.spawn(async move { (nonce, message, journal.intend(&intent(nonce, message)).await) });
        }
    }
    let mut taken: std::collections::BTreeMap<u64, Vec<&str>> = std::collections::BTreeMap::new();
    for (nonce, message, result) in tasks.join_all().await {
        match result {
            Ok(_) => taken.entry(nonce).or_default().push(message),
            Err(error) => assert_eq!(error.kind(), JournalErrorKind::Equivocation, "{error:?}"),
        }
    }
    assert_eq!(taken.len(), 1_000, "every slot was signed");
    for (nonce, messages) in &taken {
        assert_eq!(messages.len(), if nonce % 3 == 0 { 1 } else { 2 }, "{nonce}: {messages:?}");
        let rows = one.journal.slot(guid(*nonce)).await.unwrap();
        let payloads: std::collections::BTreeSet<_> =
            rows.iter().map(|row| row.intent.attestation.claim.payload_hash).collect();
        assert_eq!(payloads.len(), 1);
    }
    one.journal.verify().await.unwrap();
}

#[tokio::test]
async fn a_path_that_cannot_be_used_is_named() {
    let pair = Pair::new();
    let sqlite = open(pair.data()).await;
    for path in [pair.folder.path().join("nowhere/journal.head"), pair.folder.path().to_owned()] {
        let error = Mirrored::open(sqlite.store().journal, &path).await.unwrap_err();
        assert!(matches!(error, MirrorError::File { .. }), "{error:?}");
        assert!(error.to_string().contains("signing.journal_mirror"), "{error}");
    }
    let other = pair.folder.path().join("config.yaml");
    fs::write(&other, "service:\n  name: dvn-node-1\n").unwrap();
    let error = Mirrored::open(sqlite.store().journal, &other).await.unwrap_err();
    assert!(matches!(error, MirrorError::Unreadable { line: 1, .. }), "{error:?}");
    assert_eq!(fs::read_to_string(&other).unwrap(), "service:\n  name: dvn-node-1\n");
}

/// Somebody removes the file while the node runs: nothing is signed without it, and it is made again.
#[tokio::test]
async fn a_mirror_that_is_removed_under_a_running_node_is_made_again() {
    let pair = Pair::new();
    let (_sqlite, store) = pair.open().await.unwrap();
    store.journal.intend(&intent(1, "a")).await.unwrap();
    fs::remove_file(pair.path()).unwrap();
    let error = store.journal.intend(&intent(2, "a")).await.unwrap_err();
    assert_eq!(error.kind(), JournalErrorKind::Storage);
    let head = store.journal.intend(&intent(2, "a")).await.unwrap();
    assert_eq!(Mirror::read(&pair.path()).unwrap().unwrap().head, head);
    // Another file in its place is somebody else's, and is left alone.
    fs::remove_file(pair.path()).unwrap();
    fs::write(pair.path(), "mine").unwrap();
    for _ in 0..2 {
        let error = store.journal.intend(&intent(3, "a")).await.unwrap_err();
        assert_eq!(error.kind(), JournalErrorKind::Storage);
    }
    assert_eq!(fs::read_to_string(pair.path()).unwrap(), "mine");
}
