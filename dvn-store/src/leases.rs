//! Who leads.

use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use dvn_core::{
    error::StoreError,
    ports::{Lease, Leases},
};

use crate::{
    codec::{Columns, micros},
    database::Database,
    error::storage,
};

/// Inserts a lease that nobody ever held, or takes over one that is mine, free or over. The fence stays for the holder
/// that renews and grows for everybody else.
const ACQUIRE: &str = "INSERT INTO leases (name, holder, fence, until) VALUES (?, ?, 1, ?)
    ON CONFLICT (name) DO UPDATE SET
        holder = excluded.holder, until = excluded.until, fence = fence + (holder IS NOT excluded.holder)
    WHERE holder IS NULL OR holder = excluded.holder OR until <= ?
    RETURNING fence, until";

#[async_trait]
impl Leases for Database {
    async fn acquire(
        &self,
        name: &str,
        holder: &str,
        now: SystemTime,
        ttl: Duration,
    ) -> Result<Option<Lease>, StoreError> {
        let ttl = i64::try_from(ttl.as_micros()).unwrap_or(i64::MAX);
        let row = sqlx::query(ACQUIRE)
            .bind(name)
            .bind(holder)
            .bind(micros(now).saturating_add(ttl))
            .bind(micros(now))
            .fetch_optional(&self.writer)
            .await
            .map_err(storage)?;
        row.map(|row| {
            let columns = Columns(&row);
            Ok(Lease { fence: columns.count("fence")?, until: columns.time("until")? })
        })
        .transpose()
    }

    async fn release(&self, name: &str, holder: &str) -> Result<(), StoreError> {
        sqlx::query("UPDATE leases SET holder = NULL WHERE name = ? AND holder = ?")
            .bind(name)
            .bind(holder)
            .execute(&self.writer)
            .await
            .map_err(storage)?;
        Ok(())
    }
}
