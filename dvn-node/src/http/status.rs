use std::{collections::BTreeMap, fmt, sync::Arc, time::SystemTime};

use serde::Serialize;
use tokio::sync::watch;

use super::JournalStatus;
use crate::{config::Service, time::rfc3339};

/// What the parts of a running node tell the HTTP server. Cheap to clone; all clones are one.
#[derive(Clone, Debug)]
pub struct NodeStatus(Arc<watch::Sender<Snapshot>>);

/// Where a node is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[expect(clippy::exhaustive_enums, reason = "probes match on all of it, without a wildcard")]
pub enum Phase {
    /// Not yet past its own checks.
    Starting,
    /// At work, and signs nothing until whatever its journal may have forgotten has expired.
    Quarantined,
    /// At work.
    Running,
    /// Takes no new work and finishes what is in flight.
    Draining,
    /// A task died: only a restart helps.
    Failed,
}

impl Phase {
    /// A stable lower-case word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Quarantined => "quarantined",
            Self::Running => "running",
            Self::Draining => "draining",
            Self::Failed => "failed",
        }
    }
}

/// Everything that a node tells at one moment. It holds no secrets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Snapshot {
    /// `service.name`.
    pub name: String,
    /// `service.region`.
    pub region: Option<String>,
    /// `production` or `dev`.
    pub environment: &'static str,
    /// Of this program.
    pub version: &'static str,
    /// When the process began.
    #[serde(serialize_with = "rfc3339")]
    pub since: SystemTime,
    /// Where it is in its life.
    pub phase: Phase,
    /// Why, where there is something to say.
    pub detail: Option<String>,
    /// Whether the attesting keys answered when they were last used.
    pub key_works: bool,
    /// Whether the store answered when it was last used.
    pub store_works: bool,
    /// Why nothing is attested for want of disk space, while it is so.
    pub disk_full: Option<String>,
    /// The journal, once it is open.
    pub journal: Option<JournalStatus>,
    /// Every chain, once.
    pub chains: Vec<ChainStatus>,
    /// The other signers of the quorum.
    pub peers: Vec<PeerStatus>,
    /// Jobs by path and state.
    pub jobs: Vec<JobCount>,
    /// What moved last, newest first.
    pub packets: Vec<PacketLine>,
}

/// Another signer of the quorum.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PeerStatus {
    /// Its name.
    pub name: String,
    /// The address of its attesting key.
    pub address: String,
    /// Why it did not answer when it was last looked for or asked, if it did not.
    pub error: Option<String>,
    /// Why nothing of it counts until this node is started again, if so.
    pub alarm: Option<String>,
}

impl PeerStatus {
    /// A peer that answers, or does not for this reason.
    #[must_use]
    pub fn new(name: impl Into<String>, address: impl Into<String>, error: Option<String>) -> Self {
        Self { name: name.into(), address: address.into(), error, alarm: None }
    }

    /// With what an operator must look at.
    #[must_use]
    pub fn with_alarm(mut self, alarm: Option<String>) -> Self {
        self.alarm = alarm;
        self
    }
}

/// What a chain is to this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[expect(clippy::exhaustive_enums, reason = "watched, written to or both")]
pub enum Role {
    /// Watched.
    Source,
    /// Written to.
    Target,
    /// Both.
    Both,
}

impl Role {
    const fn is_source(self) -> bool {
        matches!(self, Self::Source | Self::Both)
    }

    const fn is_target(self) -> bool {
        matches!(self, Self::Target | Self::Both)
    }
}

/// One chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ChainStatus {
    /// Its name in the configuration.
    pub name: String,
    /// Its endpoint id.
    pub eid: u32,
    /// What it is to this node.
    pub role: Role,
    /// Newest block that enough seats have.
    pub latest: Option<u64>,
    /// Newest final block.
    pub settled: Option<u64>,
    /// Last block whose assignments are all stored.
    pub cursor: Option<u64>,
    /// How far the reading of missed blocks is, while there are any.
    pub backfill: Option<BackfillStatus>,
    /// Why an operator must look, where the chain is halted.
    pub halted: Option<String>,
    /// Why it does not work at the moment, while it does not.
    pub error: Option<String>,
}

impl ChainStatus {
    /// A chain of which nothing is known yet.
    #[must_use]
    pub fn new(name: impl Into<String>, eid: u32, role: Role) -> Self {
        Self {
            name: name.into(),
            eid,
            role,
            latest: None,
            settled: None,
            cursor: None,
            backfill: None,
            halted: None,
            error: None,
        }
    }

    /// How many final blocks are still to be read.
    #[must_use]
    pub fn lag(&self) -> Option<u64> {
        Some(self.settled?.saturating_sub(self.cursor?))
    }

    /// Why it does not work, if it does not.
    fn trouble(&self) -> Option<String> {
        let unseen = || (!self.works()).then(|| "no head was seen yet".to_owned());
        self.halted.clone().or_else(|| self.error.clone()).or_else(unseen)
    }

