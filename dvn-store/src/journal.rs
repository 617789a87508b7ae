//! What was ever signed. The rules are in [`rules`], the chain of rows in [`chain`], the journal's name in [`identity`]; the
//! constraints of the schema stand behind them.

use crate::{
    codec::{Columns, bind_header, digits, limit, micros},
    database::{Database, Order, Read, Transaction},
    error::journal as storage,
    postgres::Guard,
    sql::{Row, sql},
};
use alloy_primitives::Bytes;
use async_trait::async_trait;
use dvn_core::{
    error::{JournalError, JournalErrorKind},
    ids::{BlockNumber, Eid, Guid},
    packet::Claim,
    ports::{Intent, Journal, JournalHead, JournalId, JournalRow, JournalState, Purpose, Quarantine},
};

mod chain;
mod identity;
mod rules;

pub use chain::row_hash;

/// A row with its slot's header, which is NULL where the slot is gone or has another payload.
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT journal.*, slot.nonce, slot.src_eid, slot.sender, slot.dst_eid, slot.receiver
             FROM journal LEFT JOIN journal_slots AS slot
             ON slot.guid = journal.guid AND slot.payload_hash = journal.payload_hash ",
            $rest
        )
    };
}

const OF_SLOT: &str = select!("WHERE journal.guid = $1 ORDER BY sequence");
const AFTER: &str = select!("WHERE sequence > $1 ORDER BY sequence LIMIT $2");
/// Rows that are read at once.
const PAGE: usize = 512;
/// Slots are only made together with their first row.
const LONELY_SLOTS: &str = "SELECT count(*) AS count FROM journal_slots
    WHERE NOT EXISTS (SELECT 1 FROM journal WHERE journal.guid = journal_slots.guid)";
const INSERT_SLOT: &str = "INSERT INTO journal_slots (guid, payload_hash, nonce, src_eid, sender, dst_eid, receiver)
    VALUES ($1, $2, $3, $4, $5, $6, $7)";
const INSERT: &str =
    "INSERT INTO journal (sequence, guid, payload_hash, confirmations, expiration, vid, target, signer,
    source_block, evidence, chain_time, at, purpose, prev_hash, row_hash)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)";
const SIGN: &str = "UPDATE journal SET signature = $1 WHERE sequence = $2 AND signature IS NULL";
const SIGNED: &str = "SELECT sequence FROM journal WHERE sequence = $1 AND signature = $2";
const NEWEST: &str = "SELECT sequence, row_hash FROM journal ORDER BY sequence DESC LIMIT 1";

#[async_trait]
impl Journal for Database {
    async fn intend(&self, intent: &Intent) -> Result<JournalHead, JournalError> {
        let claim = &intent.attestation.claim;
        let mut transaction = self.begin(Order::Journal).await.map_err(storage)?;
        let state = identity::state(&mut transaction).await?;
        if let Some(guard) = self.guard() {
            // Here and not before: a loss or a failover may have been found by the connection that this transaction is on.
            refuse_if_lost(guard, &mut transaction).await?;
            refuse_if_quarantined(&state, intent)?;
        }
        let earlier = rows_of(&mut transaction, claim.header.guid()).await?;
        rules::permit(&earlier, intent)?;
        if earlier.is_empty() {
            insert_slot(&mut transaction, claim).await?;
        }
        let head = insert(&mut transaction, intent).await?;
        transaction.commit().await.map_err(storage)?;
        Ok(self.seen(head))
    }

    async fn signed(&self, sequence: u64, signature: &Bytes) -> Result<(), JournalError> {
        let key = i64::try_from(sequence).unwrap_or(-1);
        let (add, same) =
            (sql(SIGN).bind(signature.as_ref()).bind(key), sql(SIGNED).bind(key).bind(signature.as_ref()));
        if self.execute(add).await.map_err(storage)? > 0 {
            return Ok(());
        }
        // The answer to an earlier call may have been lost; the same signature again is no news.
        let same = self.write_optional(same).await.map_err(storage)?;
        let detail = || format!("there is no intent {sequence} that waits for this signature");
        same.map(|_| ()).ok_or_else(|| JournalError::new(JournalErrorKind::Storage).because(detail()))
    }

    async fn slot(&self, guid: Guid) -> Result<Vec<JournalRow>, JournalError> {
        rows_of(&mut &*self, guid).await
    }

    async fn rows(&self, after: u64, limit: usize) -> Result<Vec<JournalRow>, JournalError> {
        let rows = rows_after(&mut &*self, after, limit).await?;
        rows.iter().map(|row| chain::read(row).map(|(row, _)| row)).collect()
    }

    async fn head(&self) -> Result<JournalHead, JournalError> {
        Ok(self.seen(newest(&mut &*self).await?))
    }

    async fn verify(&self) -> Result<JournalHead, JournalError> {
        let mut snapshot = self.snapshot().await.map_err(storage)?;
        let mut head = JournalHead::default();
        loop {
            let rows = rows_after(&mut snapshot, head.rows, PAGE).await?;
            if rows.is_empty() {
                break;
            }
            for row in &rows {
                head = chain::follow(row, head)?;
            }
        }
        refuse_lonely_slots(&mut snapshot).await?;
        Ok(self.seen(head))
    }

    async fn begin(&self, quarantine: Option<Quarantine>) -> Result<JournalId, JournalError> {
        identity::begin(self, quarantine).await
    }

    async fn state(&self) -> Result<JournalState, JournalError> {
        identity::state(&mut &*self).await
    }

