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
//! | `evidence`, `halt_evidence` | JSON documents by packet, and those of halts | the same document twice |
//! | `paths`, `path_ahead` | nonces seen, by path | a path or a nonce twice |
//! | `audit` | decisions | a gap, a row that does not follow the newest, any change, deleting |
//! | `leases` | who leads | |
//!
//! Numbers of chains are zero-padded decimal text (20 digits for u64, 39 for u128), so that none is too large and text
//! sorts as the number does. Endpoint ids and own counts are integers, instants are integers in microseconds since 1970,
//! hashes and addresses are blobs. Every table is `STRICT`.
//!
//! A released migration is never edited: its checksum is in every store that ran it. A change of the schema is a new file.

use sqlx::{SqlitePool, migrate::MigrateError, migrate::Migrator};

use crate::error::OpenError;

static MIGRATOR: Migrator = sqlx::migrate!("./migrations");

/// The newest schema that this release knows.
fn known() -> i64 {
    MIGRATOR.iter().map(|migration| migration.version).max().unwrap_or(0)
}

/// The schema that the store has, 0 for an empty database.
async fn found(pool: &SqlitePool) -> Result<i64, OpenError> {
    let database = |error: sqlx::Error| OpenError::Database(error.into());
    let table = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = '_sqlx_migrations'";
    let tables: i64 = sqlx::query_scalar(table).fetch_one(pool).await.map_err(database)?;
    if tables == 0 {
        return Ok(0);
    }
    let version = "SELECT coalesce(max(version), 0) FROM _sqlx_migrations WHERE success";
    sqlx::query_scalar(version).fetch_one(pool).await.map_err(database)
}

/// Brings the store to this release's schema.
pub(crate) async fn migrate(pool: &SqlitePool) -> Result<(), OpenError> {
    refuse_newer(found(pool).await?)?;
    MIGRATOR.run(pool).await.map_err(|error| match error {
        MigrateError::VersionMismatch(_) | MigrateError::VersionMissing(_) | MigrateError::Dirty(_) => {
            OpenError::Schema(error.into())
        }
        _ => OpenError::Database(error.into()),
    })
}

/// Refuses a store that has another schema than this release's.
pub(crate) async fn check(pool: &SqlitePool) -> Result<(), OpenError> {
    let (found, known) = (found(pool).await?, known());
    refuse_newer(found)?;
    if found < known { Err(OpenError::Older { found, known }) } else { Ok(()) }
}

fn refuse_newer(found: i64) -> Result<(), OpenError> {
    let known = known();
    if found > known { Err(OpenError::Newer { found, known }) } else { Ok(()) }
}
