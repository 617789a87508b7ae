//! Servers that forget what they promised, or may have.

use std::{
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
    time::Duration,
};

use dvn_core::{
    alloy_primitives::Bytes,
    error::JournalErrorKind,
    ids::{BlockNumber, BlockRef, Confirmations, Eid},
    job::{Job, Location},
    ports::{Clock as _, SystemClock},
};
use dvn_store::{OpenError, Postgres, PostgresOptions};
use dvn_testkit::postgres::Postgres as Server;

use super::{begun, database, options, raw};
use crate::fixture::{guid, intent};

fn own_server() -> Option<Server> {
    Server::is_there("forgetful servers").then(|| Server::start().unwrap())
}

/// T27 on PostgreSQL: what does not wait for the disk keeps no journal.
#[tokio::test(flavor = "multi_thread")]
async fn t27_a_server_that_does_not_wait_for_the_disk_is_refused() {
    if !Server::is_there("unsafe servers") {
        return;
    }
    for setting in ["fsync", "synchronous_commit", "full_page_writes"] {
        let server = Server::builder().setting("fsync", "on").setting(setting, "off").start().unwrap();
        match Postgres::open(&database(&server)).await {
            Err(OpenError::Unsafe { problem }) => assert!(problem.contains(&format!("{setting} = off")), "{problem}"),
            other => panic!("{setting}: {other:?}"),
        }
    }
}

/// One that is weakened while it is used is noticed by the next connection.
#[tokio::test(flavor = "multi_thread")]
async fn t27_a_server_that_is_weakened_is_refused_from_the_next_connection_on() {
    let Some(server) = own_server() else { return };
    let options = database(&server);
    let store = begun(&options).await.store();
    store.journal.intend(&intent(1, "a")).await.unwrap();
    server.sql("postgres", "ALTER SYSTEM SET synchronous_commit = off").unwrap();
    server.restart().unwrap();
    let mut refused = String::new();
    for _ in 0..3 {
        refused = format!("{:?}", store.journal.intend(&intent(2, "a")).await.unwrap_err());
    }
    assert!(refused.contains("synchronous_commit = off"), "{refused}");
    server.sql("postgres", "ALTER SYSTEM RESET synchronous_commit").unwrap();
    server.restart().unwrap();
    until_intended(&store, 2).await;
}

async fn until_intended(store: &dvn_core::ports::Store, nonce: u64) {
    for _ in 0..100 {
        if store.journal.intend(&intent(nonce, "a")).await.is_ok() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    unreachable!("it never worked again");
}

/// T27: a power loss of the server between the promise and the device.
#[tokio::test(flavor = "multi_thread")]
async fn t27_what_was_promised_is_there_after_a_crash_of_the_server() {
    let Some(server) = own_server() else { return };
    let store = begun(&database(&server)).await.store();
    let mut promised = 0;
    for round in 1..=3_u64 {
        for nonce in round * 10..round * 10 + 5 {
            promised = store.journal.intend(&intent(nonce, "a")).await.unwrap().rows;
        }
        server.stop_immediately().unwrap();
        server.start_again().unwrap();
        until_intended(&store, round * 10 + 5).await;
        let head = store.journal.verify().await.unwrap();
        assert!(head.rows > promised, "{} rows, {promised} were promised", head.rows);
        let other = store.journal.intend(&intent(round * 10, "b")).await.unwrap_err();
        assert_eq!(other.kind(), JournalErrorKind::Equivocation, "{other:?}");
    }
}

const VARIABLES: [&str; 4] = ["DVN_PG_TEST_HOST", "DVN_PG_TEST_PORT", "DVN_PG_TEST_DATABASE", "DVN_PG_TEST_PASSWORD"];
const INTENDED: &str = "intended ";

/// The process to be killed, when the test below starts it: says every nonce once its intent is durable.
#[tokio::test]
async fn signs_without_end_on_a_server() {
    let Some(values) = VARIABLES.iter().map(|name| std::env::var(name).ok()).collect::<Option<Vec<_>>>() else {
        return;
    };
    let mut options = PostgresOptions::new(&values[0], &values[2], dvn_testkit::postgres::USER);
    options.port = values[1].parse().unwrap();
    options.password = Some(values[3].clone().into());
    options.tls = dvn_store::PostgresTls::Disable;
    let store = Postgres::open(&options).await.unwrap().store();
    for nonce in 1.. {
        let Ok(head) = store.journal.intend(&intent(nonce, "a")).await else { continue };
        println!("\n{INTENDED}{nonce}");
        let _ = store.journal.signed(head.rows, &Bytes::from(vec![1; 65])).await;
    }
}

/// T22 on PostgreSQL.
#[tokio::test(flavor = "multi_thread")]
async fn t22_an_intent_survives_the_process() {
    let Some(server) = super::server() else { return };
    let options = database(server);
    let store = begun(&options).await.store();
    let values =
        [options.host.clone(), options.port.to_string(), options.database.clone(), server.password().to_owned()];
    let mut least = 0;
    for round in 1..=3_u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "postgres::forgetful::signs_without_end_on_a_server", "--nocapture"])
            .envs(VARIABLES.into_iter().zip(&values))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let last = lines
            .filter_map(|line| line.strip_prefix(INTENDED).map(|nonce| nonce.parse::<u64>().unwrap()))
            .find(|nonce| *nonce >= 20 * round)
            .unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        let rows = store.journal.verify().await.unwrap().rows;
        assert!(rows >= least + last, "{rows} rows, {last} more than {least} were promised");
        least = rows;
        for nonce in 1..=last {
            let other = store.journal.intend(&intent(nonce, "b")).await.unwrap_err();
            assert_eq!(other.kind(), JournalErrorKind::Equivocation);
        }
        assert!(!store.journal.slot(guid(last)).await.unwrap().is_empty());
    }
}

