//! Composes a DVN from its parts. Embedders and `dvn-node` use the same.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use thiserror::Error;
use tokio::sync::Notify;

use crate::{
    assess::{Auditor, SourceView, Views},
    attestor::{Attestor, Memory},
    engine::{Audits, Calendar, Dvn, Engine, Lane, Own, Progress, Tuning, Turns},
    ids::{BlockNumber, Confirmations, Eid},
    policy::Floor,
    ports::{ChainSource, Clock, Cosigner, JobQueue, LocalQueue, Signer, Store, Submitter, SystemClock, Verifier},
};

/// A source chain: who hints at packets and who verifies them.
#[derive(Clone, Debug)]
pub struct Source {
    pub(crate) scanner: Arc<dyn ChainSource>,
    pub(crate) verifier: Arc<dyn Verifier>,
    pub(crate) floor: Floor,
    pub(crate) start_block: Option<BlockNumber>,
    asks_neighbours: bool,
    auditor: Option<Auditor>,
}

impl Source {
    /// A source with no floor of its own, read from its settled head on.
    #[must_use]
    pub fn new(scanner: Arc<dyn ChainSource>, verifier: Arc<dyn Verifier>) -> Self {
        Self {
            scanner,
            verifier,
            floor: Floor { confirmations: Confirmations(0), irrevocable: Confirmations(0) },
            start_block: None,
            asks_neighbours: true,
            auditor: None,
        }
    }

    /// Waits for at least this depth, whatever the OApps ask.
    #[must_use]
    pub const fn with_floor(mut self, confirmations: Confirmations) -> Self {
        self.floor.confirmations = confirmations;
        self
    }

    /// Waits for at least this depth where the receiver counts a record of 0 confirmations, so that what is attested cannot be
    /// taken back.
    #[must_use]
    pub const fn with_irrevocable_floor(mut self, confirmations: Confirmations) -> Self {
        self.floor.irrevocable = confirmations;
        self
    }

    /// Looks again at what was attested, from `after` the attestation on until it is committed, with a verifier of its own: best
    /// over seats that never voted on it. What it does not find any more is taken back. Without one the verifier itself looks
    /// again, which may only remember what it read.
    #[must_use]
    pub fn with_auditor(mut self, verifier: Arc<dyn Verifier>, after: Duration) -> Self {
        self.auditor = Some(Auditor { verifier, after });
        self
    }

    /// Where a new node starts to read; without effect once there is a cursor.
    #[must_use]
    pub const fn with_start_block(mut self, block: BlockNumber) -> Self {
        self.start_block = Some(block);
        self
    }
}

impl Source {
    /// Signs a packet although packets before it on its path were never seen. For a scanner that cannot report the packets
    /// of others ([`Scan::sightings`](crate::ports::Scan::sightings)); it gives up the alarm about a hidden packet.
    #[must_use]
    pub const fn dangerous_without_neighbours(mut self) -> Self {
        self.asks_neighbours = false;
        self
    }
}

/// How many items share a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a plain record of settings")]
pub struct Batch {
    /// Most items in one transaction, from 1.
    pub max_items: usize,
    /// How long an item waits for company while the lane is busy.
    pub max_wait: Duration,
}

impl Default for Batch {
    /// 25 items, which has 96 % of the saving of an endless batch, and two seconds.
    fn default() -> Self {
        Self { max_items: 25, max_wait: Duration::from_secs(2) }
    }
}

/// A destination chain: who writes to it and which key attests for it.
#[derive(Clone, Debug)]
pub struct Destination {
    submitter: Arc<dyn Submitter>,
    signer: Arc<dyn Signer>,
    batch: Batch,
    poll: Duration,
    quorum: Option<usize>,
    history_start: BlockNumber,
}

impl Destination {
    /// A destination with the default batch, looked at once a second.
    #[must_use]
    pub fn new(submitter: Arc<dyn Submitter>, signer: Arc<dyn Signer>) -> Self {
        let (batch, poll) = (Batch::default(), Duration::from_secs(1));
        Self { submitter, signer, batch, poll, quorum: None, history_start: BlockNumber(0) }
    }

    /// How many signatures the DVN contract is expected to ask for; a change to another number stops the destination. Without
    /// it any number is taken as it comes.
    #[must_use]
    pub const fn with_quorum(mut self, quorum: usize) -> Self {
        self.quorum = Some(quorum);
        self
    }

    /// The block of the DVN contract's deployment, by default 0. Where the journal's past is uncertain, what the contract
    /// attested is read from here on.
    #[must_use]
    pub const fn with_history_start(mut self, block: BlockNumber) -> Self {
        self.history_start = block;
        self
    }

    /// Other batches.
    #[must_use]
    pub const fn with_batch(mut self, batch: Batch) -> Self {
        self.batch = batch;
        self
    }

