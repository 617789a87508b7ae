//! How far each source is read.

use async_trait::async_trait;
use dvn_core::{
    error::StoreError,
    ids::{BlockNumber, Eid},
    ports::Cursors,
};

use crate::{
    codec::{Columns, digits},
    database::Database,
    error::storage,
};

#[async_trait]
impl Cursors for Database {
    async fn load(&self, eid: Eid) -> Result<Option<BlockNumber>, StoreError> {
        let row = sqlx::query("SELECT through FROM cursors WHERE eid = ?")
            .bind(eid.0)
            .fetch_optional(&self.readers)
            .await
            .map_err(storage)?;
        row.map(|row| Ok(BlockNumber(Columns(&row).number("through")?))).transpose()
    }

    async fn advance(&self, eid: Eid, through: BlockNumber) -> Result<(), StoreError> {
        // Both are padded to one length, so that the larger text is the larger number.
        sqlx::query(
            "INSERT INTO cursors (eid, through) VALUES (?, ?)
             ON CONFLICT (eid) DO UPDATE SET through = excluded.through WHERE excluded.through > through",
        )
        .bind(eid.0)
        .bind(digits(through.0))
        .execute(&self.writer)
        .await
        .map_err(storage)?;
        Ok(())
    }
}
