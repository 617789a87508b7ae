//! Every command about the journal, on files, as an operator gives it.

use std::{
    fs,
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

use alloy_primitives::{Address, Bytes, hex};
use dvn_core::{
    attestation::Attestation,
    hashchain,
    ids::{BlockNumber, BlockRef, ChainTime, Confirmations, Eid, Nonce, PayloadHash, Vid},
    job::{Job, Location, Move, State, Wake},
    packet::{Claim, Header},
    ports::{Intent, JournalHead, Purpose, Store},
};
use serde_json::Value;

use dvn_store::Sqlite;

use super::*;
use crate::cli::{
    Exit,
    tests::{DEV, FakeEnv, command, folder},
};

const INIT: [&str; 5] = ["journal", "init", "--key-is-new", "--reason", "first start"];
const ACCEPT: [&str; 5] = ["journal", "init", "--accept-loss", "--reason", "the disk died"];

/// A node's folder, whose mirror is beside its data.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        let folder = folder(DEV);
        let place = Self(folder);
        place.mirror_at("journal.head");
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn mirror_at(&self, name: &str) {
        let file = self.path("config.yaml");
        let text = fs::read_to_string(&file).unwrap();
        let others = text.lines().filter(|line| !line.starts_with("signing:")).map(|line| format!("{line}\n"));
        let signing = format!("signing: {{ journal_mirror: \"{}\" }}\n", self.path(name).display());
        fs::write(file, others.chain([signing]).collect::<String>()).unwrap();
    }

    async fn run(&self, line: &[&str]) -> (Exit, String, String) {
        command(self.0.path(), line).await
    }

    async fn refused(&self, line: &[&str], words: &[&str]) {
        let (exit, out, err) = self.run(line).await;
        assert_eq!(exit, Exit::Refused, "{line:?}: {out}{err}");
        for word in words {
            assert!(err.contains(word), "{word:?} is not in {err}");
        }
    }

    async fn done(&self, line: &[&str]) -> String {
        let (exit, out, err) = self.run(line).await;
        assert_eq!(exit, Exit::Done, "{line:?}: {out}{err}");
        out
    }

    /// Journals as a node does: with its mirror.
    async fn journal(&self, intents: &[Intent]) -> JournalHead {
        let (sqlite, store) = run::open_journal(&self.config()).await.unwrap();
        for intent in intents {
            let head = store.journal.intend(intent).await.unwrap();
            store.journal.signed(head.rows, &Bytes::from(vec![7; 65])).await.unwrap();
        }
        let head = store.journal.verify().await.unwrap();
        sqlite.close().await;
        head
    }

    fn copy(&self, from: &str, to: &str) {
        fs::create_dir_all(self.path(to)).unwrap();
        for entry in fs::read_dir(self.path(from)).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), self.path(to).join(entry.file_name())).unwrap();
        }
    }

    async fn store(&self) -> Store {
        Sqlite::open_read_only(self.path("data")).await.unwrap().store()
    }

    /// What the audit log has for actions that are no packet's.
    async fn audited(&self) -> Vec<(String, String)> {
        let pool = database(&self.path("data/dvn.db")).await;
        let rows = sqlx::query_as("SELECT action, detail FROM audit ORDER BY sequence").fetch_all(&pool).await.unwrap();
        pool.close().await;
        rows
    }

    /// Changes the database as its administrator can.
    async fn edit(&self, sql: &'static str) {
        let pool = database(&self.path("data/dvn.db")).await;
        let triggers: Vec<(String,)> =
            sqlx::query_as("SELECT name FROM sqlite_schema WHERE type = 'trigger'").fetch_all(&pool).await.unwrap();
        for (name,) in triggers {
            sqlx::query(sqlx::AssertSqlSafe(format!("DROP TRIGGER {name}"))).execute(&pool).await.unwrap();
        }
        assert!(sqlx::query(sql).execute(&pool).await.unwrap().rows_affected() > 0);
        pool.close().await;
    }

    /// What a node says that does not start, before it opens any key.
    async fn start_refused(&self, words: &[&str]) {
        let error = run::open_journal(&self.config()).await.map(|_| ()).unwrap_err();
        assert_eq!(error.exit(), Exit::Refused, "{error}");
        for word in words {
            assert!(error.to_string().contains(word), "{word:?} is not in {error}");
        }
    }

    fn config(&self) -> Config {
        Config::load(&self.path("config.yaml"), &FakeEnv).unwrap()
    }
}

