//! A process that is killed in the middle of its work.

use std::{
    io::{BufRead as _, BufReader},
    path::PathBuf,
    process::{Command, Stdio},
};

use dvn_core::{alloy_primitives::Bytes, error::JournalErrorKind};

use crate::fixture::{guid, intent, open};

const DATA_DIR: &str = "DVN_STORE_TEST_DATA_DIR";
const INTENDED: &str = "intended ";

/// The process to be killed, when the test below starts it: says every nonce once its intent is durable.
#[tokio::test]
async fn signs_without_end() {
    let Some(data_dir) = std::env::var_os(DATA_DIR) else { return };
    let store = open(PathBuf::from(data_dir)).await.store();
    for nonce in 1.. {
        let sequence = store.journal.intend(&intent(nonce, "a")).await.unwrap().rows;
        println!("\n{INTENDED}{nonce}");
        store.journal.signed(sequence, &Bytes::from(vec![1; 65])).await.unwrap();
    }
}

#[tokio::test]
async fn an_intent_survives_the_process() {
    let dir = tempfile::tempdir().unwrap();
    for round in 1..=3 {
        let data_dir = dir.path().join(round.to_string());
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "killed::signs_without_end", "--nocapture"])
            .env(DATA_DIR, &data_dir)
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

        let store = open(&data_dir).await.store();
        let rows = store.journal.verify().await.unwrap().rows;
        assert!(rows >= last, "{rows} rows, {last} were promised");
        for nonce in 1..=last {
            assert_eq!(store.journal.slot(guid(nonce)).await.unwrap().len(), 1);
            let other = store.journal.intend(&intent(nonce, "b")).await.unwrap_err();
            assert_eq!(other.kind(), JournalErrorKind::Equivocation);
        }
    }
}
