//! `audit query`.

use std::io::Write;

use alloy_primitives::{Address, B256};
use dvn_core::{
    ids::Guid,
    ports::{AuditLog, AuditQuery, Clock},
};
use serde::Serialize;

use super::{CliError, QueryOptions};
use crate::cli::{packet::Decision, write_json};

/// Rows that fit, and after which one to go on where there may be more.
#[derive(Debug, Serialize)]
struct Answer {
    rows: Vec<Decision>,
    next_after: Option<u64>,
}

/// An application's address: 20 bytes as on EVM chains, or the 32 of the endpoint.
pub(super) fn oapp(text: &str) -> Result<B256, String> {
    if let Ok(address) = text.parse::<Address>() {
        return Ok(address.into_word());
    }
    text.parse().map_err(|_| format!("`{text}` is no address: write 0x and 40 hex digits, or 64"))
}

pub(super) async fn obey(
    options: &QueryOptions,
    audit: &dyn AuditLog,
    clock: &dyn Clock,
    out: &mut dyn Write,
) -> Result<(), CliError> {
    let now = clock.now();
    let limit = usize::try_from(options.limit).unwrap_or(usize::MAX);
    let query = AuditQuery {
        oapp: options.oapp,
        guid: options.packet.map(Guid),
        actor: options.actor.clone(),
        action: options.action.clone(),
        since: options.since.map(|since| since.resolve(now)),
        until: options.until.map(|until| until.resolve(now)),
        after: options.after,
        limit,
    };
    let rows = audit.query(&query).await?;
    let next_after = rows.last().filter(|_| rows.len() >= limit).map(|row| row.sequence);
    let answer = Answer { rows: rows.iter().map(Decision::new).collect(), next_after };
    if options.json { write_json(&answer, out) } else { answer.write(out) }
}

impl Answer {
    fn write(&self, out: &mut dyn Write) -> Result<(), CliError> {
        if self.rows.is_empty() {
            return Ok(writeln!(out, "no rows")?);
        }
        self.rows.iter().try_for_each(|row| row.write_with_packet(out))?;
        match self.next_after {
            Some(row) => Ok(writeln!(out, "there may be more: add --after {row}")?),
            None => Ok(()),
        }
    }
}
