//! The rules of one proxy, and what they decide about a call.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use serde_json::{Value, json};

use super::{Fault, Rule, RuleId, call::Call, forge::Forger, rule::Caller, upstream::Upstream};

/// A rule at work.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) id: RuleId,
    pub(super) rule: Rule,
    /// What is forged so far, for a rule that forges.
    pub(super) forger: Option<Forger>,
    seen: AtomicU64,
    fired: AtomicU64,
}

/// What happens to one call.
#[derive(Debug, Default)]
pub(super) struct Decision {
    pub(super) delay: Duration,
    pub(super) fired: Vec<RuleId>,
    pub(super) verdict: Option<Verdict>,
}

/// The rule that decides, and how often it did so before.
#[derive(Debug, Clone)]
pub(super) struct Verdict {
    pub(super) entry: Arc<Entry>,
    pub(super) turn: u64,
}

impl Verdict {
    pub(super) fn fault(&self) -> &Fault {
        self.entry.rule.fault()
    }
}

/// All rules, in the order in which they are tried.
#[derive(Debug, Default)]
pub(super) struct Rules(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    entries: Vec<Arc<Entry>>,
    next: u64,
}

impl Rules {
    pub(super) fn add(&self, rule: Rule, upstream: &Upstream) -> RuleId {
        let mut state = self.state();
        let id = RuleId(state.next);
        state.next = state.next.saturating_add(1);
        let forger = match rule.fault() {
            Fault::Forge(branch) => Some(Forger::new(branch.clone(), upstream.clone())),
            _ => None,
        };
        let (seen, fired) = (AtomicU64::new(0), AtomicU64::new(0));
        state.entries.push(Arc::new(Entry { id, rule, forger, seen, fired }));
        id
    }

    pub(super) fn remove(&self, id: RuleId) -> bool {
        let mut state = self.state();
        let before = state.entries.len();
        state.entries.retain(|entry| entry.id != id);
        state.entries.len() < before
    }

    pub(super) fn clear(&self) {
        self.state().entries.clear();
    }

    pub(super) fn fired(&self, id: RuleId) -> Option<u64> {
        let state = self.state();
        let entry = state.entries.iter().find(|entry| entry.id == id)?;
        Some(entry.fired.load(Ordering::Relaxed))
    }

    /// The first rule that matches and fires decides; those that only delay let the search go on.
    pub(super) fn decide(&self, call: &Call, caller: &Caller) -> Decision {
        let mut decision = Decision::default();
        // Counted under the lock, so that two calls never take the same turn.
        let state = self.state();
        for entry in state.entries.iter().filter(|entry| entry.rule.matches(call, caller)) {
            if !entry.rule.fires(entry.seen.fetch_add(1, Ordering::Relaxed)) {
                continue;
            }
            let turn = entry.fired.fetch_add(1, Ordering::Relaxed);
            decision.fired.push(entry.id);
            match entry.rule.fault() {
                Fault::Delay { ms } => decision.delay = decision.delay.saturating_add(Duration::from_millis(*ms)),
                _ => {
                    decision.verdict = Some(Verdict { entry: entry.clone(), turn });
                    break;
                }
            }
        }
        decision
    }

    /// For the control interface.
    pub(super) fn to_json(&self) -> Value {
        let write = |entry: &Arc<Entry>| {
            let (seen, fired) = (entry.seen.load(Ordering::Relaxed), entry.fired.load(Ordering::Relaxed));
            json!({ "id": entry.id, "seen": seen, "fired": fired, "rule": entry.rule })
        };
        self.state().entries.iter().map(write).collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
