//! Somebody who removed the refusals and knows how to compute the hashes, but does not rewrite every row.

use dvn_core::{
    alloy_primitives::{B256, hex},
    error::JournalErrorKind,
    hashchain,
    ids::Confirmations,
    ports::{Intent, JournalHead, Store},
};
use sqlx::SqlitePool;

use crate::{
    fixture::{guid, intent, raw},
    tampering::{drop_triggers, filled, run},
};

/// A row's hash as the schema documents it, computed without the store's code. The fixture's instants are all 1970.
fn row_hash(previous: B256, sequence: u64, intent: &Intent) -> B256 {
    let attestation = &intent.attestation;
    let fields: [&[u8]; 12] = [
        &sequence.to_be_bytes(),
        &attestation.claim.header.encode(),
        attestation.claim.payload_hash.0.as_slice(),
        &attestation.confirmations.0.to_be_bytes(),
        &attestation.expiration.0.to_be_bytes(),
        &attestation.vid.0.to_be_bytes(),
        attestation.target.as_slice(),
        intent.signer.as_slice(),
        intent.source_block.as_slice(),
        intent.evidence.as_slice(),
        &intent.now.0.to_be_bytes(),
        &0_i64.to_be_bytes(),
    ];
    hashchain::link(previous, fields)
}

/// The hashes of the five rows that the journal is filled with.
fn chain() -> [B256; 5] {
    let mut head = B256::ZERO;
    [1, 2, 3, 4, 5].map(|sequence| {
        head = row_hash(head, sequence, &intent(sequence, "a"));
        head
    })
}

async fn opened(dir: &tempfile::TempDir) -> (Store, SqlitePool) {
    let (_, store) = filled(dir.path()).await;
    let pool = raw(dir.path(), false).await;
    drop_triggers(&pool).await;
    (store, pool)
}

/// The first row that does not fit is named, so that people know where to look.
async fn is_tampered_at(store: &Store, row: u64) {
    let error = store.journal.verify().await.unwrap_err();
    assert_eq!(error.kind(), JournalErrorKind::Tampered, "{error:?}");
    assert!(error.to_string().contains(&format!("row {row} ")), "{error}");
}

#[tokio::test]
async fn anybody_can_compute_the_chain_from_its_description() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = opened(&dir).await;
    assert_eq!(store.journal.verify().await.unwrap(), JournalHead { rows: 5, hash: chain()[4] });
}

/// The forged row fits itself and the row before; the row after still names the one that was there.
#[tokio::test]
async fn a_row_with_a_hash_of_its_own_shows_in_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let (store, pool) = opened(&dir).await;
    let mut forged = intent(3, "a");
    forged.attestation.confirmations = Confirmations(16);
    let hash = row_hash(chain()[1], 3, &forged);
    let sql = format!(
        "UPDATE journal SET confirmations = '00000000000000000016', row_hash = x'{}' WHERE sequence = 3",
        hex::encode(hash)
    );
    run(&pool, &sql).await.unwrap();
    assert_eq!(store.journal.slot(guid(3)).await.unwrap()[0].row_hash, hash, "the row alone is flawless");
    is_tampered_at(&store, 4).await;
}

/// The last row is taken out and put back further on, with a hash for its new place.
#[tokio::test]
async fn a_gap_shows_although_the_hashes_around_it_fit() {
    let dir = tempfile::tempdir().unwrap();
    let (store, pool) = opened(&dir).await;
    let hash = row_hash(chain()[3], 9, &intent(5, "a"));
    let sql = format!("UPDATE journal SET sequence = 9, row_hash = x'{}' WHERE sequence = 5", hex::encode(hash));
    run(&pool, &sql).await.unwrap();
    is_tampered_at(&store, 5).await;
}

/// A slot filed under another guid would not be found when its packet comes again.
#[tokio::test]
async fn a_slot_that_was_hidden_under_another_guid_shows() {
    let dir = tempfile::tempdir().unwrap();
    let (store, pool) = opened(&dir).await;
    for table in ["journal_slots", "journal"] {
        let sql = format!("UPDATE {table} SET guid = zeroblob(32) WHERE guid = x'{}'", hex::encode(guid(2).0));
        run(&pool, &sql).await.unwrap();
    }
    is_tampered_at(&store, 2).await;
    // Even so the slot's fields, which are unique too, keep another payload out.
    let refused = store.journal.intend(&intent(2, "b")).await.unwrap_err();
    assert_eq!(refused.kind(), JournalErrorKind::Equivocation);
}