    /// How often open transactions are looked after; about half the chain's block time is a good choice.
    #[must_use]
    pub const fn with_poll(mut self, poll: Duration) -> Self {
        self.poll = poll;
        self
    }
}

/// Why parts do not make a DVN.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BuildError {
    /// Nothing to watch.
    #[error("no source: add one with `source`")]
    NoSource,
    /// Nowhere to write.
    #[error("no destination: add one with `destination`")]
    NoDestination,
    /// Nothing to remember by.
    #[error("no store: add one with `store`")]
    NoStore,
    /// Two parts for one chain.
    #[error("two {role}s have eid {eid}")]
    Twice {
        /// Source or destination.
        role: &'static str,
        /// The eid.
        eid: Eid,
    },
    /// A source's scanner and verifier are for different chains.
    #[error("a source scans eid {scanner} and verifies eid {verifier}")]
    Mismatch {
        /// The scanner's chain.
        scanner: Eid,
        /// The verifier's chain.
        verifier: Eid,
    },
    /// A setting that cannot work.
    #[error("{setting} must be at least {least}")]
    TooSmall {
        /// Which one.
        setting: &'static str,
        /// Its least value, in words.
        least: &'static str,
    },
}

/// Collects the parts of a [`Dvn`].
#[derive(Debug)]
pub struct Builder {
    sources: Vec<Source>,
    destinations: Vec<Destination>,
    peers: Vec<Arc<dyn Cosigner>>,
    store: Option<Store>,
    queue: Option<Arc<dyn JobQueue>>,
    clock: Arc<dyn Clock>,
    tuning: Tuning,
}

impl Dvn {
    /// Starts composing. A DVN needs at least one source, one destination and a store.
    #[must_use]
    pub fn builder() -> Builder {
        Builder {
            sources: Vec::new(),
            destinations: Vec::new(),
            peers: Vec::new(),
            store: None,
            queue: None,
            clock: Arc::new(SystemClock::new()),
            tuning: Tuning {
                instance: format!("pid-{}", std::process::id()),
                life: Duration::from_secs(15 * 60),
                timeout: Duration::from_secs(30),
                workers: 8,
                sweep: Duration::from_millis(250),
                resweep: Duration::from_secs(10 * 60),
                key_check: Duration::from_secs(5 * 60),
                takeover: Duration::from_secs(3),
                history: Duration::from_secs(2),
                unseen: Duration::from_secs(60),
            },
        }
    }
}

impl Builder {
    /// Adds a source chain.
    #[must_use]
    pub fn source(mut self, source: Source) -> Self {
        self.sources.push(source);
        self
    }

    /// Adds a destination chain.
    #[must_use]
    pub fn destination(mut self, destination: Destination) -> Self {
        self.destinations.push(destination);
        self
    }

    /// Adds a peer that cosigns. This node's own attestor is always asked.
    #[must_use]
    pub fn peer(mut self, peer: Arc<dyn Cosigner>) -> Self {
        self.peers.push(peer);
        self
    }

    /// Where everything durable goes.
    #[must_use]
    pub fn store(mut self, store: Store) -> Self {
        self.store = Some(store);
        self
    }

    /// Another queue than the one inside the process.
    #[must_use]
    pub fn queue(mut self, queue: Arc<dyn JobQueue>) -> Self {
        self.queue = Some(queue);
        self
    }

    /// Another clock than the operating system's.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// This process's name in leases; by default made of its process id.
    #[must_use]
    pub fn instance(mut self, name: impl Into<String>) -> Self {
        self.tuning.instance = name.into();
        self
    }

    /// How long signed calls stay valid on the destination; at least two minutes, by default 15.
    #[must_use]
    pub const fn expiration(mut self, life: Duration) -> Self {
        self.tuning.life = life;
        self
    }

    /// How long to collect a quorum of signatures; by default 30 seconds.
    #[must_use]
    pub const fn signing_timeout(mut self, timeout: Duration) -> Self {
        self.tuning.timeout = timeout;
        self
    }

    /// How long a packet is left to each signer that ranks before this node, see [`rank::order`](crate::rank::order); by
    /// default 3 seconds. Without peers it has no effect.
    #[must_use]
    pub const fn takeover(mut self, after: Duration) -> Self {
        self.tuning.takeover = after;
        self
    }

    /// How many jobs are worked on at once; at least 1, by default 8.
    #[must_use]
    pub const fn workers(mut self, workers: usize) -> Self {
        self.tuning.workers = workers;
        self
    }

    /// How often the store is asked for due jobs; by default every 250 milliseconds.
    #[must_use]
    pub const fn sweep(mut self, every: Duration) -> Self {
        self.tuning.sweep = every;
        self
    }