async fn database(file: &Path) -> sqlx::SqlitePool {
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(file).foreign_keys(false);
    sqlx::sqlite::SqlitePoolOptions::new().max_connections(1).connect_with(options).await.unwrap()
}

fn intent(nonce: u64, payload: u8) -> Intent {
    let (sender, receiver) = (B256::repeat_byte(1), B256::repeat_byte(2));
    let header = Header { nonce: Nonce(nonce), src_eid: Eid(40001), sender, dst_eid: Eid(40002), receiver };
    Intent {
        purpose: Purpose::Sign,
        attestation: Attestation {
            claim: Claim { header, payload_hash: PayloadHash(B256::repeat_byte(payload)) },
            confirmations: Confirmations(15),
            expiration: ChainTime(1_700_000_900),
            vid: Vid(2),
            target: Address::repeat_byte(3),
        },
        signer: Address::repeat_byte(4),
        source_block: B256::repeat_byte(5),
        evidence: B256::repeat_byte(6),
        now: ChainTime(1_700_000_000),
        at: UNIX_EPOCH.checked_add(Duration::from_micros(1_700_000_000_123_456)).unwrap(),
    }
}

fn retraction(nonce: u64, payload: u8) -> Intent {
    let mut intent = intent(nonce, payload);
    intent.attestation.confirmations = Confirmations(0);
    intent
}

#[tokio::test]
async fn t24_a_node_without_a_journal_does_not_start() {
    let place = Place::new();
    for _ in 0..2 {
        place.start_refused(&["there is no journal", "dvn-node --config FILE journal init"]).await;
        assert!(!place.path("data").exists(), "a refused start makes nothing");
    }
    place.done(&INIT).await;
    place.journal(&[intent(1, 1)]).await;
    for gone in ["data/dvn.db", "data"] {
        let _ = fs::remove_file(place.path(gone)).or_else(|_| fs::remove_dir_all(place.path(gone)));
        place.start_refused(&["there is no journal", "knows one of 1 rows", "--accept-loss"]).await;
    }
}

#[tokio::test]
async fn a_new_key_signs_at_once_and_any_other_one_after_the_longest_expiration() {
    let place = Place::new();
    let out = place.done(&INIT).await;
    assert!(out.contains("signs    at once"), "{out}");
    let state = place.store().await.journal.state().await.unwrap();
    assert!(out.contains(&state.id.to_string()) && state.quarantine.is_none());
    assert_eq!(state.mirror, Some(place.path("journal.head").display().to_string()));
    place.refused(&INIT, &["there is a journal of 0 rows already"]).await;
    place.refused(&ACCEPT, &["there is a journal of 0 rows already"]).await;

    let other = Place::new();
    let before = dvn_core::ports::SystemClock::new().now();
    let out = other.done(&["journal", "init", "--reason", "moved from another host"]).await;
    assert!(out.contains("signs    from 2"), "{out}");
    let quarantine = other.store().await.journal.state().await.unwrap().quarantine.unwrap();
    assert_eq!(quarantine.reason, "moved from another host");
    let length = quarantine.until.duration_since(before).unwrap();
    let least = dvn_core::longest_life(Duration::from_secs(900));
    assert!(length >= least.saturating_sub(Duration::from_millis(1)) && length < least * 2, "{length:?}");
    let out = other.done(&["journal", "verify"]).await;
    assert!(out.contains("quarantine  until 2") && out.ends_with("intact\n"), "{out}");

    let third = Place::new();
    third.done(&["journal", "init", "--quarantine", "1day", "--reason", "expiration was longer once"]).await;
    let quarantine = third.store().await.journal.state().await.unwrap().quarantine.unwrap();
    assert!(quarantine.until.duration_since(before).unwrap() > Duration::from_secs(86_000));
}

#[tokio::test]
async fn t23_a_restored_folder_starts_only_by_an_operators_word_and_in_quarantine() {
    let place = Place::new();
    place.done(&INIT).await;
    place.journal(&(1..=10).map(|nonce| intent(nonce, 1)).collect::<Vec<_>>()).await;
    place.copy("data", "yesterday");
    place.journal(&(11..=50).map(|nonce| intent(nonce, 1)).collect::<Vec<_>>()).await;
    fs::remove_dir_all(place.path("data")).unwrap();
    place.copy("yesterday", "data");
    let found = "it has 10 rows, and had 50";
    place.start_refused(&["journal is not intact", found, "journal init --accept-loss"]).await;
    place.refused(&["journal", "verify"], &[found]).await;
    place.refused(&["journal", "mirror", "--reason", "x"], &[found]).await;
    place.refused(&INIT, &["has 10 rows, and had 50", "--key-is-new is not true here"]).await;
    place.refused(&["journal", "init", "--reason", "x"], &["say so with --accept-loss"]).await;
    let id = place.store().await.journal.state().await.unwrap().id;

    let out = place.done(&ACCEPT).await;
    assert!(out.contains("The 10 rows that are there stay") && out.contains("signs    from"), "{out}");
    let store = place.store().await;
    let state = store.journal.state().await.unwrap();
    assert_ne!(state.id, id, "peers see that it is another one");
    assert_eq!(state.quarantine.unwrap().reason, "the disk died");
    assert_eq!(store.journal.verify().await.unwrap().rows, 10);
    place.done(&["journal", "verify"]).await;
    place.journal(&[intent(11, 1)]).await;
}

