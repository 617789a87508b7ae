//! Which packets peers ask for, so that this node leaves them the time to collect and to submit.

use std::{collections::HashMap, sync::Mutex};

use tokio::time::Instant;

use crate::{engine::lock, job::Location};

/// Packets that are remembered; beyond, remembering begins anew, which only costs gas.
const MOST: usize = 100_000;

/// When each peer first asked for a signature over a packet.
#[derive(Debug, Default)]
pub(super) struct Asked {
    first: Mutex<HashMap<Location, HashMap<String, Instant>>>,
    /// When each peer was last given a signature, whatever for.
    given: Mutex<HashMap<String, Instant>>,
}

impl Asked {
    /// The first asking counts, so that a peer that asks for ever delays a packet once.
    pub(super) fn note(&self, peer: &str, location: Location) {
        let mut asked = lock(&self.first);
        if asked.len() >= MOST {
            asked.clear();
        }
        asked.entry(location).or_default().entry(peer.to_owned()).or_insert_with(Instant::now);
    }

    pub(super) fn note_given(&self, peer: &str) {
        lock(&self.given).insert(peer.to_owned(), Instant::now());
    }

    pub(super) fn given(&self, peer: &str) -> Option<Instant> {
        lock(&self.given).get(peer).copied()
    }

    pub(super) fn forget(&self, peer: &str, location: &Location) {
        if let Some(peers) = lock(&self.first).get_mut(location) {
            peers.remove(peer);
        }
    }

    pub(super) fn of(&self, location: &Location) -> HashMap<String, Instant> {
        lock(&self.first).get(location).cloned().unwrap_or_default()
    }
}
