//! From a checked configuration to a running node, and to its end.

mod audit;
mod disk;
mod journal;
mod preflight;
mod quorum;
mod report;
mod shared_keys;

use std::{sync::Arc, time::Duration};

use dvn_core::{
    BuildError,
    error::{JournalError, JournalErrorKind},
    ports::{Clock, Store, SystemClock},
};
use dvn_store::{MirrorError, OpenError, RedisOptionsError};
use thiserror::Error;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

pub(crate) use self::journal::{is_refusal, open as open_journal};
pub use self::{preflight::Contradiction, quorum::PeersError};
use self::{preflight::Preflight, quorum::Quorum, shared_keys::SharedKeys};
pub use crate::build::{ChainError, KeyError};
use crate::{
    build::{self, Keys, Panels},
    cli::Exit,
    config::Config,
    http::{self, BindError, JournalStatus, NodeStatus, Phase},
    peers::{Addresses, Member},
    queue,
    telemetry::{self, TelemetryError},
    time::Stamp,
};

/// How long what is in flight may take once the node is told to stop; a restart resumes from the store.
const GRACE: Duration = Duration::from_secs(20);

/// Why a node stopped, or did not start.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RunError {
    /// Logs or metrics cannot be set up.
    #[error(transparent)]
    Telemetry(#[from] TelemetryError),
    /// The HTTP address is taken.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The HTTP server failed.
    #[error("http server failed")]
    Http(#[source] std::io::Error),
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// The journal is not as it was written, or is not there.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The journal's mirror cannot be used, or does not go with the journal.
    #[error(transparent)]
    Mirror(#[from] MirrorError),
    /// The queue's options cannot be used.
    #[error(transparent)]
    Queue(#[from] RedisOptionsError),
    /// A key cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A chain's seats cannot be set up.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// The chains contradict the configuration.
    #[error(transparent)]
    Contradiction(#[from] Contradiction),
    /// Peers cannot be asked or answered.
    #[error(transparent)]
    Peers(#[from] PeersError),
    /// The parts do not make a DVN.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// A task died.
    #[error(transparent)]
    Died(#[from] dvn_core::RunError),
}

impl RunError {
    /// The exit code's meaning.
    #[must_use]
    pub const fn exit(&self) -> Exit {
        match self {
            Self::Chain(_) | Self::Contradiction(_) | Self::Build(_) | Self::Peers(_) | Self::Queue(_) => Exit::Usage,
            Self::Store(OpenError::Unsafe { .. }) => Exit::Refused,
            Self::Key(error) if error.is_mismatch() => Exit::Refused,
            Self::Journal(error) if is_lost(error) => Exit::Refused,
            Self::Mirror(error) if is_refusal(error) => Exit::Refused,
            Self::Key(KeyError::Local { .. } | KeyError::Sessions { .. }) => Exit::Usage,
            Self::Key(_)
            | Self::Journal(_)
            | Self::Mirror(_)
            | Self::Telemetry(_)
            | Self::Bind(_)
            | Self::Http(_)
            | Self::Store(_)
            | Self::Died(_) => Exit::Failed,
        }
    }
}

const fn is_lost(error: &JournalError) -> bool {
    matches!(error.kind(), JournalErrorKind::Tampered | JournalErrorKind::Missing)
}

/// Runs the node until `shutdown`.
///
/// # Errors
/// [`RunError`].
pub async fn run(config: Config, shutdown: CancellationToken) -> Result<(), RunError> {
    telemetry::logs(&config.service)?;
    let metrics = telemetry::metrics()?;
    telemetry::announce(&config);
    for warning in &config.warnings {
        warn!(%warning, "configuration");
    }
    let listener = http::bind(config.service.listen).await?;
    let status = NodeStatus::starting(&config.service, SystemClock::new().now());
    // Probes are answered to the very end.
    let last = CancellationToken::new();
    tokio::spawn(telemetry::upkeep(metrics.clone(), last.clone()));
    let server = tokio::spawn(http::serve(listener, http::router(status.clone(), metrics), last.clone()));
    info!(name = config.service.name, listen = %config.service.listen, "starting");
    let result = work(&config, &status, &shutdown).await;
    if let Err(error) = &result {
        let reason = error.to_string();
        error!(reason, "stopping");
        status.update(|it| {
            it.phase = Phase::Failed;
            it.detail = Some(reason);
        });
    }
    last.cancel();
    let served = server.await;
    result?;
    match served {
        Ok(served) => served.map_err(RunError::Http),
        Err(panic) => Err(RunError::Http(std::io::Error::other(panic))),
    }
}

/// Everything between the status page's first and last answer.
async fn work(config: &Config, status: &NodeStatus, shutdown: &CancellationToken) -> Result<(), RunError> {
    let (storage, store) = journal::open(config).await?;
    let (state, head) = (store.journal.state().await?, store.journal.head().await?);
    if let Some(quarantine) = state.quarantine.as_ref().filter(|it| SystemClock::new().now() < it.until) {
        warn!(until = %Stamp(quarantine.until), reason = quarantine.reason, "quarantined: nothing is signed before that");
    }
    status.update(|it| {
        it.store_works = true;
        it.tell_journal(JournalStatus::new(state, head, SystemClock::new().now()));
    });
    let keeper = audit::Keeper::open(Arc::clone(&store.audit), config.service.audit_head_file.clone());
    let stop = CancellationToken::new();
    let mut keeping = AbortOnDrop(tokio::spawn(keeper.run(stop.clone())));
    let result = shutdown.run_until_cancelled(attest(config, &store, status, shutdown)).await;
    stop.cancel();
    // Its last round; whether it panicked makes no difference any more.
    let _ = (&mut keeping.0).await;
    storage.close().await;
    result.unwrap_or(Ok(()))
}

/// Opens keys, asks the chains, and drives the DVN. Dropping it before the DVN runs leaves nothing behind.
async fn attest(
    config: &Config,
    store: &Store,
    status: &NodeStatus,
    shutdown: &CancellationToken,
) -> Result<(), RunError> {
    let keys = Keys::open(config).await?;
    for (target, keys) in config.targets.iter().zip(&keys.targets) {
        let signer = keys.signer.address();
        for sender in &keys.senders {
            info!(target_chain = target.network.name, %signer, sender = %sender.address(), "keys are open");
        }
    }
    status.update(|it| it.key_works = true);
    let quorum = Quorum::set_up(config, &store.journal).await?;
    let panels = Panels::set_up(config)?;
    let mut preflight = Preflight::new(panels.checks(config, &keys), shared_keys(config, &keys, &panels));
    preflight.round().await?;
    let instance = queue::instance(config);
    let queue = queue::open(config, &instance)?;
    let dvn = build::compose(config, &keys, &panels, store, quorum.peers(), (&instance, queue))?;
    let reporter = report::Reporter::new(config, store.clone(), dvn.progress(), quorum.peers(), status.clone());
    let _reporter = AbortOnDrop(tokio::spawn(report::run(reporter)));
    let member = Member {
        name: config.service.name.clone(),
        addresses: addresses(config, &keys),
        attestor: dvn.attestor(),
        store: store.clone(),
        peers: quorum.peers().to_vec(),
    };
    let _quorum = quorum.start(member, shutdown);
    drive(dvn, preflight, status, shutdown).await
}

fn addresses(config: &Config, keys: &Keys) -> Addresses {
    let signer = keys.common.address();
    let targets = config.targets.iter().zip(&keys.targets);
    let others = targets.map(|(target, keys)| (target.network.eid.0, keys.signer.address()));
    Addresses { signer, others: others.filter(|(_, address)| *address != signer).collect() }
}

fn shared_keys(config: &Config, keys: &Keys, panels: &Panels) -> SharedKeys {
    let targets = config.targets.iter().zip(&keys.targets).zip(&panels.targets);
    SharedKeys::new(targets.map(|((target, keys), panel)| {
        let path = format!("target_chains.{}", target.network.name);
        (path, Arc::clone(panel), target.contracts.dvn, keys.signer.address())
    }))
}

/// Runs the DVN beside what is left of the start checks.
async fn drive(
    dvn: dvn_core::Dvn,
    mut preflight: Preflight,
    status: &NodeStatus,
    shutdown: &CancellationToken,
) -> Result<(), RunError> {
    let stop = CancellationToken::new();
    let mut running = tokio::spawn(dvn.run(stop.clone()));
    status.update(|it| it.phase = it.working_phase());
    info!("running");
    let mut checking = true;
    let early = loop {
        tokio::select! {
            () = shutdown.cancelled() => break None,
            ended = &mut running => return flatten(ended),
            checked = preflight.rest(), if checking => match checked {
                Ok(()) => checking = false,
                Err(contradiction) => break Some(contradiction),
            },
        }
    };
    status.update(|it| it.phase = Phase::Draining);
    stop.cancel();
    let drained = tokio::time::timeout(GRACE, running).await;
    if let Some(contradiction) = early {
        return Err(contradiction.into());
    }
    match drained {
        Ok(ended) => flatten(ended),
        Err(_) => {
            warn!("not everything in flight ended in time; it resumes from the store");
            Ok(())
        }
    }
}

fn flatten(ended: Result<Result<(), dvn_core::RunError>, tokio::task::JoinError>) -> Result<(), RunError> {
    match ended {
        Ok(result) => Ok(result?),
        Err(_) => Err(dvn_core::RunError::TaskDied { task: "engine".to_owned() }.into()),
    }
}

/// Ends a task together with its owner.
struct AbortOnDrop(JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
