//! What became of the packets: counts, times and gas, from the chains alone.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::{Duration, Instant},
};

use alloy_primitives::{B256, Bytes};
use dvn_testkit::devnet::{Chain, PayloadVerified};

use super::{
    LoadError,
    figures::{Batches, Counts, Latency, Spread, rate},
    process::Running,
    send::Sent,
    stage::Stage,
    watch::Watch,
};

/// What the contract needs for a transaction, by `submission.md`'s measurements.
const GAS_OF_TRANSACTION: f64 = 28_000.0;
const GAS_OF_PACKET: f64 = 39_040.0;
/// One signature more of one packet.
const GAS_OF_SIGNATURE: f64 = 5_800.0;
/// As the contract was measured with two and three signatures.
const MEASURED: [f64; 3] = [GAS_OF_PACKET, 44_830.0, 50_650.0];

const LOOK: Duration = Duration::from_secs(1);
/// How long a second attestation of a packet has time to show.
const AFTERWARDS: Duration = Duration::from_secs(2);

pub(super) struct Judged {
    pub(super) counts: Counts,
    pub(super) rate: Option<f64>,
    pub(super) latency: Option<Latency>,
    pub(super) batches: Option<Batches>,
}

/// Waits until every packet is attested, or for so long as options allow; then a moment more.
pub(super) async fn wait(stage: &Stage, sent: &[Sent], say: &(dyn Fn(&str) + Sync)) -> Result<(), LoadError> {
    let begun = Instant::now();
    let mut told = Instant::now();
    loop {
        let mut have = BTreeSet::new();
        for chain in stage.destinations() {
            have.extend(chain.payload_verified_logs().await?.into_iter().map(|log| log.header));
        }
        let attested = sent.iter().filter(|it| have.contains(&it.header)).count();
        if attested == sent.len() || begun.elapsed() > Duration::from_secs(stage.options.patience) {
            say(&format!("{attested} of {} are attested", sent.len()));
            tokio::time::sleep(AFTERWARDS).await;
            return Ok(());
        }
        if told.elapsed() > Duration::from_secs(10) {
            say(&format!("  {attested} of {}", sent.len()));
            told = Instant::now();
        }
        tokio::time::sleep(LOOK).await;
    }
}

pub(super) async fn judge(stage: &Stage, sent: &[Sent], watch: &Watch, nodes: &[Running]) -> Result<Judged, LoadError> {
    let mut logs: HashMap<Bytes, Vec<(&Chain, PayloadVerified)>> = HashMap::new();
    let mut transactions: BTreeMap<B256, (&Chain, usize)> = BTreeMap::new();
    for chain in stage.destinations() {
        for log in chain.payload_verified_logs().await? {
            let items = transactions.entry(log.transaction).or_insert((chain, 0));
            items.1 = items.1.saturating_add(1);
            logs.entry(log.header.clone()).or_default().push((chain, log));
        }
    }
    let counts = count(sent, &logs);
    let times = times(stage, sent, &logs, (watch, nodes))?;
    Ok(Judged {
        counts,
        rate: overall(&times),
        latency: (!times.is_empty()).then(|| latency(&times)),
        batches: batches(stage, &transactions).await?,
    })
}

fn count(sent: &[Sent], logs: &HashMap<Bytes, Vec<(&Chain, PayloadVerified)>>) -> Counts {
    let times = |header: &Bytes| logs.get(header).map_or(0, Vec::len);
    let known: BTreeSet<_> = sent.iter().map(|it| &it.header).collect();
    Counts {
        sent: sent.len(),
        attested: sent.iter().filter(|it| times(&it.header) > 0).count(),
        repeated: sent.iter().filter(|it| times(&it.header) > 1).count(),
        foreign: logs.keys().filter(|header| !known.contains(header)).count(),
    }
}

/// What happened to a packet when.
struct Times {
    signable: Instant,
    broadcast: Instant,
    included: Instant,
    /// By the nodes' logs, which this process reads a moment later.
    verified: Option<Instant>,
    signed: Option<Instant>,
}

