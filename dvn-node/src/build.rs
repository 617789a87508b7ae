//! From checked settings to a composed DVN.

mod chains;
mod keys;

use std::sync::Arc;

use dvn_chain::{
    EvmReader, EvmSource, EvmSubmitter, EvmVerifier, FeeCaps, Profile, SourceConfig, SourceContracts, SubmitterConfig,
};
use dvn_core::{
    Batch, BuildError, Builder, Destination, Dvn, Source,
    ports::{Clock, Store, SystemClock},
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
) -> Result<Dvn, BuildError> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let mut builder = Dvn::builder()
        .store(store.clone())
        .instance(&config.service.name)
        .expiration(config.signing.expiration)
        .signing_timeout(config.signing.timeout)
        .takeover(config.signing.takeover);
    for peer in peers {
        builder = builder.peer(Arc::clone(peer) as _);
    }
    for (source, panel) in config.sources.iter().zip(&panels.sources) {
        builder = add_source(builder, source, panel, store);
    }
    let parts = config.targets.iter().zip(&panels.targets).zip(&keys.targets);
    for ((target, panel), keys) in parts {
        let submitter = EvmSubmitter::new(
            Arc::clone(panel),
            submitter_config(target),
            Arc::clone(&keys.sender),
            Arc::clone(&store.outbox),
            Arc::clone(&clock),
        );
        let batch = Batch { max_items: target.batch.max_items, max_wait: target.batch.max_wait };
        let destination = Destination::new(Arc::new(submitter), Arc::clone(&keys.signer))
            .with_batch(batch)
            .with_poll(poll(&target.network));
        builder = builder.destination(destination);
    }
    builder.build()
}

fn add_source(builder: Builder, source: &config::Source, panel: &Arc<dvn_chain::Panel>, store: &Store) -> Builder {
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
    let reader = Arc::new(EvmReader::new(Arc::clone(panel), reading, Arc::clone(&store.finalized)));
    let (scanner, verifier) = (EvmSource::new(Arc::clone(&reader)), EvmVerifier::new(reader));
    let mut part = Source::new(Arc::new(scanner), Arc::new(verifier)).with_floor(network.confirmations);
    if let Some(block) = source.start_block {
        part = part.with_start_block(block);
    }
    builder.source(part)
}

fn submitter_config(target: &config::Target) -> SubmitterConfig {
    let network = &target.network;
    // A transaction that was not mined within a few blocks needs another price; nodes forget one sooner than that.
    let (replace_after, resend_after) = (network.block_time.saturating_mul(10), network.block_time.saturating_mul(3));
    let least = std::time::Duration::from_secs(5);
    SubmitterConfig {
        chain_id: network.chain_id,
        endpoint: target.contracts.endpoint,
        receive_libs: target.contracts.receive_libs.clone(),
        dvn: target.contracts.dvn,
        finality: network.finality,
        floor: network.confirmations,
        gas: network.class.profile().gas,
        fees: FeeCaps { max_fee: target.fees.max_fee, max_priority_fee: target.fees.max_priority },
        replace_after: replace_after.max(least.saturating_mul(6)),
        resend_after: resend_after.max(least),
        expiry_margin: std::time::Duration::from_secs(60),
    }
}

/// Half a block time, so that a block is seen soon after it is there.
fn poll(network: &config::Network) -> std::time::Duration {
    let (least, most) = (std::time::Duration::from_millis(100), std::time::Duration::from_secs(5));
    network.block_time.checked_div(2).unwrap_or(most).clamp(least, most)
}
