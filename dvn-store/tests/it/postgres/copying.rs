//! From SQLite to PostgreSQL: into an empty database, and only if it comes out the same.

use dvn_core::{error::JournalErrorKind, ports::AuditEntry};
use dvn_store::{CopyError, Postgres, Sqlite, copy_store};

use super::{database, raw, server};
use crate::fixture::intent;

/// An embedded store with three signed slots, and two rows of the audit log.
async fn embedded(folder: &std::path::Path) -> Sqlite {
    let from = Sqlite::open(folder).await.unwrap();
    let journal = from.store().journal;
    journal.begin(None).await.unwrap();
    for nonce in 1..=3 {
        journal.intend(&intent(nonce, "a")).await.unwrap();
    }
    let entry = AuditEntry {
        at: std::time::UNIX_EPOCH,
        actor: "engine".to_owned(),
        action: "halt".to_owned(),
        guid: None,
        evidence: None,
        detail: "{}".to_owned(),
    };
    from.store().audit.append(&[entry.clone(), entry]).await.unwrap();
    from
}

#[tokio::test(flavor = "multi_thread")]
async fn every_row_is_there_and_the_journal_goes_on() {
    let Some(server) = server() else { return };
    let folder = tempfile::tempdir().unwrap();
    let from = embedded(folder.path()).await;
    let to = Postgres::open(&database(server)).await.unwrap();
    copy_store(&from, &to).await.unwrap();
    let (ours, theirs) = (from.store().journal, to.store().journal);
    assert_eq!(ours.verify().await.unwrap(), theirs.verify().await.unwrap());
    let other = theirs.intend(&intent(2, "b")).await.unwrap_err();
    assert_eq!(other.kind(), JournalErrorKind::Equivocation, "{other:?}");
    assert_eq!(theirs.intend(&intent(4, "a")).await.unwrap().rows, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_holds_anything_is_refused() {
    let Some(server) = server() else { return };
    let folder = tempfile::tempdir().unwrap();
    let from = embedded(folder.path()).await;
    let options = database(server);
    let to = Postgres::open(&options).await.unwrap();
    let pool = raw(server, &options).await;
    sqlx::query("INSERT INTO cursors (eid, through) VALUES (1, '2')").execute(&pool).await.unwrap();
    match copy_store(&from, &to).await {
        Err(CopyError::NotEmpty { table, rows }) => assert_eq!((table, rows), ("cursors", 1)),
        other => unreachable!("{other:?}"),
    }
}

/// Whatever goes wrong on the way shows before the copy has a name under which it would sign.
#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_came_out_different_gets_no_name() {
    let Some(server) = server() else { return };
    for (table, last) in [("journal", 3), ("audit", 2)] {
        let folder = tempfile::tempdir().unwrap();
        let from = embedded(folder.path()).await;
        let options = database(server);
        let to = Postgres::open(&options).await.unwrap();
        let pool = raw(server, &options).await;
        let lose = format!("CREATE RULE lose AS ON INSERT TO {table} WHERE NEW.sequence = {last} DO INSTEAD NOTHING");
        sqlx::query(sqlx::AssertSqlSafe(lose)).execute(&pool).await.unwrap();
        let copied = copy_store(&from, &to).await;
        assert!(matches!(copied, Err(CopyError::Different { .. })), "{table}: {copied:?}");
        let named: i64 = sqlx::query_scalar("SELECT count(*) FROM journal_identity").fetch_one(&pool).await.unwrap();
        assert_eq!(named, 0);
        assert!(to.store().journal.intend(&intent(9, "a")).await.is_err(), "nothing is signed without a name");
        assert_eq!(from.store().journal.verify().await.unwrap().rows, 3, "the old store is as it was");
    }
}
