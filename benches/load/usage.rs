//! CPU time and memory of the nodes' processes.

use super::{LoadError, figures::NodeUsage, process::Running};
use crate::proc::Sample;

/// What each node used so far.
pub(super) struct Usage(Vec<One>);

#[derive(Clone)]
struct One {
    name: String,
    sample: Sample,
}

impl Usage {
    pub(super) fn read(nodes: &[Running]) -> Result<Self, LoadError> {
        let read = |node: &Running| Ok(One { name: node.name.clone(), sample: Sample::read(node.id)? });
        nodes.iter().map(read).collect::<Result<_, _>>().map(Self)
    }

    /// From the end of an idle phase on, and what that phase itself used.
    #[expect(clippy::cast_precision_loss, reason = "seconds and megabytes for people")]
    pub(super) fn since(&self, idle_from: &Self, idle_to: &Self, packets: usize) -> Vec<NodeUsage> {
        let seconds = |from: &One, to: &One| to.sample.time_since(&from.sample).as_secs_f64();
        let before = idle_from.0.iter().zip(&idle_to.0);
        let rows = self.0.iter().zip(before).map(|(now, (from, to))| NodeUsage {
            name: now.name.clone(),
            idle_cpu_seconds: seconds(from, to),
            cpu_seconds: seconds(to, now),
            cpu_ms_per_packet: seconds(to, now) * 1_000.0 / packets.max(1) as f64,
            peak_memory_mb: now.sample.peak_kib as f64 / 1_024.0,
            memory_mb: now.sample.now_kib as f64 / 1_024.0,
        });
        rows.collect()
    }

    /// Ticks of all nodes together.
    pub(super) fn ticks(&self) -> u64 {
        self.0.iter().map(|one| one.sample.ticks).fold(0, u64::saturating_add)
    }
}
