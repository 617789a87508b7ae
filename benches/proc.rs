//! CPU time and memory of a process, from `/proc`.

use std::{fs, io, time::Duration};

/// Linux tells every program hundredths of a second, whatever its own clock does.
const TICK: Duration = Duration::from_millis(10);

/// What a process used so far.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "a plain record")]
pub struct Sample {
    /// User and system time, in hundredths of a second.
    pub ticks: u64,
    /// The most memory that it ever had, in KiB.
    pub peak_kib: u64,
    /// The memory that it has, in KiB.
    pub now_kib: u64,
}

impl Sample {
    /// Reads it of the process with this id.
    ///
    /// # Errors
    /// Where there is no such process, or the system does not tell.
    pub fn read(id: u32) -> io::Result<Self> {
        let stat = fs::read_to_string(format!("/proc/{id}/stat"))?;
        let status = fs::read_to_string(format!("/proc/{id}/status"))?;
        let missing = |what: &str| io::Error::other(format!("/proc does not tell the {what} of process {id}"));
        Ok(Self {
            ticks: ticks(&stat).ok_or_else(|| missing("CPU time"))?,
            peak_kib: kib(&status, "VmHWM:").ok_or_else(|| missing("peak memory"))?,
            now_kib: kib(&status, "VmRSS:").ok_or_else(|| missing("memory"))?,
        })
    }

    /// The processor time since an earlier sample.
    #[must_use]
    pub fn time_since(&self, earlier: &Self) -> Duration {
        let ticks = self.ticks.saturating_sub(earlier.ticks);
        TICK.saturating_mul(u32::try_from(ticks).unwrap_or(u32::MAX))
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
