//! Rows that fit a query.

use dvn_core::{
    error::StoreError,
    ports::{AuditQuery, AuditRow},
};

use super::read;
use crate::{
    codec::{count, limit, micros},
    database::Database,
    error::storage,
    sql::sql,
};

/// By time and position, which the indexes know.
const BY_TIME: &str = "SELECT * FROM audit
    WHERE at >= $1 AND at < $2
      AND sequence > $3 AND sequence > (SELECT coalesce(max(sequence), 0) FROM audit_cuts)
      AND (actor = $4 OR $4 IS NULL) AND (action = $5 OR $5 IS NULL)
    ORDER BY sequence LIMIT $6";
const BY_PACKET: &str = "SELECT * FROM audit
    WHERE at >= $1 AND at < $2
      AND sequence > $3 AND sequence > (SELECT coalesce(max(sequence), 0) FROM audit_cuts)
      AND (actor = $4 OR $4 IS NULL) AND (action = $5 OR $5 IS NULL)
      AND guid = $7
    ORDER BY sequence LIMIT $6";
/// A packet belongs to both of its ends. What was signed without a job, for a peer, is known to the journal.
const BY_OAPP: &str = "SELECT * FROM audit
    WHERE at >= $1 AND at < $2
      AND sequence > $3 AND sequence > (SELECT coalesce(max(sequence), 0) FROM audit_cuts)
      AND (actor = $4 OR $4 IS NULL) AND (action = $5 OR $5 IS NULL)
      AND (guid = $7 OR $7 IS NULL)
      AND guid IN (
        SELECT guid FROM jobs WHERE sender = $8
        UNION SELECT guid FROM jobs WHERE receiver = $8
        UNION SELECT guid FROM journal_slots WHERE sender = $8 OR receiver = $8
      )
    ORDER BY sequence LIMIT $6";

pub(super) async fn select(database: &Database, query: &AuditQuery) -> Result<Vec<AuditRow>, StoreError> {
    let text = match (query.oapp, query.guid) {
        (Some(_), _) => BY_OAPP,
        (None, Some(_)) => BY_PACKET,
        (None, None) => BY_TIME,
    };
    let mut statement = sql(text)
        .bind(query.since.map_or(i64::MIN, micros))
        .bind(query.until.map_or(i64::MAX, micros))
        .bind(count(query.after))
        .bind(query.actor.as_deref())
        .bind(query.action.as_deref())
        .bind(limit(query.limit));
    if query.oapp.is_some() || query.guid.is_some() {
        statement = statement.bind(query.guid.as_ref().map(|guid| guid.0.as_slice()));
    }
    if let Some(oapp) = &query.oapp {
        statement = statement.bind(oapp.as_slice());
    }
    let rows = database.all(statement).await.map_err(storage)?;
    rows.iter().map(|row| Ok(read(row)?)).collect()
}
