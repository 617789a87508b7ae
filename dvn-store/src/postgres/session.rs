//! A connection for a while, in a transaction or for one statement. One that hung is thrown away, so that nobody waits for it.

use sqlx::{PgPool, Postgres, pool::PoolConnection, postgres::PgRow};

use super::{Guard, within};
use crate::sql::Statement;

/// A connection that is taken. Dropping it undoes a transaction that is open.
#[derive(Debug)]
pub(crate) struct PostgresSession {
    connection: Option<PoolConnection<Postgres>>,
    guard: Guard,
    is_open: bool,
}

impl PostgresSession {
    /// For one statement that is a transaction by itself.
    pub(crate) async fn single(pool: &PgPool, guard: &Guard) -> Result<Self, sqlx::Error> {
        let connection = guard.explain(within(guard.deadline(), pool.acquire()).await)?;
        Ok(Self { connection: Some(connection), guard: guard.clone(), is_open: false })
    }

    /// Begins one by this statement.
    pub(crate) async fn begin(pool: &PgPool, guard: &Guard, by: &'static str) -> Result<Self, sqlx::Error> {
        let mut transaction = Self::single(pool, guard).await?;
        transaction.plain(by).await?;
        transaction.is_open = true;
        Ok(transaction)
    }

    async fn plain(&mut self, statement: &'static str) -> Result<(), sqlx::Error> {
        let connection = self.connection()?;
        let done = within(connection.1, sqlx::raw_sql(statement).execute(&mut **connection.0)).await;
        self.keep(done).map(|_| ())
    }

    pub(crate) async fn execute(&mut self, statement: Statement) -> Result<u64, sqlx::Error> {
        let (connection, deadline) = self.connection()?;
        let done = within(deadline, statement.postgres().execute(&mut **connection)).await;
        Ok(self.keep(done)?.rows_affected())
    }

    pub(crate) async fn all(&mut self, statement: Statement) -> Result<Vec<PgRow>, sqlx::Error> {
        let (connection, deadline) = self.connection()?;
        let rows = within(deadline, statement.postgres().fetch_all(&mut **connection)).await;
        self.keep(rows)
    }

    pub(crate) async fn optional(&mut self, statement: Statement) -> Result<Option<PgRow>, sqlx::Error> {
        let (connection, deadline) = self.connection()?;
        let row = within(deadline, statement.postgres().fetch_optional(&mut **connection)).await;
        self.keep(row)
    }

    /// Makes it durable. After an error it is not known whether it is.
    pub(crate) async fn commit(mut self) -> Result<(), sqlx::Error> {
        self.is_open = false;
        self.plain("COMMIT").await
    }

    fn connection(&mut self) -> Result<(&mut PoolConnection<Postgres>, std::time::Duration), sqlx::Error> {
        let deadline = self.guard.deadline();
        self.connection.as_mut().map(|connection| (connection, deadline)).ok_or(sqlx::Error::WorkerCrashed)
    }

    /// A connection that did not answer is not given back.
    fn keep<T>(&mut self, result: Result<T, sqlx::Error>) -> Result<T, sqlx::Error> {
        if matches!(result, Err(sqlx::Error::Io(_))) {
            drop(self.connection.take().map(PoolConnection::detach));
        }
        result
    }
}

impl Drop for PostgresSession {
    fn drop(&mut self) {
        let Some(mut connection) = self.connection.take().filter(|_| self.is_open) else { return };
        let deadline = self.guard.deadline();
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            drop(connection.detach());
            return;
        };
        runtime.spawn(async move {
            if within(deadline, sqlx::raw_sql("ROLLBACK").execute(&mut *connection)).await.is_err() {
                drop(connection.detach());
            }
        });
    }
}
