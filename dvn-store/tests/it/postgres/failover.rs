//! Two real servers: the second follows the first, and takes its place.

use dvn_core::{error::JournalErrorKind, ids::Confirmations, ports::Store};
use dvn_store::{OpenError, Postgres};
use dvn_testkit::postgres::Postgres as Server;

use super::{begun, options};
use crate::fixture::intent;

/// T27: what is read from a standby may be old, and it takes no intent.
#[tokio::test(flavor = "multi_thread")]
async fn a_standby_is_refused() {
    let Some((first, _, standby)) = pair().await else { return };
    let name = "replicated";
    match Postgres::open(&options(&standby, name)).await {
        Err(OpenError::Unsafe { problem }) => assert!(problem.contains("standby"), "{problem}"),
        other => unreachable!("{other:?}"),
    }
    assert!(Postgres::open(&options(&first, name)).await.is_ok());
}

/// The standby had all: nobody can know that, so that signing rests until whatever was signed has expired.
#[tokio::test(flavor = "multi_thread")]
async fn t22_after_a_failover_nothing_is_signed_for_a_while() {
    let Some((first, store, mut standby)) = pair().await else { return };
    follows(&first);
    standby.take_over(&first).unwrap();
    let refused = until_refused(&store, "quarantined").await;
    assert!(refused.contains("another server took over"), "{refused}");
    assert_eq!(store.journal.verify().await.unwrap().rows, 2);
    let mut taken_back = intent(1, "a");
    taken_back.attestation.confirmations = Confirmations(0);
    store.journal.intend(&taken_back).await.expect("taking back is not signing");
    // A process that begins afterwards rests too.
    let after = Postgres::open(&options(&standby, "replicated")).await.unwrap().store();
    assert!(after.journal.state().await.unwrap().quarantine.is_some());
}

/// The server on which the journal began is known from the first moment on, and not from whichever connection is next.
#[tokio::test(flavor = "multi_thread")]
async fn t22_a_failover_before_the_second_connection_is_one_too() {
    if !Server::is_there("failover") {
        return;
    }
    let first = Server::start().unwrap();
    first.create_database("replicated").unwrap();
    let mut options = options(&first, "replicated");
    options.connections = 1;
    begun(&options).await.close().await;
    let mut standby = first.standby().unwrap();
    standby.take_over(&first).unwrap();
    let store = Postgres::open(&options).await.unwrap().store();
    assert!(store.journal.state().await.unwrap().quarantine.is_some());
}

/// The standby lacks a row that was signed: what this process saw is not there, which time does not mend.
#[tokio::test(flavor = "multi_thread")]
async fn t22_a_failover_that_loses_an_intent_stops_signing() {
    let Some((first, store, mut standby)) = pair().await else { return };
    follows(&first);
    standby.unfollow().unwrap();
    store.journal.intend(&intent(3, "a")).await.unwrap();
    standby.take_over(&first).unwrap();
    let refused = until_refused(&store, "lost rows").await;
    assert!(refused.contains("row 3"), "{refused}");
    let other = store.journal.intend(&intent(3, "b")).await.unwrap_err();
    assert_eq!(other.kind(), JournalErrorKind::Tampered, "the slot that was signed is not signed again: {other:?}");
}

/// A server with a journal of two rows, and another one that follows it.
async fn pair() -> Option<(Server, Store, Server)> {
    if !Server::is_there("failover") {
        return None;
    }
    let first = Server::start().unwrap();
    first.create_database("replicated").unwrap();
    let store = begun(&options(&first, "replicated")).await.store();
    let standby = first.standby().unwrap();
    for nonce in 1..=2 {
        store.journal.intend(&intent(nonce, "a")).await.unwrap();
    }
    Some((first, store, standby))
}

/// Waits until the standby has all.
fn follows(first: &Server) {
    let behind = "SELECT count(*) FROM pg_stat_replication WHERE replay_lsn >= pg_current_wal_lsn()";
    for _ in 0..1_000 {
        if first.sql("replicated", behind).unwrap() == "1" {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    unreachable!("the standby never came so far");
}

async fn until_refused(store: &Store, why: &str) -> String {
    for nonce in 100..200 {
        let refused = store.journal.intend(&intent(nonce, "a")).await.unwrap_err();
        let text = format!("{refused:?}");
        if text.contains(why) {
            return text;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    unreachable!("never {why}");
}
