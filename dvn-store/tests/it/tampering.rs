//! Somebody with a database client: what the database refuses, and what shows where the refusals were removed.

use std::path::Path;

use dvn_core::{
    alloy_primitives::Bytes,
    error::{JournalErrorKind, StoreErrorKind},
    ids::Confirmations,
    ports::{AuditEntry, EvidenceBundle, Intent, JournalHead, Store},
};
use dvn_store::Sqlite;
use sqlx::{AssertSqlSafe, Row as _, SqlitePool};

use crate::fixture::{guid, intent, open, raw};

const COLUMNS: &str =
    "sequence, guid, payload_hash, confirmations, expiration, vid, target, signer, source_block, evidence,
    chain_time, at, purpose, signature, prev_hash, row_hash";

/// Five slots, the third of them signed, and as many audit rows.
pub(crate) async fn filled(data_dir: &Path) -> (Sqlite, Store) {
    let sqlite = open(data_dir).await;
    let store = sqlite.store();
    for nonce in 1..=5 {
        store.journal.intend(&intent(nonce, "a")).await.unwrap();
        let entry = AuditEntry {
            at: std::time::UNIX_EPOCH,
            actor: "attestor".to_owned(),
            action: "signed".to_owned(),
            guid: Some(guid(nonce)),
            evidence: None,
            detail: "{}".to_owned(),
        };
        store.audit.append(&[entry]).await.unwrap();
    }
    store.journal.signed(3, &Bytes::from(vec![9; 65])).await.unwrap();
    (sqlite, store)
}

pub(crate) async fn run(pool: &SqlitePool, sql: &str) -> Result<u64, sqlx::Error> {
    sqlx::query(AssertSqlSafe(sql)).execute(pool).await.map(|done| done.rows_affected())
}

pub(crate) async fn drop_triggers(pool: &SqlitePool) {
    let rows = sqlx::query("SELECT name FROM sqlite_schema WHERE type = 'trigger'").fetch_all(pool).await.unwrap();
    for row in rows {
        run(pool, &format!("DROP TRIGGER {}", row.get::<String, _>("name"))).await.unwrap();
    }
}

#[tokio::test]
async fn the_database_refuses_a_second_payload_for_a_slot() {
    let dir = tempfile::tempdir().unwrap();
    let (_sqlite, store) = filled(dir.path()).await;
    let before = store.journal.verify().await.unwrap();
    let row = |payload: &str| {
        format!(
            "INTO journal ({COLUMNS}) SELECT sequence + 1, guid, {payload}, confirmations, expiration, vid, target, signer,
             source_block, evidence, chain_time, at, purpose, NULL, row_hash, randomblob(32)
             FROM journal ORDER BY sequence DESC LIMIT 1"
        )
    };
    let slot = |guid: &str| {
        format!(
            "INTO journal_slots (guid, payload_hash, nonce, src_eid, sender, dst_eid, receiver)
             SELECT {guid}, zeroblob(32), nonce, src_eid, sender, dst_eid, receiver FROM journal_slots LIMIT 1"
        )
    };
    for foreign_keys in [true, false] {
        let pool = raw(dir.path(), foreign_keys).await;
        for insert in ["INSERT", "INSERT OR REPLACE"] {
            for values in [row("zeroblob(32)"), slot("guid"), slot("zeroblob(32)")] {
                let sql = format!("{insert} {values}");
                let error = run(&pool, &sql).await.unwrap_err().to_string();
                assert!(error.contains("equivocation"), "{sql}: {error}");
            }
        }
        for update in ["payload_hash = zeroblob(32)", "nonce = '1'", "guid = zeroblob(32)"] {
            assert!(run(&pool, &format!("UPDATE OR REPLACE journal_slots SET {update}")).await.is_err());
        }
        assert!(run(&pool, "DELETE FROM journal_slots").await.is_err());
    }
    assert_eq!(store.journal.verify().await.unwrap(), before);
    // What is refused is the other payload: the same row with the slot's own is taken.
    run(&raw(dir.path(), true).await, &format!("INSERT {}", row("payload_hash"))).await.unwrap();
}

/// Without any trigger the constraints still stand, as long as foreign keys are on.
#[tokio::test]
async fn the_constraints_refuse_a_second_payload_without_the_triggers() {
    let dir = tempfile::tempdir().unwrap();
    let (_sqlite, _store) = filled(dir.path()).await;
    let pool = raw(dir.path(), true).await;
    drop_triggers(&pool).await;
    for sql in [
        "UPDATE journal SET payload_hash = zeroblob(32) WHERE sequence = 2",
        "UPDATE journal_slots SET payload_hash = zeroblob(32)",
        "INSERT INTO journal_slots SELECT guid, zeroblob(32), nonce, src_eid, sender, dst_eid, receiver FROM journal_slots",
        "DELETE FROM journal_slots",
    ] {
        assert!(run(&pool, sql).await.is_err(), "{sql}");
    }
}

