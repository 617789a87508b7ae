//! A store that an older release wrote.

use std::{fs, path::Path};

use dvn_core::{
    alloy_primitives::{B256, hex},
    hashchain,
    ports::{AuditEntry, EvidenceBundle},
};
use dvn_store::Sqlite;
use sqlx::{migrate::Migrator, sqlite::SqliteConnectOptions};

use crate::{fixture::guid, tampering::run};

/// Makes a store with the schema of a release that knew `version`.
async fn old_store(data_dir: &Path, version: &str) -> sqlx::SqlitePool {
    let migrations = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations")).unwrap() {
        let entry = entry.unwrap();
        if entry.file_name().to_str().unwrap() < version {
            fs::copy(entry.path(), migrations.path().join(entry.file_name())).unwrap();
        }
    }
    let options = SqliteConnectOptions::new().filename(data_dir.join("dvn.db")).create_if_missing(true);
    let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
    Migrator::new(migrations.path()).await.unwrap().run(&pool).await.unwrap();
    pool
}

#[tokio::test]
async fn rows_and_documents_of_an_older_release_are_read_and_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let pool = old_store(dir.path(), "0005").await;
    let mut previous = B256::ZERO;
    for sequence in 1_u64..=3 {
        let guid = guid(sequence).0;
        let fields: [&[u8]; 6] =
            [&sequence.to_be_bytes(), &5_i64.to_be_bytes(), b"verifier", b"verified", guid.as_slice(), b"{}"];
        let hash = hashchain::link(previous, fields);
        let sql = format!(
            "INSERT INTO audit (sequence, at, actor, action, guid, detail, prev_hash, row_hash)
             VALUES ({sequence}, 5, 'verifier', 'verified', x'{}', '{{}}', x'{}', x'{}')",
            hex::encode(guid),
            hex::encode(previous),
            hex::encode(hash)
        );
        run(&pool, &sql).await.unwrap();
        previous = hash;
    }
    let bundle = EvidenceBundle::new("{\"votes\":3}");
    for target in ["evidence (guid, digest, json, at) SELECT guid,", "halt_evidence (digest, json, at) SELECT"] {
        let digest = hex::encode(bundle.digest());
        let sql = format!("INSERT INTO {target} x'{digest}', '{}', 5 FROM audit WHERE sequence = 1", bundle.json());
        run(&pool, &sql).await.unwrap();
    }
    pool.close().await;

    let sqlite = Sqlite::open(dir.path()).await.unwrap();
    let store = sqlite.store();
    let head = store.audit.verify().await.unwrap();
    assert_eq!((head.rows, head.hash), (3, previous));
    assert_eq!(store.evidence.of_packet(guid(1)).await.unwrap(), vec![bundle.clone()]);
    assert_eq!(store.evidence.of_halt(bundle.digest()).await.unwrap().as_ref(), Some(&bundle));
    let entry =
        AuditEntry { evidence: Some(bundle.digest()), ..store.audit.rows(0, 1).await.unwrap()[0].entry.clone() };
    store.audit.append(&[entry]).await.unwrap();
    assert_eq!(store.audit.verify().await.unwrap().rows, 4);
}
