//! What the stand-in knows.

use std::{collections::HashSet, time::Duration};

use super::keys::Keys;
use crate::key_service::Ledger;

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) ledger: Ledger,
    pub(super) keys: Keys,
    /// Actions that nobody has a right to.
    pub(super) denied: HashSet<String>,
    pub(super) latency: Duration,
}

impl State {
    /// Another id that looks like the service's.
    pub(super) fn request_id(&mut self) -> String {
        format!("b7d6a5c4-3910-447d-87bc-{:012x}", self.ledger.next_request())
    }
}