fn times(
    stage: &Stage,
    sent: &[Sent],
    logs: &HashMap<Bytes, Vec<(&Chain, PayloadVerified)>>,
    (watch, nodes): (&Watch, &[Running]),
) -> Result<Vec<Times>, LoadError> {
    let mut times = Vec::new();
    for packet in sent {
        let Some((chain, log)) = logs.get(&packet.header).and_then(|logs| logs.first()) else { continue };
        let signable = Stage::signable_at(stage.devnet.chain(&packet.source)?, packet.block);
        let missing = |what: &str| LoadError::Incomplete(format!("a subscription did not tell {what}"));
        let moved = |state| nodes.iter().filter_map(|node| node.moved_at(&packet.guid, state)).min();
        times.push(Times {
            signable: watch.head(&packet.source, signable).ok_or_else(|| missing("a head of a source"))?,
            broadcast: watch.pending(chain.name(), log.transaction).ok_or_else(|| missing("a pending transaction"))?,
            included: watch.head(chain.name(), log.block_number).ok_or_else(|| missing("a head of a destination"))?,
            verified: moved("verified"),
            signed: moved("signed"),
        });
    }
    Ok(times)
}

/// Packets a second, from the first that is signable to the last that is included.
fn overall(times: &[Times]) -> Option<f64> {
    let first = times.iter().map(|it| it.signable).min()?;
    let last = times.iter().map(|it| it.included).max()?;
    Some(rate(times.len(), last.saturating_duration_since(first)))
}

fn latency(times: &[Times]) -> Latency {
    let spread = |at: fn(&Times) -> Option<Instant>| {
        let took = times.iter().filter_map(|it| Some(at(it)?.saturating_duration_since(it.signable)));
        Spread::of(took.collect())
    };
    Latency {
        to_broadcast: spread(|it| Some(it.broadcast)),
        to_included: spread(|it| Some(it.included)),
        to_verified: spread(|it| it.verified),
        to_signed: spread(|it| it.signed),
    }
}

#[expect(clippy::cast_precision_loss, reason = "gas of a few thousand transactions")]
async fn batches(stage: &Stage, transactions: &BTreeMap<B256, (&Chain, usize)>) -> Result<Option<Batches>, LoadError> {
    let (mut gas, mut bound, mut packets) = (0.0, 0.0, 0.0);
    for (hash, (chain, items)) in transactions {
        let receipt = chain.rpc().wait_for_receipt(*hash).await?;
        gas += receipt.gas_used.to::<u64>() as f64;
        bound += bound_of(*items, stage.options.quorum);
        packets += *items as f64;
    }
    if transactions.is_empty() {
        return Ok(None);
    }
    Ok(Some(Batches {
        transactions: transactions.len(),
        mean_items: packets / transactions.len() as f64,
        gas_per_packet: gas / packets,
        bound_per_packet: bound / packets,
    }))
}

/// What a batch of so many needs.
#[expect(clippy::cast_precision_loss, reason = "a few hundred items")]
pub(super) fn bound_of(items: usize, quorum: usize) -> f64 {
    let more = quorum.saturating_sub(1) as f64 * GAS_OF_SIGNATURE;
    let packet = MEASURED.get(quorum.saturating_sub(1)).copied().unwrap_or(GAS_OF_PACKET + more);
    GAS_OF_TRANSACTION + items as f64 * packet
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_is_that_of_the_contract_as_it_was_measured() {
        // 25 at quorum 2 took 1,150,572 gas, 100 at quorum 1 took 3,931,798.
        for (items, quorum, measured) in [(25, 2, 1_150_572.0), (100, 1, 3_931_798.0), (1, 3, 85_160.0)] {
            let bound = bound_of(items, quorum);
            assert!((bound / measured - 1.0).abs() < 0.08, "{items} at {quorum}: {bound} and {measured}");
        }
    }
}
