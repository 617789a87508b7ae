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
    sql::sql,
};

/// Inserts a lease that nobody ever held, or takes over one that is mine, free or over. The fence stays for the holder
/// that renews and grows for everybody else.
const ACQUIRE: &str = "INSERT INTO leases (name, holder, fence, until) VALUES ($1, $2, 1, $3)
    ON CONFLICT (name) DO UPDATE SET
        holder = excluded.holder, until = excluded.until, fence = leases.fence
            + CASE WHEN leases.holder IS NOT DISTINCT FROM excluded.holder THEN 0 ELSE 1 END
    WHERE leases.holder IS NULL OR leases.holder = excluded.holder OR leases.until <= $4
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
        let until = micros(now).saturating_add(ttl);
        let acquire = sql(ACQUIRE).bind(name).bind(holder).bind(until).bind(micros(now));
        let row = self.write_optional(acquire).await.map_err(storage)?;
        row.map(|row| {
            let columns = Columns(&row);
            Ok(Lease { fence: columns.count("fence")?, until: columns.time("until")? })
        })
        .transpose()
    }

    async fn release(&self, name: &str, holder: &str) -> Result<(), StoreError> {
        let release = sql("UPDATE leases SET holder = NULL WHERE name = $1 AND holder = $2").bind(name).bind(holder);
        self.execute(release).await.map_err(storage)?;
        Ok(())
    }
}
