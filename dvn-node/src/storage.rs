//! Where this node keeps what it must not forget.

use dvn_core::ports::Store;
use dvn_store::{OpenError, Sqlite};

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
}

impl Storage {
    /// Opens it for this process and brings it up to date; makes it where it is missing.
    pub(crate) async fn create(config: &Config) -> Result<Self, OpenError> {
        Ok(Sqlite::open(&config.service.data_dir).await?.into())
    }

    /// As [`Storage::create`], for one that is there.
    pub(crate) async fn existing(config: &Config) -> Result<Self, OpenError> {
        Ok(Sqlite::open_existing(&config.service.data_dir).await?.into())
    }

    /// Opens it for an operator's word, beside the process that runs on it.
    pub(crate) async fn shared(config: &Config) -> Result<Self, OpenError> {
        Ok(Sqlite::open_shared(&config.service.data_dir).await?.into())
    }

    /// Opens it to look at, beside the process that runs on it.
    pub(crate) async fn read_only(config: &Config) -> Result<Self, OpenError> {
        Ok(Sqlite::open_read_only(&config.service.data_dir).await?.into())
    }

    /// Every durable port.
    pub(crate) fn store(&self) -> Store {
        self.store.clone()
    }

    /// Waits for what is under way, and closes the connections.
    pub(crate) async fn close(&self) {
        match &self.backend {
            Backend::Sqlite(sqlite) => sqlite.close().await,
        }
    }
}

impl From<Sqlite> for Storage {
    fn from(sqlite: Sqlite) -> Self {
        Self { store: sqlite.store(), backend: Backend::Sqlite(sqlite) }
    }
}
