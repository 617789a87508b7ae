//! Which nonces of each path were seen: one number for all that are complete, and a row for each that is ahead of a gap.

use std::collections::BTreeMap;

use crate::{
    codec::{Columns, digits},
    database::{Database, Order, Transaction},
    error::storage,
    sql::sql,
};
use async_trait::async_trait;
use dvn_core::{
    error::StoreError,
    ids::{Eid, Nonce},
    packet::Path,
    ports::{Neighbours, Paths, Sighting},
};

const FIND: &str =
    "SELECT id, through FROM paths WHERE src_eid = $1 AND sender = $2 AND dst_eid = $3 AND receiver = $4";

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
        let mut transaction = self.begin(Order::Paths).await.map_err(storage)?;
        for (path, mut nonces) in paths {
            // The lowest first: a new path begins there.
            nonces.sort_unstable();
            note_path(&mut transaction, &path, &nonces).await?;
        }
        transaction.commit().await.map_err(storage)
    }

    async fn neighbours(&self, path: Path, nonce: Nonce) -> Result<Neighbours, StoreError> {
        let mut snapshot = self.snapshot().await.map_err(storage)?;
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
        let any =
            "SELECT path FROM path_ahead JOIN paths ON paths.id = path_ahead.path WHERE paths.src_eid = $1 LIMIT 1";
        let row = self.optional(sql(any).bind(src_eid.0)).await.map_err(storage)?;
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
    async fn ahead(self, connection: &mut Transaction, up_to: Nonce) -> Result<Vec<Nonce>, StoreError> {
        let ahead = sql("SELECT nonce FROM path_ahead WHERE path = $1 AND nonce <= $2 ORDER BY nonce");
        let rows = connection.all(ahead.bind(self.id).bind(digits(up_to.0))).await.map_err(storage)?;
        rows.iter().map(|row| Ok(Nonce(Columns(row).number("nonce")?))).collect()
    }
}

async fn find(connection: &mut Transaction, path: &Path) -> Result<Option<Known>, StoreError> {
    let find =
        sql(FIND).bind(path.src_eid.0).bind(path.sender.as_slice()).bind(path.dst_eid.0).bind(path.receiver.as_slice());
    let row = connection.optional(find).await.map_err(storage)?;
    row.map(|row| {
        let columns = Columns(&row);
        Ok(Known { id: columns.any("id")?, through: Nonce(columns.number("through")?) })
    })
    .transpose()
}

async fn note_path(connection: &mut Transaction, path: &Path, nonces: &[Nonce]) -> Result<(), StoreError> {
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

async fn begin_path(connection: &mut Transaction, path: &Path, first: Nonce) -> Result<Known, StoreError> {
    let insert =
        "INSERT INTO paths (src_eid, sender, dst_eid, receiver, through) VALUES ($1, $2, $3, $4, $5) RETURNING id";
    let insert = sql(insert)
        .bind(path.src_eid.0)
        .bind(path.sender.as_slice())
        .bind(path.dst_eid.0)
        .bind(path.receiver.as_slice())
        .bind(digits(first.0));
    let row = connection.optional(insert).await.map_err(storage)?;
    let row = row.ok_or_else(|| storage(sqlx::Error::RowNotFound))?;
    Ok(Known { id: Columns(&row).any("id")?, through: first })
}

async fn insert_ahead(connection: &mut Transaction, path: i64, nonce: Nonce) -> Result<(), StoreError> {
    let insert = sql("INSERT INTO path_ahead (path, nonce) VALUES ($1, $2) ON CONFLICT DO NOTHING");
    connection.execute(insert.bind(path).bind(digits(nonce.0))).await.map_err(storage)?;
    Ok(())
}

async fn advance(connection: &mut Transaction, path: i64, through: Nonce) -> Result<(), StoreError> {
    let update = sql("UPDATE paths SET through = $1 WHERE id = $2").bind(digits(through.0)).bind(path);
    connection.execute(update).await.map_err(storage)?;
    let delete = sql("DELETE FROM path_ahead WHERE path = $1 AND nonce <= $2").bind(path).bind(digits(through.0));
    connection.execute(delete).await.map_err(storage)?;
    Ok(())
}

const fn next(nonce: Nonce) -> Nonce {
    Nonce(nonce.0.saturating_add(1))
}
