//! PostgreSQL: the common suite, and what is its own: servers that forget, that fall over, that do not answer.

use std::sync::{
    OnceLock,
    atomic::{AtomicU32, Ordering},
};

use dvn_core::{
    alloy_primitives::B256,
    ports::{AuditCut, AuditEntry, AuditHead, Store},
    testing::store_suite,
};
use dvn_store::{Postgres, PostgresOptions, PostgresTls};
use dvn_testkit::postgres::{Postgres as Server, USER};
use sqlx::{PgPool, postgres::PgConnectOptions};

mod copying;
mod failover;
mod forgetful;
mod shared;

/// One server for all tests that do not break it; it ends with the process.
pub(crate) fn server() -> Option<&'static Server> {
    static SERVER: OnceLock<Option<Server>> = OnceLock::new();
    SERVER.get_or_init(|| Server::is_there("postgres").then(|| Server::start().unwrap())).as_ref()
}

/// A fresh database.
pub(crate) fn database(server: &Server) -> PostgresOptions {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let name = format!("dvn_{}", COUNT.fetch_add(1, Ordering::Relaxed));
    server.create_database(&name).unwrap();
    options(server, &name)
}

pub(crate) fn options(server: &Server, database: &str) -> PostgresOptions {
    let mut options = PostgresOptions::new(server.host(), database, USER);
    options.port = server.port();
    options.password = Some(server.password().to_owned().into());
    options.tls = PostgresTls::Disable;
    options.connections = 4;
    options
}

/// Connections of somebody who does not use this crate.
pub(crate) async fn raw(server: &Server, options: &PostgresOptions) -> PgPool {
    let raw = PgConnectOptions::new()
        .host(&options.host)
        .port(options.port)
        .username(&options.user)
        .password(server.password())
        .database(&options.database);
    PgPool::connect_with(raw).await.unwrap()
}

pub(crate) async fn begun(options: &PostgresOptions) -> Postgres {
    let postgres = Postgres::open(options).await.unwrap();
    postgres.store().journal.begin(None).await.unwrap();
    postgres
}

/// One test per port, so that a failure names it.
macro_rules! on_a_server {
    ($($port:ident),+) => {
        $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $port() {
                let Some(server) = server() else { return };
                let make = async || -> Store { begun(&database(server)).await.store() };
                store_suite::$port(&make).await;
            }
        )+
    };
}

on_a_server!(jobs, cursors, paths, finalized, journal, halts, outbox, evidence, audit, leases);

/// The millionth row begins a partition that nobody has made yet.
#[tokio::test(flavor = "multi_thread")]
async fn the_audit_log_goes_on_in_its_next_partition() {
    let Some(server) = server() else { return };
    let options = database(server);
    let store = begun(&options).await.store();
    let pool = raw(server, &options).await;
    let before = "INSERT INTO audit (sequence, at, actor, action, detail, prev_hash, row_hash)
                  VALUES (999999, 5, 'engine', 'halt', '{}', decode(repeat('00', 32), 'hex'), decode(repeat('01', 32), 'hex'))";
    for sql in ["ALTER TABLE audit DISABLE TRIGGER USER", before, "ALTER TABLE audit ENABLE TRIGGER USER"] {
        sqlx::query(sql).execute(&pool).await.unwrap();
    }
    let entry = AuditEntry {
        at: std::time::UNIX_EPOCH,
        actor: "engine".to_owned(),
        action: "halt".to_owned(),
        guid: None,
        evidence: None,
        detail: "{}".to_owned(),
    };
    store.audit.append(&[entry.clone(), entry]).await.unwrap();
    assert_eq!(store.audit.head().await.unwrap().rows, 1_000_001);
    assert_eq!(store.audit.rows(999_998, 9).await.unwrap().len(), 3);

    // What is wholly below a cut goes as a partition, the rest row by row.
    let through = store.audit.rows(999_999, 1).await.unwrap().pop().unwrap();
    let through = AuditHead { rows: through.sequence, hash: through.row_hash };
    let cut = AuditCut { through, archive: B256::repeat_byte(9) };
    let removed = store.audit.cut(&cut, &cut.entry(std::time::UNIX_EPOCH, "somebody", "old")).await.unwrap();
    assert_eq!(removed, 2, "the row before the millionth, and that one");
    let parts =
        "SELECT relname FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid WHERE inhparent = 'audit'::regclass";
    let parts: Vec<String> = sqlx::query_scalar(parts).fetch_all(&pool).await.unwrap();
    assert_eq!(parts, ["audit_1000000"]);
    assert_eq!(store.audit.verify().await.unwrap().rows, 1_000_002);
    pool.close().await;
}
