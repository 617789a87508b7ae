//! From checked settings to a composed DVN.

mod chains;
mod keys;

use std::{sync::Arc, time::Duration};

use dvn_chain::{
    EvmAuditor, EvmReader, EvmSource, EvmSubmitter, EvmVerifier, FeeCaps, Panel, Profile, Purse, SharedSubmitter,
    SourceConfig, SourceContracts, SubmitterConfig,
};
use dvn_core::{
    Batch, BuildError, Builder, Destination, Dvn, Source,
    ids::Confirmations,
    ports::{Clock, JobQueue, Signer, Store, SystemClock},
};

pub use self::{chains::ChainError, keys::KeyError};
pub(crate) use self::{
    chains::{Check, Panels},
    keys::{Keys, open as open_key},
};
use crate::{
    config::{self, Config},
    peers::Peer,
};

/// Puts a DVN together. Nothing runs yet.
pub(crate) fn compose(
    config: &Config,
    keys: &Keys,
    panels: &Panels,
    store: &Store,
    peers: &[Arc<Peer>],
    (instance, queue): (&str, Option<Arc<dyn JobQueue>>),
) -> Result<Dvn, BuildError> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let mut builder = Dvn::builder()
        .store(store.clone())
        .instance(instance)
        .expiration(config.signing.expiration)
        .signing_timeout(config.signing.timeout)
        .takeover(config.signing.takeover);
    if let Some(queue) = queue {
        builder = builder.queue(queue);
    }
    for peer in peers {
        builder = builder.peer(Arc::clone(peer) as _);
    }
    for ((source, panel), audit) in config.sources.iter().zip(&panels.sources).zip(&panels.audits) {
        builder = add_source(builder, source, (panel, audit.as_ref()), store);
    }
    let parts = config.targets.iter().zip(&panels.targets).zip(&keys.targets);
    for ((target, panel), keys) in parts {
        let config::Fees { daily_budget, low_balance, .. } = target.fees;
        let lane = |sender: &Arc<dyn Signer>| {
            let (panel, outbox, clock) = (Arc::clone(panel), Arc::clone(&store.outbox), Arc::clone(&clock));
            let submitter = EvmSubmitter::new(panel, submitter_config(target), Arc::clone(sender), outbox, clock);
            submitter.with_purse(Purse { daily_budget, low_balance }).with_shared_looks(fresh(&target.network))
        };
        let Some((first, others)) = keys.senders.split_first() else { continue };
        let submitter = SharedSubmitter::new(lane(first), others.iter().map(lane).collect());
        let batch = Batch { max_items: target.batch.max_items, max_wait: target.batch.max_wait };
        let destination = Destination::new(Arc::new(submitter), Arc::clone(&keys.signer))
            .with_batch(batch)
            .with_quorum(config.signing.quorum)
            .with_history_start(target.start_block)
            .with_poll(poll(&target.network));
        builder = builder.destination(destination);
    }
    builder.build()
}

/// Where no seat only audits, the voting ones are asked again after this.
const SECOND_LOOK: Duration = Duration::from_secs(120);

fn add_source(
    builder: Builder,
    source: &config::Source,
    (panel, audit): (&Arc<Panel>, Option<&Arc<Panel>>),
    store: &Store,
) -> Builder {
    let network = &source.network;
    let contracts = SourceContracts {
        endpoint: source.contracts.endpoint,
        send_libs: source.contracts.send_libs.clone(),
        legacy_send_libs: Vec::new(),
        dvn: source.contracts.dvn,
    };
    let profile = Profile { finality: network.finality, block_time: network.block_time, ..network.class.profile() };
    let reading = SourceConfig {
        uniform_queries: source.uniform_queries,
        cool_down: source.cool_down,
        ..SourceConfig::new(contracts, &profile, network.confirmations)
    };
    let (auditing, after) = audit.map_or((panel, SECOND_LOOK), |audit| (audit, Duration::ZERO));
    let auditor = EvmAuditor::new(Arc::clone(auditing), reading.clone());
    let reader = Arc::new(EvmReader::new(Arc::clone(panel), reading, Arc::clone(&store.finalized)));
    let (scanner, verifier) = (EvmSource::new(Arc::clone(&reader)), EvmVerifier::new(reader));
    let mut part = Source::new(Arc::new(scanner), Arc::new(verifier)).with_floor(network.confirmations);
    let delay = source.irrevocable_delay.unwrap_or(profile.irrevocable_delay);
    part = part.with_irrevocable_floor(depth(delay, network.block_time));
    part = part.with_auditor(Arc::new(auditor), after);
    if let Some(block) = source.start_block {
        part = part.with_start_block(block);
    }
    builder.source(part)
}

/// How deep a block is after so long a time, rounded up.
fn depth(delay: Duration, block_time: Duration) -> Confirmations {
    let blocks = delay.as_millis().div_ceil(block_time.as_millis().max(1));
    Confirmations(u64::try_from(blocks).unwrap_or(u64::MAX))
}

fn submitter_config(target: &config::Target) -> SubmitterConfig {
    let network = &target.network;
    // A transaction that was not mined within a few blocks needs another price; nodes forget one sooner than that.
    let (replace_after, resend_after) = (network.block_time.saturating_mul(10), network.block_time.saturating_mul(3));
    let least = Duration::from_secs(5);
    SubmitterConfig {
        chain_id: network.chain_id,
        endpoint: target.contracts.endpoint,
        receive_libs: target.contracts.receive_libs.clone(),
        dvn: target.contracts.dvn,
        finality: network.finality,
        floor: network.confirmations,
        log_range: network.class.profile().log_range,
        gas: network.class.profile().gas,
        fees: FeeCaps { max_fee: target.fees.max_fee, max_priority_fee: target.fees.max_priority },
        replace_after: replace_after.max(least.saturating_mul(6)),
        resend_after: resend_after.max(least),
        expiry_margin: Duration::from_secs(60),
    }
}

/// Half a block time, so that a block is seen soon after it is there.
fn poll(network: &config::Network) -> Duration {
    let (least, most) = (Duration::from_millis(100), Duration::from_secs(5));
    network.block_time.checked_div(2).unwrap_or(most).clamp(least, most)
}

/// A quarter of a block: who looks at a destination within it sees the same block.
fn fresh(network: &config::Network) -> Duration {
    poll(network).checked_div(2).unwrap_or_default().min(Duration::from_secs(1))
}
