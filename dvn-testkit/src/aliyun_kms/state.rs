//! What the stand-in knows.

use std::{
    collections::{HashMap, HashSet},
    time::{Duration, SystemTime},
};

use super::keys::Keys;
use crate::key_service::Rules;

#[derive(Debug)]
pub(super) struct State {
    pub(super) accounts: HashMap<String, Account>,
    pub(super) keys: Keys,
    /// Signature nonces that were used.
    pub(super) nonces: HashSet<String>,
    pub(super) rules: Rules,
    pub(super) asked: Vec<String>,
    pub(super) may_sign: bool,
    /// Whether it answers as the gateway of an instance.
    pub(super) is_instance: bool,
    pub(super) role: Option<(String, Duration)>,
    /// Sessions with the metadata server.
    pub(super) sessions: HashSet<String>,
    pub(super) lent: usize,
    pub(super) metadata_broken: bool,
    requests: u64,
}

impl Default for State {
    fn default() -> Self {
        Self {
            accounts: HashMap::new(),
            keys: Keys::default(),
            nonces: HashSet::new(),
            rules: Rules::default(),
            asked: Vec::new(),
            may_sign: true,
            is_instance: false,
            role: None,
            sessions: HashSet::new(),
            lent: 0,
            metadata_broken: false,
            requests: 0,
        }
    }
}

impl State {
    /// Another id that looks like the service's.
    pub(super) fn request_id(&mut self) -> String {
        self.requests = self.requests.saturating_add(1);
        format!("4C467B38-3910-447D-87BC-{:012X}", self.requests)
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
