//! From the embedded store to PostgreSQL, row by row, so that chains of hashes, names and numbers stay what they are.

use futures::TryStreamExt as _;
use sqlx::{
    AssertSqlSafe, PgConnection, PgPool, QueryBuilder, Row as _, SqlitePool,
    sqlite::{SqliteConnection, SqliteRow},
};

use crate::{Postgres, Sqlite, database::Database, sql::Value};

/// Rows that one statement inserts: the wire takes 65,535 values at once.
const ROWS: usize = 500;
/// In the order in which they refer to each other. The journal's name comes last and alone: without it nothing is signed, so that
/// half a copy is none.
const TABLES: [&str; 19] = [
    "jobs",
    "cursors",
    "finalized",
    "journal_slots",
    "journal",
    "journal_anchors",
    "halts",
    "outbox",
    "outbox_items",
    "outbox_attempts",
    "outbox_costs",
    "evidence",
    "halt_evidence",
    "audit",
    "audit_cuts",
    "paths",
    "path_ahead",
    "leases",
    "journal_identity",
];
/// Tables whose numbers the database gives out.
const NUMBERED: [&str; 3] = ["outbox", "evidence", "paths"];
/// Whose triggers would not take a copy: the journal has no name yet, and what retention left of the log does not begin at the first
/// row. Their chains are computed again afterwards.
const UNTRIGGERED: [&str; 3] = ["journal", "audit", "audit_cuts"];

/// Why a store was not copied.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CopyError {
    /// The target is somebody's store.
    #[error(
        "the database holds {rows} rows of {table} already: a copy goes into an empty one, so drop it and make it anew"
    )]
    NotEmpty {
        /// Which table.
        table: &'static str,
        /// How many.
        rows: i64,
    },
    /// Something is different there.
    #[error("{what} came out different: drop the database, and make it anew; the embedded store is as it was")]
    Different {
        /// What.
        what: String,
    },
    /// A database failed.
    #[error("{table} could not be copied; drop the database, and make it anew; the embedded store is as it was")]
    Failed {
        /// Which table.
        table: &'static str,
        /// Why.
        source: sqlx::Error,
    },
}

/// Copies everything into an empty database and compares. The caller holds `from` for itself, and must not use it again.
///
/// Returns the number of rows of each table.
///
/// # Errors
/// [`CopyError`]; the journal has no name at the target then, so that nothing signs there.
///
/// # Cancel safety
/// A dropped call leaves a target without a name, which has to be made anew.
pub async fn copy_store(from: &Sqlite, to: &Postgres) -> Result<Vec<(&'static str, u64)>, CopyError> {
    let (Database::Sqlite { writer, .. }, Database::Postgres(connections)) = (from.database(), to.database()) else {
        return Err(CopyError::Different { what: "the kind of a store".to_owned() });
    };
    refuse_used(connections.pool()).await?;
    let mut copied = Vec::new();
    for table in TABLES {
        if table == "journal_identity" {
            compare(from, to).await?;
        }
        let rows =
            one(writer, connections.pool(), table).await.map_err(|source| CopyError::Failed { table, source })?;
        copied.push((table, rows));
    }
    Ok(copied)
}

async fn refuse_used(pool: &PgPool) -> Result<(), CopyError> {
    for table in TABLES {
        let failed = |source| CopyError::Failed { table, source };
        let count = AssertSqlSafe(format!("SELECT count(*) FROM {table}"));
        let rows: i64 = sqlx::query_scalar(count).fetch_one(pool).await.map_err(failed)?;
        if rows > 0 {
            return Err(CopyError::NotEmpty { table, rows });
        }
    }
    Ok(())
}

/// Both chains say the same, computed again on both sides.
async fn compare(from: &Sqlite, to: &Postgres) -> Result<(), CopyError> {
    let different = |what: &str, why: String| CopyError::Different { what: format!("{what} ({why})") };
    let (ours, theirs) = (from.store(), to.store());
    let journals = (ours.journal.verify().await, theirs.journal.verify().await);
    match journals {
        (Ok(ours), Ok(theirs)) if ours == theirs => {}
        (ours, theirs) => return Err(different("the journal", format!("{ours:?}, {theirs:?}"))),
    }
    let logs = (ours.audit.verify().await, theirs.audit.verify().await);
    match logs {
        (Ok(ours), Ok(theirs)) if ours == theirs => Ok(()),
        (ours, theirs) => Err(different("the audit log", format!("{ours:?}, {theirs:?}"))),
    }
}

