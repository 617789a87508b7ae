//! How SQLite's connections are opened.

use std::{fs::File, path::Path, time::Duration};

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};

use super::Group;
use crate::database::Database;

/// For other processes, such as an operator's command that writes a halt.
const BUSY: Duration = Duration::from_secs(10);
const READERS: u32 = 4;

/// A database whose commits are on disk before they return.
pub(super) async fn file(path: &Path, lock: Option<File>) -> Result<Database, sqlx::Error> {
    let writing = durable(path);
    let reading = options(path).read_only(true);
    let writer = pool(1).connect_with(writing).await?;
    let group = Group::new(writer.clone());
    Ok(Database::Sqlite { writer, group, readers: pool(READERS).connect_lazy_with(reading), _lock: lock })
}

/// A database that cannot be written through this value.
pub(super) async fn read_only(path: &Path) -> Result<Database, sqlx::Error> {
    let readers = pool(READERS).connect_with(options(path).read_only(true)).await?;
    let group = Group::new(readers.clone());
    Ok(Database::Sqlite { writer: readers.clone(), group, readers, _lock: None })
}

/// A database that ends with its one connection.
pub(crate) async fn in_memory() -> Result<Database, sqlx::Error> {
    let writer = pool(1).connect_with(SqliteConnectOptions::new()).await?;
    let group = Group::new(writer.clone());
    Ok(Database::Sqlite { readers: writer.clone(), group, writer, _lock: None })
}

fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new().filename(path).busy_timeout(BUSY).foreign_keys(true)
}

/// `FULL` makes every commit wait for the disk; the two pragmas say the same to macOS, whose `fsync` does not.
fn durable(path: &Path) -> SqliteConnectOptions {
    options(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .pragma("fullfsync", "ON")
        .pragma("checkpoint_fullfsync", "ON")
}

/// Connections stay: there is no server to spare, and a database in memory ends with its last one.
fn pool(connections: u32) -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .max_connections(connections)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
}

#[cfg(test)]
mod tests {
    use sqlx::SqlitePool;

    use super::*;
    use crate::schema;

    fn writer(database: &Database) -> &SqlitePool {
        match database {
            Database::Sqlite { writer, .. } => writer,
            Database::Postgres(_) => unreachable!("made above"),
        }
    }

    async fn pragma(pool: &SqlitePool, sql: &'static str) -> String {
        let row = sqlx::query(sql).fetch_one(pool).await.unwrap();
        let read = |row: &sqlx::sqlite::SqliteRow| -> Result<String, sqlx::Error> {
            use sqlx::Row as _;
            row.try_get::<String, _>(0).or_else(|_| row.try_get::<i64, _>(0).map(|it| it.to_string()))
        };
        read(&row).unwrap()
    }

    /// T27, the database's half.
    #[tokio::test]
    async fn t27_a_commit_waits_for_the_disk() {
        let dir = tempfile::tempdir().unwrap();
        let database = file(&dir.path().join("dvn.db"), None).await.unwrap();
        assert_eq!(pragma(writer(&database), "PRAGMA journal_mode").await, "wal");
        assert_eq!(pragma(writer(&database), "PRAGMA synchronous").await, "2");
        assert_eq!(pragma(writer(&database), "PRAGMA foreign_keys").await, "1");
    }

    #[tokio::test]
    async fn a_full_disk_is_a_storage_error_and_the_store_goes_on() {
        use dvn_core::{
            error::StoreErrorKind,
            ids::Guid,
            ports::{Evidence as _, EvidenceBundle},
        };

        let database = in_memory().await.unwrap();
        schema::migrate(&database).await.unwrap();
        let (guid, at) = (Guid::default(), std::time::UNIX_EPOCH);
        sqlx::query("PRAGMA max_page_count = 1").execute(writer(&database)).await.unwrap();
        // Hashes, since a document that repeats itself is kept small.
        let large: String =
            (0..20_000_u32).map(|it| alloy_primitives::keccak256(it.to_be_bytes()).to_string()).collect();
        let large = EvidenceBundle::new(large);
        let error = database.put(guid, &large, at).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Storage, "{error:?}");
        sqlx::query("PRAGMA max_page_count = 1000000").execute(writer(&database)).await.unwrap();
        database.put(guid, &large, at).await.unwrap();
        assert_eq!(database.of_packet(guid).await.unwrap(), [large]);
    }
}
