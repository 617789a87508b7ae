//! `journal export`.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::Path,
};

use dvn_core::{
    error::JournalErrorKind,
    ports::{Clock, Journal, JournalHead, JournalRow, Store},
};

use super::{
    CliError, JournalCommandError,
    document::{FORMAT, Head, Row, VERSION, follow},
};
use crate::time::Stamp;

/// Rows that are read at once.
const PAGE: usize = 512;

/// Writes every row up to the newest, or up to the first that was edited, which is an error once the rest is written.
pub(super) async fn obey(
    store: &Store,
    file: Option<&Path>,
    clock: &dyn Clock,
    out: &mut dyn Write,
) -> Result<(), CliError> {
    let Some(path) = file else {
        let (_, cut) = write(&*store.journal, clock, out).await?;
        return whole(cut);
    };
    // A file that is there is somebody's only copy, perhaps.
    let file = File::options().write(true).create_new(true).open(path)?;
    let mut writer = BufWriter::new(file);
    let (head, cut) = write(&*store.journal, clock, &mut writer).await?;
    writer.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
    writeln!(out, "exported {} rows to {}, head {}", head.rows, path.display(), head.hash)?;
    whole(cut)
}

fn whole(cut: Option<u64>) -> Result<(), CliError> {
    cut.map_or(Ok(()), |row| Err(JournalCommandError::Cut { row }.into()))
}

/// Returns the last row that was written, and the first that could not be.
async fn write(
    journal: &dyn Journal,
    clock: &dyn Clock,
    out: &mut dyn Write,
) -> Result<(JournalHead, Option<u64>), CliError> {
    let (id, end) = (journal.state().await?.id, journal.head().await?.rows);
    let at = Stamp(clock.now());
    write!(out, "{{\"format\":\"{FORMAT}\",\"version\":\"{VERSION}\",\"journal\":\"{id}\",\"exported_at\":\"{at}\",")?;
    write!(out, "\"rows\":[")?;
    let mut head = JournalHead::default();
    let mut cut = None;
    while head.rows < end && cut.is_none() {
        let rows = page(journal, head.rows).await?;
        cut = Some(head.rows.saturating_add(1)).filter(|_| rows.is_empty());
        for row in &rows {
            let Some(next) = follow(head, row) else {
                cut = Some(head.rows.saturating_add(1));
                break;
            };
            out.write_all(if head.rows == 0 { b"\n" } else { b",\n" })?;
            serde_json::to_writer(&mut *out, &Row::from(row)).map_err(io::Error::from)?;
            head = next;
        }
    }
    write!(out, "\n],\"head\":")?;
    serde_json::to_writer(&mut *out, &Head::from(head)).map_err(io::Error::from)?;
    writeln!(out, "}}")?;
    out.flush()?;
    Ok((head, cut))
}

/// A page of rows; one row at a time where one of the page was edited, so that those before it come.
async fn page(journal: &dyn Journal, after: u64) -> Result<Vec<JournalRow>, CliError> {
    for limit in [PAGE, 1] {
        match journal.rows(after, limit).await {
            Ok(rows) => return Ok(rows),
            Err(error) if error.kind() == JournalErrorKind::Tampered => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Vec::new())
}