async fn one(from: &SqlitePool, to: &PgPool, table: &'static str) -> Result<u64, sqlx::Error> {
    let mut reading = from.acquire().await?;
    let mut writing = to.begin().await?;
    // Copies take longer than calls.
    sqlx::raw_sql("SET LOCAL statement_timeout = 0").execute(&mut *writing).await?;
    let columns = columns(&mut reading, table).await?;
    if UNTRIGGERED.contains(&table) {
        run(&mut writing, format!("ALTER TABLE {table} DISABLE TRIGGER USER")).await?;
    }
    let mut copied: u64 = 0;
    {
        let names: Vec<_> = columns.iter().map(|column| column.name.as_str()).collect();
        let all = AssertSqlSafe(format!("SELECT {} FROM {table} {}", names.join(", "), order(table)));
        let mut rows = sqlx::query(all).fetch(&mut *reading);
        let mut batch = Vec::with_capacity(ROWS);
        while let Some(row) = rows.try_next().await? {
            batch.push(values(&row, &columns)?);
            copied = copied.saturating_add(1);
            if batch.len() >= ROWS {
                insert(&mut writing, table, &names, std::mem::take(&mut batch)).await?;
            }
        }
        insert(&mut writing, table, &names, batch).await?;
    }
    if UNTRIGGERED.contains(&table) {
        run(&mut writing, format!("ALTER TABLE {table} ENABLE TRIGGER USER")).await?;
    }
    if NUMBERED.contains(&table) {
        let next = format!(
            "SELECT setval(pg_get_serial_sequence('{table}', 'id'), (SELECT coalesce(max(id), 0) + 1 FROM {table}), false)"
        );
        run(&mut writing, next).await?;
    }
    writing.commit().await?;
    Ok(copied)
}

async fn run(connection: &mut PgConnection, statement: String) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(AssertSqlSafe(statement)).execute(connection).await.map(|_| ())
}

/// The order of insertion where it means something, else that of the key.
const fn order(table: &str) -> &'static str {
    match table.as_bytes() {
        b"jobs" | b"evidence" | b"outbox" | b"paths" => "ORDER BY rowid",
        b"journal" | b"audit" | b"audit_cuts" => "ORDER BY sequence",
        _ => "",
    }
}

struct Column {
    name: String,
    kind: String,
}

async fn columns(connection: &mut SqliteConnection, table: &str) -> Result<Vec<Column>, sqlx::Error> {
    let info = AssertSqlSafe(format!("SELECT name, type FROM pragma_table_info('{table}') ORDER BY cid"));
    let rows = sqlx::query(info).fetch_all(connection).await?;
    rows.iter().map(|row| Ok(Column { name: row.try_get("name")?, kind: row.try_get("type")? })).collect()
}

/// Every table is strict, so that a column holds what it says.
fn values(row: &SqliteRow, columns: &[Column]) -> Result<Vec<Value>, sqlx::Error> {
    let value = |(at, column): (usize, &Column)| {
        Ok(match column.kind.as_str() {
            "INTEGER" => Value::Int(row.try_get(at)?),
            "BLOB" => Value::Blob(row.try_get(at)?),
            _ => Value::Text(row.try_get(at)?),
        })
    };
    columns.iter().enumerate().map(value).collect()
}

async fn insert(to: &mut PgConnection, table: &str, names: &[&str], rows: Vec<Vec<Value>>) -> Result<(), sqlx::Error> {
    if rows.is_empty() {
        return Ok(());
    }
    if table == "audit" {
        make_room(to, &rows).await?;
    }
    let head = format!("INSERT INTO {table} ({}) OVERRIDING SYSTEM VALUE ", names.join(", "));
    let mut builder = QueryBuilder::new(head);
    builder.push_values(rows, |mut row, values| {
        for value in values {
            match value {
                Value::Int(value) => row.push_bind(value),
                Value::Text(value) => row.push_bind(value),
                Value::Blob(value) => row.push_bind(value),
            };
        }
    });
    builder.build().execute(to).await?;
    Ok(())
}

/// The partitions that these rows of the log go to.
async fn make_room(to: &mut PgConnection, rows: &[Vec<Value>]) -> Result<(), sqlx::Error> {
    for row in [rows.first(), rows.last()].into_iter().flatten() {
        if let Some(Value::Int(Some(sequence))) = row.first() {
            sqlx::query("SELECT audit_room($1)").bind(sequence).execute(&mut *to).await?;
        }
    }
    Ok(())
}
