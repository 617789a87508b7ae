//! `audit export`.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::Path,
};

use dvn_core::{
    ids::Guid,
    ports::{AuditLog, AuditQuery, Clock},
};

use super::{
    AuditCommandError, CliError, ExportOptions,
    line::{Line, Row},
};

/// Rows that are read at once.
const PAGE: usize = 512;

/// Writes every row that fits, also those that were tampered with, which are an error once all are written.
pub(super) async fn obey(
    options: &ExportOptions,
    audit: &dyn AuditLog,
    clock: &dyn Clock,
    out: &mut dyn Write,
) -> Result<(), CliError> {
    let now = clock.now();
    let query = AuditQuery {
        guid: options.packet.map(Guid),
        since: options.since.map(|since| since.resolve(now)),
        until: options.until.map(|until| until.resolve(now)),
        limit: PAGE,
        ..AuditQuery::default()
    };
    let Some(path) = &options.out else {
        return whole(write(audit, query, out).await?.broken);
    };
    let mut writer = BufWriter::new(create(path)?);
    let written = write(audit, query, &mut writer).await?;
    writer.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
    writeln!(out, "exported {} rows to {}", written.rows, path.display())?;
    whole(written.broken)
}

/// Makes a file that is not there.
pub(super) fn create(path: &Path) -> Result<File, CliError> {
    match File::options().write(true).read(true).create_new(true).open(path) {
        Ok(file) => Ok(file),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            Err(AuditCommandError::Exists(path.to_owned()).into())
        }
        Err(error) => Err(error.into()),
    }
}

fn whole(broken: Option<u64>) -> Result<(), CliError> {
    match broken {
        Some(row) => Err(AuditCommandError::Tampered(format!("the export breaks at row {row}")).into()),
        None => Ok(()),
    }
}

#[derive(Debug, Default)]
struct Written {
    rows: u64,
    /// The first row that is not genuine, or does not follow the row before where that one was written.
    broken: Option<u64>,
}

async fn write(audit: &dyn AuditLog, mut query: AuditQuery, out: &mut dyn Write) -> Result<Written, CliError> {
    let mut written = Written::default();
    let mut before = audit.base().await?;
    loop {
        let rows = audit.query(&query).await?;
        for row in &rows {
            let row = Row::from(row);
            let is_next = row.sequence == before.rows.saturating_add(1);
            if !row.is_genuine() || (is_next && row.prev_hash != before.hash) {
                written.broken.get_or_insert(row.sequence);
            }
            before = row.head();
            query.after = row.sequence;
            write_line(&Line::Audit(row), out)?;
            written.rows = written.rows.saturating_add(1);
        }
        if rows.len() < query.limit {
            out.flush()?;
            return Ok(written);
        }
    }
}

pub(super) fn write_line(line: &Line, out: &mut dyn Write) -> io::Result<()> {
    serde_json::to_writer(&mut *out, line)?;
    out.write_all(b"\n")
}
