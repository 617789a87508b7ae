//! Jobs, one row per claim.

use std::time::{Duration, SystemTime};

use crate::{
    codec::{Columns, bind_header, digits, limit as bound, micros},
    database::{Database, Order},
    error::storage,
    sql::{Row, Statement, sql},
};
use alloy_primitives::B256;
use async_trait::async_trait;
use dvn_core::{
    error::{StoreError, StoreErrorKind},
    ids::{Eid, Guid, JobId},
    job::{Job, State},
    ports::{Due, Head, JobStore, Observed, Tally},
};

mod row;

const OBSERVE: &str = "INSERT INTO jobs (id, guid, payload_hash, nonce, src_eid, sender, dst_eid, receiver,
        location_eid, block_number, block_hash, tx_hash, log_index, state, reason, wake_at, wake_head,
        first_send_confirmations, signed_confirmations, signed_expiration, signed_target, signatures,
        attested_number, attested_hash, attempts, last_error, observed_at, version)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23,
        $24, $25, $26, $27, $28)
    ON CONFLICT (id) DO NOTHING";
/// The columns from `location_eid` on stand in the order of [`OBSERVE`].
const SAVE: &str =
    "UPDATE jobs SET location_eid = $1, block_number = $2, block_hash = $3, tx_hash = $4, log_index = $5,
        state = $6, reason = $7, wake_at = $8, wake_head = $9, first_send_confirmations = $10,
        signed_confirmations = $11, signed_expiration = $12, signed_target = $13, signatures = $14,
        attested_number = $15, attested_hash = $16, attempts = $17, last_error = $18, observed_at = $19, version = $20
    WHERE id = $21 AND version = $22";
const LOAD: &str = "SELECT * FROM jobs WHERE id = $1";
/// A claim is for one version, so that whoever saves ends it. It need not reach the disk: the setting holds for this statement.
const CLAIM: &str = "UPDATE jobs SET claimed_by = $2, claimed_version = version, claimed_until = $3
    WHERE id = $1 AND (claimed_version IS DISTINCT FROM version OR claimed_by = $2 OR claimed_until <= $4)
        AND set_config('synchronous_commit', 'off', true) IS NOT NULL
    RETURNING *";
const DUE: &str = "SELECT id, state, reason, version FROM jobs WHERE wake_at <= $1 ORDER BY wake_at, rowid LIMIT $2";
const RIPE: &str = "SELECT id, state, reason, version FROM jobs
    WHERE location_eid = $1 AND wake_head <= $2 AND block_number <= $3 ORDER BY block_number, rowid LIMIT $4";
/// What the two heights of a head bring, each by its own index.
const RIPENED: &str = "SELECT id, state, reason, version, block_number FROM jobs
        WHERE location_eid = $1 AND wake_head > $2 AND wake_head <= $3 AND block_number <= $5
    UNION SELECT id, state, reason, version, block_number FROM jobs
        WHERE location_eid = $1 AND wake_head <= $3 AND block_number > $4 AND block_number <= $5
    ORDER BY block_number, id LIMIT $6";
const IN_STATE: &str = "SELECT * FROM jobs WHERE dst_eid = $1 AND state = $2 AND reason IS NOT DISTINCT FROM $3
    ORDER BY observed_at, rowid LIMIT $4";
const BY_GUID: &str = "SELECT * FROM jobs WHERE guid = $1 ORDER BY observed_at, rowid";
const BY_TRANSACTION: &str = "SELECT * FROM jobs WHERE tx_hash = $1 ORDER BY log_index, rowid";
const TALLY: &str = "SELECT location_eid, dst_eid, state, reason, count(*) AS count FROM jobs
    GROUP BY location_eid, dst_eid, state, reason ORDER BY location_eid, dst_eid, state, reason";

#[async_trait]
impl JobStore for Database {
    async fn observe(&self, job: &Job) -> Result<Observed, StoreError> {
        if self.execute(insert(job)?).await.map_err(storage)? > 0 {
            return Ok(Observed::New);
        }
        match JobStore::load(self, job.id).await? {
            Some(known) => Ok(Observed::Known(Box::new(known))),
            None => Err(lost(job.id)),
        }
    }

    async fn observe_all(&self, jobs: &[Job]) -> Result<Vec<Observed>, StoreError> {
        if let [job] = jobs {
            return Ok(vec![self.observe(job).await?]);
        }
        let mut observed = Vec::with_capacity(jobs.len());
        if jobs.is_empty() {
            return Ok(observed);
        }
        let mut transaction = self.begin(Order::Jobs).await.map_err(storage)?;
        for job in jobs {
            if transaction.execute(insert(job)?).await.map_err(storage)? > 0 {
                observed.push(Observed::New);
                continue;
            }
            let known = transaction.optional(sql(LOAD).bind(job.id.0.as_slice())).await.map_err(storage)?;
            let known = known.as_ref().map(row::read).transpose()?.ok_or_else(|| lost(job.id))?;
            observed.push(Observed::Known(Box::new(known)));
        }
        transaction.commit().await.map_err(storage)?;
        Ok(observed)
    }

    async fn load(&self, id: JobId) -> Result<Option<Job>, StoreError> {
        let statement = sql(LOAD).bind(id.0.as_slice());
        Ok(self.jobs(statement).await?.into_iter().next())
    }

    async fn claim(&self, id: JobId, holder: &str, now: SystemTime, ttl: Duration) -> Result<Option<Job>, StoreError> {
        // A folder has one process.
        if self.guard().is_none() {
            return JobStore::load(self, id).await;
        }
        let ttl = i64::try_from(ttl.as_micros()).unwrap_or(i64::MAX);
        let until = micros(now).saturating_add(ttl);
        let claim = sql(CLAIM).bind(id.0.as_slice()).bind(holder).bind(until).bind(micros(now));
        self.write_optional(claim).await.map_err(storage)?.as_ref().map(row::read).transpose()
    }

