use std::{
    collections::BTreeMap,
    io::{self, Write},
};

use dvn_core::{
    error::JournalErrorKind,
    ports::{Clock, HaltScope, Store},
};
use serde::Serialize;

use super::{
    CliError,
    chains::{Chains, Role},
    heads::Head,
    table::{self, cell},
};
use crate::{
    config::Config,
    http::{BackfillStatus, JournalStatus},
    time::Stamp,
};

/// How a node stands: what its store says, and the heads that the running node last saw.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Report {
    node: String,
    environment: &'static str,
    running: bool,
    journal: Option<JournalStatus>,
    audit: AuditLine,
    chains: Vec<ChainLine>,
    jobs: Vec<JobLine>,
    halts: Vec<HaltLine>,
}

#[derive(Clone, Debug, Serialize)]
struct AuditLine {
    rows: u64,
    head: String,
}

#[derive(Clone, Debug, Serialize)]
struct ChainLine {
    name: String,
    eid: u32,
    role: Role,
    latest: Option<u64>,
    settled: Option<u64>,
    read_through: Option<u64>,
    lag: Option<u64>,
    backfill: Option<BackfillStatus>,
    error: Option<String>,
}

#[derive(Clone, Debug, Serialize)]
struct JobLine {
    source: String,
    target: String,
    state: &'static str,
    reason: Option<&'static str>,
    count: u64,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct HaltLine {
    scope: String,
    reason: String,
    since: String,
    evidence: Option<String>,
}

impl Report {
    /// Reads the store; `heads` comes from the running node, if there is one.
    pub(super) async fn read(
        store: &Store,
        config: &Config,
        heads: Option<BTreeMap<u32, Head>>,
        clock: &dyn Clock,
    ) -> Result<Self, CliError> {
        let chains = Chains::of(config);
        let running = heads.is_some();
        let mut heads = heads.unwrap_or_default();
        let mut lines = Vec::new();
        for chain in chains.iter() {
            let head = heads.remove(&chain.eid.0).unwrap_or_default();
            let read_through = store.cursors.load(chain.eid).await?.map(|block| block.0);
            lines.push(ChainLine {
                name: chain.name.clone(),
                eid: chain.eid.0,
                role: chain.role,
                latest: head.latest,
                settled: head.settled,
                read_through,
                lag: head.settled.zip(read_through).map(|(settled, read)| settled.saturating_sub(read)),
                backfill: head.backfill,
                error: head.error,
            });
        }
        let jobs = store.jobs.tally().await?.into_iter().map(|tally| JobLine {
            source: chains.name(tally.src_eid),
            target: chains.name(tally.dst_eid),
            state: tally.state.name(),
            reason: tally.state.reason(),
            count: tally.count,
        });
        let audit = store.audit.head().await?;
        Ok(Self {
            node: config.service.name.clone(),
            environment: config.service.environment.name(),
            running,
            journal: journal(store, clock).await?,
            audit: AuditLine { rows: audit.rows, head: audit.hash.to_string() },
            chains: lines,
            jobs: jobs.collect(),
            halts: halts(store, &chains).await?,
        })
    }

    /// Writes it for people.
    pub(super) fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let running = if self.running { "running" } else { "not answering: heads are unknown" };
        writeln!(out, "{} ({}), {running}\n\njournal", self.node, self.environment)?;
        self.write_journal(out)?;
        writeln!(out, "\naudit log\n  {} rows, {}", self.audit.rows, self.audit.head)?;
        writeln!(out, "\nchains")?;
        self.write_chains(out)?;
        writeln!(out, "\njobs")?;
        self.write_jobs(out)?;
        writeln!(out, "\nhalts")?;
        write_halts(&self.halts, out)
    }

    fn write_journal(&self, out: &mut dyn Write) -> io::Result<()> {
        let Some(JournalStatus { id, rows, quarantine, .. }) = &self.journal else {
            return writeln!(out, "  none: `dvn-node --config FILE journal init` begins one");
        };
        writeln!(out, "  {rows} rows, {id}")?;
        match quarantine {
            Some(it) => writeln!(out, "  QUARANTINED, nothing is signed until {}: {}", Stamp(it.until), it.reason),
            None => Ok(()),
        }
    }

    fn write_chains(&self, out: &mut dyn Write) -> io::Result<()> {
        let row = |line: &ChainLine| {
            [
                line.name.clone(),
                line.eid.to_string(),
                line.role.to_string(),
                cell(line.latest),
                cell(line.settled),
                cell(line.read_through),
                cell(line.lag),
                line.error.clone().or_else(|| line.backfill.map(|it| it.to_string())).unwrap_or_default(),
            ]
        };
        let rows: Vec<_> = self.chains.iter().map(row).collect();
        table::write(out, ["name", "eid", "role", "latest", "final", "read through", "behind", ""], &rows)
    }

    fn write_jobs(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.jobs.is_empty() {
            return writeln!(out, "  none");
        }
        let row = |line: &JobLine| {
            let reason = line.reason.unwrap_or_default().to_owned();
            [line.source.clone(), line.target.clone(), line.state.to_owned(), line.count.to_string(), reason]
        };
        let rows: Vec<_> = self.jobs.iter().map(row).collect();
        table::write(out, ["from", "to", "state", "jobs", "reason"], &rows)
    }
}

async fn journal(store: &Store, clock: &dyn Clock) -> Result<Option<JournalStatus>, CliError> {
    let state = match store.journal.state().await {
        Ok(state) => state,
        Err(error) if error.kind() == JournalErrorKind::Missing => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    Ok(Some(JournalStatus::new(state, store.journal.head().await?, clock.now())))
}

/// The halts that stand.
pub(super) async fn halts(store: &Store, chains: &Chains) -> Result<Vec<HaltLine>, CliError> {
    let standing = store.halts.standing().await?.into_iter().map(|halt| HaltLine {
        scope: match halt.scope {
            HaltScope::Chain(eid) => chains.name(eid),
            HaltScope::All => "all".to_owned(),
        },
        reason: halt.reason,
        since: Stamp(halt.since).to_string(),
        evidence: halt.evidence.map(|digest| digest.to_string()),
    });
    Ok(standing.collect())
}

/// Writes halts for people.
pub(super) fn write_halts(halts: &[HaltLine], out: &mut dyn Write) -> io::Result<()> {
    if halts.is_empty() {
        return writeln!(out, "  none");
    }
    let row = |halt: &HaltLine| {
        [
            halt.scope.clone(),
            halt.since.clone(),
            halt.evidence.clone().unwrap_or_else(|| "-".to_owned()),
            halt.reason.clone(),
        ]
    };
    let rows: Vec<_> = halts.iter().map(row).collect();
    table::write(out, ["scope", "since", "evidence", "reason"], &rows)
}
