//! Which jobs were given to Redis and are not known to be done.

use std::{collections::HashMap, time::Duration};

use dvn_core::{ids::JobId, ports::Due};
use tokio::time::Instant;

/// How many jobs are remembered at most. Beyond that everything is forgotten and given again.
const LIMIT: usize = 100_000;

/// When what happens to a job that stays due.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// After so long Redis is given it again: it may have lost it.
    pub(super) again: Duration,
    /// After so long it is done here, whatever Redis says.
    pub(super) overdue: Duration,
}

/// What to do with a job that is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Push {
    /// Give it to Redis.
    Give,
    /// Redis has it.
    Known,
    /// Redis has had it for too long.
    Overdue,
}

#[derive(Debug, Default)]
pub(super) struct Given(HashMap<JobId, Record>);

#[derive(Debug)]
struct Record {
    version: u64,
    first: Instant,
    last: Instant,
    /// When it was due most recently.
    due: Instant,
}

impl Given {
    pub(super) fn push(&mut self, due: Due, now: Instant, pace: &Pace) -> Push {
        if let Some(record) = self.0.get_mut(&due.id).filter(|record| record.version == due.version) {
            record.due = now;
            if now.duration_since(record.first) >= pace.overdue {
                (record.first, record.last) = (now, now);
                return Push::Overdue;
            }
            if now.duration_since(record.last) < pace.again {
                return Push::Known;
            }
            record.last = now;
            return Push::Give;
        }
        if self.0.len() >= LIMIT {
            self.clear();
        }
        self.0.insert(due.id, Record { version: due.version, first: now, last: now, due: now });
        Push::Give
    }

    /// The job is done, or was not given after all.
    pub(super) fn forget(&mut self, id: JobId) {
        self.0.remove(&id);
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// Forgets jobs that have not been due for long: another process did them.
    pub(super) fn tidy(&mut self, now: Instant, pace: &Pace) {
        let long = pace.overdue.saturating_mul(4);
        self.0.retain(|_, record| now.duration_since(record.due) < long);
    }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::B256;
    use dvn_core::job::State;

    use super::*;

    const PACE: Pace = Pace { again: Duration::from_secs(5), overdue: Duration::from_secs(30) };

    fn due(byte: u8, version: u64) -> Due {
        Due { id: JobId(B256::repeat_byte(byte)), state: State::Observed, version }
    }

    #[test]
    fn a_job_is_given_once_then_again_and_is_done_here_at_last() {
        let (mut given, start) = (Given::default(), Instant::now());
        let mut seen = Vec::new();
        for second in 0..=31 {
            let push = given.push(due(1, 0), start + Duration::from_secs(second), &PACE);
            if push != Push::Known {
                seen.push((second, push));
            }
        }
        let gives = [0, 5, 10, 15, 20, 25].map(|second| (second, Push::Give));
        assert_eq!(seen, [gives.as_slice(), &[(30, Push::Overdue)]].concat());
    }

    #[test]
    fn a_saved_job_is_new_work_and_a_finished_one_is_forgotten() {
        let (mut given, now) = (Given::default(), Instant::now());
        assert_eq!(given.push(due(1, 0), now, &PACE), Push::Give);
        assert_eq!(given.push(due(1, 1), now, &PACE), Push::Give);
        assert_eq!(given.push(due(1, 1), now, &PACE), Push::Known);
        given.forget(due(1, 1).id);
        assert_eq!(given.push(due(1, 1), now, &PACE), Push::Give);
    }

    #[test]
    fn what_is_not_due_any_more_is_forgotten() {
        let (mut given, now) = (Given::default(), Instant::now());
        given.push(due(1, 0), now, &PACE);
        given.push(due(2, 0), now + Duration::from_secs(100), &PACE);
        given.tidy(now + Duration::from_secs(130), &PACE);
        assert_eq!(given.0.into_keys().collect::<Vec<_>>(), [due(2, 0).id]);
    }
}
