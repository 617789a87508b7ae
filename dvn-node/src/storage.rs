//! Where this node keeps what it must not forget.

use dvn_core::ports::Store;
use dvn_store::{OpenError, Postgres, PostgresOptions, Sqlite};

use crate::config::Config;

/// An open store, and what holds it.
#[derive(Debug)]
pub(crate) struct Storage {
    store: Store,
    backend: Backend,
}

#[derive(Debug)]
enum Backend {
    Sqlite(Sqlite),
    Postgres(Postgres),
}

impl Storage {
    /// Opens it for this process and brings it up to date; makes it where it is missing.
    pub(crate) async fn create(config: &Config) -> Result<Self, OpenError> {
        Ok(match postgres(config) {
            Some(options) => {
                make_folder(config)?;
                Postgres::open(&options).await?.into()
            }
            None => Sqlite::open(&config.service.data_dir).await?.into(),
        })
    }

    /// As [`Storage::create`], for one that is there.
    pub(crate) async fn existing(config: &Config) -> Result<Self, OpenError> {
        Ok(match postgres(config) {
            Some(options) => {
                make_folder(config)?;
                Postgres::open_existing(&options).await?.into()
            }
            None => Sqlite::open_existing(&config.service.data_dir).await?.into(),
        })
    }

    /// Opens it for an operator's word, beside the processes that run on it.
    pub(crate) async fn shared(config: &Config) -> Result<Self, OpenError> {
        Ok(match postgres(config) {
            Some(options) => Postgres::open_shared(&options).await?.into(),
            None => Sqlite::open_shared(&config.service.data_dir).await?.into(),
        })
    }

    /// Opens it to look at, beside the processes that run on it.
    pub(crate) async fn read_only(config: &Config) -> Result<Self, OpenError> {
        Ok(match postgres(config) {
            Some(options) => Postgres::open_read_only(&options).await?.into(),
            None => Sqlite::open_read_only(&config.service.data_dir).await?.into(),
        })
    }

    /// Every durable port.
    pub(crate) fn store(&self) -> Store {
        self.store.clone()
    }

    /// Waits for what is under way, and closes the connections.
    pub(crate) async fn close(&self) {
        match &self.backend {
            Backend::Sqlite(sqlite) => sqlite.close().await,
            Backend::Postgres(postgres) => postgres.close().await,
        }
    }
}

impl From<Sqlite> for Storage {
    fn from(sqlite: Sqlite) -> Self {
        Self { store: sqlite.store(), backend: Backend::Sqlite(sqlite) }
    }
}

impl From<Postgres> for Storage {
    fn from(postgres: Postgres) -> Self {
        Self { store: postgres.store(), backend: Backend::Postgres(postgres) }
    }
}

/// Where it is, for people.
pub(crate) fn place(config: &Config) -> String {
    match &config.postgres {
        Some(postgres) => {
            format!("database {} of PostgreSQL at {}:{}", postgres.database, postgres.host, postgres.port)
        }
        None => format!("data_dir {}", config.service.data_dir.display()),
    }
}

/// What stays on this host, such as the journal's mirror, is in `data_dir` also where the store is not.
fn make_folder(config: &Config) -> Result<(), OpenError> {
    let path = &config.service.data_dir;
    std::fs::create_dir_all(path).map_err(|source| OpenError::Folder { path: path.clone(), source })
}

pub(crate) fn postgres(config: &Config) -> Option<PostgresOptions> {
    let given = config.postgres.as_ref()?;
    let mut options = PostgresOptions::new(&given.host, &given.database, &given.user);
    options.port = given.port;
    options.password.clone_from(&given.password);
    options.tls = given.tls;
    options.ca.clone_from(&given.ca);
    options.connections = given.connections;
    options.timeout = given.timeout;
    options.longest_life = dvn_core::longest_life(config.signing.expiration);
    Some(options)
}
