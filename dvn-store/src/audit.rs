//! Every decision, each row chained to the one before.

use crate::{
    codec::{CodecError, Columns, micros},
    database::{Database, Order, Transaction},
    error::storage,
    sql::{Row, sql},
};
use alloy_primitives::B256;
use async_trait::async_trait;
use dvn_core::{
    error::{StoreError, StoreErrorKind},
    hashchain,
    ids::Guid,
    ports::{AuditEntry, AuditLog, AuditRow},
};

const PAGE: i64 = 512;

#[async_trait]
impl AuditLog for Database {
    async fn append(&self, entries: &[AuditEntry]) -> Result<(), StoreError> {
        if entries.is_empty() {
            return Ok(());
        }
        let mut transaction = self.begin(Order::Audit).await.map_err(storage)?;
        let (mut sequence, mut head) = newest(&mut transaction).await?;
        for entry in entries {
            sequence = sequence.saturating_add(1);
            head = insert(&mut transaction, sequence, head, entry).await?;
        }
        transaction.commit().await.map_err(storage)
    }

    async fn of_packet(&self, guid: Guid) -> Result<Vec<AuditRow>, StoreError> {
        let rows = self
            .all(sql("SELECT * FROM audit WHERE guid = $1 ORDER BY sequence").bind(guid.0.as_slice()))
            .await
            .map_err(storage)?;
        rows.iter().map(|row| Ok(read(row)?)).collect()
    }
}

/// Recomputes the chain from the first row on.
pub(crate) async fn verify(database: &Database) -> Result<(u64, B256), StoreError> {
    let (mut count, mut head) = (0_u64, B256::ZERO);
    loop {
        let page = sql("SELECT * FROM audit WHERE sequence > $1 ORDER BY sequence LIMIT $2");
        let page = page.bind(i64::try_from(count).unwrap_or(i64::MAX)).bind(PAGE);
        let rows = database.all(page).await.map_err(storage)?;
        if rows.is_empty() {
            return Ok((count, head));
        }
        for row in &rows {
            count = count.saturating_add(1);
            head = follow(row, count, head)?;
        }
    }
}

/// The row's hash, if the row is the one that follows `head`.
fn follow(row: &Row, sequence: u64, head: B256) -> Result<B256, StoreError> {
    let broken = || StoreError::new(StoreErrorKind::Corrupt).because(format!("audit log breaks at row {sequence}"));
    let row = read(row).map_err(|error| broken().caused_by(error))?;
    let expected = row_hash(head, sequence, &row.entry);
    if row.sequence == sequence && row.row_hash == expected { Ok(expected) } else { Err(broken()) }
}

async fn newest(transaction: &mut Transaction) -> Result<(u64, B256), StoreError> {
    let row = transaction
        .optional(sql("SELECT sequence, row_hash FROM audit ORDER BY sequence DESC LIMIT 1"))
        .await
        .map_err(storage)?;
    let Some(row) = row else { return Ok((0, B256::ZERO)) };
    let columns = Columns(&row);
    Ok((columns.count("sequence")?, columns.hash("row_hash")?))
}

async fn insert(
    transaction: &mut Transaction,
    sequence: u64,
    previous: B256,
    entry: &AuditEntry,
) -> Result<B256, StoreError> {
    let hash = row_hash(previous, sequence, entry);
    transaction.execute(sql(
        "INSERT INTO audit (sequence, at, actor, action, guid, detail, prev_hash, row_hash) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(i64::try_from(sequence).unwrap_or(i64::MAX))
    .bind(micros(entry.at))
    .bind(&entry.actor)
    .bind(&entry.action)
    .bind(entry.guid.as_ref().map(|guid| guid.0.as_slice()))
    .bind(&entry.detail)
    .bind(previous.as_slice())
    .bind(hash.as_slice()))
    .await
    .map_err(storage)?;
    Ok(hash)
}

/// `link` over sequence (8 bytes), microseconds (8 bytes, two's complement), actor, action, guid (32 bytes or none) and
/// detail.
fn row_hash(previous: B256, sequence: u64, entry: &AuditEntry) -> B256 {
    let fields: [&[u8]; 6] = [
        &sequence.to_be_bytes(),
        &micros(entry.at).to_be_bytes(),
        entry.actor.as_bytes(),
        entry.action.as_bytes(),
        entry.guid.as_ref().map_or(&[], |guid| guid.0.as_slice()),
        entry.detail.as_bytes(),
    ];
    hashchain::link(previous, fields)
}

fn read(row: &Row) -> Result<AuditRow, CodecError> {
    let columns = Columns(row);
    let entry = AuditEntry {
        at: columns.time("at")?,
        actor: columns.any("actor")?,
        action: columns.any("action")?,
        guid: columns.optional("guid", Columns::hash)?.map(Guid),
        detail: columns.any("detail")?,
    };
    Ok(AuditRow { sequence: columns.count("sequence")?, entry, row_hash: columns.hash("row_hash")? })
}
