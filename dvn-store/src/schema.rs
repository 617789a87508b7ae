//! Tables and their versions.
//!
//! | table | holds | what the database itself refuses |
//! |---|---|---|
//! | `jobs` | one row per claim | a wake of two kinds, half of a signed record |
//! | `cursors` | last block read, by chain | |
//! | `finalized` | hashes of final blocks | any change |
//! | `journal_slots` | each slot's one payload hash | a second row for a slot, any change |
//! | `journal` | what was to be signed, and the signature | another payload than the slot's; anything but a retraction after a retraction; a gap; a row that does not follow the newest; any change but adding the signature once; deleting |
//! | `journal_identity`, `journal_anchors` | the journal's name, quarantine and mirror; blocks through which destinations were compared | a second name, deleting the name |
//! | `halts` | stops that stand | two for one scope |
//! | `outbox`, `outbox_items`, `outbox_attempts` | transactions, their instructions, their signed forms | two open transactions with one nonce of a lane, a job in two open transactions |
//! | `outbox_costs` | what each transaction takes, for the daily budget | |
//! | `evidence`, `halt_evidence` | JSON documents by packet, and those of halts, compressed | the same document twice |
//! | `paths`, `path_ahead` | nonces seen, by path | a path or a nonce twice |
//! | `audit` | decisions | a gap, a row that does not follow the newest, any change, deleting above the newest cut |
//! | `audit_cuts` | up to where retention cut the audit log | a cut that is at no row, not above the one before or not told by a row; any change, deleting |
//! | `leases` | who leads | |
//!
//! Numbers of chains are zero-padded decimal text (20 digits for u64, 39 for u128), so that none is too large and text
//! sorts as the number does. Endpoint ids and own counts are integers, instants are integers in microseconds since 1970,
//! hashes and addresses are blobs. Every table is `STRICT`.
//!
//! A released migration is never edited: its checksum is in every store that ran it. A change of the schema is a new file.

use sqlx::{
    PgConnection, SqlitePool,
    migrate::{MigrateError, Migrator},
};

use crate::{database::Database, error::OpenError};

static SQLITE: Migrator = sqlx::migrate!("./migrations");
static POSTGRES: Migrator = sqlx::migrate!("./migrations/postgres");

/// The newest schema that this release knows.
fn known(migrator: &Migrator) -> i64 {
    migrator.iter().map(|migration| migration.version).max().unwrap_or(0)
}

const VERSION: &str = "SELECT coalesce(max(version), 0) FROM _sqlx_migrations WHERE success";

/// The schema that an embedded store has, 0 for an empty database.
async fn found(pool: &SqlitePool) -> Result<i64, OpenError> {
    let table = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = '_sqlx_migrations'";
    let tables: i64 = sqlx::query_scalar(table).fetch_one(pool).await.map_err(OpenError::of_database)?;
    if tables == 0 {
        return Ok(0);
    }
    sqlx::query_scalar(VERSION).fetch_one(pool).await.map_err(OpenError::of_database)
}

/// Brings an embedded store to this release's schema.
pub(crate) async fn migrate(database: &Database) -> Result<(), OpenError> {
    let Database::Sqlite { writer, .. } = database else { return Ok(()) };
    refuse_newer(found(writer).await?, known(&SQLITE))?;
    SQLITE.run(writer).await.map_err(failed)
}

/// Refuses an embedded store that has another schema than this release's.
pub(crate) async fn check(database: &Database) -> Result<(), OpenError> {
    let Database::Sqlite { writer, .. } = database else { return Ok(()) };
    compare(found(writer).await?, known(&SQLITE))
}

/// The schema that a PostgreSQL database has, 0 for an empty one.
pub(crate) async fn found_in_postgres(connection: &mut PgConnection) -> Result<i64, OpenError> {
    let table = "SELECT to_regclass('_sqlx_migrations') IS NOT NULL";
    let is_there: bool = sqlx::query_scalar(table).fetch_one(&mut *connection).await.map_err(OpenError::of_database)?;
    if !is_there {
        return Ok(0);
    }
    sqlx::query_scalar(VERSION).fetch_one(connection).await.map_err(OpenError::of_database)
}

/// Brings a PostgreSQL database to this release's schema. Of several processes one does, under a lock of the migrator's.
pub(crate) async fn migrate_postgres(connection: &mut PgConnection) -> Result<(), OpenError> {
    refuse_newer(found_in_postgres(connection).await?, known(&POSTGRES))?;
    POSTGRES.run_direct(None, connection, false).await.map_err(failed)
}

/// Refuses a PostgreSQL database that has another schema than this release's.
pub(crate) fn compare_postgres(found: i64) -> Result<(), OpenError> {
    compare(found, known(&POSTGRES))
}

fn failed(error: MigrateError) -> OpenError {
    match error {
        MigrateError::VersionMismatch(_) | MigrateError::VersionMissing(_) | MigrateError::Dirty(_) => {
            OpenError::Schema(error.into())
        }
        _ => OpenError::Database(error.into()),
    }
}

fn compare(found: i64, known: i64) -> Result<(), OpenError> {
    refuse_newer(found, known)?;
    if found < known { Err(OpenError::Older { found, known }) } else { Ok(()) }
}

fn refuse_newer(found: i64, known: i64) -> Result<(), OpenError> {
    if found > known { Err(OpenError::Newer { found, known }) } else { Ok(()) }
}
