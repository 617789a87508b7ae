//! Which nonces of each path were seen: one number for all that are complete, and a row for each that is ahead of a gap.

use std::collections::BTreeMap;

use async_trait::async_trait;
use dvn_core::{
    error::StoreError,
    ids::{Eid, Nonce},
    packet::Path,
    ports::{Neighbours, Paths, Sighting},
};
use sqlx::sqlite::SqliteConnection;

use crate::{
    codec::{Columns, digits},
    database::Database,
    error::storage,
};

const FIND: &str = "SELECT id, through FROM paths WHERE src_eid = ? AND sender = ? AND dst_eid = ? AND receiver = ?";

#[async_trait]
impl Paths for Database {
    async fn note(&self, seen: &[Sighting]) -> Result<(), StoreError> {
        let mut paths = BTreeMap::<Path, Vec<Nonce>>::new();
        for Sighting { path, nonce } in seen {
            paths.entry(*path).or_default().push(*nonce);
        }
        if paths.is_empty() {
            return Ok(());
        }
        let mut transaction = self.begin().await.map_err(storage)?;
        for (path, mut nonces) in paths {
            // The lowest first: a new path begins there.
            nonces.sort_unstable();
            note_path(&mut transaction, &path, &nonces).await?;
        }
        transaction.commit().await.map_err(storage)
    }

    async fn neighbours(&self, path: Path, nonce: Nonce) -> Result<Neighbours, StoreError> {
        let mut snapshot = self.readers.begin().await.map_err(storage)?;
        let Some(known) = find(&mut snapshot, &path).await? else {
            return Ok(Neighbours::Unread);
        };
        if nonce <= known.through {
            return Ok(Neighbours::Seen);
        }
        // Whatever is ahead of `through` has a gap before it: else `through` would have reached it.
        let ahead = known.ahead(&mut snapshot, nonce).await?;
        let Some(first_ahead) = ahead.first().copied().filter(|_| ahead.last() == Some(&nonce)) else {
            return Ok(Neighbours::Unread);
        };
        let (first, last) = (next(known.through), Nonce(first_ahead.0.saturating_sub(1)));
        Ok(Neighbours::Gap { first, last })
    }

    async fn has_gap(&self, src_eid: Eid) -> Result<bool, StoreError> {
        let any = "SELECT 1 FROM path_ahead JOIN paths ON paths.id = path_ahead.path WHERE paths.src_eid = ? LIMIT 1";
        let row = sqlx::query(any).bind(src_eid.0).fetch_optional(&self.readers).await.map_err(storage)?;
        Ok(row.is_some())
    }
}

/// A path as it stands.
#[derive(Clone, Copy)]
struct Known {
    id: i64,
    through: Nonce,
}

impl Known {
    /// The nonces ahead of a gap, up to this one, lowest first.
    async fn ahead(self, connection: &mut SqliteConnection, up_to: Nonce) -> Result<Vec<Nonce>, StoreError> {
        let rows = sqlx::query("SELECT nonce FROM path_ahead WHERE path = ? AND nonce <= ? ORDER BY nonce")
            .bind(self.id)
            .bind(digits(up_to.0))
            .fetch_all(connection)
            .await
            .map_err(storage)?;
        rows.iter().map(|row| Ok(Nonce(Columns(row).number("nonce")?))).collect()
    }
}

async fn find(connection: &mut SqliteConnection, path: &Path) -> Result<Option<Known>, StoreError> {
    let row = sqlx::query(FIND)
        .bind(path.src_eid.0)
        .bind(path.sender.as_slice())
        .bind(path.dst_eid.0)
        .bind(path.receiver.as_slice())
        .fetch_optional(connection)
        .await
        .map_err(storage)?;
    row.map(|row| {
        let columns = Columns(&row);
        Ok(Known { id: columns.any("id")?, through: Nonce(columns.number("through")?) })
    })
    .transpose()
}

async fn note_path(connection: &mut SqliteConnection, path: &Path, nonces: &[Nonce]) -> Result<(), StoreError> {
    let Some(first) = nonces.first() else {
        return Ok(());
    };
    let known = match find(connection, path).await? {
        Some(known) => known,
        None => begin_path(connection, path, *first).await?,
    };
    let mut through = known.through;
    let ahead = known.ahead(connection, Nonce(u64::MAX)).await?;
    let mut pending: Vec<Nonce> = nonces.iter().copied().chain(ahead.iter().copied()).collect();
    pending.sort_unstable();
    pending.dedup();
    for nonce in pending {
        if nonce == next(through) {
            through = nonce;
        } else if nonce > through && !ahead.contains(&nonce) {
            insert_ahead(connection, known.id, nonce).await?;
        }
    }
    if through > known.through {
        advance(connection, known.id, through).await?;
    }
    Ok(())
}

async fn begin_path(connection: &mut SqliteConnection, path: &Path, first: Nonce) -> Result<Known, StoreError> {
    let insert = "INSERT INTO paths (src_eid, sender, dst_eid, receiver, through) VALUES (?, ?, ?, ?, ?) RETURNING id";
    let row = sqlx::query(insert)
        .bind(path.src_eid.0)
        .bind(path.sender.as_slice())
        .bind(path.dst_eid.0)
        .bind(path.receiver.as_slice())
        .bind(digits(first.0))
        .fetch_one(connection)
        .await
        .map_err(storage)?;
    Ok(Known { id: Columns(&row).any("id")?, through: first })
}

async fn insert_ahead(connection: &mut SqliteConnection, path: i64, nonce: Nonce) -> Result<(), StoreError> {
    sqlx::query("INSERT INTO path_ahead (path, nonce) VALUES (?, ?) ON CONFLICT DO NOTHING")
        .bind(path)
        .bind(digits(nonce.0))
        .execute(connection)
        .await
        .map_err(storage)?;
    Ok(())
}

async fn advance(connection: &mut SqliteConnection, path: i64, through: Nonce) -> Result<(), StoreError> {
    sqlx::query("UPDATE paths SET through = ? WHERE id = ?")
        .bind(digits(through.0))
        .bind(path)
        .execute(&mut *connection)
        .await
        .map_err(storage)?;
    sqlx::query("DELETE FROM path_ahead WHERE path = ? AND nonce <= ?")
        .bind(path)
        .bind(digits(through.0))
        .execute(connection)
        .await
        .map_err(storage)?;
    Ok(())
}

const fn next(nonce: Nonce) -> Nonce {
    Nonce(nonce.0.saturating_add(1))
}
