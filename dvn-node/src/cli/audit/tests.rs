//! Commands on a real store, and checks that know the documented bytes alone.

mod checker;
mod pruning;

use std::{
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use dvn_core::{
    ids::{BlockNumber, BlockRef, Eid, Guid, Nonce, PayloadHash},
    job::{Job, Location},
    packet::{Claim, Header},
    ports::{AuditEntry, Store},
};
use dvn_store::Sqlite;
use serde_json::Value;
use sqlx::{AssertSqlSafe, SqlitePool, sqlite::SqliteConnectOptions};

use super::*;
use crate::{
    audit_head::KeptHead,
    cli::{
        Exit,
        tests::{DEV, FakeEnv},
    },
};

const SENDER: B256 = B256::with_last_byte(0x51);

#[derive(Debug)]
struct At(SystemTime);

impl Clock for At {
    fn now(&self) -> SystemTime {
        self.0
    }
}

/// Days after a moment of 2023.
fn day(days: u64) -> SystemTime {
    let seconds = days.checked_mul(86_400).and_then(|it| it.checked_add(1_700_000_000)).unwrap();
    UNIX_EPOCH.checked_add(Duration::from_secs(seconds)).unwrap()
}

fn claim(nonce: u64) -> Claim {
    let (receiver, sender) = (B256::with_last_byte(2), SENDER);
    let header = Header { nonce: Nonce(nonce), src_eid: Eid(40001), sender, dst_eid: Eid(40002), receiver };
    Claim { header, payload_hash: PayloadHash(B256::repeat_byte(0xaa)) }
}

fn entry(days: u64, guid: Option<Guid>, action: &str) -> AuditEntry {
    AuditEntry {
        at: day(days).checked_add(Duration::from_micros(7)).unwrap(),
        actor: "verifier".to_owned(),
        action: action.to_owned(),
        guid,
        evidence: (action == "verified").then(|| B256::repeat_byte(0xe1)),
        detail: "{\"why\": \"it's so: \\u00e9 \u{e9}\"}".to_owned(),
    }
}

/// A node's folder with a log of six rows, one a day, of which four are of one packet.
struct Place {
    dir: tempfile::TempDir,
    config: Config,
    store: Store,
}

impl Place {
    async fn set() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut config = Config::parse(DEV, &FakeEnv).unwrap();
        config.service.data_dir = dir.path().to_owned();
        config.service.audit_head_file = dir.path().join("elsewhere.head");
        let store = Sqlite::open(dir.path()).await.unwrap().store();
        let block = BlockRef { number: BlockNumber(90), hash: B256::repeat_byte(0xb0) };
        let location = Location { src_eid: Eid(40001), block, tx_hash: B256::repeat_byte(0xcc), log_index: 3 };
        store.jobs.observe(&Job::observed(claim(1), location, day(1))).await.unwrap();
        let guid = Some(claim(1).header.guid());
        for (days, guid, action) in [
            (1, guid, "observed"),
            (2, None, "halt"),
            (3, guid, "waiting"),
            (4, Some(claim(2).header.guid()), "verified"),
            (5, guid, "verified"),
            (6, guid, "committed"),
        ] {
            store.audit.append(&[entry(days, guid, action)]).await.unwrap();
        }
        Self { dir, config, store }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    async fn keep_head(&self) {
        let head = self.store.audit.head().await.unwrap();
        KeptHead::new(head, day(7)).write(&self.config.service.audit_head_file).unwrap();
    }

    /// The command's words as they are typed, on day 7.
    async fn run(&self, words: &[&str]) -> (String, Result<(), CliError>) {
        #[derive(clap::Parser)]
        struct Words {
            #[command(subcommand)]
            command: AuditCommand,
        }
        let words = std::iter::once("audit").chain(words.iter().copied());
        let command = <Words as clap::Parser>::try_parse_from(words).unwrap().command;
        let mut out = Vec::new();
        let result = obey(command, &self.config, &At(day(7)), &mut out).await;
        (String::from_utf8(out).unwrap(), result)
    }

    async fn done(&self, words: &[&str]) -> String {
        let (out, result) = self.run(words).await;
        result.unwrap();
        out
    }

    /// What a command that is refused for safety says.
    async fn refused(&self, words: &[&str]) -> String {
        let (out, result) = self.run(words).await;
        let error = result.unwrap_err();
        assert_eq!(error.exit(), Exit::Refused, "{error}");
        format!("{out}{error}")
    }

    /// Somebody with a database client, who removes every refusal first.
    async fn tamper(&self, sql: &str) {
        let options = SqliteConnectOptions::new().filename(self.path("dvn.db"));
        let pool = SqlitePool::connect_with(options).await.unwrap();
        let triggers = "SELECT name FROM sqlite_schema WHERE type = 'trigger'";
        for name in sqlx::query_scalar::<_, String>(triggers).fetch_all(&pool).await.unwrap() {
            sqlx::query(AssertSqlSafe(format!("DROP TRIGGER {name}"))).execute(&pool).await.unwrap();
        }
        sqlx::query(AssertSqlSafe(sql.to_owned())).execute(&pool).await.unwrap();
        pool.close().await;
    }
}

#[tokio::test]
async fn an_intact_log_is_told_with_its_head() {
    let place = Place::set().await;
    let head = place.store.audit.head().await.unwrap();
    let told = place.done(&["verify"]).await;
    assert!(told.starts_with("rows        6\n") && told.ends_with("\nintact\n"), "{told}");
    assert!(told.contains("kept        none in") && told.contains(&head.hash.to_string()), "{told}");
    place.keep_head().await;
    place.store.audit.append(&[entry(7, None, "halt")]).await.unwrap();
    let told: Value = serde_json::from_str(&place.done(&["verify", "--json"]).await).unwrap();
    assert_eq!((&told["intact"], &told["rows"], &told["kept"]["rows"]), (&true.into(), &7.into(), &6.into()));
    assert_eq!(told["kept"]["head"], head.hash.to_string());
    assert!(told["metric"].as_u64().unwrap() < 1 << 48);
}

/// Each way to rewrite the log is found, with the row, by the command and by its exit code.
#[tokio::test]
async fn a_log_that_was_tampered_with_is_refused_with_the_row() {
    let swapped = "UPDATE audit SET sequence = 99 WHERE sequence = 2; UPDATE audit SET sequence = 2 WHERE sequence = 3;
                   UPDATE audit SET sequence = 3 WHERE sequence = 99";
    let inserted = "UPDATE audit SET sequence = -sequence WHERE sequence >= 3; UPDATE audit SET sequence = 1 - sequence
                    WHERE sequence < 0; INSERT INTO audit SELECT 3, at, actor, action, guid, detail, prev_hash, row_hash, evidence
                    FROM audit WHERE sequence = 2";
    for (sql, words) in [
        ("UPDATE audit SET detail = '{}' WHERE sequence = 5", "breaks at row 5"),
        ("UPDATE audit SET evidence = NULL WHERE sequence = 4", "breaks at row 4"),
        ("DELETE FROM audit WHERE sequence = 2", "breaks at row 2"),
        (inserted, "breaks at row 3"),
        (swapped, "breaks at row 2"),
        ("DELETE FROM audit WHERE sequence > 4", "rows from 5 on were cut off"),
        ("DELETE FROM audit", "rows from 1 on were cut off"),
    ] {
        let place = Place::set().await;
        place.keep_head().await;
        place.tamper(sql).await;
        let told = place.refused(&["verify"]).await;
        assert!(told.contains(words) && told.contains("NOT INTACT"), "{sql}: {told}");
        let (json, _) = place.run(&["verify", "--json"]).await;
        let told: Value = serde_json::from_str(&json).unwrap();
        assert_eq!(told["intact"], false, "{sql}");
        assert!(told["problem"].as_str().unwrap().contains(words), "{sql}: {told}");
    }
}

/// A log that was made anew, with every hash computed again, is a valid chain; only the head that was kept elsewhere knows better.
#[tokio::test]
async fn a_log_that_was_written_anew_shows_against_the_kept_head() {
    let place = Place::set().await;
    place.keep_head().await;
    place.tamper("DELETE FROM audit").await;
    for days in 1..=8 {
        place.store.audit.append(&[entry(days, None, "observed")]).await.unwrap();
    }
    let told = place.refused(&["verify"]).await;
    assert!(told.contains("written anew: row 6 is not the one"), "{told}");
    std::fs::write(&place.config.service.audit_head_file, "x").unwrap();
    let told = place.refused(&["verify"]).await;
    assert!(told.contains("cannot be read"), "{told}");
    let other = place.path("other.head");
    KeptHead::new(place.store.audit.head().await.unwrap(), day(8)).write(&other).unwrap();
    place.done(&["verify", "--head", other.to_str().unwrap()]).await;
}

#[tokio::test]
async fn people_ask_by_application_and_time() {
    let place = Place::set().await;
    let actions = |told: &str| -> Vec<String> {
        let told: Value = serde_json::from_str(told).unwrap();
        let rows = told["rows"].as_array().unwrap();
        rows.iter().map(|row| row["action"].as_str().unwrap().to_owned()).collect()
    };
    let address = "0x0000000000000000000000000000000000000051";
    let told = place.done(&["query", "--oapp", address, "--since", "30d", "--json"]).await;
    assert_eq!(actions(&told), ["observed", "waiting", "verified", "committed"]);
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(told["rows"][2]["evidence"], B256::repeat_byte(0xe1).to_string());
    assert_eq!((&told["rows"][0]["sequence"], &told["next_after"]), (&1.into(), &Value::Null));
    let receiver = B256::with_last_byte(2).to_string();
    let told = place.done(&["query", "--oapp", &receiver, "--since", "4d", "--until", "36h", "--json"]).await;
    assert_eq!(actions(&told), ["waiting", "verified"]);
    let told = place.done(&["query", "--action", "halt", "--since", "2023-11-16", "--json"]).await;
    assert_eq!(actions(&told), ["halt"]);
    let told = place.done(&["query", "--since", "30d", "--limit", "2"]).await;
    assert!(told.contains("2023-11-15T22:13:20Z  verifier   observed") && told.ends_with("add --after 2\n"), "{told}");
    assert_eq!(place.done(&["query", "--oapp", &B256::ZERO.to_string(), "--since", "30d"]).await, "no rows\n");
    assert!(query::oapp("0x51").unwrap_err().contains("40 hex digits"));
}

fn lines(path: &Path) -> Vec<Value> {
    std::fs::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}
