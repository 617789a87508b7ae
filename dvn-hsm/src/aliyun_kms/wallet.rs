//! The access key of the moment: one that stays, or one that the machine's RAM role lends for a few hours.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use dvn_core::ports::Clock;
use tokio::time::{Instant, timeout};

use super::{
    credentials::{AccessKey, AliyunCredentials, Source},
    role::{Lent, Role},
};
use crate::service::Failure;

/// How long before its end a lent key is renewed, as Alibaba Cloud's own clients do.
const RENEW_BEFORE: Duration = Duration::from_secs(15 * 60);
/// How long renewing may take while the present key is still good: the signature waits for it.
const MOST: Duration = Duration::from_millis(300);
/// Between two attempts to renew a key that is still good.
const PAUSE: Duration = Duration::from_secs(10);

/// Hands out the access key of the moment.
#[derive(Debug)]
pub(super) enum Wallet {
    Fixed(Arc<AccessKey>),
    Lent(Box<Renewing>),
}

impl Wallet {
    pub(super) fn new(credentials: &AliyunCredentials, clock: Arc<dyn Clock>) -> Result<Self, Failure> {
        Ok(match &credentials.0 {
            Source::Fixed(key) => Self::Fixed(Arc::clone(key)),
            Source::Role { name, server } => {
                Self::Lent(Box::new(Renewing::new(Role::new(name, server.clone())?, clock)))
            }
        })
    }

    /// The key to sign a request with.
    pub(super) async fn current(&self) -> Result<Arc<AccessKey>, Failure> {
        match self {
            Self::Fixed(key) => Ok(Arc::clone(key)),
            Self::Lent(renewing) => renewing.current().await,
        }
    }

    /// Another key than this one, which the service refused; `None` where there is none.
    pub(super) async fn instead_of(&self, refused: &Arc<AccessKey>) -> Result<Option<Arc<AccessKey>>, Failure> {
        match self {
            Self::Fixed(_) => Ok(None),
            Self::Lent(renewing) => renewing.instead_of(refused).await,
        }
    }
}

/// A lent key that is renewed before it ends, by one caller at a time; the others go on with the present one.
#[derive(Debug)]
pub(super) struct Renewing {
    role: Role,
    clock: Arc<dyn Clock>,
    held: Mutex<Option<Lent>>,
    /// Whoever renews holds it; it says when a good key was last tried to be renewed.
    turn: tokio::sync::Mutex<Option<Instant>>,
}

impl Renewing {
    fn new(role: Role, clock: Arc<dyn Clock>) -> Self {
        Self { role, clock, held: Mutex::new(None), turn: tokio::sync::Mutex::new(None) }
    }

    async fn current(&self) -> Result<Arc<AccessKey>, Failure> {
        match self.held().filter(|lent| self.left(lent) > Duration::ZERO) {
            Some(lent) if self.left(&lent) > RENEW_BEFORE => Ok(lent.key),
            Some(lent) => Ok(self.renew_early(lent).await),
            None => self.borrow_anew().await,
        }
    }

    /// The present key is good for another while, so a server that is slow or away does no harm yet.
    async fn renew_early(&self, present: Lent) -> Arc<AccessKey> {
        let Ok(mut turn) = self.turn.try_lock() else { return present.key };
        if turn.is_some_and(|last| last.elapsed() < PAUSE) {
            return self.held().unwrap_or(present).key;
        }
        *turn = Some(Instant::now());
        match timeout(MOST, self.role.borrow_key()).await {
            Ok(Ok(lent)) => self.hold(lent),
            Ok(Err(error)) => self.keep(present, &error.to_string()),
            Err(_) => self.keep(present, "the metadata server did not answer in time"),
        }
    }

    async fn borrow_anew(&self) -> Result<Arc<AccessKey>, Failure> {
        let _turn = self.turn.lock().await;
        // Whoever had the turn before may have brought one.
        if let Some(lent) = self.held().filter(|lent| self.left(lent) > Duration::ZERO) {
            return Ok(lent.key);
        }
        Ok(self.hold(self.role.borrow_key().await?))
    }

    async fn instead_of(&self, refused: &Arc<AccessKey>) -> Result<Option<Arc<AccessKey>>, Failure> {
        let _turn = self.turn.lock().await;
        match self.held() {
            Some(lent) if !Arc::ptr_eq(&lent.key, refused) => Ok(Some(lent.key)),
            // The next one would be refused as well.
            Some(lent) if lent.since.elapsed() < PAUSE => Ok(None),
            _ => Ok(Some(self.hold(self.role.borrow_key().await?))),
        }
    }

    fn keep(&self, present: Lent, reason: &str) -> Arc<AccessKey> {
        let minutes = self.left(&present).as_secs().checked_div(60).unwrap_or_default();
        tracing::warn!(role = self.role.name(), minutes, reason, "access key not renewed, the present one is used");
        present.key
    }

    fn hold(&self, lent: Lent) -> Arc<AccessKey> {
        let key = Arc::clone(&lent.key);
        *self.held.lock().unwrap_or_else(PoisonError::into_inner) = Some(lent);
        key
    }

    fn held(&self) -> Option<Lent> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn left(&self, lent: &Lent) -> Duration {
        lent.until.duration_since(self.clock.now()).unwrap_or_default()
    }
}
