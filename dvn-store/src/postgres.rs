//! PostgreSQL as the store that several processes share.

mod connections;
mod guard;
mod options;
mod session;

use std::{sync::Arc, time::Duration};

use dvn_core::ports::Store;
use sqlx::{ConnectOptions as _, Connection as _, PgConnection, PgPool, postgres::PgPoolOptions};

pub use self::options::{PostgresOptions, PostgresTls};
pub(crate) use self::{
    connections::Connections,
    guard::{Guard, Unsafe},
    session::PostgresSession,
};
use crate::{database::Database, error::OpenError, ports, schema};

/// A store in a PostgreSQL database, version 15 or later, for as many processes as share its journal. Cheap to clone.
///
/// Every new connection is looked at: a server that would forget what it promised is refused, one that lost rows of the journal or
/// took over from another stops signing.
///
/// ```no_run
/// use dvn_store::{Postgres, PostgresOptions};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut options = PostgresOptions::new("10.0.2.51", "dvn", "dvn");
/// options.password = Some(std::env::var("POSTGRES_PASSWORD")?.into());
/// let store = Postgres::open(&options).await?.store();
/// println!("{} rows", store.journal.verify().await?.rows);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Postgres(Arc<Database>);

impl Postgres {
    /// Opens the database, makes what is missing and brings the schema up to date, one process at a time.
    ///
    /// # Errors
    /// [`OpenError::Unsafe`] where the server would forget what it promised, [`OpenError::Newer`] where a newer release wrote the
    /// schema, or any other [`OpenError`].
    ///
    /// # Cancel safety
    /// A dropped call leaves a schema that the next one completes.
    pub async fn open(options: &PostgresOptions) -> Result<Self, OpenError> {
        let (database, mut connection) = connect(options, true).await?;
        schema::migrate_postgres(&mut connection).await?;
        let _ = connection.close().await;
        Ok(Self(Arc::new(database)))
    }

    /// As [`Postgres::open`], for a store that is there: a node that has signed must not make itself a new one.
    ///
    /// # Errors
    /// [`OpenError::Absent`], or as [`Postgres::open`].
    ///
    /// # Cancel safety
    /// As [`Postgres::open`].
    pub async fn open_existing(options: &PostgresOptions) -> Result<Self, OpenError> {
        let (database, mut connection) = connect(options, true).await?;
        if schema::found_in_postgres(&mut connection).await? == 0 {
            return Err(absent(options));
        }
        schema::migrate_postgres(&mut connection).await?;
        let _ = connection.close().await;
        Ok(Self(Arc::new(database)))
    }

    /// Opens a store beside those that run on it, for an operator's word such as a halt. It changes no schema.
    ///
    /// # Errors
    /// [`OpenError::Absent`], [`OpenError::Older`] or [`OpenError::Newer`] where there is nothing that this release reads, or as
    /// [`Postgres::open`].
    pub async fn open_shared(options: &PostgresOptions) -> Result<Self, OpenError> {
        Self::open_as_it_is(options, true).await
    }

    /// As [`Postgres::open_shared`], to look at; every write fails.
    ///
    /// # Errors
    /// As [`Postgres::open_shared`].
    pub async fn open_read_only(options: &PostgresOptions) -> Result<Self, OpenError> {
        Self::open_as_it_is(options, false).await
    }

    async fn open_as_it_is(options: &PostgresOptions, writes: bool) -> Result<Self, OpenError> {
        let (database, mut connection) = connect(options, writes).await?;
        match schema::found_in_postgres(&mut connection).await? {
            0 => return Err(absent(options)),
            found => schema::compare_postgres(found)?,
        }
        let _ = connection.close().await;
        Ok(Self(Arc::new(database)))
    }

    pub(crate) fn database(&self) -> &Database {
        &self.0
    }

    /// Every durable port, all on this database.
    #[must_use]
    pub fn store(&self) -> Store {
        ports::of(&self.0)
    }

    /// Waits a moment for the statements under way and closes the connections; the ports fail from then on.
    pub async fn close(&self) {
        self.0.close().await;
    }
}

fn absent(options: &PostgresOptions) -> OpenError {
    OpenError::Absent { database: options.database.clone(), host: options.host.clone() }
}

/// A first connection, so that whatever is wrong is said clearly, and a pool that makes others when they are needed.
async fn connect(options: &PostgresOptions, writes: bool) -> Result<(Database, PgConnection), OpenError> {
    let guard = Guard::new(options.timeout, options.longest_life, writes);
    let first = async {
        let mut connection = options.patient().connect().await?;
        guard.admit(&mut connection).await?;
        Ok(connection)
    };
    let connection = within(options.timeout, first).await.map_err(OpenError::of_database)?;
    Ok((Database::Postgres(Connections::new(pool(options, &guard, writes), guard)), connection))
}

fn pool(options: &PostgresOptions, guard: &Guard, writes: bool) -> PgPool {
    let (deadline, admitting) = (options.timeout, guard.clone());
    let connecting =
        if writes { options.hasty() } else { options.hasty().options([("default_transaction_read_only", "on")]) };
    PgPoolOptions::new()
        .max_connections(options.connections)
        .acquire_timeout(deadline)
        .test_before_acquire(false)
        .after_connect(move |connection, _| {
            let guard = admitting.clone();
            Box::pin(async move { within(guard.deadline(), guard.admit(connection)).await })
        })
        // A connection that hangs must not hold its place in the pool.
        .after_release(move |connection, _| {
            Box::pin(async move {
                within(deadline, connection.ping()).await?;
                Ok(true)
            })
        })
        .connect_lazy_with(connecting)
}

/// The last resort: no call waits for longer, whatever the network does.
pub(crate) async fn within<T>(
    deadline: Duration,
    work: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    tokio::time::timeout(deadline, work).await.unwrap_or_else(|_| {
        let silent = format!("PostgreSQL did not answer within {deadline:?}");
        Err(sqlx::Error::Io(std::io::Error::new(std::io::ErrorKind::TimedOut, silent)))
    })
}
