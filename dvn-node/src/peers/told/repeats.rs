//! What is written, and what is only counted.

use std::{collections::HashMap, hash::Hash};

use tokio::time::Instant;

use super::WINDOW;

/// Rows that one peer causes in a window; what comes beyond is counted.
pub(super) const MOST_ROWS: u64 = 60;

/// Answers that were written a moment ago.
#[derive(Debug)]
pub(super) struct Repeats<K> {
    seen: HashMap<K, Seen>,
    peers: HashMap<String, Budget>,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    since: Instant,
    times: u64,
}

#[derive(Clone, Copy, Debug)]
struct Budget {
    since: Instant,
    written: u64,
    dropped: u64,
}

/// What was counted and not told yet.
#[derive(Debug)]
pub(super) struct Counted<K> {
    /// How often the same answer was given again.
    pub(super) repeated: Vec<(K, u64)>,
    /// How many answers of a peer were too many, whatever they were.
    pub(super) dropped: Vec<(String, u64)>,
}

impl<K> Default for Repeats<K> {
    fn default() -> Self {
        Self { seen: HashMap::new(), peers: HashMap::new() }
    }
}

impl<K: Clone + Eq + Hash> Repeats<K> {
    /// Whether an answer is to be written now, and how often it was given meanwhile without being written.
    pub(super) fn admit(&mut self, peer: &str, key: &K, now: Instant) -> Option<u64> {
        if let Some(seen) = self.seen.get_mut(key).filter(|seen| !is_over(seen.since, now)) {
            seen.times = seen.times.saturating_add(1);
            return None;
        }
        let fresh = Budget { since: now, written: 0, dropped: 0 };
        let budget = self.peers.entry(peer.to_owned()).or_insert(fresh);
        if is_over(budget.since, now) {
            *budget = Budget { dropped: budget.dropped, ..fresh };
        }
        if budget.written >= MOST_ROWS {
            budget.dropped = budget.dropped.saturating_add(1);
            return None;
        }
        budget.written = budget.written.saturating_add(1);
        let before = self.seen.insert(key.clone(), Seen { since: now, times: 0 });
        Some(before.map_or(0, |seen| seen.times))
    }

    /// Forgets what was written longer ago, and returns what was counted since.
    pub(super) fn over(&mut self, now: Instant) -> Counted<K> {
        let old: Vec<K> =
            self.seen.iter().filter(|(_, it)| is_over(it.since, now)).map(|(key, _)| key.clone()).collect();
        let repeated = old.into_iter().filter_map(|key| self.seen.remove(&key).map(|seen| (key, seen.times)));
        let repeated = repeated.filter(|(_, times)| *times > 0).collect();
        let mut dropped = Vec::new();
        for (peer, budget) in &mut self.peers {
            if budget.dropped > 0 {
                dropped.push((peer.clone(), std::mem::take(&mut budget.dropped)));
            }
        }
        Counted { repeated, dropped }
    }

    /// Forgets everything, and returns what was counted.
    pub(super) fn all(&mut self) -> Counted<K> {
        let repeated = self.seen.drain().map(|(key, seen)| (key, seen.times)).filter(|(_, times)| *times > 0).collect();
        let dropped = self.peers.drain().map(|(peer, budget)| (peer, budget.dropped));
        Counted { repeated, dropped: dropped.filter(|(_, times)| *times > 0).collect() }
    }
}

fn is_over(since: Instant, now: Instant) -> bool {
    now.saturating_duration_since(since) >= WINDOW
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_answer_is_news_again_after_a_while() {
        let mut repeats = Repeats::default();
        let start = Instant::now();
        assert_eq!(repeats.admit("b", &1, start), Some(0));
        assert_eq!(repeats.admit("b", &1, start), None);
        assert_eq!(repeats.admit("b", &1, start + WINDOW / 2), None);
        assert_eq!(repeats.admit("b", &1, start + WINDOW), Some(2), "with those that were not written");
        assert_eq!(repeats.admit("b", &1, start + WINDOW), None);
        assert!(repeats.over(start + WINDOW).repeated.is_empty());
        assert_eq!(repeats.over(start + WINDOW * 2).repeated, [(1, 1)]);
        assert!(repeats.seen.is_empty());
    }

    #[test]
    fn a_peer_has_its_share_and_no_more() {
        let mut repeats = Repeats::default();
        let start = Instant::now();
        let written = (0..1000_u32).filter(|key| repeats.admit("b", key, start).is_some()).count();
        assert_eq!(u64::try_from(written), Ok(MOST_ROWS));
        assert_eq!(repeats.admit("c", &5000, start), Some(0), "another peer has its own");
        let counted = repeats.over(start);
        assert_eq!(counted.dropped, [("b".to_owned(), 1000 - MOST_ROWS)]);
        assert_eq!(repeats.admit("b", &5001, start + WINDOW), Some(0));
    }
}