    async fn quarantine(&self, quarantine: Quarantine) -> Result<(), JournalError> {
        identity::quarantine(self, quarantine).await
    }

    async fn set_mirror(&self, place: &str) -> Result<(), JournalError> {
        identity::set_mirror(self, place).await
    }

    async fn anchor(&self, dst_eid: Eid) -> Result<Option<BlockNumber>, JournalError> {
        identity::anchor(self, dst_eid).await
    }

    async fn set_anchor(&self, dst_eid: Eid, through: BlockNumber) -> Result<(), JournalError> {
        identity::set_anchor(self, dst_eid, through).await
    }
}

async fn rows_after(from: &mut impl Read, after: u64, most: usize) -> Result<Vec<Row>, JournalError> {
    let after = i64::try_from(after).unwrap_or(i64::MAX);
    from.all(sql(AFTER).bind(after).bind(limit(most))).await.map_err(storage)
}

async fn rows_of(from: &mut impl Read, guid: Guid) -> Result<Vec<JournalRow>, JournalError> {
    let rows = from.all(sql(OF_SLOT).bind(guid.0.as_slice())).await.map_err(storage)?;
    rows.iter().map(|row| chain::read(row).map(|(row, _)| row)).collect()
}

impl Database {
    /// Remembers a head that this process saw, so that a database that lost it shows.
    fn seen(&self, head: JournalHead) -> JournalHead {
        if let Some(guard) = self.guard() {
            guard.see(head);
        }
        head
    }
}

const AT: &str = "SELECT row_hash FROM journal WHERE sequence = $1";

/// What this process saw is still there, on this connection and now.
async fn refuse_if_lost(guard: &Guard, transaction: &mut Transaction) -> Result<(), JournalError> {
    let seen = guard.seen();
    if seen.rows > 0 {
        let at = sql(AT).bind(i64::try_from(seen.rows).unwrap_or(i64::MAX));
        let row = transaction.optional(at).await.map_err(storage)?;
        let found = row.map(|row| Columns(&row).hash("row_hash")).transpose();
        guard
            .compare_with(seen, found.map_err(|error| JournalError::new(JournalErrorKind::Tampered).caused_by(error))?);
    }
    guard.refuse_if_lost()
}

/// The caller asked for the quarantine before a failover was found. What takes back is as good in one as ever.
fn refuse_if_quarantined(state: &JournalState, intent: &Intent) -> Result<(), JournalError> {
    let signs = intent.purpose == Purpose::Sign && !intent.attestation.is_retraction();
    match &state.quarantine {
        Some(it) if signs && it.lasts(intent.at, intent.now) => {
            let detail = format!("the journal is quarantined until second {}: {}", it.until_chain_time(), it.reason);
            Err(JournalError::new(JournalErrorKind::Storage).because(detail))
        }
        _ => Ok(()),
    }
}

/// A plain insert: where the slot is there after all, the database refuses it.
async fn insert_slot(to: &mut Transaction, claim: &Claim) -> Result<(), JournalError> {
    let guid = claim.header.guid();
    let statement = sql(INSERT_SLOT).bind(guid.0.as_slice()).bind(claim.payload_hash.0.as_slice());
    to.execute(bind_header(statement, &claim.header)).await.map_err(storage)?;
    Ok(())
}

async fn insert(to: &mut Transaction, intent: &Intent) -> Result<JournalHead, JournalError> {
    let JournalHead { rows, hash: previous } = newest(to).await?;
    let sequence = rows.saturating_add(1);
    let hash = row_hash(previous, sequence, intent);
    let attestation = &intent.attestation;
    let statement = sql(INSERT)
        .bind(i64::try_from(sequence).unwrap_or(i64::MAX))
        .bind(attestation.claim.header.guid().0.to_vec())
        .bind(attestation.claim.payload_hash.0.as_slice())
        .bind(digits(attestation.confirmations.0))
        .bind(digits(attestation.expiration.0))
        .bind(attestation.vid.0)
        .bind(attestation.target.as_slice())
        .bind(intent.signer.as_slice())
        .bind(intent.source_block.as_slice())
        .bind(intent.evidence.as_slice())
        .bind(digits(intent.now.0))
        .bind(micros(intent.at))
        .bind(intent.purpose.name())
        .bind(previous.as_slice())
        .bind(hash.as_slice());
    to.execute(statement).await.map_err(storage)?;
    Ok(JournalHead { rows: sequence, hash })
}

async fn newest(from: &mut impl Read) -> Result<JournalHead, JournalError> {
    let row = from.optional(sql(NEWEST)).await.map_err(storage)?;
    let Some(row) = row else { return Ok(JournalHead::default()) };
    let columns = Columns(&row);
    let head = columns.count("sequence").and_then(|rows| Ok(JournalHead { rows, hash: columns.hash("row_hash")? }));
    head.map_err(|error| JournalError::new(JournalErrorKind::Tampered).because("newest row").caused_by(error))
}

async fn refuse_lonely_slots(from: &mut impl Read) -> Result<(), JournalError> {
    let row = from.optional(sql(LONELY_SLOTS)).await.map_err(storage)?;
    let count = row.map(|row| Columns(&row).count("count")).transpose();
    let count = count.map_err(|error| JournalError::new(JournalErrorKind::Storage).caused_by(error))?;
    let Some(count) = count.filter(|count| *count > 0) else { return Ok(()) };
    Err(JournalError::new(JournalErrorKind::Tampered).because(format!("{count} slots have lost their rows")))
}
