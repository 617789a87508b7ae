//! A journal as JSON, described in docs/journal.md. Every value is text, so that no reader rounds a number.

use std::{path::Path, time::SystemTime};

use alloy_primitives::{Address, B256, Bytes, hex};
use dvn_core::{
    attestation::Attestation,
    ids::{ChainTime, Confirmations, Eid, Nonce, PayloadHash, Vid},
    packet::{Claim, Header},
    ports::{Intent, JournalHead, JournalRow, Purpose},
};
use dvn_store::row_hash;
use serde::{Deserialize, Serialize};

use super::{CliError, JournalCommandError};
use crate::time::{from_micros, micros};

/// What the file says it is.
pub(super) const FORMAT: &str = "dvn-journal";
/// The only version so far.
pub(super) const VERSION: &str = "1";

/// A whole export whose chain was computed again.
#[derive(Debug)]
pub(super) struct Document {
    pub(super) journal: B256,
    pub(super) head: JournalHead,
    pub(super) rows: Vec<JournalRow>,
}

#[derive(Deserialize)]
struct Kind {
    format: String,
    version: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Whole {
    #[serde(rename = "format")]
    _format: String,
    #[serde(rename = "version")]
    _version: String,
    journal: B256,
    #[serde(rename = "exported_at")]
    _exported_at: String,
    rows: Vec<Row>,
    head: Head,
}

/// The last row, at the file's end.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Head {
    rows: String,
    hash: B256,
}

impl From<JournalHead> for Head {
    fn from(head: JournalHead) -> Self {
        Self { rows: head.rows.to_string(), hash: head.hash }
    }
}

/// One row.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Row {
    sequence: String,
    purpose: String,
    guid: B256,
    nonce: String,
    src_eid: String,
    sender: B256,
    dst_eid: String,
    receiver: B256,
    payload_hash: B256,
    confirmations: String,
    expiration: String,
    vid: String,
    target: Address,
    signer: Address,
    source_block: B256,
    evidence: B256,
    chain_time: String,
    at_micros: String,
    signature: Option<String>,
    row_hash: B256,
}

impl From<&JournalRow> for Row {
    fn from(row: &JournalRow) -> Self {
        let JournalRow { sequence, intent, signature, row_hash } = row;
        let Intent { purpose, attestation, signer, source_block, evidence, now, at } = intent;
        let Attestation { claim, confirmations, expiration, vid, target } = attestation;
        let header = claim.header;
        Self {
            sequence: sequence.to_string(),
            purpose: purpose.name().to_owned(),
            guid: header.guid().0,
            nonce: header.nonce.0.to_string(),
            src_eid: header.src_eid.0.to_string(),
            sender: header.sender,
            dst_eid: header.dst_eid.0.to_string(),
            receiver: header.receiver,
            payload_hash: claim.payload_hash.0,
            confirmations: confirmations.0.to_string(),
            expiration: expiration.0.to_string(),
            vid: vid.0.to_string(),
            target: *target,
            signer: *signer,
            source_block: *source_block,
            evidence: *evidence,
            chain_time: now.0.to_string(),
            at_micros: micros(*at).to_string(),
            signature: signature.as_ref().map(hex::encode_prefixed),
            row_hash: *row_hash,
        }
    }
}

impl Document {
    /// Reads an export and computes its chain again.
    pub(super) fn read(path: &Path) -> Result<Self, CliError> {
        let text = std::fs::read_to_string(path)?;
        Self::parse(&text).map_err(|problem| JournalCommandError::Document { path: path.to_owned(), problem }.into())
    }

    fn parse(text: &str) -> Result<Self, String> {
        let kind: Kind = serde_json::from_str(text).map_err(|error| error.to_string())?;
        if (kind.format.as_str(), kind.version.as_str()) != (FORMAT, VERSION) {
            let (format, version) = (kind.format, kind.version);
            return Err(format!(
                "it is {format:?} version {version:?}, this release reads {FORMAT:?} version {VERSION:?}"
            ));
        }
        let whole: Whole = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let mut head = JournalHead::default();
        let mut rows = Vec::with_capacity(whole.rows.len());
        for row in &whole.rows {
            let row = read(row).map_err(|field| {
                format!("row {}: `{field}` is not what is written there", head.rows.saturating_add(1))
            })?;
            head = follow(head, &row).ok_or_else(|| {
                format!("row {} does not follow the one before it, or was edited", head.rows.saturating_add(1))
            })?;
            rows.push(row);
        }
        if Some(head.rows) != number(&whole.head.rows) || head.hash != whole.head.hash {
            return Err(format!("it has {} rows, and its `head` is that of {}", head.rows, whole.head.rows));
        }
        Ok(Self { journal: whole.journal, head, rows })
    }
}

/// The head after this row, if it is the one that follows `head`.
pub(super) fn follow(head: JournalHead, row: &JournalRow) -> Option<JournalHead> {
    let rows = head.rows.checked_add(1)?;
    let hash = row_hash(head.hash, rows, &row.intent);
    (row.sequence == rows && row.row_hash == hash).then_some(JournalHead { rows, hash })
}

/// The row, or the field that is wrong.
fn read(row: &Row) -> Result<JournalRow, &'static str> {
    let eid = |text: &str, field| number(text).map(Eid).ok_or(field);
    let header = Header {
        nonce: number(&row.nonce).map(Nonce).ok_or("nonce")?,
        src_eid: eid(&row.src_eid, "src_eid")?,
        sender: row.sender,
        dst_eid: eid(&row.dst_eid, "dst_eid")?,
        receiver: row.receiver,
    };
    if header.guid().0 != row.guid {
        return Err("guid");
    }
    let attestation = Attestation {
        claim: Claim { header, payload_hash: PayloadHash(row.payload_hash) },
        confirmations: number(&row.confirmations).map(Confirmations).ok_or("confirmations")?,
        expiration: number(&row.expiration).map(ChainTime).ok_or("expiration")?,
        vid: number(&row.vid).map(Vid).ok_or("vid")?,
        target: row.target,
    };
    let intent = Intent {
        purpose: Purpose::from_name(&row.purpose).ok_or("purpose")?,
        attestation,
        signer: row.signer,
        source_block: row.source_block,
        evidence: row.evidence,
        now: number(&row.chain_time).map(ChainTime).ok_or("chain_time")?,
        at: instant(&row.at_micros).ok_or("at_micros")?,
    };
    let signature = row.signature.as_ref().map(|text| hex::decode(text).map(Bytes::from)).transpose();
    Ok(JournalRow {
        sequence: number(&row.sequence).ok_or("sequence")?,
        intent,
        signature: signature.map_err(|_| "signature")?,
        row_hash: row.row_hash,
    })
}

/// Plain decimal digits: no sign, no space.
fn number<T: std::str::FromStr>(text: &str) -> Option<T> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

fn instant(text: &str) -> Option<SystemTime> {
    from_micros(text.parse().ok()?)
}
