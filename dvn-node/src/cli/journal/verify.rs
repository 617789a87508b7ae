//! `journal verify`.

use std::{
    io::{self, Write},
    path::Path,
};

use dvn_core::{
    error::JournalError,
    ports::{Clock, JournalHead, JournalState, Store},
};
use dvn_store::{Comparison, KeptHead, MirrorError};
use serde::Serialize;

use super::{super::write_json, CliError};
use crate::time::Stamp;

/// How the journal stands.
#[derive(Debug, Serialize)]
struct Report {
    intact: bool,
    id: Option<String>,
    rows: u64,
    head: String,
    quarantine: Option<QuarantineLine>,
    mirror: MirrorLine,
    /// What is wrong, where something is.
    problem: Option<String>,
}

#[derive(Debug, Serialize)]
struct QuarantineLine {
    until: String,
    lasts: bool,
    reason: String,
}

#[derive(Debug, Serialize)]
struct MirrorLine {
    path: String,
    journal: Option<String>,
    rows: Option<u64>,
    head: Option<String>,
}

/// Looks at everything before it says what is wrong.
pub(super) async fn obey(
    store: &Store,
    path: &Path,
    kept: Result<Option<KeptHead>, MirrorError>,
    clock: &dyn Clock,
    json: bool,
    out: &mut dyn Write,
) -> Result<(), CliError> {
    let journal = &*store.journal;
    let state = journal.state().await;
    let chain = journal.verify().await;
    let newest = journal.head().await.unwrap_or_default();
    let seen = kept.as_ref().ok().copied().flatten();
    let problem = problem(store, path, chain, kept).await.err();
    let report = Report {
        intact: problem.is_none(),
        rows: newest.rows,
        head: newest.hash.to_string(),
        quarantine: state.as_ref().ok().and_then(|state| quarantine(state, clock)),
        id: state.ok().map(|state| state.id.to_string()),
        mirror: MirrorLine {
            path: path.display().to_string(),
            journal: seen.map(|kept| kept.journal.to_string()),
            rows: seen.map(|kept| kept.head.rows),
            head: seen.map(|kept| kept.head.hash.to_string()),
        },
        problem: problem.as_ref().map(ToString::to_string),
    };
    if json {
        write_json(&report, out)?
    } else {
        report.write(out)?
    }
    problem.map_or(Ok(()), Err)
}

async fn problem(
    store: &Store,
    path: &Path,
    chain: Result<JournalHead, JournalError>,
    kept: Result<Option<KeptHead>, MirrorError>,
) -> Result<(), CliError> {
    chain?;
    Ok(Comparison::of(&*store.journal, kept?).await?.accept(path)?)
}

fn quarantine(state: &JournalState, clock: &dyn Clock) -> Option<QuarantineLine> {
    let it = state.quarantine.as_ref()?;
    let (until, lasts) = (Stamp(it.until).to_string(), clock.now() < it.until);
    Some(QuarantineLine { until, lasts, reason: it.reason.clone() })
}

impl Report {
    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "journal     {}", self.id.as_deref().unwrap_or("none"))?;
        writeln!(out, "rows        {}", self.rows)?;
        writeln!(out, "head        {}", self.head)?;
        match &self.quarantine {
            Some(QuarantineLine { until, lasts, reason }) => {
                writeln!(out, "quarantine  {} {until}: {reason}", if *lasts { "until" } else { "over since" })?;
            }
            None => writeln!(out, "quarantine  none")?,
        }
        let MirrorLine { path, rows, head, .. } = &self.mirror;
        match (rows, head) {
            (Some(rows), Some(head)) => writeln!(out, "mirror      {rows} rows, {head} in {path}")?,
            _ => writeln!(out, "mirror      none in {path}")?,
        }
        writeln!(out, "{}", if self.intact { "intact" } else { "NOT INTACT" })
    }
}
