//! Hashes of final blocks.

use alloy_primitives::B256;
use async_trait::async_trait;
use dvn_core::{
    error::{StoreError, StoreErrorKind},
    ids::{BlockNumber, BlockRef, Eid},
    ports::FinalizedHashes,
};
use sqlx::SqlitePool;

use crate::{
    codec::{Columns, digits},
    database::Database,
    error::storage,
};

#[async_trait]
impl FinalizedHashes for Database {
    async fn record(&self, eid: Eid, block: BlockRef) -> Result<(), StoreError> {
        // Most heights are asked for again and again; those cost no write.
        if let Some(before) = recorded(&self.readers, eid, block.number).await? {
            return compare(before, block);
        }
        sqlx::query("INSERT INTO finalized (eid, number, hash) VALUES (?, ?, ?) ON CONFLICT DO NOTHING")
            .bind(eid.0)
            .bind(digits(block.number.0))
            .bind(block.hash.as_slice())
            .execute(&self.writer)
            .await
            .map_err(storage)?;
        // Somebody else may have been faster, with another hash.
        match recorded(&self.writer, eid, block.number).await? {
            Some(before) => compare(before, block),
            None => Err(StoreError::new(StoreErrorKind::Corrupt).block(block.number).because("a final block was lost")),
        }
    }

    async fn newest(&self, eid: Eid) -> Result<Option<BlockRef>, StoreError> {
        let row = sqlx::query("SELECT number, hash FROM finalized WHERE eid = ? ORDER BY number DESC LIMIT 1")
            .bind(eid.0)
            .fetch_optional(&self.readers)
            .await
            .map_err(storage)?;
        row.map(|row| {
            let columns = Columns(&row);
            Ok(BlockRef { number: BlockNumber(columns.number("number")?), hash: columns.hash("hash")? })
        })
        .transpose()
    }
}

async fn recorded(pool: &SqlitePool, eid: Eid, number: BlockNumber) -> Result<Option<B256>, StoreError> {
    let row = sqlx::query("SELECT hash FROM finalized WHERE eid = ? AND number = ?")
        .bind(eid.0)
        .bind(digits(number.0))
        .fetch_optional(pool)
        .await
        .map_err(storage)?;
    row.map(|row| Ok(Columns(&row).hash("hash")?)).transpose()
}

fn compare(before: B256, block: BlockRef) -> Result<(), StoreError> {
    if before == block.hash {
        return Ok(());
    }
    let detail = format!("was {before}, is now {}", block.hash);
    Err(StoreError::new(StoreErrorKind::FinalityChanged).block(block.number).because(detail))
}
