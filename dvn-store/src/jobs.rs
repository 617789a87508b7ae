//! Jobs, one row per claim.

use std::time::SystemTime;

use alloy_primitives::B256;
use async_trait::async_trait;
use dvn_core::{
    error::{StoreError, StoreErrorKind},
    ids::{Eid, Guid, JobId},
    job::{Job, State},
    ports::{Due, Head, JobStore, Observed, Tally},
};
use sqlx::sqlite::SqliteRow;

use crate::{
    codec::{Columns, Statement, bind_header, digits, limit as bound, micros},
    database::Database,
    error::storage,
};

mod row;

const OBSERVE: &str = "INSERT INTO jobs (id, guid, payload_hash, nonce, src_eid, sender, dst_eid, receiver,
        location_eid, block_number, block_hash, tx_hash, log_index, state, reason, wake_at, wake_head,
        first_send_confirmations, signed_confirmations, signed_expiration, signed_target, signatures,
        attested_number, attested_hash, attempts, last_error, observed_at, version)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (id) DO NOTHING";
/// The columns from `location_eid` on stand in the order of [`OBSERVE`].
const SAVE: &str = "UPDATE jobs SET location_eid = ?, block_number = ?, block_hash = ?, tx_hash = ?, log_index = ?,
        state = ?, reason = ?, wake_at = ?, wake_head = ?, first_send_confirmations = ?,
        signed_confirmations = ?, signed_expiration = ?, signed_target = ?, signatures = ?,
        attested_number = ?, attested_hash = ?, attempts = ?, last_error = ?, observed_at = ?, version = ?
    WHERE id = ? AND version = ?";
const DUE: &str = "SELECT id, state, reason, version FROM jobs WHERE wake_at <= ? ORDER BY wake_at, rowid LIMIT ?";
const RIPE: &str = "SELECT id, state, reason, version FROM jobs
    WHERE location_eid = ? AND wake_head <= ? AND block_number <= ? ORDER BY block_number, rowid LIMIT ?";
const IN_STATE: &str = "SELECT * FROM jobs WHERE dst_eid = ? AND state = ? AND reason IS ?
    ORDER BY observed_at, rowid LIMIT ?";
const BY_GUID: &str = "SELECT * FROM jobs WHERE guid = ? ORDER BY observed_at, rowid";
const BY_TRANSACTION: &str = "SELECT * FROM jobs WHERE tx_hash = ? ORDER BY log_index, rowid";
const TALLY: &str = "SELECT location_eid, dst_eid, state, reason, count(*) AS count FROM jobs
    GROUP BY location_eid, dst_eid, state, reason ORDER BY location_eid, dst_eid, state, reason";

#[async_trait]
impl JobStore for Database {
    async fn observe(&self, job: &Job) -> Result<Observed, StoreError> {
        let statement = sqlx::query(OBSERVE)
            .bind(job.id.0.as_slice())
            .bind(job.claim.header.guid().0.to_vec())
            .bind(job.claim.payload_hash.0.as_slice());
        let done = row::bind(bind_header(statement, &job.claim.header), job)
            .bind(version(job.version)?)
            .execute(&self.writer)
            .await
            .map_err(storage)?;
        if done.rows_affected() > 0 {
            return Ok(Observed::New);
        }
        match JobStore::load(self, job.id).await? {
            Some(known) => Ok(Observed::Known(Box::new(known))),
            None => Err(StoreError::new(StoreErrorKind::Corrupt).because(format!("job {} was lost", job.id))),
        }
    }

    async fn load(&self, id: JobId) -> Result<Option<Job>, StoreError> {
        let statement = sqlx::query("SELECT * FROM jobs WHERE id = ?").bind(id.0.as_slice());
        Ok(self.jobs(statement).await?.into_iter().next())
    }

    async fn save(&self, job: &mut Job) -> Result<(), StoreError> {
        let next = job.version.saturating_add(1);
        let done = row::bind(sqlx::query(SAVE), job)
            .bind(version(next)?)
            .bind(job.id.0.as_slice())
            .bind(version(job.version)?)
            .execute(&self.writer)
            .await
            .map_err(storage)?;
        if done.rows_affected() == 0 {
            let detail = format!("job {} is not at version {}", job.id, job.version);
            return Err(StoreError::new(StoreErrorKind::Conflict).because(detail));
        }
        job.version = next;
        Ok(())
    }