#[tokio::test]
async fn t26_an_edited_row_is_named_and_no_flag_makes_it_good() {
    let place = Place::new();
    place.done(&INIT).await;
    place.journal(&(1..=5).map(|nonce| intent(nonce, 1)).collect::<Vec<_>>()).await;
    place.edit("UPDATE journal SET expiration = '00000000000000000001' WHERE sequence = 2").await;
    let words = ["journal is not intact", "row 2 is not as it was written"];
    place.start_refused(&words).await;
    for line in [&["journal", "verify"][..], &["journal", "mirror", "--reason", "x"], &ACCEPT, &INIT] {
        place.refused(line, &words).await;
    }
    // What is whole comes over.
    let file = place.path("export.json").display().to_string();
    place.refused(&["journal", "export", &file], &["row 2 is not as it was written"]).await;
    let new = Place::new();
    new.done(&["journal", "init", "--reason", "edited rows"]).await;
    let out = new.done(&["journal", "import", &file, "--reason", "edited rows"]).await;
    assert!(out.starts_with("imported 1 rows"), "{out}");
}

#[tokio::test]
async fn a_mirror_moves_with_its_configuration_and_only_where_it_fits() {
    let place = Place::new();
    place.done(&INIT).await;
    place.journal(&[intent(1, 1), intent(2, 1)]).await;
    place.mirror_at("elsewhere.head");
    place.start_refused(&["elsewhere.head is gone", "journal mirror --reason"]).await;
    let out = place.done(&["journal", "mirror", "--reason", "another disk"]).await;
    assert!(out.contains("elsewhere.head, 2 rows") && out.contains("remove it"), "{out}");
    place.journal(&[intent(3, 1)]).await;
    fs::remove_file(place.path("journal.head")).unwrap();
    // Nobody knows what a mirror that is gone would say.
    place.mirror_at("third.head");
    fs::remove_file(place.path("elsewhere.head")).unwrap();
    place.refused(&["journal", "mirror", "--reason", "x"], &["third.head is gone", "--accept-loss"]).await;
    place.done(&ACCEPT).await;
    place.journal(&[intent(4, 1)]).await;
    // A file that is no mirror is left alone until the loss is accepted.
    fs::write(place.path("third.head"), "mine\n").unwrap();
    place.start_refused(&["line 1 of the journal's mirror"]).await;
    place.refused(&["journal", "verify"], &["line 1 of the journal's mirror"]).await;
    place.refused(&["journal", "init", "--reason", "x"], &["line 1 of the journal's mirror"]).await;
    assert_eq!(fs::read_to_string(place.path("third.head")).unwrap(), "mine\n");
    place.done(&ACCEPT).await;
    place.journal(&[]).await;
}

#[tokio::test]
async fn what_lowers_protection_needs_the_folder_for_itself() {
    let place = Place::new();
    place.done(&INIT).await;
    place.journal(&[intent(1, 1)]).await;
    let file = place.path("export.json").display().to_string();
    place.done(&["journal", "export", &file]).await;
    let (_sqlite, _store) = run::open_journal(&place.config()).await.unwrap();
    for line in [&ACCEPT[..], &["journal", "mirror", "--reason", "x"], &["journal", "import", &file, "--reason", "x"]] {
        let (exit, _, err) = place.run(line).await;
        assert_eq!(exit, Exit::Failed, "{err}");
        assert!(err.contains("another dvn-node uses this data_dir"), "{err}");
    }
    let json: Value = serde_json::from_str(&place.done(&["journal", "verify", "--json"]).await).unwrap();
    assert_eq!((&json["intact"], &json["rows"], &json["mirror"]["rows"]), (&true.into(), &1.into(), &1.into()));
}

