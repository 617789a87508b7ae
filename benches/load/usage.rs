//! CPU time and memory of the nodes' processes, from `/proc`.

use std::{fs, io};

use super::{LoadError, figures::NodeUsage, process::Running};

/// Linux tells every program hundredths of a second, whatever its own clock does.
const TICKS: f64 = 100.0;

/// What each node used so far.
pub(super) struct Usage(Vec<One>);

#[derive(Clone)]
struct One {
    name: String,
    ticks: u64,
    peak_kib: u64,
    now_kib: u64,
}

impl Usage {
    pub(super) fn read(nodes: &[Running]) -> Result<Self, LoadError> {
        nodes.iter().map(|node| One::read(&node.name, node.id)).collect::<Result<_, _>>().map(Self)
    }

    /// From the end of an idle phase on, and what that phase itself used.
    #[expect(clippy::cast_precision_loss, reason = "seconds and megabytes for people")]
    pub(super) fn since(&self, idle_from: &Self, idle_to: &Self, packets: usize) -> Vec<NodeUsage> {
        let seconds = |from: &One, to: &One| to.ticks.saturating_sub(from.ticks) as f64 / TICKS;
        let before = idle_from.0.iter().zip(&idle_to.0);
        let rows = self.0.iter().zip(before).map(|(now, (from, to))| NodeUsage {
            name: now.name.clone(),
            idle_cpu_seconds: seconds(from, to),
            cpu_seconds: seconds(to, now),
            cpu_ms_per_packet: seconds(to, now) * 1_000.0 / packets.max(1) as f64,
            peak_memory_mb: now.peak_kib as f64 / 1_024.0,
            memory_mb: now.now_kib as f64 / 1_024.0,
        });
        rows.collect()
    }

    /// Ticks of all nodes together.
    pub(super) fn ticks(&self) -> u64 {
        self.0.iter().map(|one| one.ticks).fold(0, u64::saturating_add)
    }
}

impl One {
    fn read(name: &str, id: u32) -> Result<Self, LoadError> {
        let stat = fs::read_to_string(format!("/proc/{id}/stat"))?;
        let status = fs::read_to_string(format!("/proc/{id}/status"))?;
        let missing = |what: &str| io::Error::other(format!("/proc does not tell the {what} of {name}"));
        Ok(Self {
            name: name.to_owned(),
            ticks: ticks(&stat).ok_or_else(|| missing("CPU time"))?,
            peak_kib: kib(&status, "VmHWM:").ok_or_else(|| missing("peak memory"))?,
            now_kib: kib(&status, "VmRSS:").ok_or_else(|| missing("memory"))?,
        })
    }
}

/// User and system time, which stand 12th and 13th after the program's name, in which anything may stand.
fn ticks(stat: &str) -> Option<u64> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let (user, system): (u64, u64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    user.checked_add(system)
}

fn kib(status: &str, field: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_spaces_and_brackets_is_passed_over() {
        assert_eq!(ticks("1 (a) b) S 0 1 1 0 -1 4 100 0 0 0 250 17 0 0 20"), Some(267));
        assert_eq!(kib("Name:\tx\nVmHWM:\t  20480 kB\nVmRSS:\t 100 kB\n", "VmHWM:"), Some(20_480));
        assert_eq!(kib("Name:\tx\n", "VmHWM:"), None);
    }
}
