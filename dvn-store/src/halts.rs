//! Stops that stand.

use async_trait::async_trait;
use dvn_core::{
    error::StoreError,
    ids::Eid,
    ports::{Halt, HaltScope, Halts},
};
use sqlx::sqlite::SqliteRow;

use crate::{
    codec::{CodecError, Columns, micros},
    database::Database,
    error::storage,
};

#[async_trait]
impl Halts for Database {
    async fn raise(&self, halt: Halt) -> Result<(), StoreError> {
        sqlx::query("INSERT INTO halts (scope, reason, evidence, since) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING")
            .bind(scope_name(halt.scope))
            .bind(halt.reason)
            .bind(halt.evidence.as_ref().map(|digest| digest.as_slice()))
            .bind(micros(halt.since))
            .execute(&self.writer)
            .await
            .map_err(storage)?;
        Ok(())
    }

    async fn standing(&self) -> Result<Vec<Halt>, StoreError> {
        let rows = sqlx::query("SELECT scope, reason, evidence, since FROM halts ORDER BY since, scope")
            .fetch_all(&self.readers)
            .await
            .map_err(storage)?;
        rows.iter().map(|row| Ok(halt(row)?)).collect()
    }

    async fn clear(&self, scope: HaltScope) -> Result<bool, StoreError> {
        let done = sqlx::query("DELETE FROM halts WHERE scope = ?")
            .bind(scope_name(scope))
            .execute(&self.writer)
            .await
            .map_err(storage)?;
        Ok(done.rows_affected() > 0)
    }
}

const ALL: &str = "all";

fn scope_name(scope: HaltScope) -> String {
    match scope {
        HaltScope::All => ALL.to_owned(),
        HaltScope::Chain(eid) => eid.to_string(),
    }
}

fn halt(row: &SqliteRow) -> Result<Halt, CodecError> {
    let columns = Columns(row);
    let scope = match columns.any::<&str>("scope")? {
        ALL => HaltScope::All,
        eid => HaltScope::Chain(Eid(eid.parse().map_err(|_| CodecError::Value("scope"))?)),
    };
    Ok(Halt {
        scope,
        reason: columns.any("reason")?,
        evidence: columns.optional("evidence", Columns::hash)?,
        since: columns.time("since")?,
    })
}