    async fn save(&self, job: &mut Job) -> Result<(), StoreError> {
        let next = job.version.saturating_add(1);
        let statement =
            row::bind(sql(SAVE), job).bind(version(next)?).bind(job.id.0.as_slice()).bind(version(job.version)?);
        if self.execute(statement).await.map_err(storage)? == 0 {
            let detail = format!("job {} is not at version {}", job.id, job.version);
            return Err(StoreError::new(StoreErrorKind::Conflict).because(detail));
        }
        job.version = next;
        Ok(())
    }

    async fn due(&self, now: SystemTime, limit: usize) -> Result<Vec<Due>, StoreError> {
        self.found(sql(DUE).bind(micros(now)).bind(bound(limit))).await
    }

    async fn ripe(&self, src_eid: Eid, head: Head, limit: usize) -> Result<Vec<Due>, StoreError> {
        let statement =
            sql(RIPE).bind(src_eid.0).bind(digits(head.latest.0)).bind(digits(head.settled.0)).bind(bound(limit));
        self.found(statement).await
    }

    async fn ripened(&self, src_eid: Eid, since: Head, head: Head, limit: usize) -> Result<Vec<Due>, StoreError> {
        let statement = sql(RIPENED).bind(src_eid.0).bind(digits(since.latest.0)).bind(digits(head.latest.0));
        let statement = statement.bind(digits(since.settled.0)).bind(digits(head.settled.0)).bind(bound(limit));
        self.found(statement).await
    }

    async fn in_state(&self, dst_eid: Eid, state: State, limit: usize) -> Result<Vec<Job>, StoreError> {
        let statement = sql(IN_STATE).bind(dst_eid.0).bind(state.name()).bind(state.reason()).bind(bound(limit));
        self.jobs(statement).await
    }

    async fn by_guid(&self, guid: Guid) -> Result<Vec<Job>, StoreError> {
        self.jobs(sql(BY_GUID).bind(guid.0.as_slice())).await
    }

    async fn by_transaction(&self, tx_hash: B256) -> Result<Vec<Job>, StoreError> {
        self.jobs(sql(BY_TRANSACTION).bind(tx_hash.as_slice())).await
    }

    async fn tally(&self) -> Result<Vec<Tally>, StoreError> {
        let rows = self.all(sql(TALLY)).await.map_err(storage)?;
        rows.iter().map(tally).collect()
    }
}

impl Database {
    async fn jobs(&self, statement: Statement) -> Result<Vec<Job>, StoreError> {
        let rows = self.all(statement).await.map_err(storage)?;
        rows.iter().map(row::read).collect()
    }

    async fn found(&self, statement: Statement) -> Result<Vec<Due>, StoreError> {
        let rows = self.all(statement).await.map_err(storage)?;
        rows.iter().map(due).collect()
    }
}

fn due(row: &Row) -> Result<Due, StoreError> {
    let columns = Columns(row);
    Ok(Due { id: JobId(columns.hash("id")?), state: row::state(columns)?, version: columns.count("version")? })
}

fn insert(job: &Job) -> Result<Statement, StoreError> {
    let statement = sql(OBSERVE)
        .bind(job.id.0.as_slice())
        .bind(job.claim.header.guid().0.to_vec())
        .bind(job.claim.payload_hash.0.as_slice());
    Ok(row::bind(bind_header(statement, &job.claim.header), job).bind(version(job.version)?))
}

fn lost(id: JobId) -> StoreError {
    StoreError::new(StoreErrorKind::Corrupt).because(format!("job {id} was lost"))
}

fn version(version: u64) -> Result<i64, StoreError> {
    i64::try_from(version)
        .map_err(|_| StoreError::new(StoreErrorKind::Conflict).because(format!("no job has version {version}")))
}

fn tally(row: &Row) -> Result<Tally, StoreError> {
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
        let database = crate::sqlite::in_memory().await.unwrap();
        schema::migrate(&database).await.unwrap();
        let Database::Sqlite { writer, .. } = &database else { unreachable!("made above") };
        let expected = [(DUE, "jobs_due"), (RIPE, "jobs_ripe"), (IN_STATE, "jobs_in_state"), (BY_GUID, "jobs_by_guid")];
        for (sql, index) in expected {
            let explain = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}"));
            let rows = sqlx::query(explain).fetch_all(writer).await.unwrap();
            let plan: Vec<String> = rows.iter().map(|row| row.get("detail")).collect();
            assert!(plan[0].contains(index), "{plan:?}");
            let sorts = plan.iter().any(|step| step.contains("TEMP B-TREE FOR ORDER BY"));
            assert!(!sorts || index == "jobs_by_guid", "{plan:?}");
        }
    }

    /// As many rows are looked at as a head brings, however many wait.
    #[tokio::test]
    async fn a_new_head_is_answered_by_an_index_for_each_of_its_heights() {
        let database = crate::sqlite::in_memory().await.unwrap();
        schema::migrate(&database).await.unwrap();
        let Database::Sqlite { writer, .. } = &database else { unreachable!("made above") };
        let rows = sqlx::query(AssertSqlSafe(format!("EXPLAIN QUERY PLAN {RIPENED}"))).fetch_all(writer).await.unwrap();
        let plan = rows.iter().map(|row| row.get::<String, _>("detail")).collect::<Vec<_>>().join("; ");
        assert!(plan.contains("jobs_by_wake_head (location_eid=? AND wake_head>? AND wake_head<?)"), "{plan}");
        assert!(plan.contains("jobs_ripe (location_eid=? AND block_number>? AND block_number<?)"), "{plan}");
    }
}
