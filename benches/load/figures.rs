//! What was measured, as plain records.

use std::time::Duration;

use serde::Serialize;

/// What became of the packets, by the destinations' logs alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[expect(clippy::exhaustive_structs, reason = "a plain record")]
pub struct Counts {
    /// Sent.
    pub sent: usize,
    /// Of them, how many our DVN verified at least once.
    pub attested: usize,
    /// Of them, how many more than once.
    pub repeated: usize,
    /// Verifications of packets that nobody sent.
    pub foreign: usize,
}

/// Milliseconds: half of the packets and all but a hundredth were faster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[expect(clippy::exhaustive_structs, reason = "a plain record")]
pub struct Spread {
    /// The median.
    pub p50_ms: f64,
    /// The 99th percentile.
    pub p99_ms: f64,
    /// The slowest.
    pub max_ms: f64,
}

/// From the head that makes a packet signable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[expect(clippy::exhaustive_structs, reason = "a plain record")]
pub struct Latency {
    /// Until the destination tells of the transaction.
    pub to_broadcast: Spread,
    /// Until it tells the head with it.
    pub to_included: Spread,
    /// On the way: until the log of a node says that it verified the packet.
    pub to_verified: Spread,
    /// On the way: until that log says that it has a quorum of signatures.
    pub to_signed: Spread,
}

/// Transactions with attestations, by their receipts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[expect(clippy::exhaustive_structs, reason = "a plain record")]
pub struct Batches {
    /// How many transactions.
    pub transactions: usize,
    /// Attestations in one, on average.
    pub mean_items: f64,
    /// Gas of one attestation.
    pub gas_per_packet: f64,
    /// What the contract needs for the same batches: 28,000 and 39,040 / 44,830 / 50,650 an attestation at quorum 1 / 2 / 3.
    pub bound_per_packet: f64,
}

/// RPC calls about one chain.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[expect(clippy::exhaustive_structs, reason = "a plain record")]
pub struct Calls {
    /// Its name.
    pub chain: String,
    /// Blocks that it mined meanwhile.
    pub blocks: u64,
    /// Calls of all nodes to all seats.
    pub calls: u64,
    /// Calls of one node to one seat in one block, on average: all seats of a chain lead to one local node and share a name.
    pub per_seat_and_block: f64,
    /// The same by method.
    pub methods: Vec<MethodCalls>,
}

/// Calls of one method.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[expect(clippy::exhaustive_structs, reason = "a plain record")]
pub struct MethodCalls {
    /// Its name.
    pub method: String,
    /// Calls of all nodes to all seats.
    pub calls: u64,
    /// Calls of one node to one seat in one block.
    pub per_seat_and_block: f64,
}

/// What a node's process used.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[expect(clippy::exhaustive_structs, reason = "a plain record")]
pub struct NodeUsage {
    /// Its `service.name`.
    pub name: String,
    /// CPU seconds of the idle phase.
    pub idle_cpu_seconds: f64,
    /// CPU seconds from then on until all was attested.
    pub cpu_seconds: f64,
    /// The same for each packet.
    pub cpu_ms_per_packet: f64,
    /// `VmHWM`, in MiB.
    pub peak_memory_mb: f64,
    /// `VmRSS` at the end, in MiB.
    pub memory_mb: f64,
}

/// Something to compare the node with.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[expect(clippy::exhaustive_structs, reason = "a plain record")]
pub struct Baseline {
    /// On which blocks.
    pub blocks: String,
    /// Packets that it took.
    pub packets: usize,
    /// Attested a second.
    pub per_second: f64,
}

/// Packets that wait.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[expect(clippy::exhaustive_structs, reason = "a plain record")]
pub struct Held {
    /// How many were sent.
    pub sent: usize,
    /// How many wait in the node, as its log says.
    pub waiting: usize,
    /// From the first that was sent until the last waited, in seconds.
    pub seconds: f64,
    /// CPU of all nodes while nothing but waiting happens, in percent of one core.
    pub cpu_percent: f64,
}

#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
pub(super) fn rate(count: usize, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64().max(f64::EPSILON)
}

impl Spread {
    pub(super) fn of(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        let at = |percent: usize| {
            let index = times.len().saturating_mul(percent) / 100;
            let time = times.get(index.min(times.len().saturating_sub(1)));
            time.map_or(0.0, |time| time.as_secs_f64() * 1_000.0)
        };
        Self { p50_ms: at(50), p99_ms: at(99), max_ms: at(100) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_the_sorted_times() {
        let spread = Spread::of((1..=200).rev().map(Duration::from_millis).collect());
        assert_eq!((spread.p50_ms, spread.p99_ms, spread.max_ms), (101.0, 199.0, 200.0));
        assert_eq!(Spread::of(Vec::new()), Spread::default());
    }
}
