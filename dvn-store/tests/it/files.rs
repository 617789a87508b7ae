//! Folders, locks, schemas and commands beside a running node.

use dvn_core::{
    error::{JournalErrorKind, StoreErrorKind},
    ids::{BlockNumber, Eid},
    ports::{Halt, HaltScope},
};
use dvn_store::{OpenError, Sqlite};

use crate::fixture::{guid, intent, open, raw};

const ETHEREUM: Eid = Eid(30101);

#[tokio::test]
async fn one_process_at_a_time_uses_a_folder() {
    let dir = tempfile::tempdir().unwrap();
    let first = Sqlite::open(dir.path()).await.unwrap();
    let error = Sqlite::open(dir.path()).await.unwrap_err();
    assert!(matches!(error, OpenError::Locked { .. }), "{error:?}");
    assert!(error.to_string().contains("another dvn-node uses this data_dir"), "{error}");
    // A port alone keeps the folder, as it keeps the database.
    let journal = first.store().journal;
    drop(first);
    assert!(matches!(Sqlite::open(dir.path()).await, Err(OpenError::Locked { .. })));
    drop(journal);
    Sqlite::open(dir.path()).await.unwrap();
}

#[tokio::test]
async fn what_was_promised_is_there_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let data_dir = dir.path().join("not/yet/there");
    let sqlite = open(&data_dir).await;
    let store = sqlite.store();
    store.journal.intend(&intent(1, "a")).await.unwrap();
    store.cursors.advance(ETHEREUM, BlockNumber(7)).await.unwrap();
    let before = store.journal.verify().await.unwrap();
    sqlite.close().await;
    let closed = store.cursors.load(ETHEREUM).await.unwrap_err();
    assert_eq!(closed.kind(), StoreErrorKind::Storage);
    drop((sqlite, store));
    let store = Sqlite::open(&data_dir).await.unwrap().store();
    assert_eq!(store.journal.verify().await.unwrap(), before);
    assert_eq!(store.cursors.load(ETHEREUM).await.unwrap(), Some(BlockNumber(7)));
    let refused = store.journal.intend(&intent(1, "b")).await.unwrap_err();
    assert_eq!(refused.kind(), JournalErrorKind::Equivocation);
}

#[tokio::test]
async fn a_command_reads_beside_a_running_node_and_cannot_write() {
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(Sqlite::open_read_only(dir.path()).await, Err(OpenError::Missing { .. })));
    assert!(matches!(Sqlite::open_shared(dir.path()).await, Err(OpenError::Missing { .. })));
    assert!(matches!(Sqlite::open_existing(dir.path()).await, Err(OpenError::Missing { .. })));
    assert!(std::fs::read_dir(dir.path()).unwrap().next().is_none(), "looking makes no store");
    let node = open(dir.path()).await;
    let beside = Sqlite::open_read_only(dir.path()).await.unwrap().store();
    node.store().cursors.advance(ETHEREUM, BlockNumber(7)).await.unwrap();
    assert_eq!(beside.cursors.load(ETHEREUM).await.unwrap(), Some(BlockNumber(7)));
    let error = beside.cursors.advance(ETHEREUM, BlockNumber(8)).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Storage);
    assert_eq!(beside.journal.intend(&intent(1, "a")).await.unwrap_err().kind(), JournalErrorKind::Storage);
    assert_eq!(node.store().journal.verify().await.unwrap().rows, 0);
}

#[tokio::test]
async fn a_store_is_read_while_no_node_runs() {
    let dir = tempfile::tempdir().unwrap();
    let node = Sqlite::open(dir.path()).await.unwrap();
    node.store().cursors.advance(ETHEREUM, BlockNumber(7)).await.unwrap();
    node.close().await;
    drop(node);
    let store = Sqlite::open_read_only(dir.path()).await.unwrap().store();
    assert_eq!(store.cursors.load(ETHEREUM).await.unwrap(), Some(BlockNumber(7)));
}

#[tokio::test]
async fn an_operator_halts_a_running_node() {
    let dir = tempfile::tempdir().unwrap();
    let node = Sqlite::open(dir.path()).await.unwrap().store();
    let operator = Sqlite::open_shared(dir.path()).await.unwrap().store();
    let halt = Halt { scope: HaltScope::All, reason: "drill".to_owned(), evidence: None, since: std::time::UNIX_EPOCH };
    operator.halts.raise(halt.clone()).await.unwrap();
    assert_eq!(node.halts.standing().await.unwrap(), [halt]);
    assert!(operator.halts.clear(HaltScope::All).await.unwrap());
    assert_eq!(node.halts.standing().await.unwrap(), []);
}

/// Two connections that write, as two processes would have: the database decides, not a lock of this process.
#[tokio::test(flavor = "multi_thread")]
async fn two_writers_of_one_file_never_sign_a_slot_twice() {
    let dir = tempfile::tempdir().unwrap();
    let one = open(dir.path()).await.store();
    let other = Sqlite::open_shared(dir.path()).await.unwrap().store();
    for nonce in 1..=20 {
        let (a, b) = (intent(nonce, "a"), intent(nonce, "b"));
        let (one, other) = (one.journal.clone(), other.journal.clone());
        let tasks =
            [tokio::spawn(async move { one.intend(&a).await }), tokio::spawn(async move { other.intend(&b).await })];
        let mut taken = 0;
        for task in tasks {
            match task.await.unwrap() {
                Ok(_) => taken += 1,
                Err(error) => assert_eq!(error.kind(), JournalErrorKind::Equivocation, "{error:?}"),
            }
        }
        assert_eq!(taken, 1);
    }
    assert_eq!(one.journal.verify().await.unwrap().rows, 20);
    assert_eq!(other.journal.slot(guid(20)).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_store_of_another_release_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let sqlite = Sqlite::open(dir.path()).await.unwrap();
    sqlite.close().await;
    drop(sqlite);
    let pool = raw(dir.path(), true).await;
    let newer = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
                 VALUES (9999, 'later', 1, x'00', 0)";
    sqlx::query(newer).execute(&pool).await.unwrap();
    let is_newer = |result: Result<Sqlite, OpenError>| matches!(result, Err(OpenError::Newer { found: 9999, .. }));
    assert!(is_newer(Sqlite::open(dir.path()).await));
    assert!(is_newer(Sqlite::open_read_only(dir.path()).await));
    assert!(is_newer(Sqlite::open_shared(dir.path()).await));
    sqlx::query("DELETE FROM _sqlx_migrations").execute(&pool).await.unwrap();
    let older = Sqlite::open_read_only(dir.path()).await;
    assert!(matches!(older, Err(OpenError::Older { found: 0, .. })), "{older:?}");
}

#[tokio::test]
async fn a_schema_that_is_not_ours_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    drop(Sqlite::open(dir.path()).await.unwrap());
    let pool = raw(dir.path(), true).await;
    sqlx::query("UPDATE _sqlx_migrations SET checksum = x'00'").execute(&pool).await.unwrap();
    let opened = Sqlite::open(dir.path()).await;
    assert!(matches!(opened, Err(OpenError::Schema(_))), "{opened:?}");
}

#[tokio::test]
async fn what_is_no_folder_or_no_database_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    assert!(matches!(Sqlite::open(&file).await, Err(OpenError::Folder { .. })));
    std::fs::write(dir.path().join("dvn.db"), "this is no database, whatever its name says").unwrap();
    assert!(matches!(Sqlite::open(dir.path()).await, Err(OpenError::Database(_))));
}
