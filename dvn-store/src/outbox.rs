//! Transactions, durable before they are broadcast.

use crate::{
    codec::{Columns, bind_header, digits, micros, wide_digits},
    database::{Database, Order, Transaction},
    error::{conflict, storage},
    sql::{Row, sql},
};
use std::time::SystemTime;

use async_trait::async_trait;
use dvn_core::{
    error::{StoreError, StoreErrorKind},
    ids::{Eid, JobId},
    ports::{Attempt, Fence, LaneId, NewTransaction, Outbox, OutboxItem, OutboxTransaction, SubmissionId},
};

const OPEN: &str = "SELECT * FROM outbox WHERE dst_eid = $1 AND sender = $2 AND open = 1 ORDER BY nonce";
const OF_JOB: &str = "SELECT * FROM outbox WHERE id IN (SELECT outbox_id FROM outbox_items WHERE job = $1) ORDER BY id";
const HELD: &str = "SELECT fence FROM leases WHERE name = $1 AND fence = $2 AND holder IS NOT NULL";
const CHARGE: &str = "INSERT INTO outbox_costs (outbox_id, dst_eid, wei, at)
     SELECT id, dst_eid, $2, $3 FROM outbox WHERE id = $1
     ON CONFLICT (outbox_id) DO UPDATE SET wei = excluded.wei";
const CHARGED: &str = "SELECT wei FROM outbox_costs WHERE dst_eid = $1 AND at >= $2";
const INSERT: &str = "INSERT INTO outbox (dst_eid, sender, nonce, open) VALUES ($1, $2, $3, 1) RETURNING id";

#[async_trait]
impl Outbox for Database {
    async fn put(&self, new: NewTransaction, fence: Option<&Fence>) -> Result<SubmissionId, StoreError> {
        let mut transaction = self.begin(Order::Outbox).await.map_err(storage)?;
        refuse_replaced(&mut transaction, fence).await?;
        let id = insert(&mut transaction, new.lane, new.nonce).await?;
        for (position, item) in (0_i64..).zip(&new.items) {
            insert_item(&mut transaction, id, position, item).await?;
        }
        insert_attempt(&mut transaction, id, &new.attempt).await?;
        transaction.commit().await.map_err(storage)?;
        Ok(SubmissionId(u64::try_from(id).unwrap_or_default()))
    }

    async fn replace(&self, id: SubmissionId, attempt: Attempt, fence: Option<&Fence>) -> Result<(), StoreError> {
        let mut transaction = self.begin(Order::Outbox).await.map_err(storage)?;
        refuse_replaced(&mut transaction, fence).await?;
        let open = sql("SELECT id FROM outbox WHERE id = $1 AND open = 1").bind(key(id));
        let open = transaction.optional(open).await.map_err(storage)?;
        if open.is_none() {
            let detail = format!("submission {} is not open", id.0);
            return Err(StoreError::new(StoreErrorKind::Conflict).because(detail));
        }
        insert_attempt(&mut transaction, key(id), &attempt).await?;
        transaction.commit().await.map_err(storage)
    }

    async fn open(&self, lane: LaneId) -> Result<Vec<OutboxTransaction>, StoreError> {
        let mut snapshot = self.snapshot().await.map_err(storage)?;
        let statement = sql(OPEN).bind(lane.dst_eid.0).bind(lane.sender.as_slice());
        let rows = snapshot.all(statement).await.map_err(storage)?;
        complete(&mut snapshot, &rows).await
    }

    async fn of_job(&self, job: JobId) -> Result<Vec<OutboxTransaction>, StoreError> {
        let mut snapshot = self.snapshot().await.map_err(storage)?;
        let rows = snapshot.all(sql(OF_JOB).bind(job.0.as_slice())).await.map_err(storage)?;
        complete(&mut snapshot, &rows).await
    }

    async fn charge(&self, id: SubmissionId, wei: u128, at: SystemTime) -> Result<(), StoreError> {
        let charge = sql(CHARGE).bind(key(id)).bind(wide_digits(wei)).bind(micros(at));
        self.execute(charge).await.map_err(storage)?;
        Ok(())
    }

    async fn charged(&self, dst_eid: Eid, since: SystemTime) -> Result<u128, StoreError> {
        let mut snapshot = self.snapshot().await.map_err(storage)?;
        let rows = snapshot.all(sql(CHARGED).bind(dst_eid.0).bind(micros(since))).await.map_err(storage)?;
        let costs = rows.iter().map(|row| Columns(row).wide("wei")).collect::<Result<Vec<u128>, _>>()?;
        Ok(costs.into_iter().fold(0, u128::saturating_add))
    }

    async fn close(&self, id: SubmissionId) -> Result<(), StoreError> {
        // A trigger closes its items in the same transaction.
        let close = sql("UPDATE outbox SET open = 0 WHERE id = $1 AND open = 1").bind(key(id));
        self.execute(close).await.map_err(storage)?;
        Ok(())
    }
}

