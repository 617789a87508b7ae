use std::time::SystemTime;

use dvn_core::ports::{JournalHead, JournalState};
use serde::Serialize;

use super::{Phase, Snapshot};
use crate::time::{Stamp, rfc3339};

/// The journal that the node signs by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct JournalStatus {
    /// Its name, by which peers know it.
    pub id: String,
    /// How many rows it has.
    pub rows: u64,
    /// Why nothing is signed, while it is so.
    pub quarantine: Option<QuarantineStatus>,
}

/// A quarantine that lasts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct QuarantineStatus {
    /// Its end by this node's clock; a destination whose time is behind waits so much longer.
    #[serde(serialize_with = "rfc3339")]
    pub until: SystemTime,
    /// Why.
    pub reason: String,
}

impl JournalStatus {
    /// How it stands at this moment.
    #[must_use]
    pub fn new(state: JournalState, head: JournalHead, now: SystemTime) -> Self {
        let lasting = state.quarantine.filter(|it| now < it.until);
        let quarantine = lasting.map(|it| QuarantineStatus { until: it.until, reason: it.reason });
        Self { id: state.id.to_string(), rows: head.rows, quarantine }
    }
}

impl Snapshot {
    /// Tells how the journal stands, which decides whether a node that works is in quarantine.
    pub fn tell_journal(&mut self, journal: JournalStatus) {
        let quarantined = if journal.quarantine.is_some() { 1.0 } else { 0.0 };
        metrics::gauge!("dvn_quarantined").set(quarantined);
        self.journal = Some(journal);
        if matches!(self.phase, Phase::Running | Phase::Quarantined) {
            self.phase = self.working_phase();
        }
    }

    /// The phase of a node that is past its own checks.
    #[must_use]
    pub const fn working_phase(&self) -> Phase {
        if self.quarantine().is_some() { Phase::Quarantined } else { Phase::Running }
    }

    pub(super) const fn quarantine(&self) -> Option<&QuarantineStatus> {
        match &self.journal {
            Some(journal) => journal.quarantine.as_ref(),
            None => None,
        }
    }

    /// What a quarantine says to a probe.
    pub(super) fn quarantine_reason(&self) -> Option<String> {
        self.quarantine().map(|it| format!("quarantined until {}: {}", Stamp(it.until), it.reason))
    }
}