    async fn due(&self, now: SystemTime, limit: usize) -> Result<Vec<Due>, StoreError> {
        self.found(sqlx::query(DUE).bind(micros(now)).bind(bound(limit))).await
    }

    async fn ripe(&self, src_eid: Eid, head: Head, limit: usize) -> Result<Vec<Due>, StoreError> {
        let statement = sqlx::query(RIPE)
            .bind(src_eid.0)
            .bind(digits(head.latest.0))
            .bind(digits(head.settled.0))
            .bind(bound(limit));
        self.found(statement).await
    }

    async fn in_state(&self, dst_eid: Eid, state: State, limit: usize) -> Result<Vec<Job>, StoreError> {
        let statement =
            sqlx::query(IN_STATE).bind(dst_eid.0).bind(state.name()).bind(state.reason()).bind(bound(limit));
        self.jobs(statement).await
    }

    async fn by_guid(&self, guid: Guid) -> Result<Vec<Job>, StoreError> {
        self.jobs(sqlx::query(BY_GUID).bind(guid.0.as_slice())).await
    }

    async fn by_transaction(&self, tx_hash: B256) -> Result<Vec<Job>, StoreError> {
        self.jobs(sqlx::query(BY_TRANSACTION).bind(tx_hash.as_slice())).await
    }

    async fn tally(&self) -> Result<Vec<Tally>, StoreError> {
        let rows = sqlx::query(TALLY).fetch_all(&self.readers).await.map_err(storage)?;
        rows.iter().map(tally).collect()
    }
}

impl Database {
    async fn jobs(&self, statement: Statement<'_>) -> Result<Vec<Job>, StoreError> {
        let rows = statement.fetch_all(&self.readers).await.map_err(storage)?;
        rows.iter().map(row::read).collect()
    }

    async fn found(&self, statement: Statement<'_>) -> Result<Vec<Due>, StoreError> {
        let rows = statement.fetch_all(&self.readers).await.map_err(storage)?;
        rows.iter().map(due).collect()
    }
}

fn due(row: &SqliteRow) -> Result<Due, StoreError> {
    let columns = Columns(row);
    Ok(Due { id: JobId(columns.hash("id")?), state: row::state(columns)?, version: columns.count("version")? })
}

fn version(version: u64) -> Result<i64, StoreError> {
    i64::try_from(version)
        .map_err(|_| StoreError::new(StoreErrorKind::Conflict).because(format!("no job has version {version}")))
}

fn tally(row: &SqliteRow) -> Result<Tally, StoreError> {
    let columns = Columns(row);
    Ok(Tally {
        src_eid: columns.eid("location_eid")?,
        dst_eid: columns.eid("dst_eid")?,
        state: row::state(columns)?,
        count: columns.count("count")?,
    })
}

#[cfg(test)]
mod tests {
    use sqlx::{AssertSqlSafe, Row as _};

    use super::*;
    use crate::schema;

    /// The sweeper asks these all the time, over every job there ever was.
    #[tokio::test]
    async fn what_is_asked_often_is_answered_by_an_index_without_sorting() {
        let database = Database::in_memory().await.unwrap();
        schema::migrate(&database.writer).await.unwrap();
        let expected = [(DUE, "jobs_due"), (RIPE, "jobs_ripe"), (IN_STATE, "jobs_in_state"), (BY_GUID, "jobs_by_guid")];
        for (sql, index) in expected {
            let explain = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}"));
            let rows = sqlx::query(explain).fetch_all(&database.writer).await.unwrap();
            let plan: Vec<String> = rows.iter().map(|row| row.get("detail")).collect();
            assert!(plan[0].contains(index), "{plan:?}");
            let sorts = plan.iter().any(|step| step.contains("TEMP B-TREE FOR ORDER BY"));
            assert!(!sorts || index == "jobs_by_guid", "{plan:?}");
        }
    }
}