#[tokio::test]
async fn the_database_refuses_to_sign_a_slot_that_was_taken_back() {
    let dir = tempfile::tempdir().unwrap();
    let (_sqlite, store) = filled(dir.path()).await;
    let mut retraction = intent(5, "a");
    retraction.attestation.confirmations = Confirmations(0);
    store.journal.intend(&retraction).await.unwrap();
    let sql = format!(
        "INSERT INTO journal ({COLUMNS}) SELECT sequence + 1, guid, payload_hash, '00000000000000000015', expiration, vid,
         target, signer, source_block, evidence, chain_time, at, purpose, NULL, row_hash, randomblob(32)
         FROM journal ORDER BY sequence DESC LIMIT 1"
    );
    let error = run(&raw(dir.path(), true).await, &sql).await.unwrap_err().to_string();
    assert!(error.contains("taken back"), "{error}");
}

#[tokio::test]
async fn the_database_refuses_to_change_what_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let (_sqlite, store) = filled(dir.path()).await;
    let before = (store.journal.verify().await.unwrap(), store.audit.verify().await.unwrap());
    let pool = raw(dir.path(), false).await;
    for column in COLUMNS.split(',').map(str::trim) {
        let value = match column {
            "sequence" | "vid" | "at" => "77",
            "confirmations" | "expiration" | "chain_time" => "'00000000000000000077'",
            "target" | "signer" => "zeroblob(20)",
            "signature" => "zeroblob(65)",
            _ => "randomblob(32)",
        };
        for verb in ["UPDATE", "UPDATE OR REPLACE"] {
            let sql = format!("{verb} journal SET {column} = {value} WHERE sequence = 3");
            assert!(run(&pool, &sql).await.is_err(), "{sql}");
        }
    }
    for sql in [
        "DELETE FROM journal WHERE sequence = 5",
        "UPDATE journal SET signature = NULL WHERE sequence = 3",
        "UPDATE audit SET detail = 'x'",
        "DELETE FROM audit",
        "INSERT OR REPLACE INTO audit SELECT sequence, at, 'x', action, guid, detail, prev_hash, row_hash, evidence FROM audit",
        "INSERT OR REPLACE INTO journal SELECT * FROM journal",
    ] {
        assert!(run(&pool, sql).await.is_err(), "{sql}");
    }
    assert_eq!((store.journal.verify().await.unwrap(), store.audit.verify().await.unwrap()), before);
}

/// What `verify` says after somebody removed every refusal and then did this.
async fn verified_after(sql: &str) -> Result<JournalHead, JournalErrorKind> {
    let dir = tempfile::tempdir().unwrap();
    let (_sqlite, store) = filled(dir.path()).await;
    let pool = raw(dir.path(), false).await;
    drop_triggers(&pool).await;
    run(&pool, "PRAGMA ignore_check_constraints = ON").await.unwrap();
    assert!(run(&pool, sql).await.unwrap() > 0, "{sql}");
    store.journal.verify().await.map_err(|error| error.kind())
}

#[tokio::test]
async fn rewritten_history_shows() {
    let other = intent(2, "b").attestation.claim.payload_hash;
    let both = format!(
        "UPDATE journal SET payload_hash = x'{0:x}' WHERE sequence = 2;
         UPDATE journal_slots SET payload_hash = x'{0:x}' WHERE guid = (SELECT guid FROM journal WHERE sequence = 2)",
        other.0
    );
    let edits = [
        "UPDATE journal SET confirmations = '00000000000000000016' WHERE sequence = 2",
        "UPDATE journal SET expiration = '00000000000000000001' WHERE sequence = 5",
        "UPDATE journal SET vid = 1 WHERE sequence = 1",
        "UPDATE journal SET target = zeroblob(20) WHERE sequence = 1",
        "UPDATE journal SET signer = zeroblob(20) WHERE sequence = 1",
        "UPDATE journal SET source_block = zeroblob(32) WHERE sequence = 1",
        "UPDATE journal SET evidence = zeroblob(32) WHERE sequence = 1",
        "UPDATE journal SET chain_time = '00000000000000000001' WHERE sequence = 1",
        "UPDATE journal SET at = 1 WHERE sequence = 1",
        "UPDATE journal SET confirmations = 'many' WHERE sequence = 1",
        "UPDATE journal SET row_hash = zeroblob(32) WHERE sequence = 5",
        "UPDATE journal SET prev_hash = zeroblob(32) WHERE sequence = 5",
        "UPDATE journal SET sequence = 9 WHERE sequence = 5",
        "UPDATE journal SET payload_hash = zeroblob(32) WHERE sequence = 2",
        "UPDATE journal SET guid = (SELECT guid FROM journal WHERE sequence = 1) WHERE sequence = 2",
        "UPDATE journal_slots SET payload_hash = zeroblob(32)",
        "UPDATE journal_slots SET nonce = '00000000000000000099' WHERE nonce = '00000000000000000002'",
        "DELETE FROM journal WHERE sequence = 1",
        "DELETE FROM journal WHERE sequence = 3",
        "DELETE FROM journal_slots WHERE nonce = '00000000000000000002'",
        // The last row alone leaves its slot behind.
        "DELETE FROM journal WHERE sequence = 5",
    ];
    for sql in edits.into_iter().chain([both.as_str()]) {
        assert_eq!(verified_after(sql).await, Err(JournalErrorKind::Tampered), "{sql}");
    }
}

