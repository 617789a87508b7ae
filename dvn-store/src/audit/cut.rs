//! Retention: the oldest rows go once an archive has them, and the log begins after the last one that went.

use dvn_core::{
    error::{StoreError, StoreErrorKind},
    ports::{AuditCut, AuditEntry},
};

use super::{append, point};
use crate::{
    codec::{Columns, count},
    database::{Database, Order},
    error::storage,
    sql::sql,
};

const NEWEST_CUT: &str = "SELECT sequence, row_hash, archive, told_in FROM audit_cuts ORDER BY sequence DESC LIMIT 1";
const IS_ROW: &str = "SELECT sequence FROM audit
    WHERE sequence = $1 AND row_hash = $2 AND sequence > (SELECT coalesce(max(sequence), 0) FROM audit_cuts)";
const INSERT_CUT: &str = "INSERT INTO audit_cuts (sequence, row_hash, archive, told_in) VALUES ($1, $2, $3, $4)";
/// What goes without a trace of work, where the database has partitions.
const DROP_PARTITIONS: &str = "SELECT audit_drop() AS gone";
/// A part of what is below the newest cut, so that whoever else writes does not wait for all of it.
const DELETE_SOME: &str = "DELETE FROM audit WHERE sequence < (SELECT min(sequence) FROM audit) + 1000
    AND sequence <= (SELECT coalesce(max(sequence), 0) FROM audit_cuts)";

/// A cut, and the row that tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ToldCut {
    pub(super) cut: AuditCut,
    pub(super) told_in: u64,
}

pub(super) async fn newest(database: &Database) -> Result<Option<ToldCut>, StoreError> {
    let Some(row) = database.optional(sql(NEWEST_CUT)).await.map_err(storage)? else {
        return Ok(None);
    };
    let columns = Columns(&row);
    let cut = AuditCut { through: point(columns)?, archive: columns.hash("archive")? };
    Ok(Some(ToldCut { cut, told_in: columns.count("told_in")? }))
}

/// The row that tells it and where the log begins become durable together; then rows go.
pub(super) async fn cut(database: &Database, cut: &AuditCut, entry: &AuditEntry) -> Result<u64, StoreError> {
    let conflict = |detail: String| Err(StoreError::new(StoreErrorKind::Conflict).because(detail));
    if !cut.is_told_by(entry) {
        return conflict("the entry does not tell this cut".to_owned());
    }
    let through = cut.through;
    let mut transaction = database.begin(Order::Audit).await.map_err(storage)?;
    let is_row = sql(IS_ROW).bind(count(through.rows)).bind(through.hash.as_slice());
    let found = transaction.optional(is_row).await.map_err(storage)?;
    if found.is_none() {
        return conflict(format!("row {} with hash {} is not in the audit log", through.rows, through.hash));
    }
    let told = append(&mut transaction, std::slice::from_ref(entry)).await?;
    let row = sql(INSERT_CUT)
        .bind(count(through.rows))
        .bind(through.hash.as_slice())
        .bind(cut.archive.as_slice())
        .bind(count(told.rows));
    transaction.execute(row).await.map_err(storage)?;
    transaction.commit().await.map_err(storage)?;
    remove(database).await
}

async fn remove(database: &Database) -> Result<u64, StoreError> {
    let mut removed: u64 = 0;
    if matches!(database, Database::Postgres(_)) {
        let mut transaction = database.begin(Order::Audit).await.map_err(storage)?;
        let row = transaction.optional(sql(DROP_PARTITIONS)).await.map_err(storage)?;
        transaction.commit().await.map_err(storage)?;
        removed = row.map(|row| Columns(&row).count("gone")).transpose()?.unwrap_or_default();
    }
    loop {
        let done = database.execute(sql(DELETE_SOME)).await.map_err(storage)?;
        if done == 0 {
            return Ok(removed);
        }
        removed = removed.saturating_add(done);
    }
}
