//! `audit verify`.

use std::{
    io::{self, Write},
    path::Path,
};

use dvn_core::{
    error::{StoreError, StoreErrorKind},
    ports::AuditLog,
};
use serde::Serialize;

use super::{AuditCommandError, CliError};
use crate::{
    audit_head::{KeptHead, as_number, contradiction},
    cli::write_json,
};

/// How the log stands.
#[derive(Debug, Serialize)]
struct Report {
    intact: bool,
    rows: u64,
    head: String,
    /// What `dvn_audit_head` shows for this head.
    metric: u64,
    /// The last row that retention cut off; 0 where none was.
    begins_after: u64,
    kept: KeptLine,
    /// What is wrong, where something is.
    problem: Option<String>,
}

#[derive(Debug, Serialize)]
struct KeptLine {
    path: String,
    rows: Option<u64>,
    head: Option<String>,
    at: Option<String>,
}

/// Looks at everything before it says what is wrong.
pub(super) async fn obey(
    audit: &dyn AuditLog,
    path: &Path,
    kept: io::Result<Option<KeptHead>>,
    json: bool,
    out: &mut dyn Write,
) -> Result<(), CliError> {
    let seen = kept.as_ref().ok().cloned().flatten();
    let (newest, base) = (audit.head().await?, audit.base().await?);
    let problem = problem(audit, path, kept).await?;
    let report = Report {
        intact: problem.is_none(),
        rows: newest.rows,
        head: newest.hash.to_string(),
        metric: as_number(newest.hash),
        begins_after: base.rows,
        kept: KeptLine {
            path: path.display().to_string(),
            rows: seen.as_ref().map(|kept| kept.rows),
            head: seen.as_ref().map(|kept| kept.hash.to_string()),
            at: seen.map(|kept| kept.at),
        },
        problem: problem.as_ref().map(ToString::to_string),
    };
    if json {
        write_json(&report, out)?
    } else {
        report.write(out)?
    }
    problem.map_or(Ok(()), |problem| Err(problem.into()))
}

async fn problem(
    audit: &dyn AuditLog,
    path: &Path,
    kept: io::Result<Option<KeptHead>>,
) -> Result<Option<AuditCommandError>, StoreError> {
    match audit.verify().await {
        Ok(_) => {}
        Err(error) if error.kind() == StoreErrorKind::Corrupt => {
            let told = error.context().detail.clone().unwrap_or_else(|| error.to_string());
            return Ok(Some(AuditCommandError::Tampered(told)));
        }
        Err(error) => return Err(error),
    }
    match kept {
        Ok(None) => Ok(None),
        Ok(Some(kept)) => Ok(contradiction(audit, &kept).await?.map(AuditCommandError::Tampered)),
        Err(source) => Ok(Some(AuditCommandError::Head { path: path.to_owned(), source })),
    }
}

impl Report {
    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "rows        {}", self.rows)?;
        writeln!(out, "head        {} (dvn_audit_head {})", self.head, self.metric)?;
        if self.begins_after > 0 {
            writeln!(out, "begins      after row {}; those before are in archives", self.begins_after)?;
        }
        let KeptLine { path, rows, head, at } = &self.kept;
        match (rows, head, at) {
            (Some(rows), Some(head), Some(at)) => writeln!(out, "kept        {rows} rows, {head} of {at} in {path}")?,
            _ => writeln!(out, "kept        none in {path}: rows that were cut off at the end would not show")?,
        }
        writeln!(out, "{}", if self.intact { "intact" } else { "NOT INTACT" })
    }
}
