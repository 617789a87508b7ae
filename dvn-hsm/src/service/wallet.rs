//! The access key of the moment: one that stays, or one that somebody lends for a while.
//!
//! A lent key is renewed before it ends, beside the calls that use it: none of them waits while the present key is good.
//! The lender is asked in a task of its own, so that a caller who gives up does not make the others begin anew.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use dvn_core::ports::Clock;
use tokio::time::{Instant, timeout};

use super::Failure;

/// Between two attempts to renew a key that is still good.
const PAUSE: Duration = Duration::from_secs(10);
/// How long a lender may take.
const MOST: Duration = Duration::from_secs(10);

/// Whoever lends access keys.
pub(crate) trait Lender: Send + Sync + 'static {
    /// What is lent.
    type Key: Send + Sync + 'static;

    /// How long before its end a key is renewed.
    const RENEW_BEFORE: Duration;

    /// For people.
    fn name(&self) -> &str;

    /// A key that is lent now.
    fn lend(&self) -> impl Future<Output = Result<Lent<Self::Key>, Failure>> + Send;
}

/// A lent key, when it was lent, and its end if it has one.
pub(crate) struct Lent<K> {
    key: Arc<K>,
    since: Instant,
    until: Option<SystemTime>,
}

impl<K> Lent<K> {
    /// Lent now.
    pub(crate) fn new(key: K, until: Option<SystemTime>) -> Self {
        Self { key: Arc::new(key), since: Instant::now(), until }
    }
}

impl<K> Clone for Lent<K> {
    fn clone(&self) -> Self {
        Self { key: Arc::clone(&self.key), since: self.since, until: self.until }
    }
}

/// Hands out the access key of the moment.
pub(crate) enum Wallet<L: Lender> {
    /// One that stays.
    Fixed(Arc<L::Key>),
    /// One that is renewed.
    Lent(Arc<Renewing<L>>),
}

impl<L: Lender> Wallet<L> {
    /// With the keys of this lender.
    pub(crate) fn lent(lender: L, clock: Arc<dyn Clock>) -> Self {
        let (held, early, turn) = (Mutex::new(None), Mutex::new(None), tokio::sync::Mutex::new(None));
        Self::Lent(Arc::new(Renewing { lender, clock, held, early, turn }))
    }

    /// The key to sign a request with.
    pub(crate) async fn current(&self) -> Result<Arc<L::Key>, Failure> {
        match self {
            Self::Fixed(key) => Ok(Arc::clone(key)),
            Self::Lent(renewing) => renewing.current().await,
        }
    }

    /// Another key than this one, which the service refused; `None` where there is none.
    pub(crate) async fn instead_of(&self, refused: &Arc<L::Key>) -> Result<Option<Arc<L::Key>>, Failure> {
        match self {
            Self::Fixed(_) => Ok(None),
            Self::Lent(renewing) => renewing.instead_of(refused).await,
        }
    }
}

impl<L: Lender> fmt::Debug for Wallet<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(_) => f.write_str("Wallet::Fixed"),
            Self::Lent(renewing) => write!(f, "Wallet::Lent({})", renewing.lender.name()),
        }
    }
}

/// The keys of a lender, who is asked by one caller at a time.
pub(crate) struct Renewing<L: Lender> {
    lender: L,
    clock: Arc<dyn Clock>,
    held: Mutex<Option<Lent<L::Key>>>,
    /// When a key that was still good was last renewed, or was to be.
    early: Mutex<Option<Instant>>,
    /// Whoever asks the lender holds it.
    turn: tokio::sync::Mutex<Option<Answer<L::Key>>>,
}

/// What the lender said last, for those who asked meanwhile.
struct Answer<K> {
    at: Instant,
    outcome: Result<Arc<K>, Failure>,
}

impl<L: Lender> Renewing<L> {
    async fn current(self: &Arc<Self>) -> Result<Arc<L::Key>, Failure> {
        let held = self.held().and_then(|lent| Some((self.left(&lent)?, lent.key)));
        let Some((left, key)) = held else { return self.anew().await };
        if left < L::RENEW_BEFORE {
            self.renew_early(left);
        }
        Ok(key)
    }

    async fn instead_of(self: &Arc<Self>, refused: &Arc<L::Key>) -> Result<Option<Arc<L::Key>>, Failure> {
        match self.held() {
            Some(lent) if !Arc::ptr_eq(&lent.key, refused) => Ok(Some(lent.key)),
            // The next one would be refused as well.
            Some(lent) if lent.since.elapsed() < PAUSE => Ok(None),
            _ => self.anew().await.map(Some),
        }
    }

    /// The present key is good for another while, so a lender that is slow or away does no harm yet.
    fn renew_early(self: &Arc<Self>, left: Duration) {
        let mut early = locked(&self.early);
        if early.is_some_and(|last| last.elapsed() < PAUSE) {
            return;
        }
        *early = Some(Instant::now());
        let this = Arc::clone(self);
        tokio::spawn(async move {
            if let Err(reason) = this.ask(Instant::now()).await {
                let (lender, minutes) = (this.lender.name(), left.as_secs().checked_div(60).unwrap_or_default());
                tracing::warn!(lender, minutes, %reason, "access key not renewed, the present one is used");
            }
        });
    }

    async fn anew(self: &Arc<Self>) -> Result<Arc<L::Key>, Failure> {
        let this = Arc::clone(self);
        let asked = Instant::now();
        let outcome = tokio::spawn(async move { this.ask(asked).await }).await;
        outcome.unwrap_or_else(|_| Err(Failure::unavailable("asking for an access key was cut short")))
    }

    /// Asks the lender, unless he answered somebody else since then.
    async fn ask(&self, since: Instant) -> Result<Arc<L::Key>, Failure> {
        let mut turn = self.turn.lock().await;
        if let Some(answer) = turn.as_ref().filter(|answer| answer.at > since) {
            return answer.outcome.clone();
        }
        let lent = timeout(MOST, self.lender.lend()).await;
        let lent = lent.unwrap_or_else(|_| Err(Failure::unavailable(format!("{} did not answer", self.lender.name()))));
        let outcome = lent.map(|lent| {
            let key = Arc::clone(&lent.key);
            *locked(&self.held) = Some(lent);
            key
        });
        *turn = Some(Answer { at: Instant::now(), outcome: outcome.clone() });
        outcome
    }

    fn held(&self) -> Option<Lent<L::Key>> {
        locked(&self.held).clone()
    }

    /// How long a key is good for; `None` if it has ended.
    fn left(&self, lent: &Lent<L::Key>) -> Option<Duration> {
        let Some(until) = lent.until else { return Some(Duration::MAX) };
        until.duration_since(self.clock.now()).ok().filter(|left| !left.is_zero())
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