    /// Neither halted nor degraded. A source counts once its head was seen.
    #[must_use]
    pub const fn works(&self) -> bool {
        self.halted.is_none() && self.error.is_none() && (self.latest.is_some() || !self.role.is_source())
    }
}

/// Blocks that were missed while the node was away, and are read beside the new ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct BackfillStatus {
    /// Blocks that are still to be read.
    pub left: u64,
    /// How many seconds that takes at the pace so far.
    pub seconds: Option<u64>,
}

impl BackfillStatus {
    /// So many blocks, which take so many seconds.
    #[must_use]
    pub const fn new(left: u64, seconds: Option<u64>) -> Self {
        Self { left, seconds }
    }
}

impl fmt::Display for BackfillStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "reads {} missed blocks", self.left)?;
        match self.seconds {
            None => Ok(()),
            Some(seconds @ ..120) => write!(f, ", about {seconds} s"),
            Some(seconds @ ..7_200) => write!(f, ", about {} min", seconds / 60),
            Some(seconds) => write!(f, ", about {} h", seconds / 3_600),
        }
    }
}

/// Jobs of one path in one state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct JobCount {
    /// Source.
    pub src_eid: u32,
    /// Destination.
    pub dst_eid: u32,
    /// State.
    pub state: &'static str,
    /// Its reason, for held and refused jobs.
    pub reason: Option<&'static str>,
    /// How many.
    pub count: u64,
}

/// One packet of the list of recent ones.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PacketLine {
    /// Its guid.
    pub guid: String,
    /// Source.
    pub src_eid: u32,
    /// Destination.
    pub dst_eid: u32,
    /// Number on its path.
    pub nonce: u64,
    /// State of its job.
    pub state: &'static str,
    /// When it moved there.
    #[serde(serialize_with = "rfc3339")]
    pub at: SystemTime,
}

/// The answer to a readiness probe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Readiness {
    /// Whether packets can be attested.
    pub ready: bool,
    /// Where the node is in its life.
    pub phase: Phase,
    /// What is in the way; empty while ready.
    pub reasons: Vec<String>,
    /// Chains that an operator must look at.
    pub halted: Vec<String>,
    /// Chains that do not work at the moment.
    pub degraded: Vec<String>,
    /// Why, by the chain's name, for each that is halted or degraded.
    pub why: BTreeMap<String, String>,
}

impl NodeStatus {
    /// A node that begins: nothing works yet.
    #[must_use]
    pub fn starting(service: &Service, since: SystemTime) -> Self {
        let snapshot = Snapshot {
            name: service.name.clone(),
            region: service.region.clone(),
            environment: service.environment.name(),
            version: env!("CARGO_PKG_VERSION"),
            since,
            phase: Phase::Starting,
            detail: None,
            key_works: false,
            peers: Vec::new(),
            store_works: false,
            disk_full: None,
            journal: None,
            chains: Vec::new(),
            jobs: Vec::new(),
            packets: Vec::new(),
        };
        Self(Arc::new(watch::Sender::new(snapshot)))
    }

    /// Changes what is told, at once and as a whole.
    pub fn update(&self, change: impl FnOnce(&mut Snapshot)) {
        self.0.send_modify(change);
    }

    /// What is told now.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.0.borrow().clone()
    }
}

impl Snapshot {
    /// Whether packets can be attested, and what is in the way.
    #[must_use]
    pub fn readiness(&self) -> Readiness {
        let names = |which: fn(&ChainStatus) -> bool| -> Vec<String> {
            self.chains.iter().filter(|chain| which(chain)).map(|chain| chain.name.clone()).collect()
        };
        let mut reasons = Vec::new();
        if self.phase != Phase::Running {
            let quarantine = self.quarantine_reason().filter(|_| self.phase == Phase::Quarantined);
            reasons.push(format!("the node is {}", quarantine.as_deref().unwrap_or(self.phase.name())));
        }
        if !self.key_works {
            reasons.push("the attesting key does not work".to_owned());
        }
        if !self.store_works {
            reasons.push("the store does not work".to_owned());
        }
        reasons.extend(self.disk_full.clone());
        if !self.has_path() {
            reasons.push("no path works".to_owned());
        }
        Readiness {
            ready: reasons.is_empty(),
            phase: self.phase,
            reasons,
            halted: names(|chain| chain.halted.is_some()),
            degraded: names(|chain| chain.halted.is_none() && !chain.works()),
            why: self.chains.iter().filter_map(|chain| Some((chain.name.clone(), chain.trouble()?))).collect(),
        }
    }

    /// Whether some source and some other target work.
    fn has_path(&self) -> bool {
        let working = || self.chains.iter().filter(|chain| chain.works());
        let mut sources = working().filter(|chain| chain.role.is_source());
        sources.any(|source| working().any(|target| target.role.is_target() && target.eid != source.eid))
    }
}
