//! What the stand-in knows.

use std::{
    collections::{HashMap, HashSet},
    time::{Duration, SystemTime},
};

use super::keys::Keys;
use crate::key_service::Rules;

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) accounts: HashMap<String, Account>,
    pub(super) keys: Keys,
    pub(super) rules: Rules,
    pub(super) asked: Vec<String>,
    /// Actions that nobody has a right to.
    pub(super) denied: HashSet<String>,
    pub(super) latency: Duration,
    pub(super) role: Option<(String, Duration)>,
    /// Sessions with the metadata service.
    pub(super) sessions: HashSet<String>,
    pub(super) lent: usize,
    pub(super) lending_broken: bool,
    requests: u64,
}

impl State {
    /// Another id that looks like the service's.
    pub(super) fn request_id(&mut self) -> String {
        self.requests = self.requests.saturating_add(1);
        format!("b7d6a5c4-3910-447d-87bc-{:012x}", self.requests)
    }
}

/// An access key that the service knows.
#[derive(Clone, Debug)]
pub(super) struct Account {
    pub(super) secret: String,
    /// Of a lent key.
    pub(super) token: Option<String>,
    pub(super) until: Option<SystemTime>,
}

impl Account {
    pub(super) fn lasting(secret: &str) -> Self {
        Self { secret: secret.to_owned(), token: None, until: None }
    }
}

#[expect(clippy::disallowed_methods, reason = "the service has a clock of its own, which no test moves")]
pub(super) fn now() -> SystemTime {
    SystemTime::now()
}