/// As after a failover to a standby that lacked the newest rows.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_lost_rows_signs_nothing_any_more() {
    let Some(server) = own_server() else { return };
    let options = database(&server);
    let store = begun(&options).await.store();
    for nonce in 1..=3 {
        store.journal.intend(&intent(nonce, "a")).await.unwrap();
    }
    let pool = raw(&server, &options).await;
    for sql in [
        "ALTER TABLE journal DISABLE TRIGGER USER",
        "DELETE FROM journal WHERE sequence = 3",
        "ALTER TABLE journal ENABLE TRIGGER USER",
    ] {
        sqlx::query(sql).execute(&pool).await.unwrap();
    }
    drop(pool);
    server.restart().unwrap();
    let mut refused = store.journal.intend(&intent(4, "a")).await.unwrap_err();
    for _ in 0..20 {
        if refused.kind() == JournalErrorKind::Tampered {
            break;
        }
        refused = store.journal.intend(&intent(4, "a")).await.unwrap_err();
    }
    assert_eq!(refused.kind(), JournalErrorKind::Tampered, "{refused:?}");
    assert!(refused.to_string().contains("lost rows"), "{refused}");
    // What else there is to remember is remembered.
    store.cursors.advance(Eid(1), BlockNumber(7)).await.unwrap();
}

/// As after a failover to a standby that had every row that anybody here saw.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_on_another_timeline_is_quarantined_for_the_longest_life_of_a_signature() {
    let Some(server) = super::server() else { return };
    let mut options = database(server);
    options.longest_life = Duration::from_secs(1_000);
    let store = begun(&options).await.store();
    assert_eq!(store.journal.state().await.unwrap().quarantine, None, "the first timeline is as good as any");
    drop(Postgres::open(&options).await.unwrap());
    assert_eq!(store.journal.state().await.unwrap().quarantine, None, "and so it is the second time");
    let pool = raw(server, &options).await;
    sqlx::query("UPDATE journal_identity SET timeline = '0000002A'").execute(&pool).await.unwrap();
    let before = SystemClock::new().now();
    drop(Postgres::open(&options).await.unwrap());
    let quarantine = store.journal.state().await.unwrap().quarantine.expect("signing rests");
    assert!(quarantine.until >= before + Duration::from_secs(990), "{quarantine:?}");
    assert!(quarantine.reason.contains("timeline 00000001"), "{}", quarantine.reason);
    drop(Postgres::open(&options).await.unwrap());
    assert_eq!(store.journal.state().await.unwrap().quarantine, Some(quarantine), "once for each change");
}

