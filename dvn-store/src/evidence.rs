//! What convinced the verifiers.

mod packed;

use std::time::SystemTime;

use alloy_primitives::B256;
use async_trait::async_trait;
use dvn_core::{
    error::{StoreError, StoreErrorKind},
    ids::Guid,
    ports::{Evidence, EvidenceBundle, OldEvidence},
};

use self::packed::{pack, unpack};
use crate::{
    codec::{CodecError, Columns, count, limit, micros},
    database::Database,
    error::storage,
    sql::{Row, sql},
};

const PUT: &str =
    "INSERT INTO evidence (guid, digest, json, packed, at) VALUES ($1, $2, '', $3, $4) ON CONFLICT DO NOTHING";
const OF_PACKET: &str = "SELECT digest, json, packed FROM evidence WHERE guid = $1 ORDER BY id";
const PUT_HALT: &str =
    "INSERT INTO halt_evidence (digest, json, packed, at) VALUES ($1, '', $2, $3) ON CONFLICT DO NOTHING";
const OF_HALT: &str = "SELECT digest, json, packed FROM halt_evidence WHERE digest = $1";
/// Orphaned packets may come back, and retracted ones are guarded: they are not done.
const OF_DONE: &str = "SELECT id, guid, digest, json, packed, at FROM evidence
    WHERE at < $1 AND id > $2
      AND EXISTS (SELECT 1 FROM jobs WHERE jobs.guid = evidence.guid)
      AND NOT EXISTS (
        SELECT 1 FROM jobs WHERE jobs.guid = evidence.guid AND jobs.state NOT IN ('committed', 'refused')
      )
    ORDER BY id LIMIT $3";
const REMOVE_DONE: &str = "DELETE FROM evidence
    WHERE at < $1 AND id = $2
      AND EXISTS (SELECT 1 FROM jobs WHERE jobs.guid = evidence.guid)
      AND NOT EXISTS (
        SELECT 1 FROM jobs WHERE jobs.guid = evidence.guid AND jobs.state NOT IN ('committed', 'refused')
      )";

#[async_trait]
impl Evidence for Database {
    async fn put(&self, guid: Guid, bundle: &EvidenceBundle, at: SystemTime) -> Result<(), StoreError> {
        let packed = pack(bundle.json()).map_err(unpackable)?;
        self.execute(sql(PUT).bind(guid.0.as_slice()).bind(bundle.digest().as_slice()).bind(packed).bind(micros(at)))
            .await
            .map_err(storage)?;
        Ok(())
    }

    async fn of_packet(&self, guid: Guid) -> Result<Vec<EvidenceBundle>, StoreError> {
        let rows = self.all(sql(OF_PACKET).bind(guid.0.as_slice())).await.map_err(storage)?;
        rows.iter().map(bundle).collect()
    }

    async fn put_halt(&self, bundle: &EvidenceBundle, at: SystemTime) -> Result<(), StoreError> {
        let packed = pack(bundle.json()).map_err(unpackable)?;
        self.execute(sql(PUT_HALT).bind(bundle.digest().as_slice()).bind(packed).bind(micros(at)))
            .await
            .map_err(storage)?;
        Ok(())
    }

    async fn of_halt(&self, digest: B256) -> Result<Option<EvidenceBundle>, StoreError> {
        let row = self.optional(sql(OF_HALT).bind(digest.as_slice())).await.map_err(storage)?;
        row.as_ref().map(bundle).transpose()
    }

    async fn of_done(&self, before: SystemTime, after: u64, most: usize) -> Result<Vec<OldEvidence>, StoreError> {
        let rows =
            self.all(sql(OF_DONE).bind(micros(before)).bind(count(after)).bind(limit(most))).await.map_err(storage)?;
        rows.iter().map(old).collect()
    }

    async fn remove_done(&self, before: SystemTime, position: u64) -> Result<bool, StoreError> {
        let done = self.execute(sql(REMOVE_DONE).bind(micros(before)).bind(count(position))).await.map_err(storage)?;
        Ok(done > 0)
    }
}

/// The digest names the document in the journal, so a document that was changed is none.
fn bundle(row: &Row) -> Result<EvidenceBundle, StoreError> {
    let columns = Columns(row);
    let digest = columns.hash("digest")?;
    let corrupt =
        || StoreError::new(StoreErrorKind::Corrupt).because(format!("evidence {digest} is not what was stored"));
    let document = match columns.any::<Option<&[u8]>>("packed")? {
        Some(packed) => unpack(packed).map_err(|error| corrupt().caused_by(error))?,
        None => columns.any("json")?,
    };
    let bundle = EvidenceBundle::new(document);
    if bundle.digest() == digest { Ok(bundle) } else { Err(corrupt()) }
}

fn old(row: &Row) -> Result<OldEvidence, StoreError> {
    let columns = Columns(row);
    let read =
        || -> Result<_, CodecError> { Ok((columns.count("id")?, Guid(columns.hash("guid")?), columns.time("at")?)) };
    let (position, guid, at) = read()?;
    Ok(OldEvidence { position, guid, at, bundle: bundle(row)? })
}

fn unpackable(error: std::io::Error) -> StoreError {
    StoreError::new(StoreErrorKind::Storage).because("evidence could not be compressed").caused_by(error)
}
