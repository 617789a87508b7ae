//! A connection for a while, in a transaction or for one statement. One that hung, or whose work was interrupted, is thrown away, so
//! that nobody waits for it and nobody reads another one's answer.

use sqlx::{Postgres, pool::PoolConnection, postgres::PgRow};

use super::{
    connections::{Connections, Taken},
    within,
};
use crate::sql::Statement;

/// A connection that is taken. Dropping it undoes a transaction that is open.
#[derive(Debug)]
pub(crate) struct PostgresSession {
    taken: Option<Taken>,
    home: Connections,
    is_open: bool,
    /// A statement is under way; where this is dropped meanwhile, its answer is still to come.
    is_busy: bool,
}

impl PostgresSession {
    /// For one statement that is a transaction by itself.
    pub(crate) async fn single(home: &Connections) -> Result<Self, sqlx::Error> {
        Ok(Self { taken: Some(home.take().await?), home: home.clone(), is_open: false, is_busy: false })
    }

    /// Begins one by this statement.
    pub(crate) async fn begin(home: &Connections, by: &'static str) -> Result<Self, sqlx::Error> {
        let mut transaction = Self::single(home).await?;
        transaction.plain(by).await?;
        transaction.is_open = true;
        Ok(transaction)
    }

    async fn plain(&mut self, statement: &'static str) -> Result<(), sqlx::Error> {
        self.work(async |connection| sqlx::raw_sql(statement).execute(&mut **connection).await).await.map(|_| ())
    }

    pub(crate) async fn execute(&mut self, statement: Statement) -> Result<u64, sqlx::Error> {
        let done = self.work(async move |connection| statement.postgres().execute(&mut **connection).await).await;
        Ok(done?.rows_affected())
    }

    pub(crate) async fn all(&mut self, statement: Statement) -> Result<Vec<PgRow>, sqlx::Error> {
        self.work(async move |connection| statement.postgres().fetch_all(&mut **connection).await).await
    }

    pub(crate) async fn optional(&mut self, statement: Statement) -> Result<Option<PgRow>, sqlx::Error> {
        self.work(async move |connection| statement.postgres().fetch_optional(&mut **connection).await).await
    }

    /// Makes it durable. After an error it is not known whether it is.
    pub(crate) async fn commit(mut self) -> Result<(), sqlx::Error> {
        self.is_open = false;
        self.plain("COMMIT").await
    }

    async fn work<T>(
        &mut self,
        statement: impl AsyncFnOnce(&mut PoolConnection<Postgres>) -> Result<T, sqlx::Error>,
    ) -> Result<T, sqlx::Error> {
        let taken = self.taken.as_mut().ok_or(sqlx::Error::WorkerCrashed)?;
        self.is_busy = true;
        let done = within(self.home.guard().deadline(), statement(taken.connection()?)).await;
        self.is_busy = false;
        if matches!(done, Err(sqlx::Error::Io(_))) {
            taken.throw_away();
        }
        done
    }
}

impl Drop for PostgresSession {
    fn drop(&mut self) {
        let Some(mut taken) = self.taken.take() else { return };
        if self.is_busy {
            return taken.throw_away();
        }
        if !self.is_open {
            return;
        }
        let deadline = self.home.guard().deadline();
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return taken.throw_away();
        };
        runtime.spawn(async move {
            let undone = match taken.connection() {
                Ok(connection) => within(deadline, sqlx::raw_sql("ROLLBACK").execute(&mut **connection)).await.is_ok(),
                Err(_) => false,
            };
            if !undone {
                taken.throw_away();
            }
        });
    }
}
