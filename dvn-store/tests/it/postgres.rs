//! PostgreSQL: the common suite, and what is its own: servers that forget, that fall over, that do not answer.

use std::sync::{
    OnceLock,
    atomic::{AtomicU32, Ordering},
};

use dvn_core::{ports::Store, testing::store_suite};
use dvn_store::{Postgres, PostgresOptions, PostgresTls};
use dvn_testkit::postgres::{Postgres as Server, USER};

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

async fn begun(options: &PostgresOptions) -> Postgres {
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
