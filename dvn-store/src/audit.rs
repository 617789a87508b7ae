//! Every decision, each row chained to the one before.

mod chain;
mod cut;
mod group;
mod select;

pub use self::chain::audit_row_hash;
pub(crate) use self::group::GroupedAudit;
use self::{
    chain::{corrupt, follow, read},
    cut::ToldCut,
};
use crate::{
    codec::{CodecError, Columns, count, limit, micros},
    database::{Database, Order, Transaction},
    error::storage,
    sql::sql,
};
use async_trait::async_trait;
use dvn_core::{
    error::StoreError,
    ids::Guid,
    ports::{AuditCut, AuditEntry, AuditHead, AuditLog, AuditQuery, AuditRow},
};

const PAGE: i64 = 512;

/// Rows of one partition, where the database has them.
const PARTITION: u64 = 1_000_000;
const ROOM: &str = "SELECT audit_room($1)";

/// Rows up to the newest cut may still be there, where it was not finished; they count as gone.
const ROWS: &str = "SELECT * FROM audit
    WHERE sequence > $1 AND sequence > (SELECT coalesce(max(sequence), 0) FROM audit_cuts)
    ORDER BY sequence LIMIT $2";
const OF_PACKET: &str = "SELECT * FROM audit
    WHERE guid = $1 AND sequence > (SELECT coalesce(max(sequence), 0) FROM audit_cuts)
    ORDER BY sequence";
const NEWEST: &str = "SELECT sequence, row_hash FROM audit ORDER BY sequence DESC LIMIT 1";
const INSERT: &str = "INSERT INTO audit (sequence, at, actor, action, guid, evidence, detail, prev_hash, row_hash)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";

#[async_trait]
impl AuditLog for Database {
    async fn append(&self, entries: &[AuditEntry]) -> Result<(), StoreError> {
        if entries.is_empty() {
            return Ok(());
        }
        let mut transaction = self.begin(Order::Audit).await.map_err(storage)?;
        append(&mut transaction, entries).await?;
        transaction.commit().await.map_err(storage)
    }

    async fn of_packet(&self, guid: Guid) -> Result<Vec<AuditRow>, StoreError> {
        let rows = self.all(sql(OF_PACKET).bind(guid.0.as_slice())).await.map_err(storage)?;
        rows.iter().map(|row| Ok(read(row)?)).collect()
    }

    async fn rows(&self, after: u64, most: usize) -> Result<Vec<AuditRow>, StoreError> {
        let rows = self.all(sql(ROWS).bind(count(after)).bind(limit(most))).await.map_err(storage)?;
        rows.iter().map(|row| Ok(read(row)?)).collect()
    }

    async fn query(&self, query: &AuditQuery) -> Result<Vec<AuditRow>, StoreError> {
        select::select(self, query).await
    }

    async fn head(&self) -> Result<AuditHead, StoreError> {
        let row = self.optional(sql(NEWEST)).await.map_err(storage)?;
        match row {
            Some(row) => Ok(point(Columns(&row))?),
            None => Ok(AuditHead::default()),
        }
    }

    async fn base(&self) -> Result<AuditHead, StoreError> {
        Ok(cut::newest(self).await?.map(|newest| newest.cut.through).unwrap_or_default())
    }

    async fn verify(&self) -> Result<AuditHead, StoreError> {
        loop {
            let newest = cut::newest(self).await?;
            let verified = verify(self, newest).await;
            // Rows may have been cut off meanwhile, beside this process; then the look is taken again.
            if verified.is_ok() || cut::newest(self).await? == newest {
                return verified;
            }
        }
    }

    async fn cut(&self, cut: &AuditCut, entry: &AuditEntry) -> Result<u64, StoreError> {
        cut::cut(self, cut, entry).await
    }
}

/// Computes every row from the cut on. The cut has to be told by a row above it.
async fn verify(database: &Database, newest: Option<ToldCut>) -> Result<AuditHead, StoreError> {
    let mut head = newest.map(|newest| newest.cut.through).unwrap_or_default();
    let mut untold = newest;
    loop {
        let rows = database.all(sql(ROWS).bind(count(head.rows)).bind(PAGE)).await.map_err(storage)?;
        if rows.is_empty() {
            break;
        }
        for row in &rows {
            let row = follow(row, head)?;
            head = AuditHead { rows: row.sequence, hash: row.row_hash };
            untold = untold.filter(|it| !(it.told_in == row.sequence && it.cut.is_told_by(&row.entry)));
        }
    }
    let Some(ToldCut { cut, told_in }) = untold else { return Ok(head) };
    Err(corrupt(format!("audit log was cut at row {}, and row {told_in} does not tell it", cut.through.rows)))
}

/// Appends entries and returns the head that it is then.
async fn append(transaction: &mut Transaction, entries: &[AuditEntry]) -> Result<AuditHead, StoreError> {
    let row = transaction.optional(sql(NEWEST)).await.map_err(storage)?;
    let mut head = row.map(|row| point(Columns(&row))).transpose()?.unwrap_or_default();
    for entry in entries {
        head = insert(transaction, head, entry).await?;
    }
    Ok(head)
}

async fn insert(transaction: &mut Transaction, head: AuditHead, entry: &AuditEntry) -> Result<AuditHead, StoreError> {
    let rows = head.rows.saturating_add(1);
    let hash = audit_row_hash(head.hash, rows, entry);
    if rows.is_multiple_of(PARTITION) && matches!(transaction, Transaction::Postgres(_)) {
        transaction.execute(sql(ROOM).bind(count(rows))).await.map_err(storage)?;
    }
    let row = sql(INSERT)
        .bind(count(rows))
        .bind(micros(entry.at))
        .bind(&entry.actor)
        .bind(&entry.action)
        .bind(entry.guid.as_ref().map(|guid| guid.0.as_slice()))
        .bind(entry.evidence.as_ref().map(|digest| digest.as_slice()))
        .bind(&entry.detail)
        .bind(head.hash.as_slice())
        .bind(hash.as_slice());
    transaction.execute(row).await.map_err(storage)?;
    Ok(AuditHead { rows, hash })
}

fn point(columns: Columns<'_>) -> Result<AuditHead, CodecError> {
    Ok(AuditHead { rows: columns.count("sequence")?, hash: columns.hash("row_hash")? })
}
