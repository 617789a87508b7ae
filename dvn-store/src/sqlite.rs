//! Opening the embedded store.

use std::{
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use dvn_core::ports::{Journal, Store};

mod group;
mod pools;

pub(crate) use self::{group::Group, pools::in_memory};
use crate::{database::Database, error::OpenError, ports, schema};

const DATABASE: &str = "dvn.db";
const RETIRED: &str = "dvn.db.copied";
const LOCK: &str = "dvn.lock";

/// The embedded store: one SQLite database in a folder, held by one process. Cheap to clone.
///
/// The folder's lock and the connections live as long as this value, its clones or any port that came of them.
#[derive(Clone, Debug)]
pub struct Sqlite(Arc<Database>);

impl Sqlite {
    /// Opens `data_dir` for this process alone, makes what is missing and brings the schema up to date.
    ///
    /// The lock is advisory and belongs to this machine; on a network file system it is only as good as that system.
    ///
    /// # Errors
    /// [`OpenError::Locked`] while another process has it, [`OpenError::Newer`] where a newer release wrote it, or any
    /// other [`OpenError`].
    ///
    /// # Cancel safety
    /// A dropped call leaves a store that the next one completes.
    pub async fn open(data_dir: impl AsRef<Path>) -> Result<Self, OpenError> {
        let data_dir = data_dir.as_ref();
        let is_new = !data_dir.exists();
        let sqlite = Self::open_locked(data_dir).await?;
        if is_new {
            sync_entry(data_dir).map_err(|source| OpenError::Folder { path: data_dir.to_owned(), source })?;
        }
        Ok(sqlite)
    }

    /// As [`Sqlite::open`], for a store that is there: a node that has signed must not make itself a new one.
    ///
    /// # Errors
    /// [`OpenError::Missing`], or as [`Sqlite::open`].
    ///
    /// # Cancel safety
    /// As [`Sqlite::open`].
    pub async fn open_existing(data_dir: impl AsRef<Path>) -> Result<Self, OpenError> {
        existing(data_dir.as_ref())?;
        Self::open_locked(data_dir.as_ref()).await
    }

    async fn open_locked(data_dir: &Path) -> Result<Self, OpenError> {
        let lock = lock(data_dir)?;
        let database = pools::file(&data_dir.join(DATABASE), Some(lock)).await.map_err(OpenError::of_database)?;
        schema::migrate(&database).await?;
        Ok(Self(Arc::new(database)))
    }

    /// Opens a store to read it, beside a process that runs on it or without one. Every write fails.
    ///
    /// # Errors
    /// [`OpenError::Missing`], [`OpenError::Older`] or [`OpenError::Newer`] where there is nothing that this release
    /// reads, or [`OpenError::Database`].
    pub async fn open_read_only(data_dir: impl AsRef<Path>) -> Result<Self, OpenError> {
        let path = existing(data_dir.as_ref())?;
        let database = pools::read_only(&path).await.map_err(OpenError::of_database)?;
        schema::check(&database).await?;
        Ok(Self(Arc::new(database)))
    }

    /// Opens a store beside the process that runs on it, for an operator's word such as a halt. What it writes obeys the
    /// same constraints; it takes no lock and changes no schema.
    ///
    /// # Errors
    /// As [`Sqlite::open_read_only`].
    pub async fn open_shared(data_dir: impl AsRef<Path>) -> Result<Self, OpenError> {
        let path = existing(data_dir.as_ref())?;
        let database = pools::file(&path, None).await.map_err(OpenError::of_database)?;
        schema::check(&database).await?;
        Ok(Self(Arc::new(database)))
    }

    /// A store that lives in memory and ends with the last of its ports: for tests and dry runs, never for signing. Its
    /// journal is begun, since it has no past.
    ///
    /// # Errors
    /// [`OpenError::Database`].
    pub async fn in_memory() -> Result<Self, OpenError> {
        let database = in_memory().await.map_err(OpenError::of_database)?;
        schema::migrate(&database).await?;
        Journal::begin(&database, None).await.map_err(|error| OpenError::Database(error.into()))?;
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

    /// Closes a store that was copied elsewhere and gives its file another name, so that nothing is signed with it any more. Returns
    /// the new path.
    ///
    /// # Errors
    /// What the system says; the store may still be there under its name then.
    pub async fn retire(self, data_dir: impl AsRef<Path>) -> io::Result<PathBuf> {
        self.close().await;
        let old = data_dir.as_ref().join(DATABASE);
        let new = data_dir.as_ref().join(RETIRED);
        // What a log beside it still holds belongs to it.
        for suffix in ["", "-wal"] {
            let with = |path: &Path| PathBuf::from(format!("{}{suffix}", path.display()));
            match fs::rename(with(&old), with(&new)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound && !suffix.is_empty() => {}
                renamed => renamed?,
            }
        }
        File::open(data_dir)?.sync_all()?;
        Ok(new)
    }

    /// Waits for the statements under way and closes the connections; the ports fail from then on. The folder's lock
    /// stays until the last port is dropped.
    pub async fn close(&self) {
        self.0.close().await;
    }
}

/// Makes the folder and takes its lock, which the system gives back when the process ends, however it ends.
fn lock(data_dir: &Path) -> Result<File, OpenError> {
    let unusable = |source| OpenError::Folder { path: data_dir.to_owned(), source };
    fs::create_dir_all(data_dir).map_err(unusable)?;
    let file = File::options().create(true).append(true).open(data_dir.join(LOCK)).map_err(unusable)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::Locked { path: data_dir.to_owned() }),
        Err(TryLockError::Error(source)) => Err(unusable(source)),
    }
}

/// Makes a new folder's own entry durable: SQLite syncs its files and the folder they are in, not the folder above.
fn sync_entry(data_dir: &Path) -> io::Result<()> {
    data_dir.canonicalize()?.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all())
}

fn existing(data_dir: &Path) -> Result<PathBuf, OpenError> {
    let path = data_dir.join(DATABASE);
    if path.is_file() { Ok(path) } else { Err(OpenError::Missing { path: data_dir.to_owned() }) }
}
