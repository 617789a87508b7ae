//! The audit log against somebody with a database client.

use std::time::{Duration, UNIX_EPOCH};

use dvn_core::{
    alloy_primitives::{Address, B256, Bytes},
    error::StoreErrorKind,
    ids::Eid,
    ports::{Attempt, AuditCut, AuditHead, AuditQuery, LaneId, NewTransaction, Outbox as _, OutboxItem},
};
use dvn_store::AuditedOutbox;

use crate::{
    fixture::{guid, intent, raw},
    tampering::{drop_triggers, filled, run},
};

/// What `verify` says after somebody removed every refusal and then did this.
async fn verified_after(sql: &str) -> Result<AuditHead, String> {
    let dir = tempfile::tempdir().unwrap();
    let (_sqlite, store) = filled(dir.path()).await;
    let pool = raw(dir.path(), true).await;
    assert_eq!(store.audit.verify().await.unwrap().rows, 5);
    drop_triggers(&pool).await;
    assert!(run(&pool, sql).await.unwrap() > 0, "{sql}");
    store.audit.verify().await.map_err(|error| {
        assert_eq!(error.kind(), StoreErrorKind::Corrupt, "{sql}");
        error.to_string()
    })
}

#[tokio::test]
async fn an_edited_removed_inserted_or_moved_row_shows_with_its_number() {
    let swapped = "UPDATE audit SET sequence = 99 WHERE sequence = 2; UPDATE audit SET sequence = 2 WHERE sequence = 3;
                   UPDATE audit SET sequence = 3 WHERE sequence = 99";
    let inserted = "UPDATE audit SET sequence = -sequence WHERE sequence >= 3; UPDATE audit SET sequence = 1 - sequence
                    WHERE sequence < 0; INSERT INTO audit SELECT 3, at, actor, action, guid, detail, prev_hash, row_hash, evidence
                    FROM audit WHERE sequence = 2";
    let appended = "INSERT INTO audit SELECT 6, at, actor, action, guid, detail, row_hash, zeroblob(32), evidence
                    FROM audit WHERE sequence = 5";
    for (sql, row) in [
        ("UPDATE audit SET detail = '[]' WHERE sequence = 2", 2),
        ("UPDATE audit SET actor = 'nobody' WHERE sequence = 4", 4),
        ("UPDATE audit SET action = 'refused' WHERE sequence = 1", 1),
        ("UPDATE audit SET guid = NULL WHERE sequence = 2", 2),
        ("UPDATE audit SET evidence = zeroblob(32) WHERE sequence = 2", 2),
        ("UPDATE audit SET at = 5 WHERE sequence = 1", 1),
        ("UPDATE audit SET row_hash = zeroblob(32) WHERE sequence = 5", 5),
        ("UPDATE audit SET prev_hash = zeroblob(32) WHERE sequence = 5", 5),
        ("DELETE FROM audit WHERE sequence = 1", 1),
        ("DELETE FROM audit WHERE sequence = 3", 3),
        (swapped, 2),
        (inserted, 3),
        (appended, 6),
    ] {
        let told = verified_after(sql).await.unwrap_err();
        assert!(told.contains(&format!("at row {row}:")), "{sql}: {told}");
    }
}

#[tokio::test]
async fn rows_cut_off_at_the_end_show_only_against_a_head_kept_elsewhere() {
    let head = verified_after("DELETE FROM audit WHERE sequence >= 4").await.unwrap();
    assert_eq!(head.rows, 3);
}

/// Rows go by a cut alone, and a cut that is made by hand shows.
#[tokio::test]
async fn only_what_is_below_a_cut_can_be_removed() {
    let dir = tempfile::tempdir().unwrap();
    let (_sqlite, store) = filled(dir.path()).await;
    let pool = raw(dir.path(), true).await;
    let third = store.audit.rows(2, 1).await.unwrap().remove(0);
    let through = AuditHead { rows: 3, hash: third.row_hash };
    let by_hand = "INSERT INTO audit_cuts SELECT sequence, row_hash, zeroblob(32), 5 FROM audit WHERE sequence = 3";
    for sql in ["DELETE FROM audit WHERE sequence = 1", by_hand] {
        assert!(run(&pool, sql).await.is_err(), "{sql}");
    }
    let cut = AuditCut { through, archive: B256::repeat_byte(7) };
    assert_eq!(store.audit.cut(&cut, &cut.entry(UNIX_EPOCH, "root", "old")).await.unwrap(), 3);
    for sql in [
        "DELETE FROM audit WHERE sequence = 4",
        "DELETE FROM audit_cuts",
        "UPDATE audit_cuts SET sequence = 5",
        "INSERT OR REPLACE INTO audit_cuts SELECT 3, row_hash, archive, told_in FROM audit_cuts",
        "INSERT INTO audit_cuts SELECT sequence, row_hash, zeroblob(32), 6 FROM audit WHERE sequence = 4",
        "INSERT INTO audit_cuts SELECT 4, zeroblob(32), evidence, 6 FROM audit WHERE sequence = 6",
    ] {
        assert!(run(&pool, sql).await.is_err(), "{sql}");
    }
    assert_eq!(store.audit.verify().await.unwrap().rows, 6);
    // With the refusals removed a cut can be forged, and is no row of the chain.
    drop_triggers(&pool).await;
    let forged = "INSERT INTO audit_cuts SELECT sequence, row_hash, zeroblob(32), 6 FROM audit WHERE sequence = 5;
                  DELETE FROM audit WHERE sequence <= 5";
    run(&pool, forged).await.unwrap();
    let told = store.audit.verify().await.unwrap_err().to_string();
    assert!(told.contains("cut at row 5, and row 6 does not tell it"), "{told}");
}