#[tokio::test]
async fn a_slot_that_was_taken_back_is_released_once() {
    let place = Place::new();
    place.done(&INIT).await;
    place.journal(&[intent(1, 1), retraction(1, 1), intent(2, 1)]).await;
    let guid = |nonce| intent(nonce, 1).attestation.claim.header.guid().0.to_string();
    let release = async |nonce| {
        let guid = guid(nonce);
        place.run(&["journal", "release", &guid, "--reason", "the source was right"]).await
    };
    let (exit, out, _) = release(1).await;
    assert_eq!((exit, out), (Exit::Done, format!("released: {} (row 4)\n", guid(1))));
    for (nonce, word) in [(1, "was released since"), (2, "is not taken back"), (3, "was never signed")] {
        let (exit, _, err) = release(nonce).await;
        assert!(exit == Exit::Failed && err.contains(word), "{err}");
    }
    let mut later = intent(1, 1);
    later.now = ChainTime(1_700_000_900);
    place.journal(&[later]).await;
    let audited = place.audited().await;
    let actions: Vec<_> = audited.iter().map(|(action, _)| action.as_str()).collect();
    assert_eq!(actions, ["journal_init", "journal_begun", "journal_release"], "refusals leave no trace");
    assert!(audited[0].1.contains("first start") && audited[2].1.contains("the source was right"), "{audited:?}");
}

/// Also where peers took it back and this node's key had no part in it.
#[tokio::test]
async fn a_packet_that_is_released_is_looked_at_afresh() {
    let place = Place::new();
    place.done(&INIT).await;
    let claim = intent(1, 1).attestation.claim;
    let (sqlite, store) = run::open_journal(&place.config()).await.unwrap();
    let block = BlockRef { number: BlockNumber(7), hash: B256::repeat_byte(7) };
    let location = Location { src_eid: claim.header.src_eid, block, tx_hash: B256::ZERO, log_index: 0 };
    let mut job = Job::observed(claim, location, UNIX_EPOCH);
    store.jobs.observe(&job).await.unwrap();
    for step in [Move::TakeBack, Move::Retract] {
        job.apply(step, Wake::Never).unwrap();
        store.jobs.save(&mut job).await.unwrap();
    }
    sqlite.close().await;
    drop((sqlite, store));
    let guid = claim.header.guid().0.to_string();
    assert_eq!(
        place.done(&["journal", "release", &guid, "--reason", "x"]).await,
        format!("released: {guid} (row 1)\n")
    );
    let (sqlite, store) = run::open_journal(&place.config()).await.unwrap();
    let job = store.jobs.load(job.id).await.unwrap().unwrap();
    assert!(job.state == State::Observed && matches!(job.wake, Wake::At(_)), "{job:?}");
    // The slot keeps its payload.
    assert!(store.journal.intend(&intent(1, 2)).await.is_err());
    store.journal.intend(&intent(1, 1)).await.unwrap();
    sqlite.close().await;
}

#[tokio::test]
async fn an_export_can_be_checked_without_our_code() {
    let place = Place::new();
    place.done(&INIT).await;
    let head = place.journal(&[intent(1, 1), intent(u64::MAX, 2), retraction(1, 1)]).await;
    let guid = intent(1, 1).attestation.claim.header.guid().0.to_string();
    place.done(&["journal", "release", &guid, "--reason", "x"]).await;
    let text = place.done(&["journal", "export"]).await;
    let json: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&json["format"], &json["version"]), (&"dvn-journal".into(), &"1".into()));
    let mut hash = B256::ZERO;
    for row in json["rows"].as_array().unwrap() {
        hash = described_hash(hash, row);
        assert_eq!(row["row_hash"], hash.to_string(), "{row}");
    }
    assert_eq!((&json["head"]["rows"], &json["head"]["hash"]), (&"4".into(), &hash.to_string().into()));
    assert_eq!(json["rows"][2]["row_hash"], head.hash.to_string());
    assert_eq!(json["rows"][1]["nonce"], u64::MAX.to_string());
    assert_eq!(json["rows"][0]["at_micros"], "1700000000123456");
}

