//! The journal's name, its quarantine, where its mirror is, and how far destinations were compared with it.

use alloy_primitives::B256;
use dvn_core::{
    error::{JournalError, JournalErrorKind},
    ids::{BlockNumber, Eid},
    ports::{JournalId, JournalState, Quarantine},
};
use sqlx::SqliteConnection;

use crate::{
    codec::{CodecError, Columns, digits, micros},
    database::Database,
    error::journal as storage,
};

const BEGIN: &str = "INSERT INTO journal_identity (one, id, quarantine_until, quarantine_reason)
    VALUES (1, randomblob(32), ?, ?)
    ON CONFLICT (one) DO UPDATE SET id = excluded.id, quarantine_until = excluded.quarantine_until,
        quarantine_reason = excluded.quarantine_reason
    RETURNING id";
const LENGTHEN: &str = "UPDATE journal_identity SET quarantine_until = ?1, quarantine_reason = ?2
    WHERE quarantine_until IS NULL OR quarantine_until < ?1";

/// The name and quarantine, or that there is no journal.
pub(super) async fn state(from: &mut SqliteConnection) -> Result<JournalState, JournalError> {
    let row = sqlx::query("SELECT id, quarantine_until, quarantine_reason, mirror FROM journal_identity")
        .fetch_optional(from)
        .await
        .map_err(storage)?;
    let row = row.ok_or_else(|| JournalError::new(JournalErrorKind::Missing))?;
    read(Columns(&row)).map_err(|error| JournalError::new(JournalErrorKind::Tampered).caused_by(error))
}

fn read(columns: Columns<'_>) -> Result<JournalState, CodecError> {
    let until = columns.optional("quarantine_until", Columns::time)?;
    let reason = columns.optional("quarantine_reason", Columns::any::<String>)?;
    let quarantine = until.zip(reason).map(|(until, reason)| Quarantine { until, reason });
    let mirror = columns.optional("mirror", Columns::any)?;
    Ok(JournalState { id: JournalId(columns.hash("id")?), quarantine, mirror })
}

pub(super) async fn begin(database: &Database, quarantine: Option<Quarantine>) -> Result<JournalId, JournalError> {
    let (until, reason) = quarantine.map(|it| (micros(it.until), it.reason)).unzip();
    let id: Vec<u8> =
        sqlx::query_scalar(BEGIN).bind(until).bind(reason).fetch_one(&database.writer).await.map_err(storage)?;
    let id =
        B256::try_from(id.as_slice()).map_err(|error| JournalError::new(JournalErrorKind::Storage).caused_by(error));
    id.map(JournalId)
}

pub(super) async fn quarantine(database: &Database, quarantine: Quarantine) -> Result<(), JournalError> {
    let mut transaction = database.begin().await.map_err(storage)?;
    state(&mut transaction).await?;
    sqlx::query(LENGTHEN)
        .bind(micros(quarantine.until))
        .bind(quarantine.reason)
        .execute(&mut *transaction)
        .await
        .map_err(storage)?;
    transaction.commit().await.map_err(storage)
}

pub(super) async fn set_mirror(database: &Database, place: &str) -> Result<(), JournalError> {
    let done = sqlx::query("UPDATE journal_identity SET mirror = ?")
        .bind(place)
        .execute(&database.writer)
        .await
        .map_err(storage)?;
    if done.rows_affected() == 0 { Err(JournalError::new(JournalErrorKind::Missing)) } else { Ok(()) }
}

pub(super) async fn anchor(database: &Database, dst_eid: Eid) -> Result<Option<BlockNumber>, JournalError> {
    let row = sqlx::query("SELECT through FROM journal_anchors WHERE eid = ?")
        .bind(dst_eid.0)
        .fetch_optional(&database.readers)
        .await
        .map_err(storage)?;
    let through = row.map(|row| Columns(&row).number("through").map(BlockNumber)).transpose();
    through.map_err(|error| JournalError::new(JournalErrorKind::Tampered).caused_by(error))
}

pub(super) async fn set_anchor(database: &Database, dst_eid: Eid, through: BlockNumber) -> Result<(), JournalError> {
    // Both are padded to one length, so that the larger text is the larger number.
    sqlx::query(
        "INSERT INTO journal_anchors (eid, through) VALUES (?, ?)
         ON CONFLICT (eid) DO UPDATE SET through = excluded.through WHERE excluded.through > through",
    )
    .bind(dst_eid.0)
    .bind(digits(through.0))
    .execute(&database.writer)
    .await
    .map_err(storage)?;
    Ok(())
}