/// Nothing waits for longer than its deadline on a server that does not answer, and all works again once it does.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_does_not_answer_is_an_error_and_no_stop() {
    let Some(server) = own_server() else { return };
    let mut options = options(&server, "silent");
    server.create_database("silent").unwrap();
    options.timeout = Duration::from_secs(1);
    let store = begun(&options).await.store();
    store.journal.intend(&intent(1, "a")).await.unwrap();
    server.pause().unwrap();
    let mut calls = tokio::task::JoinSet::new();
    for nonce in 2..12 {
        let journal = store.journal.clone();
        calls.spawn(async move { journal.intend(&intent(nonce, "a")).await });
    }
    let all = tokio::time::timeout(Duration::from_secs(30), calls.join_all()).await.expect("each has a deadline");
    assert!(all.iter().all(Result::is_err), "nothing was promised");
    server.resume().unwrap();
    until_intended(&store, 20).await;
    store.journal.verify().await.unwrap();
}

/// What somebody with all rights does, on the database itself.
fn cut(server: &Server, database: &str, sql: &str) {
    server.sql(database, &format!("SET session_replication_role = replica; {sql}")).unwrap();
}

/// Slot 3 was signed for "a", and the database has forgotten it, under a connection that stands.
#[tokio::test(flavor = "multi_thread")]
async fn a_loss_shows_on_a_connection_that_stands() {
    let Some(server) = super::server() else { return };
    let options = database(server);
    let store = begun(&options).await.store();
    for nonce in 1..=3 {
        store.journal.intend(&intent(nonce, "a")).await.unwrap();
    }
    let slots = "DELETE FROM journal_slots WHERE guid NOT IN (SELECT guid FROM journal)";
    cut(server, &options.database, &format!("DELETE FROM journal WHERE sequence = 3; {slots}"));
    let refused = store.journal.intend(&intent(3, "b")).await.unwrap_err();
    assert_eq!(refused.kind(), JournalErrorKind::Tampered, "{refused:?}");
}

/// The caller asked for the quarantine before; the connection that the intent gets begins it.
#[tokio::test(flavor = "multi_thread")]
async fn the_intent_that_finds_a_failover_is_refused() {
    let Some(server) = own_server() else { return };
    let options = database(&server);
    let store = begun(&options).await.store();
    store.journal.intend(&intent(1, "a")).await.unwrap();
    cut(&server, &options.database, "UPDATE journal_identity SET timeline = '0000000F'");
    server.restart().unwrap();
    let mut refused = store.journal.intend(&intent(2, "a")).await.expect_err("a failover stops signing");
    for _ in 0..20 {
        if refused.to_string().contains("quarantined") {
            break;
        }
        refused = store.journal.intend(&intent(2, "a")).await.expect_err("a failover stops signing");
    }
    assert!(refused.to_string().contains("quarantined"), "{refused}");
    assert!(store.journal.state().await.unwrap().quarantine.is_some());
    let mut taken_back = intent(1, "a");
    taken_back.attestation.confirmations = Confirmations(0);
    store.journal.intend(&taken_back).await.expect("taking back is not signing");
}

/// PostgreSQL's text has no NUL, which an RPC node's error may have.
#[tokio::test(flavor = "multi_thread")]
async fn a_nul_from_outside_stops_no_job() {
    let Some(server) = super::server() else { return };
    let store = begun(&database(server)).await.store();
    let claim = intent(1, "a").attestation.claim;
    let block = BlockRef { number: BlockNumber(1), hash: claim.payload_hash.0 };
    let location = Location { src_eid: claim.header.src_eid, block, tx_hash: claim.payload_hash.0, log_index: 0 };
    let mut job = Job::observed(claim, location, std::time::UNIX_EPOCH);
    store.jobs.observe(&job).await.unwrap();
    job.last_error = Some("bad\0answer".to_owned());
    store.jobs.save(&mut job).await.unwrap();
    let kept = store.jobs.load(job.id).await.unwrap().unwrap();
    assert_eq!(kept.last_error.as_deref(), Some("bad\u{fffd}answer"));
}