    /// How often what was read of a source since the last time is read once more; by default every 10 minutes.
    #[must_use]
    pub const fn resweep(mut self, every: Duration) -> Self {
        self.tuning.resweep = every;
        self
    }

    /// How often the attesting keys show that they work, see [`Signer::check`]; by default every 5 minutes, and every 30 seconds
    /// while one does not.
    #[must_use]
    pub const fn key_check(mut self, every: Duration) -> Self {
        self.tuning.key_check = every;
        self
    }

    /// How often destinations are asked what they show in our name, to be compared with the journal and with what was verified;
    /// by default every 2 seconds.
    #[must_use]
    pub const fn watch_history(mut self, every: Duration) -> Self {
        self.tuning.history = every;
        self
    }

    /// How long a source has to show a packet that peers attested, before it counts as invented; by default 60 seconds. The
    /// source must have been read on in that time.
    #[must_use]
    pub const fn unseen(mut self, after: Duration) -> Self {
        self.tuning.unseen = after;
        self
    }

    /// Checks that the parts fit and puts them together. Nothing runs yet.
    ///
    /// # Errors
    /// [`BuildError`] names what is missing or does not fit.
    pub fn build(self) -> Result<Dvn, BuildError> {
        let store = self.check()?.clone();
        let (sources, destinations) = (BTreeMap::new(), BTreeMap::new());
        let mut views =
            Views { sources, destinations, paths: Arc::clone(&store.paths), cursors: Arc::clone(&store.cursors) };
        for source in &self.sources {
            let Source { floor, asks_neighbours, .. } = *source;
            let (verifier, auditor) = (Arc::clone(&source.verifier), source.auditor.clone());
            let view = SourceView { verifier, floor, asks_neighbours, auditor };
            let eid = source.scanner.chain().eid;
            if views.sources.insert(eid, view).is_some() {
                return Err(BuildError::Twice { role: "source", eid });
            }
        }
        let mut keys = Vec::new();
        let mut lanes = BTreeMap::new();
        for destination in self.destinations {
            let Destination { submitter, signer, batch, poll, quorum, history_start } = destination;
            let eid = submitter.chain().eid;
            keys.push((eid, signer));
            if views.destinations.insert(eid, Arc::clone(&submitter)).is_some() {
                return Err(BuildError::Twice { role: "destination", eid });
            }
            let (bell, own) = (Notify::new(), Own::default());
            lanes.insert(eid, Lane { submitter, batch, poll, quorum, history_start, bell, own });
        }
        let memory = Memory {
            jobs: Arc::clone(&store.jobs),
            journal: Arc::clone(&store.journal),
            evidence: Arc::clone(&store.evidence),
            audit: Arc::clone(&store.audit),
            halts: Arc::clone(&store.halts),
            clock: Arc::clone(&self.clock),
        };
        let attestor = Arc::new(Attestor::new(views.clone(), keys, memory, self.tuning.life));
        let mut cosigners: Vec<Arc<dyn Cosigner>> = vec![Arc::clone(&attestor) as _];
        cosigners.extend(self.peers);
        let engine = Engine {
            views,
            attestor,
            cosigners,
            turns: Turns::default(),
            lanes,
            store,
            queue: self.queue.unwrap_or_else(|| Arc::new(LocalQueue::new(10_000))),
            clock: self.clock,
            progress: Progress::default(),
            tuning: self.tuning,
            audits: Audits::default(),
            in_hand: std::sync::Mutex::default(),
            called: std::sync::Mutex::default(),
            calendar: Calendar::default(),
            committed_at: std::sync::Mutex::default(),
        };
        Ok(Dvn { engine: Arc::new(engine), sources: self.sources })
    }

    fn check(&self) -> Result<&Store, BuildError> {
        if self.sources.is_empty() {
            return Err(BuildError::NoSource);
        }
        if self.destinations.is_empty() {
            return Err(BuildError::NoDestination);
        }
        let mut eids = BTreeSet::new();
        for source in &self.sources {
            let (scanner, verifier) = (source.scanner.chain().eid, source.verifier.chain().eid);
            if scanner != verifier {
                return Err(BuildError::Mismatch { scanner, verifier });
            }
            if !eids.insert(scanner) {
                return Err(BuildError::Twice { role: "source", eid: scanner });
            }
        }
        if self.destinations.iter().any(|it| it.batch.max_items == 0) {
            return Err(BuildError::TooSmall { setting: "batch.max_items", least: "1" });
        }
        if self.tuning.workers == 0 {
            return Err(BuildError::TooSmall { setting: "workers", least: "1" });
        }
        // Calls that expire within the margin before sending would be signed again and again.
        if self.tuning.life < Duration::from_secs(120) {
            return Err(BuildError::TooSmall { setting: "expiration", least: "2 minutes" });
        }
        self.store.as_ref().ok_or(BuildError::NoStore)
    }
}
