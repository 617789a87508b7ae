//! Connections from hand to hand. A pool tries a connection whenever it gets it back, which costs as much as the statement did; here
//! one that did what it was told is as good as before, and whoever was interrupted throws his away.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use sqlx::{Connection as _, PgPool, Postgres, pool::PoolConnection};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{Guard, within};

/// A connection that was not used for so long is tried before it is.
const TRY_AFTER: Duration = Duration::from_secs(1);
/// One that is kept for so long goes back to the pool, which replaces those that are old.
const KEPT: Duration = Duration::from_secs(600);

/// The connections of a store, as many at once as it may have.
#[derive(Clone, Debug)]
pub(crate) struct Connections(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    pool: PgPool,
    guard: Guard,
    /// The one used last comes first, so that those that are not needed grow old.
    idle: Mutex<Vec<Kept>>,
    room: Arc<Semaphore>,
}

#[derive(Debug)]
struct Kept {
    connection: PoolConnection<Postgres>,
    taken: Instant,
    used: Instant,
}

/// A connection that somebody has.
#[derive(Debug)]
pub(super) struct Taken {
    /// Nothing once it is thrown away.
    kept: Option<Kept>,
    home: Connections,
    _room: OwnedSemaphorePermit,
}

impl Connections {
    pub(super) fn new(pool: PgPool, guard: Guard) -> Self {
        let most = usize::try_from(pool.options().get_max_connections()).unwrap_or(1);
        let (idle, room) = (Mutex::default(), Arc::new(Semaphore::new(most)));
        Self(Arc::new(Inner { pool, guard, idle, room }))
    }

    pub(crate) fn guard(&self) -> &Guard {
        &self.0.guard
    }

    /// The pool itself, for work that needs no speed; nothing is kept from it here.
    pub(crate) fn pool(&self) -> &PgPool {
        self.idle().clear();
        &self.0.pool
    }

    /// Waits no longer than the deadline.
    pub(super) async fn take(&self) -> Result<Taken, sqlx::Error> {
        let Inner { pool, guard, room, .. } = &*self.0;
        let room = tokio::time::timeout(guard.deadline(), Arc::clone(room).acquire_owned()).await;
        let room = room.map_err(|_| sqlx::Error::PoolTimedOut)?.map_err(|_| sqlx::Error::PoolClosed)?;
        let kept = match self.kept().await {
            Some(kept) => kept,
            None => {
                let connection = guard.explain(within(guard.deadline(), pool.acquire()).await)?;
                let now = Instant::now();
                Kept { connection, taken: now, used: now }
            }
        };
        Ok(Taken { kept: Some(kept), home: self.clone(), _room: room })
    }

    /// One that is there and works.
    async fn kept(&self) -> Option<Kept> {
        loop {
            let mut kept = self.idle().pop()?;
            if kept.used.elapsed() < TRY_AFTER || within(TRY_AFTER, kept.connection.ping()).await.is_ok() {
                return Some(kept);
            }
            drop(kept.connection.detach());
        }
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Kept>> {
        self.0.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the statements under way and closes all.
    pub(crate) async fn close(&self) {
        self.0.room.close();
        let closing = self.pool().close();
        let _ = tokio::time::timeout(self.0.guard.deadline(), closing).await;
    }
}

impl Taken {
    pub(super) fn connection(&mut self) -> Result<&mut PoolConnection<Postgres>, sqlx::Error> {
        self.kept.as_mut().map(|kept| &mut kept.connection).ok_or(sqlx::Error::WorkerCrashed)
    }

    /// Its state is not known.
    pub(super) fn throw_away(&mut self) {
        drop(self.kept.take().map(|kept| kept.connection.detach()));
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        let Some(mut kept) = self.kept.take() else { return };
        let inner = &self.home.0;
        if inner.room.is_closed() || kept.taken.elapsed() > KEPT {
            // Back to the pool, which needs a runtime for that.
            return;
        }
        kept.used = Instant::now();
        self.home.idle().push(kept);
    }
}
