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
    sql::sql,
};

#[async_trait]
impl Cursors for Database {
    async fn load(&self, eid: Eid) -> Result<Option<BlockNumber>, StoreError> {
        let cursor = sql("SELECT through FROM cursors WHERE eid = $1").bind(eid.0);
        let row = self.optional(cursor).await.map_err(storage)?;
        row.map(|row| Ok(BlockNumber(Columns(&row).number("through")?))).transpose()
    }

    async fn advance(&self, eid: Eid, through: BlockNumber) -> Result<(), StoreError> {
        // Both are padded to one length, so that the larger text is the larger number.
        let advance = sql("INSERT INTO cursors (eid, through) VALUES ($1, $2) ON CONFLICT (eid)
             DO UPDATE SET through = excluded.through WHERE excluded.through > cursors.through");
        self.execute(advance.bind(eid.0).bind(digits(through.0))).await.map_err(storage)?;
        Ok(())
    }
}
