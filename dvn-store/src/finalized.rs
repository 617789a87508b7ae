//! Hashes of final blocks.

use crate::{
    codec::{Columns, digits},
    database::Database,
    error::storage,
    sql::{Row, Statement, sql},
};
use alloy_primitives::B256;
use async_trait::async_trait;
use dvn_core::{
    error::{StoreError, StoreErrorKind},
    ids::{BlockNumber, BlockRef, Eid},
    ports::FinalizedHashes,
};

#[async_trait]
impl FinalizedHashes for Database {
    async fn record(&self, eid: Eid, block: BlockRef) -> Result<(), StoreError> {
        // Most heights are asked for again and again; those cost no write.
        if let Some(before) = self.recorded(eid, block.number).await? {
            return compare(before, block);
        }
        let insert = sql("INSERT INTO finalized (eid, number, hash) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING");
        let insert = insert.bind(eid.0).bind(digits(block.number.0)).bind(block.hash.as_slice());
        self.execute(insert).await.map_err(storage)?;
        // Somebody else may have been faster, with another hash.
        match self.written(eid, block.number).await? {
            Some(before) => compare(before, block),
            None => Err(StoreError::new(StoreErrorKind::Corrupt).block(block.number).because("a final block was lost")),
        }
    }

    async fn newest(&self, eid: Eid) -> Result<Option<BlockRef>, StoreError> {
        let newest = sql("SELECT number, hash FROM finalized WHERE eid = $1 ORDER BY number DESC LIMIT 1");
        let row = self.optional(newest.bind(eid.0)).await.map_err(storage)?;
        row.map(|row| {
            let columns = Columns(&row);
            Ok(BlockRef { number: BlockNumber(columns.number("number")?), hash: columns.hash("hash")? })
        })
        .transpose()
    }
}

impl Database {
    async fn recorded(&self, eid: Eid, number: BlockNumber) -> Result<Option<B256>, StoreError> {
        hash(self.optional(record(eid, number)).await)
    }

    /// As the writer sees it.
    async fn written(&self, eid: Eid, number: BlockNumber) -> Result<Option<B256>, StoreError> {
        hash(self.write_optional(record(eid, number)).await)
    }
}

fn record(eid: Eid, number: BlockNumber) -> Statement {
    sql("SELECT hash FROM finalized WHERE eid = $1 AND number = $2").bind(eid.0).bind(digits(number.0))
}

fn hash(row: Result<Option<Row>, sqlx::Error>) -> Result<Option<B256>, StoreError> {
    row.map_err(storage)?.map(|row| Ok(Columns(&row).hash("hash")?)).transpose()
}

fn compare(before: B256, block: BlockRef) -> Result<(), StoreError> {
    if before == block.hash {
        return Ok(());
    }
    let detail = format!("was {before}, is now {}", block.hash);
    Err(StoreError::new(StoreErrorKind::FinalityChanged).block(block.number).because(detail))
}
