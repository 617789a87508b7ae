//! What the stand-in knows.

use std::collections::HashSet;

use super::keys::Keys;
use crate::key_service::Ledger;

#[derive(Debug)]
pub(super) struct State {
    pub(super) ledger: Ledger,
    pub(super) keys: Keys,
    /// Signature nonces that were used.
    pub(super) nonces: HashSet<String>,
    pub(super) may_sign: bool,
    /// Whether it answers as the gateway of an instance.
    pub(super) is_instance: bool,
}

impl Default for State {
    fn default() -> Self {
        let (ledger, keys, nonces) = (Ledger::default(), Keys::default(), HashSet::new());
        Self { ledger, keys, nonces, may_sign: true, is_instance: false }
    }
}

impl State {
    /// Another id that looks like the service's.
    pub(super) fn request_id(&mut self) -> String {
        format!("4C467B38-3910-447D-87BC-{:012X}", self.ledger.next_request())
    }
}
