//! Stops that stand.

use crate::{
    codec::{CodecError, Columns, micros},
    database::Database,
    error::storage,
    sql::{Row, sql},
};
use async_trait::async_trait;
use dvn_core::{
    error::StoreError,
    ids::Eid,
    ports::{Halt, HaltScope, Halts},
};

#[async_trait]
impl Halts for Database {
    async fn raise(&self, halt: Halt) -> Result<(), StoreError> {
        let raise =
            sql("INSERT INTO halts (scope, reason, evidence, since) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING");
        let raise = raise
            .bind(scope_name(halt.scope))
            .bind(halt.reason)
            .bind(halt.evidence.as_ref().map(|digest| digest.as_slice()))
            .bind(micros(halt.since));
        self.execute(raise).await.map_err(storage)?;
        Ok(())
    }

    async fn standing(&self) -> Result<Vec<Halt>, StoreError> {
        let standing = sql("SELECT scope, reason, evidence, since FROM halts ORDER BY since, scope");
        let rows = self.all(standing).await.map_err(storage)?;
        rows.iter().map(|row| Ok(halt(row)?)).collect()
    }

    async fn clear(&self, scope: HaltScope) -> Result<bool, StoreError> {
        let clear = sql("DELETE FROM halts WHERE scope = $1").bind(scope_name(scope));
        Ok(self.execute(clear).await.map_err(storage)? > 0)
    }
}

const ALL: &str = "all";

fn scope_name(scope: HaltScope) -> String {
    match scope {
        HaltScope::All => ALL.to_owned(),
        HaltScope::Chain(eid) => eid.to_string(),
    }
}

fn halt(row: &Row) -> Result<Halt, CodecError> {
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