/// Whoever was replaced as the leader of a lane writes nothing to its outbox any more.
async fn refuse_replaced(from: &mut Transaction, fence: Option<&Fence>) -> Result<(), StoreError> {
    let Some(Fence { lease, number }) = fence else { return Ok(()) };
    let held = sql(HELD).bind(lease).bind(i64::try_from(*number).unwrap_or(i64::MAX));
    if from.optional(held).await.map_err(storage)?.is_some() {
        return Ok(());
    }
    Err(StoreError::new(StoreErrorKind::Conflict).because(format!("another process holds lease {lease} by now")))
}

/// A number that no row has, where SQLite could not have given it out.
fn key(id: SubmissionId) -> i64 {
    i64::try_from(id.0).unwrap_or(-1)
}

async fn insert(to: &mut Transaction, lane: LaneId, nonce: u64) -> Result<i64, StoreError> {
    let statement = sql(INSERT).bind(lane.dst_eid.0).bind(lane.sender.as_slice()).bind(digits(nonce));
    let row = to.optional(statement).await;
    let row = row.map_err(|error| conflict(error, "the lane has an open transaction with this nonce"))?;
    let row = row.ok_or_else(|| storage(sqlx::Error::RowNotFound))?;
    Ok(Columns(&row).any("id")?)
}

const INSERT_ITEM: &str =
    "INSERT INTO outbox_items (outbox_id, position, job, nonce, src_eid, sender, dst_eid, receiver,
    payload_hash, confirmations, expiration, vid, target, open) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9,
    $10, $11, $12, $13, 1)";

async fn insert_item(to: &mut Transaction, id: i64, position: i64, item: &OutboxItem) -> Result<(), StoreError> {
    let attestation = &item.attestation;
    let statement = sql(INSERT_ITEM).bind(id).bind(position).bind(item.job.0.as_slice());
    let statement = bind_header(statement, &attestation.claim.header)
        .bind(attestation.claim.payload_hash.0.as_slice())
        .bind(digits(attestation.confirmations.0))
        .bind(digits(attestation.expiration.0))
        .bind(attestation.vid.0)
        .bind(attestation.target.as_slice());
    let done = to.execute(statement).await;
    done.map_err(|error| conflict(error, "a job is in an open transaction already"))?;
    Ok(())
}

async fn insert_attempt(to: &mut Transaction, id: i64, attempt: &Attempt) -> Result<(), StoreError> {
    let statement = sql("INSERT INTO outbox_attempts (outbox_id, position, tx_hash, raw, max_fee, priority_fee, at)
         SELECT $1, count(*), $2, $3, $4, $5, $6 FROM outbox_attempts WHERE outbox_id = $1")
    .bind(id)
    .bind(attempt.tx_hash.as_slice())
    .bind(attempt.raw.as_ref())
    .bind(wide_digits(attempt.max_fee))
    .bind(wide_digits(attempt.priority_fee))
    .bind(micros(attempt.at));
    to.execute(statement).await.map_err(storage)?;
    Ok(())
}

async fn complete(from: &mut Transaction, rows: &[Row]) -> Result<Vec<OutboxTransaction>, StoreError> {
    let mut transactions = Vec::with_capacity(rows.len());
    for row in rows {
        let columns = Columns(row);
        let id = columns.count("id")?;
        transactions.push(OutboxTransaction {
            id: SubmissionId(id),
            lane: LaneId { dst_eid: columns.eid("dst_eid")?, sender: columns.address("sender")? },
            nonce: columns.number("nonce")?,
            items: items(from, SubmissionId(id)).await?,
            attempts: attempts(from, SubmissionId(id)).await?,
            open: columns.any::<i64>("open")? != 0,
        });
    }
    Ok(transactions)
}

async fn items(from: &mut Transaction, id: SubmissionId) -> Result<Vec<OutboxItem>, StoreError> {
    let items = sql("SELECT * FROM outbox_items WHERE outbox_id = $1 ORDER BY position").bind(key(id));
    let rows = from.all(items).await.map_err(storage)?;
    let item = |row| {
        let columns = Columns(row);
        Ok(OutboxItem { job: JobId(columns.hash("job")?), attestation: columns.attestation()? })
    };
    rows.iter().map(item).collect()
}

async fn attempts(from: &mut Transaction, id: SubmissionId) -> Result<Vec<Attempt>, StoreError> {
    let attempts = sql("SELECT * FROM outbox_attempts WHERE outbox_id = $1 ORDER BY position").bind(key(id));
    let rows = from.all(attempts).await.map_err(storage)?;
    let attempt = |row| {
        let columns = Columns(row);
        Ok(Attempt {
            tx_hash: columns.hash("tx_hash")?,
            raw: columns.bytes("raw")?,
            max_fee: columns.wide("max_fee")?,
            priority_fee: columns.wide("priority_fee")?,
            at: columns.time("at")?,
        })
    };
    rows.iter().map(attempt).collect()
}
