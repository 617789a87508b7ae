//! What every stand-in knows besides its keys: who may ask, what goes wrong, what was asked, and what was lent.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use super::Rules;

/// What all requests work with.
#[derive(Debug, Default)]
pub(crate) struct Shared<S>(Arc<Mutex<S>>);

impl<S> Clone for Shared<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S> Shared<S> {
    pub(crate) fn state(&self) -> MutexGuard<'_, S> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// By access key id.
    pub(crate) accounts: HashMap<String, Account>,
    pub(crate) rules: Rules,
    /// Actions, as often as they were asked for.
    pub(crate) asked: Vec<String>,
    /// The role that access keys are lent for, and for how long.
    pub(crate) role: Option<(String, Duration)>,
    /// Sessions with whoever lends keys.
    pub(crate) sessions: HashSet<String>,
    pub(crate) lent: usize,
    pub(crate) is_lending_broken: bool,
    requests: u64,
}

/// An access key that the service knows.
#[derive(Clone, Debug)]
pub(crate) struct Account {
    pub(crate) secret: String,
    /// Of a lent key.
    pub(crate) token: Option<String>,
    pub(crate) until: Option<SystemTime>,
}

/// A lent access key, and its end as text.
#[derive(Debug)]
pub(crate) struct Lent {
    pub(crate) id: String,
    pub(crate) secret: String,
    pub(crate) token: String,
    pub(crate) until: String,
}

impl Ledger {
    /// The number of another request.
    pub(crate) fn next_request(&mut self) -> u64 {
        self.requests = self.requests.saturating_add(1);
        self.requests
    }

    /// Another key for the role, with id, secret and token of its number; `None` where there is no role, or lending is
    /// broken.
    pub(crate) fn lend(&mut self, named: impl Fn(usize) -> [String; 3]) -> Option<Lent> {
        let lifetime = self.role.as_ref().filter(|_| !self.is_lending_broken)?.1;
        self.lent = self.lent.saturating_add(1);
        let [id, secret, token] = named(self.lent);
        let until = now().checked_add(lifetime)?;
        let account = Account { secret: secret.clone(), token: Some(token.clone()), until: Some(until) };
        self.accounts.insert(id.clone(), account);
        Some(Lent { id, secret, token, until: humantime::format_rfc3339_seconds(until).to_string() })
    }

    /// Ends all keys that were lent so far.
    pub(crate) fn expire(&mut self) {
        for account in self.accounts.values_mut().filter(|account| account.token.is_some()) {
            account.until = Some(SystemTime::UNIX_EPOCH);
        }
    }
}

impl Account {
    pub(crate) fn lasting(secret: &str) -> Self {
        Self { secret: secret.to_owned(), token: None, until: None }
    }
}

#[expect(clippy::disallowed_methods, reason = "the service has a clock of its own, which no test moves")]
pub(crate) fn now() -> SystemTime {
    SystemTime::now()
}