/// A process that dies between the cut and the removal leaves rows that count as gone.
#[tokio::test]
async fn a_cut_that_was_not_finished_is_finished_by_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let (_sqlite, store) = filled(dir.path()).await;
    let pool = raw(dir.path(), true).await;
    run(&pool, "CREATE TEMP TABLE kept AS SELECT * FROM audit WHERE sequence <= 2").await.unwrap();
    let rows = store.audit.rows(0, 9).await.unwrap();
    let cut = |index: usize| {
        let through = AuditHead { rows: rows[index].sequence, hash: rows[index].row_hash };
        let cut = AuditCut { through, archive: B256::repeat_byte(7) };
        (cut, cut.entry(UNIX_EPOCH, "root", "old"))
    };
    let (first, told) = cut(1);
    store.audit.cut(&first, &told).await.unwrap();
    run(&pool, "DROP TRIGGER audit_in_order").await.unwrap();
    run(&pool, "INSERT INTO audit SELECT * FROM kept").await.unwrap();
    assert_eq!(store.audit.rows(0, 1).await.unwrap()[0].sequence, 3);
    assert_eq!(store.audit.of_packet(guid(1)).await.unwrap(), []);
    assert_eq!(store.audit.query(&AuditQuery::default()).await.unwrap().len(), 4);
    assert_eq!(store.audit.verify().await.unwrap().rows, 6);
    let (second, told) = cut(2);
    assert_eq!(store.audit.cut(&second, &told).await.unwrap(), 3);
    assert_eq!(store.audit.verify().await.unwrap().rows, 7);
}

#[tokio::test]
async fn transactions_are_told_before_they_are_broadcast() {
    let dir = tempfile::tempdir().unwrap();
    let (_sqlite, store) = filled(dir.path()).await;
    let outbox = AuditedOutbox::new(store.outbox.clone(), store.audit.clone());
    let lane = LaneId { dst_eid: Eid(30212), sender: Address::repeat_byte(8) };
    let attempt = |byte: u8| Attempt {
        tx_hash: B256::repeat_byte(byte),
        raw: Bytes::from(vec![byte]),
        max_fee: u128::MAX,
        priority_fee: 1,
        at: UNIX_EPOCH + Duration::from_secs(u64::from(byte)),
    };
    let item = |nonce| {
        let attestation = intent(nonce, "a").attestation;
        OutboxItem { job: attestation.claim.job_id(), attestation }
    };
    let items = vec![item(1), item(2)];
    let id = outbox.put(NewTransaction { lane, nonce: 4, items, attempt: attempt(1) }, None).await.unwrap();
    // Another process on the same store reads what it replaces.
    let restarted = AuditedOutbox::new(store.outbox.clone(), store.audit.clone());
    assert_eq!(restarted.open(lane).await.unwrap().len(), 1);
    restarted.replace(id, attempt(2), None).await.unwrap();
    restarted.close(id).await.unwrap();
    let query = AuditQuery { actor: Some("submitter".to_owned()), ..AuditQuery::default() };
    let told = store.audit.query(&query).await.unwrap();
    let seen: Vec<_> = told.iter().map(|row| (row.entry.action.as_str(), row.entry.guid, row.entry.at)).collect();
    let (first, second) = (attempt(1).at, attempt(2).at);
    assert_eq!(
        seen,
        [
            ("transaction", Some(guid(1)), first),
            ("transaction", Some(guid(2)), first),
            ("transaction_replaced", Some(guid(1)), second),
            ("transaction_replaced", Some(guid(2)), second),
        ]
    );
    for word in [B256::repeat_byte(2).to_string(), u128::MAX.to_string()] {
        assert!(told[2].entry.detail.contains(&word), "{}", told[2].entry.detail);
    }
    assert_eq!(outbox.of_job(item(1).job).await.unwrap().len(), 1);

    // Without its row a transaction must not be broadcast; it is found in the outbox once the log is back.
    let gone = dvn_store::Sqlite::in_memory().await.unwrap();
    let audit = gone.store().audit;
    gone.close().await;
    let untold = AuditedOutbox::new(store.outbox.clone(), audit);
    let third = NewTransaction { lane, nonce: 5, items: vec![item(3)], attempt: attempt(3) };
    untold.put(third, None).await.unwrap_err();
    let open = untold.open(lane).await.unwrap();
    assert_eq!(open.len(), 1);
    untold.replace(open[0].id, attempt(4), None).await.unwrap_err();
}
