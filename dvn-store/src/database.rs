//! Either database behind one set of calls; every port is implemented on it, each in its own file.

use std::fs::File;

use sqlx::{Sqlite, SqlitePool};

use crate::{
    postgres::{Connections, Guard, PostgresSession},
    sql::{Row, Statement, sql},
    sqlite::Group,
};

/// SQLite has one writer at a time. One connection that all writers queue for is fair and never busy within the process.
/// PostgreSQL has a pool, and a deadline for everything.
#[derive(Debug)]
pub(crate) enum Database {
    Sqlite {
        writer: SqlitePool,
        /// For writes that are transactions by themselves.
        group: Group,
        readers: SqlitePool,
        /// Held, not used: the lock ends with the last port that lives.
        _lock: Option<File>,
    },
    Postgres(Connections),
}

/// What is read before it is written is decided by one transaction at a time, over all processes. SQLite has one writer anyway;
/// PostgreSQL takes an advisory lock of this number until the transaction ends.
#[derive(Clone, Copy, Debug)]
#[repr(i64)]
pub(crate) enum Order {
    Journal = 7_203_001,
    Audit = 7_203_002,
    Paths = 7_203_003,
    Outbox = 7_203_004,
    Jobs = 7_203_005,
}

impl Database {
    /// Writes, and says how many rows there were.
    pub(crate) async fn execute(&self, statement: Statement) -> Result<u64, sqlx::Error> {
        match self {
            Self::Sqlite { group, .. } => group.execute(statement).await,
            Self::Postgres(connections) => PostgresSession::single(connections).await?.execute(statement).await,
        }
    }

    /// Writes and returns a row, or reads what the writer has written.
    pub(crate) async fn write_optional(&self, statement: Statement) -> Result<Option<Row>, sqlx::Error> {
        match self {
            Self::Sqlite { writer, .. } => Ok(statement.sqlite().fetch_optional(writer).await?.map(Row::Sqlite)),
            Self::Postgres(_) => self.optional(statement).await,
        }
    }

    pub(crate) async fn all(&self, statement: Statement) -> Result<Vec<Row>, sqlx::Error> {
        match self {
            Self::Sqlite { readers, .. } => {
                Ok(statement.sqlite().fetch_all(readers).await?.into_iter().map(Row::Sqlite).collect())
            }
            Self::Postgres(connections) => {
                let rows = PostgresSession::single(connections).await?.all(statement).await?;
                Ok(rows.into_iter().map(Row::Postgres).collect())
            }
        }
    }

    pub(crate) async fn optional(&self, statement: Statement) -> Result<Option<Row>, sqlx::Error> {
        match self {
            Self::Sqlite { readers, .. } => Ok(statement.sqlite().fetch_optional(readers).await?.map(Row::Sqlite)),
            Self::Postgres(connections) => {
                let row = PostgresSession::single(connections).await?.optional(statement).await?;
                Ok(row.map(Row::Postgres))
            }
        }
    }

    /// A transaction that writes, alone of its order, so that what it reads stays true until it commits.
    pub(crate) async fn begin(&self, order: Order) -> Result<Transaction, sqlx::Error> {
        match self {
            Self::Sqlite { writer, .. } => Ok(Transaction::Sqlite(writer.begin_with("BEGIN IMMEDIATE").await?)),
            Self::Postgres(connections) => {
                let mut transaction = PostgresSession::begin(connections, "BEGIN").await?;
                transaction.execute(sql("SELECT pg_advisory_xact_lock($1)").bind(order as i64)).await?;
                Ok(Transaction::Postgres(transaction))
            }
        }
    }

    /// A transaction that reads, all of one moment.
    pub(crate) async fn snapshot(&self) -> Result<Transaction, sqlx::Error> {
        match self {
            Self::Sqlite { readers, .. } => Ok(Transaction::Sqlite(readers.begin().await?)),
            Self::Postgres(connections) => {
                let begun = PostgresSession::begin(connections, "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY");
                Ok(Transaction::Postgres(begun.await?))
            }
        }
    }

    /// What watches over the connections of a shared database.
    pub(crate) fn guard(&self) -> Option<&Guard> {
        match self {
            Self::Sqlite { .. } => None,
            Self::Postgres(connections) => Some(connections.guard()),
        }
    }

    /// Waits for the statements under way and closes the connections.
    pub(crate) async fn close(&self) {
        match self {
            Self::Sqlite { writer, readers, .. } => {
                readers.close().await;
                writer.close().await;
            }
            Self::Postgres(connections) => connections.close().await,
        }
    }
}

/// A transaction of either database. Dropping it undoes it.
#[derive(Debug)]
pub(crate) enum Transaction {
    Sqlite(sqlx::Transaction<'static, Sqlite>),
    Postgres(PostgresSession),
}

impl Transaction {
    pub(crate) async fn execute(&mut self, statement: Statement) -> Result<u64, sqlx::Error> {
        match self {
            Self::Sqlite(transaction) => Ok(statement.sqlite().execute(&mut **transaction).await?.rows_affected()),
            Self::Postgres(transaction) => transaction.execute(statement).await,
        }
    }

    pub(crate) async fn all(&mut self, statement: Statement) -> Result<Vec<Row>, sqlx::Error> {
        match self {
            Self::Sqlite(transaction) => {
                let rows = statement.sqlite().fetch_all(&mut **transaction).await?;
                Ok(rows.into_iter().map(Row::Sqlite).collect())
            }
            Self::Postgres(transaction) => {
                Ok(transaction.all(statement).await?.into_iter().map(Row::Postgres).collect())
            }
        }
    }

    pub(crate) async fn optional(&mut self, statement: Statement) -> Result<Option<Row>, sqlx::Error> {
        match self {
            Self::Sqlite(transaction) => {
                Ok(statement.sqlite().fetch_optional(&mut **transaction).await?.map(Row::Sqlite))
            }
            Self::Postgres(transaction) => Ok(transaction.optional(statement).await?.map(Row::Postgres)),
        }
    }

    /// Makes it durable. After an error it is not known whether it is.
    pub(crate) async fn commit(self) -> Result<(), sqlx::Error> {
        match self {
            Self::Sqlite(transaction) => transaction.commit().await,
            Self::Postgres(transaction) => transaction.commit().await,
        }
    }
}

/// What can be asked: the database, or a transaction of it.
pub(crate) trait Read {
    fn all(&mut self, statement: Statement) -> impl Future<Output = Result<Vec<Row>, sqlx::Error>> + Send;
    fn optional(&mut self, statement: Statement) -> impl Future<Output = Result<Option<Row>, sqlx::Error>> + Send;
}

impl Read for &Database {
    async fn all(&mut self, statement: Statement) -> Result<Vec<Row>, sqlx::Error> {
        Database::all(self, statement).await
    }

    async fn optional(&mut self, statement: Statement) -> Result<Option<Row>, sqlx::Error> {
        Database::optional(self, statement).await
    }
}

impl Read for Transaction {
    async fn all(&mut self, statement: Statement) -> Result<Vec<Row>, sqlx::Error> {
        Self::all(self, statement).await
    }

    async fn optional(&mut self, statement: Statement) -> Result<Option<Row>, sqlx::Error> {
        Self::optional(self, statement).await
    }
}
