use std::{
    path::PathBuf,
    sync::atomic::{AtomicU32, Ordering},
};

use dvn_core::{ports::Store, testing::store_suite};
use dvn_store::Sqlite;

use crate::fixture::open;

async fn in_memory() -> Store {
    Sqlite::in_memory().await.unwrap().store()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_in_memory_passes_the_suite() {
    store_suite::run(&in_memory).await;
}

/// One test per port, so that a failure names it.
macro_rules! on_files {
    ($($port:ident),+) => {
        $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $port() {
                let dir = tempfile::tempdir().unwrap();
                let count = AtomicU32::new(0);
                let next = || -> PathBuf { dir.path().join(count.fetch_add(1, Ordering::Relaxed).to_string()) };
                let make = async || open(next()).await.store();
                store_suite::$port(&make).await;
            }
        )+
    };
}

on_files!(jobs, cursors, paths, finalized, journal, halts, outbox, evidence, audit, leases);
