//! Several processes on one database are one signer.

use std::{
    collections::BTreeSet,
    time::{Duration, UNIX_EPOCH},
};

use dvn_core::{
    alloy_primitives::B256,
    error::JournalErrorKind,
    ids::{BlockNumber, BlockRef, Eid},
    job::{Job, Location},
};
use dvn_store::{OpenError, Postgres, PostgresTls};
use dvn_testkit::postgres::Postgres as Server;
use tokio::task::JoinSet;

use super::{begun, database, raw, server};
use crate::fixture::{guid, intent};

#[tokio::test(flavor = "multi_thread")]
async fn appends_of_two_processes_make_one_chain_and_one_payload_for_each_slot() {
    let Some(server) = server() else { return };
    let options = database(server);
    let first = begun(&options).await.store();
    let second = Postgres::open_existing(&options).await.unwrap().store();
    let mut tasks = JoinSet::new();
    for nonce in 1..=20 {
        for (store, message) in [(&first, "a"), (&second, "b")] {
            let journal = store.journal.clone();
            tasks.spawn(async move { (nonce, journal.intend(&intent(nonce, message)).await) });
        }
    }
    let mut decided = BTreeSet::new();
    for (nonce, result) in tasks.join_all().await {
        match result {
            Ok(_) => assert!(decided.insert(nonce), "slot {nonce} has two payloads"),
            Err(error) => assert_eq!(error.kind(), JournalErrorKind::Equivocation, "{error:?}"),
        }
    }
    assert_eq!(decided.len(), 20);
    assert_eq!(first.journal.verify().await.unwrap(), second.journal.head().await.unwrap());
    assert_eq!(second.journal.slot(guid(7)).await.unwrap().len(), 1);
}

/// The same packet is not looked at twice at the cost of both.
#[tokio::test(flavor = "multi_thread")]
async fn of_two_processes_one_works_on_a_job() {
    let Some(server) = server() else { return };
    let options = database(server);
    let jobs = begun(&options).await.store().jobs;
    let location = Location {
        src_eid: Eid(30101),
        block: BlockRef { number: BlockNumber(1), hash: B256::repeat_byte(1) },
        tx_hash: B256::repeat_byte(2),
        log_index: 0,
    };
    let job = Job::observed(intent(1, "a").attestation.claim, location, UNIX_EPOCH);
    jobs.observe(&job).await.unwrap();
    let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
    let claim = async |holder, now| jobs.claim(job.id, holder, at(now), Duration::from_secs(60)).await.unwrap();
    let mut mine = claim("a", 0).await.expect("nobody has it");
    assert!(claim("b", 59).await.is_none(), "a works on it");
    assert!(claim("a", 59).await.is_some(), "and may begin again");
    jobs.save(&mut mine).await.unwrap();
    assert!(claim("b", 60).await.is_some(), "what was saved is free");
    assert!(claim("a", 119).await.is_none());
    assert!(claim("a", 120).await.is_some(), "b does not come back");
    let unknown = intent(2, "a").attestation.claim.job_id();
    assert!(jobs.claim(unknown, "a", at(0), Duration::from_secs(60)).await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_that_start_at_once_make_one_schema() {
    let Some(server) = server() else { return };
    let options = database(server);
    let mut tasks = JoinSet::new();
    for _ in 0..4 {
        let options = options.clone();
        tasks.spawn(async move { Postgres::open(&options).await });
    }
    for opened in tasks.join_all().await {
        opened.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_or_of_another_release_is_said() {
    let Some(server) = server() else { return };
    let options = database(server);
    assert!(matches!(Postgres::open_existing(&options).await, Err(OpenError::Absent { .. })));
    assert!(matches!(Postgres::open_read_only(&options).await, Err(OpenError::Absent { .. })));
    let store = begun(&options).await.store();
    let beside = Postgres::open_read_only(&options).await.unwrap().store();
    assert_eq!(beside.journal.verify().await.unwrap().rows, 0);
    assert!(beside.journal.intend(&intent(1, "a")).await.is_err(), "it was opened to look at");
    drop(store);
    let pool = raw(server, &options).await;
    sqlx::query(
        "UPDATE _sqlx_migrations SET version = 9000 WHERE version = (SELECT max(version) FROM _sqlx_migrations)",
    )
    .execute(&pool)
    .await
    .unwrap();
    assert!(matches!(Postgres::open(&options).await, Err(OpenError::Newer { found: 9000, .. })));
    let mut wrong = options.clone();
    wrong.password = Some("wrong".to_owned().into());
    let refused = Postgres::open(&wrong).await.unwrap_err();
    assert!(!format!("{wrong:?}{refused:?}").contains(server.password()), "no secret is printed");
}

/// Whoever owns the tables can switch their triggers off; the chain shows what was done then.
#[tokio::test(flavor = "multi_thread")]
async fn rows_are_guarded_and_what_is_edited_all_the_same_shows() {
    let Some(server) = server() else { return };
    let options = database(server);
    let store = begun(&options).await.store();
    for nonce in 1..=3 {
        store.journal.intend(&intent(nonce, "a")).await.unwrap();
    }
    let pool = raw(server, &options).await;
    for refused in [
        "UPDATE journal SET confirmations = '00000000000000000001' WHERE sequence = 2",
        "DELETE FROM journal WHERE sequence = 3",
        "TRUNCATE journal",
        "UPDATE journal_slots SET payload_hash = decode(repeat('07', 32), 'hex')",
        "DELETE FROM journal_identity",
    ] {
        assert!(sqlx::query(refused).execute(&pool).await.is_err(), "{refused}");
    }
    for sql in [
        "ALTER TABLE journal DISABLE TRIGGER USER",
        "UPDATE journal SET confirmations = '00000000000000000001' WHERE sequence = 2",
    ] {
        sqlx::query(sql).execute(&pool).await.unwrap();
    }
    let tampered = store.journal.verify().await.unwrap_err();
    assert_eq!(tampered.kind(), JournalErrorKind::Tampered);
    assert!(tampered.to_string().contains("row 2"), "{tampered}");
}

/// Whoever stands between is not taken for the server.
#[tokio::test(flavor = "multi_thread")]
async fn tls_is_to_a_server_that_the_authority_knows() {
    if !Server::is_there("a server with TLS") {
        return;
    }
    let server = Server::builder().tls().start().unwrap();
    let mut options = database(&server);
    for tls in [PostgresTls::Require, PostgresTls::VerifyCa, PostgresTls::VerifyFull] {
        options.tls = tls;
        options.ca = server.ca().map(Into::into);
        let opened = Postgres::open(&options).await;
        assert!(opened.is_ok(), "{tls:?}: {opened:?}");
        options.ca = None;
        let stranger = Postgres::open(&options).await;
        assert_eq!(stranger.is_ok(), tls == PostgresTls::Require, "{tls:?}: the web's authorities do not know it");
    }
    if let Some(plain) = super::server() {
        let mut options = database(plain);
        options.tls = PostgresTls::Require;
        assert!(Postgres::open(&options).await.is_err(), "one without TLS is not spoken to");
    }
}
