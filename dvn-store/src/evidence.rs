//! What convinced the verifiers.

use std::time::SystemTime;

use crate::{
    codec::{Columns, micros},
    database::Database,
    error::storage,
    sql::{Row, sql},
};
use alloy_primitives::B256;
use async_trait::async_trait;
use dvn_core::{
    error::{StoreError, StoreErrorKind},
    ids::Guid,
    ports::{Evidence, EvidenceBundle},
};

#[async_trait]
impl Evidence for Database {
    async fn put(&self, guid: Guid, bundle: &EvidenceBundle, at: SystemTime) -> Result<(), StoreError> {
        self.execute(
            sql("INSERT INTO evidence (guid, digest, json, at) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING")
                .bind(guid.0.as_slice())
                .bind(bundle.digest().as_slice())
                .bind(bundle.json())
                .bind(micros(at)),
        )
        .await
        .map_err(storage)?;
        Ok(())
    }

    async fn of_packet(&self, guid: Guid) -> Result<Vec<EvidenceBundle>, StoreError> {
        let rows = self
            .all(sql("SELECT digest, json FROM evidence WHERE guid = $1 ORDER BY id").bind(guid.0.as_slice()))
            .await
            .map_err(storage)?;
        rows.iter().map(bundle).collect()
    }

    async fn put_halt(&self, bundle: &EvidenceBundle, at: SystemTime) -> Result<(), StoreError> {
        self.execute(
            sql("INSERT INTO halt_evidence (digest, json, at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING")
                .bind(bundle.digest().as_slice())
                .bind(bundle.json())
                .bind(micros(at)),
        )
        .await
        .map_err(storage)?;
        Ok(())
    }

    async fn of_halt(&self, digest: B256) -> Result<Option<EvidenceBundle>, StoreError> {
        let row = self
            .optional(sql("SELECT digest, json FROM halt_evidence WHERE digest = $1").bind(digest.as_slice()))
            .await
            .map_err(storage)?;
        row.as_ref().map(bundle).transpose()
    }
}

/// The digest names the document in the journal, so a document that was changed is none.
fn bundle(row: &Row) -> Result<EvidenceBundle, StoreError> {
    let columns = Columns(row);
    let bundle = EvidenceBundle::new(columns.any::<String>("json")?);
    let digest = columns.hash("digest")?;
    if bundle.digest() == digest {
        return Ok(bundle);
    }
    Err(StoreError::new(StoreErrorKind::Corrupt).because(format!("evidence {digest} is not what was stored")))
}
