//! The program and its journal: what keeps it from starting, before it touches its key.

use std::{
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::Arc,
    time::Duration,
};

use alloy_primitives::{Address, B256};
use dvn_core::{
    attestation::Attestation,
    ids::{ChainTime, Confirmations, Eid, Nonce, PayloadHash, Vid},
    packet::{Claim, Header},
    ports::{Intent, Purpose},
};
use dvn_store::{Mirrored, Sqlite};
use dvn_testkit::{
    keys,
    pkcs11_shim::{Function, Pkcs11Shim},
    softhsm::SoftHsm,
};
use tempfile::TempDir;

use crate::setup::{Net, Node, PATIENCE, TEMPTATION, text};

const DEV: &str = include_str!("../../testdata/dev.yaml");
const KEY: &str = "0000000000000000000000000000000000000000000000000000000000000001";
const INIT: [&str; 5] = ["journal", "init", "--key-is-new", "--reason", "first start"];

/// A node whose mirror is beside its data, on chains that nobody answers for.
struct Place {
    folder: TempDir,
    environment: Vec<(String, String)>,
}

/// Ends with its test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Place {
    fn new() -> Self {
        let place =
            Self { folder: tempfile::tempdir().unwrap(), environment: vec![("DVN_DEV_KEY".into(), KEY.into())] };
        place.configure("data", |text| text);
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Another folder with the same mirror is another node as far as the system is concerned.
    fn configure(&self, data: &str, change: impl FnOnce(String) -> String) {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let config = DEV.replace("127.0.0.1:8080", &port.to_string());
        let config = config.replace("./data", self.path(data).to_str().unwrap());
        let config =
            change(config) + &format!("signing: {{ journal_mirror: {} }}\n", self.path("journal.head").display());
        std::fs::write(self.path("config.yaml"), config).unwrap();
    }

    fn command(&self, line: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dvn-node"));
        command.current_dir(self.folder.path()).args(line).envs(self.environment.clone());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn obey(&self, line: &[&str]) -> Output {
        self.command(line).output().unwrap()
    }

    fn done(&self, line: &[&str]) {
        let output = self.obey(line);
        assert_eq!(output.status.code(), Some(0), "{line:?}: {}", text(&output.stderr));
    }

    fn refused(&self, line: &[&str], code: i32, words: &[&str]) {
        let output = self.obey(line);
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{line:?}: {told}");
        for word in words {
            assert!(told.contains(word), "{word:?} is not in {told}");
        }
    }

    /// Starts the node and waits until it holds its folder.
    fn start(&self) -> Running {
        let mut command = self.command(&["run"]);
        let running = Running(command.stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap());
        let lock = self.path("data/dvn.lock");
        let is_free = || std::fs::File::options().append(true).open(&lock).unwrap().try_lock().is_ok();
        for _ in 0..200 {
            std::thread::sleep(Duration::from_millis(50));
            if !is_free() {
                return running;
            }
        }
        panic!("the node does not take its folder");
    }

    /// As a node journals.
    async fn journal(&self, nonces: std::ops::RangeInclusive<u64>) {
        let sqlite = Sqlite::open_existing(self.path("data")).await.unwrap();
        let journal = sqlite.store().journal;
        let journal = Arc::new(Mirrored::open(journal, &self.path("journal.head")).await.unwrap());
        for nonce in nonces {
            dvn_core::ports::Journal::intend(&*journal, &intent(nonce)).await.unwrap();
        }
        sqlite.close().await;
    }

    fn copy(&self, from: &str, to: &str) {
        std::fs::create_dir_all(self.path(to)).unwrap();
        for entry in std::fs::read_dir(self.path(from)).unwrap() {
            let entry = entry.unwrap();
            std::fs::copy(entry.path(), self.path(to).join(entry.file_name())).unwrap();
        }
    }
}

fn intent(nonce: u64) -> Intent {
    let (sender, receiver) = (B256::repeat_byte(1), B256::repeat_byte(2));
    let header = Header { nonce: Nonce(nonce), src_eid: Eid(40001), sender, dst_eid: Eid(40002), receiver };
    Intent {
        purpose: Purpose::Sign,
        attestation: Attestation {
            claim: Claim { header, payload_hash: PayloadHash(B256::repeat_byte(3)) },
            confirmations: Confirmations(15),
            expiration: ChainTime(1_700_000_900),
            vid: Vid(2),
            target: Address::repeat_byte(3),
        },
        signer: Address::repeat_byte(4),
        source_block: B256::repeat_byte(5),
        evidence: B256::repeat_byte(6),
        now: ChainTime(1_700_000_000),
        at: std::time::UNIX_EPOCH,
    }
}

/// A place whose attesting key is on a token behind a library that counts.
fn behind_a_shim(test: &str) -> Option<(Place, Pkcs11Shim)> {
    SoftHsm::for_test(test)?;
    let mut place = Place::new();
    let key = keys::signer(0);
    let token = SoftHsm::create(&place.path("hsm"), "s3cret-pin", &[("dvn-signing-key", &key)]).unwrap();
    let shim = Pkcs11Shim::compile(place.path("hsm"), token.path()).unwrap();
    let library = shim.library();
    place.configure("data", |config| {
        let others = config.lines().filter(|line| !line.starts_with("hsm:")).map(|line| format!("{line}\n"));
        let pkcs11 = format!(
            "hsm: {{ provider: pkcs11, pkcs11: {{ library: {}, token_label: dvn, key_label: dvn-signing-key, pin_env: PIN }} }}\n",
            library.display()
        );
        others.chain([pkcs11]).collect()
    });
    place.environment.extend(token.environment());
    place.environment.push(("PIN".to_owned(), "s3cret-pin".to_owned()));
    Some((place, shim))
}

/// T24: without its journal the node does not start, and does not even load the library of its key.
#[tokio::test]
async fn t24_a_node_that_lost_its_journal_exits_with_3_and_leaves_its_device_alone() {
    let Some((place, shim)) = behind_a_shim("a lost journal") else { return };
    let touched =
        || [Function::Initialize, Function::OpenSession, Function::Login, Function::Sign].map(|it| shim.calls(it));
    place.refused(&["run"], 3, &["there is no journal", "dvn-node --config FILE journal init"]);
    place.done(&INIT);
    place.journal(1..=3).await;
    for gone in ["data/dvn.db", "data"] {
        let gone = place.path(gone);
        if gone.is_dir() {
            std::fs::remove_dir_all(gone).unwrap()
        } else {
            std::fs::remove_file(gone).unwrap()
        }
        place.refused(&["run"], 3, &["there is no journal", "knows one of 3 rows", "journal init --accept-loss"]);
        place.refused(&INIT, 3, &["--key-is-new is not true here"]);
    }
    assert_eq!(touched(), [0; 4], "the device was asked");
    // The control: with a journal it is.
    place.done(&["journal", "init", "--accept-loss", "--reason", "the disk died"]);
    let _running = place.start();
    for _ in 0..200 {
        if touched()[0] > 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(touched()[0] > 0, "the device was not asked");
}

/// T23 with the program: yesterday's folder, today's mirror.
#[tokio::test]
async fn t23_a_restored_folder_exits_with_3_until_the_loss_is_accepted() {
    let Some((place, shim)) = behind_a_shim("a restored folder") else { return };
    place.done(&INIT);
    place.journal(1..=10).await;
    place.copy("data", "yesterday");
    place.journal(11..=50).await;
    std::fs::remove_dir_all(place.path("data")).unwrap();
    place.copy("yesterday", "data");
    place.refused(&["run"], 3, &["journal is not intact", "it has 10 rows, and had 50", "--accept-loss"]);
    assert_eq!(shim.calls(Function::Initialize), 0);
    place.done(&["journal", "init", "--accept-loss", "--reason", "restored from a copy"]);
    let status = text(&place.obey(&["status"]).stdout);
    assert!(status.contains("QUARANTINED, nothing is signed until 2"), "{status}");
}

/// T25: a second process on the folder, and a copy of the folder with the mirror of the original.
#[tokio::test]
async fn t25_the_second_process_ends_with_a_clear_message() {
    let place = Place::new();
    place.done(&INIT);
    place.journal(1..=3).await;
    place.copy("data", "clone");
    let mut first = place.start();
    place.configure("data", |config| config);
    place.refused(&["run"], 1, &["another dvn-node uses this data_dir"]);
    place.configure("clone", |config| config);
    place.refused(&["run"], 3, &["another process keeps its journal's head", "signing.journal_mirror"]);
    assert!(first.0.try_wait().unwrap().is_none(), "the first goes on");
}

/// T26: an administrator of the database edits one old row, the refusals of the database removed.
#[tokio::test]
async fn t26_an_edited_row_exits_with_3_and_is_named() {
    let place = Place::new();
    place.done(&INIT);
    place.journal(1..=5).await;
    edit(&place.path("data/dvn.db"), "UPDATE journal SET payload_hash = zeroblob(32) WHERE sequence = 2").await;
    let words = ["journal is not intact", "row 2 is not as it was written"];
    place.refused(&["run"], 3, &words);
    place.refused(&["journal", "verify"], 3, &words);
    place.refused(&["journal", "init", "--accept-loss", "--reason", "x"], 3, &words);
}

async fn edit(file: &Path, sql: &'static str) {
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(file).foreign_keys(false);
    let pool = sqlx::sqlite::SqlitePoolOptions::new().max_connections(1).connect_with(options).await.unwrap();
    let triggers: Vec<(String,)> =
        sqlx::query_as("SELECT name FROM sqlite_schema WHERE type = 'trigger'").fetch_all(&pool).await.unwrap();
    for (name,) in triggers {
        sqlx::query(sqlx::AssertSqlSafe(format!("DROP TRIGGER {name}"))).execute(&pool).await.unwrap();
    }
    assert!(sqlx::query(sql).execute(&pool).await.unwrap().rows_affected() > 0);
    pool.close().await;
}

/// A node whose key may have signed elsewhere works, and signs nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_in_quarantine_signs_nothing_and_says_why() {
    let Some(net) = Net::pair("quarantine").await else { return };
    let node = Node::of(&net);
    let begun = node.command(&["journal", "init", "--reason", "moved from another host"]);
    assert!(begun.status.success(), "{}", text(&begun.stderr));
    let mut process = node.spawn().await;
    process.until_event(PATIENCE, |event| event.text("message") == "running").await.unwrap();
    net.send("ethereum", 1).await;
    process.until_event(PATIENCE, |event| event.is_move_to("verified")).await.unwrap();
    tokio::time::sleep(TEMPTATION).await;
    net.assert_exactly(&[]).await;
    assert!(!node.log().contains("\"message\":\"signed\""));
    let (code, ready) = process.fetch("ready").await.unwrap();
    assert_eq!(code, 503);
    assert!(ready.contains("the node is quarantined until 2") && ready.contains("moved from another host"), "{ready}");
    assert_eq!(process.fetch("health").await.unwrap().0, 200);
    assert!(process.fetch("metrics").await.unwrap().1.contains("dvn_quarantined 1"));
    let verified = node.command(&["journal", "verify"]);
    assert!(verified.status.success(), "it works beside a running node: {}", text(&verified.stderr));
    assert!(process.stop().await.unwrap().success());
}