#[tokio::test]
async fn rows_cut_off_at_the_end_show_only_against_a_head_kept_elsewhere() {
    let cut = "DELETE FROM journal_slots WHERE guid = (SELECT guid FROM journal WHERE sequence = 5);
               DELETE FROM journal WHERE sequence = 5";
    let JournalHead { rows: count, hash: head } = verified_after(cut).await.unwrap();
    let whole = verified_after("UPDATE journal SET signature = zeroblob(65) WHERE sequence = 5").await.unwrap().hash;
    assert_eq!(count, 4);
    assert_ne!(head, whole);
}

/// An edited row is not decided by, long before anybody verifies the whole journal.
#[tokio::test]
async fn an_edited_row_stops_its_slot() {
    let dir = tempfile::tempdir().unwrap();
    let (_sqlite, store) = filled(dir.path()).await;
    let pool = raw(dir.path(), false).await;
    drop_triggers(&pool).await;
    run(&pool, "UPDATE journal SET expiration = '00000000000000000001' WHERE sequence = 2").await.unwrap();
    let mut other = intent(2, "a");
    other.attestation.confirmations = Confirmations(16);
    for intent in [intent(2, "a"), other] {
        assert_eq!(store.journal.intend(&intent).await.unwrap_err().kind(), JournalErrorKind::Tampered);
    }
    assert_eq!(store.journal.slot(guid(2)).await.unwrap_err().kind(), JournalErrorKind::Tampered);
    store.journal.intend(&intent(1, "a")).await.unwrap();
}

#[tokio::test]
async fn records_that_do_not_read_back_are_corrupt() {
    let dir = tempfile::tempdir().unwrap();
    let (_sqlite, store) = filled(dir.path()).await;
    let pool = raw(dir.path(), true).await;
    let evidence = EvidenceBundle::new("{\"votes\":3}");
    store.evidence.put(guid(1), &evidence, std::time::UNIX_EPOCH).await.unwrap();
    // As older releases wrote it, with another document; no zlib stream; another document's.
    for sql in [
        "UPDATE evidence SET json = '{\"votes\":4}', packed = NULL",
        "UPDATE evidence SET packed = x'00'",
        "UPDATE evidence SET packed = x'789c030000000001'",
    ] {
        run(&pool, sql).await.unwrap();
        assert_eq!(store.evidence.of_packet(guid(1)).await.unwrap_err().kind(), StoreErrorKind::Corrupt, "{sql}");
    }

    let Intent { attestation, source_block, .. } = intent(1, "a");
    let block = dvn_core::ids::BlockRef { number: dvn_core::ids::BlockNumber(1), hash: source_block };
    let src_eid = attestation.claim.header.src_eid;
    let location = dvn_core::job::Location { src_eid, block, tx_hash: source_block, log_index: 0 };
    let job = dvn_core::job::Job::observed(attestation.claim, location, std::time::UNIX_EPOCH);
    for sql in ["UPDATE jobs SET state = 'done'", "UPDATE jobs SET payload_hash = zeroblob(32)"] {
        run(&pool, "DELETE FROM jobs").await.unwrap();
        store.jobs.observe(&job).await.unwrap();
        run(&pool, sql).await.unwrap();
        assert_eq!(store.jobs.load(job.id).await.unwrap_err().kind(), StoreErrorKind::Corrupt, "{sql}");
    }

    store.finalized.record(src_eid, block).await.unwrap();
    assert!(run(&pool, "UPDATE finalized SET hash = zeroblob(32)").await.is_err());
}
