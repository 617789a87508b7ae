//! The journal's name, its quarantine, where its mirror is, and how far destinations were compared with it.

use crate::{
    codec::{CodecError, Columns, digits, micros},
    database::{Database, Order, Read},
    error::journal as storage,
    sql::sql,
};
use alloy_primitives::B256;
use dvn_core::{
    error::{JournalError, JournalErrorKind},
    ids::{BlockNumber, Eid},
    ports::{JournalId, JournalState, Quarantine},
};

const STATE: &str = "SELECT id, quarantine_until, quarantine_reason, mirror FROM journal_identity";
const BEGIN: &str = "INSERT INTO journal_identity (one, id, quarantine_until, quarantine_reason)
    VALUES (1, $1, $2, $3)
    ON CONFLICT (one) DO UPDATE SET id = excluded.id, quarantine_until = excluded.quarantine_until,
        quarantine_reason = excluded.quarantine_reason";
const LENGTHEN: &str = "UPDATE journal_identity SET quarantine_until = $1, quarantine_reason = $2
    WHERE quarantine_until IS NULL OR quarantine_until < $1";

/// The name and quarantine, or that there is no journal.
pub(super) async fn state(from: &mut impl Read) -> Result<JournalState, JournalError> {
    let row = from.optional(sql(STATE)).await.map_err(storage)?;
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
    let id = B256::from(rand::random::<[u8; 32]>());
    database.execute(sql(BEGIN).bind(id.as_slice()).bind(until).bind(reason)).await.map_err(storage)?;
    Ok(JournalId(id))
}

pub(super) async fn quarantine(database: &Database, quarantine: Quarantine) -> Result<(), JournalError> {
    let mut transaction = database.begin(Order::Journal).await.map_err(storage)?;
    state(&mut transaction).await?;
    let lengthen = sql(LENGTHEN).bind(micros(quarantine.until)).bind(quarantine.reason);
    transaction.execute(lengthen).await.map_err(storage)?;
    transaction.commit().await.map_err(storage)
}

pub(super) async fn set_mirror(database: &Database, place: &str) -> Result<(), JournalError> {
    let done = database.execute(sql("UPDATE journal_identity SET mirror = $1").bind(place)).await.map_err(storage)?;
    if done == 0 { Err(JournalError::new(JournalErrorKind::Missing)) } else { Ok(()) }
}

pub(super) async fn anchor(database: &Database, dst_eid: Eid) -> Result<Option<BlockNumber>, JournalError> {
    let anchor = sql("SELECT through FROM journal_anchors WHERE eid = $1").bind(dst_eid.0);
    let row = database.optional(anchor).await.map_err(storage)?;
    let through = row.map(|row| Columns(&row).number("through").map(BlockNumber)).transpose();
    through.map_err(|error| JournalError::new(JournalErrorKind::Tampered).caused_by(error))
}

pub(super) async fn set_anchor(database: &Database, dst_eid: Eid, through: BlockNumber) -> Result<(), JournalError> {
    // Both are padded to one length, so that the larger text is the larger number.
    let advance = sql("INSERT INTO journal_anchors (eid, through) VALUES ($1, $2) ON CONFLICT (eid)
         DO UPDATE SET through = excluded.through WHERE excluded.through > journal_anchors.through");
    database.execute(advance.bind(dst_eid.0).bind(digits(through.0))).await.map_err(storage)?;
    Ok(())
}