/// As docs/journal.md says.
fn described_hash(previous: B256, row: &Value) -> B256 {
    let bytes = |field: &str| hex::decode(row[field].as_str().unwrap()).unwrap();
    let number = |field: &str| row[field].as_str().unwrap().parse::<u64>().unwrap().to_be_bytes().to_vec();
    let small = |field: &str| row[field].as_str().unwrap().parse::<u32>().unwrap().to_be_bytes().to_vec();
    let header =
        [vec![1], number("nonce"), small("src_eid"), bytes("sender"), small("dst_eid"), bytes("receiver")].concat();
    let purpose = row["purpose"].as_str().unwrap();
    let mut fields = vec![
        number("sequence"),
        header,
        bytes("payload_hash"),
        number("confirmations"),
        number("expiration"),
        small("vid"),
        bytes("target"),
        bytes("signer"),
        bytes("source_block"),
        bytes("evidence"),
        number("chain_time"),
        number("at_micros"),
    ];
    if purpose != "sign" {
        fields.push(purpose.as_bytes().to_vec());
    }
    hashchain::link(previous, fields.iter().map(Vec::as_slice))
}

#[tokio::test]
async fn an_import_only_ever_closes_slots() {
    let place = Place::new();
    place.done(&INIT).await;
    place.journal(&[intent(1, 1), intent(1, 1), intent(2, 1), retraction(2, 1), intent(3, 1)]).await;
    let guid = intent(2, 1).attestation.claim.header.guid().0.to_string();
    place.done(&["journal", "release", &guid, "--reason", "x"]).await;
    let file = place.path("export.json").display().to_string();
    place.done(&["journal", "export", &file]).await;
    let (exit, _, err) = place.run(&["journal", "export", &file]).await;
    assert_eq!(exit, Exit::Failed, "a file that is there is not overwritten: {err}");

    let other = Place::new();
    other.done(&["journal", "init", "--reason", "moved"]).await;
    other.journal(&[intent(3, 1), intent(9, 1)]).await;
    let import = ["journal", "import", &file, "--reason", "moved"];
    let out = other.done(&import).await;
    assert!(
        out.contains("imported 3 rows") && out.contains("2 were known") && out.contains("1 rows that released"),
        "{out}"
    );
    let out = other.done(&import).await;
    assert!(out.contains("imported 0 rows") && out.contains("5 were known"), "{out}");
    let store = other.store().await;
    assert_eq!(store.journal.verify().await.unwrap().rows, 5);
    let rows = store.journal.rows(2, 10).await.unwrap();
    assert!(rows.iter().all(|row| row.intent.purpose == Purpose::Recovered && row.signature.is_none()));
    let (_sqlite, store) = run::open_journal(&other.config()).await.unwrap();
    for closed in [intent(1, 2), intent(2, 1), intent(2, 2)] {
        assert!(store.journal.intend(&closed).await.is_err(), "{closed:?}");
    }
}

#[tokio::test]
async fn an_import_that_contradicts_changes_nothing() {
    let place = Place::new();
    place.done(&INIT).await;
    place.journal(&[intent(1, 1), intent(2, 1), intent(3, 1)]).await;
    let file = place.path("export.json").display().to_string();
    place.done(&["journal", "export", &file]).await;
    let other = Place::new();
    other.done(&INIT).await;
    other.journal(&[intent(8, 1), intent(3, 2)]).await;
    let (ours, theirs) = (B256::repeat_byte(2).to_string(), B256::repeat_byte(1).to_string());
    let words =
        [ours.as_str(), theirs.as_str(), "in row 2 of this journal", "in row 3 of the file", "nothing was imported"];
    other.refused(&["journal", "import", &file, "--reason", "x"], &words).await;
    assert_eq!(other.store().await.journal.verify().await.unwrap().rows, 2);

    let good = fs::read_to_string(&file).unwrap();
    for (from, to, problem) in [
        (
            "\"confirmations\":\"15\"",
            "\"confirmations\":\"16\"",
            "row 1 does not follow the one before it, or was edited",
        ),
        ("\"nonce\":\"2\"", "\"nonce\":\"7\"", "row 2: `guid`"),
        ("\"vid\":\"2\"", "\"vid\":\"two\"", "row 1: `vid`"),
        ("\"head\":{\"rows\":\"3\"", "\"head\":{\"rows\":\"2\"", "it has 3 rows, and its `head` is that of 2"),
        ("\"version\":\"1\"", "\"version\":\"2\"", "this release reads"),
        ("\"sequence\":\"3\"", "\"sequence\":\"4\"", "row 3 does not follow"),
        ("\"purpose\":\"sign\"", "\"purpose\":\"sign\",\"x\":\"\"", "unknown field `x`"),
    ] {
        assert!(good.contains(from), "{from} is not in {good}");
        fs::write(&file, good.replacen(from, to, 1)).unwrap();
        other.refused(&["journal", "import", &file, "--reason", "x"], &[problem]).await;
    }
}
