//! Whether the server is one that a journal can be kept on, looked at for each new connection.
//!
//! A server that does not wait for the disk forgets what was signed when it crashes; a standby that became the primary forgets what
//! did not reach it. Both would let a slot be signed twice, so that the first is refused and the second stops signing.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use alloy_primitives::B256;
use dvn_core::{
    error::{JournalError, JournalErrorKind},
    ports::JournalHead,
};
use sqlx::{PgConnection, Row as _};

/// What a journal needs of a server, and what it was last seen to be.
#[derive(Clone, Debug)]
pub(crate) struct Guard(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    deadline: Duration,
    /// For how long a failover stops signing.
    life: Duration,
    writes: bool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The newest head that this process saw.
    head: JournalHead,
    /// Why nothing may be signed on this database any more.
    lost: Option<String>,
    /// Why the last connection was refused.
    refusal: Option<String>,
}

/// Why a server is refused, for people.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Unsafe(pub(crate) String);

const LOOK: &str = "SELECT current_setting('server_version_num')::bigint AS version, pg_is_in_recovery() AS recovering,
    current_setting('fsync') AS fsync, current_setting('synchronous_commit') AS synchronous_commit,
    current_setting('full_page_writes') AS full_page_writes, to_regclass('journal_identity') IS NOT NULL AS has_journal";
const TIMELINE: &str = "SELECT substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)";
/// By the server's clock: this is about time that has not passed yet, and hours of it.
const MOVE: &str = "UPDATE journal_identity SET timeline = $1, quarantine_reason = $2,
    quarantine_until = greatest(coalesce(quarantine_until, 0), (extract(epoch FROM clock_timestamp()) * 1000000)::bigint + $3)
    WHERE timeline <> $1";

impl Guard {
    pub(super) fn new(deadline: Duration, life: Duration, writes: bool) -> Self {
        Self(Arc::new(Inner { deadline, life, writes, state: Mutex::default() }))
    }

    /// How long one call may take.
    pub(crate) fn deadline(&self) -> Duration {
        self.0.deadline
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers a head that was read or written.
    pub(crate) fn see(&self, head: JournalHead) {
        let mut state = self.state();
        if head.rows > state.head.rows {
            state.head = head;
        }
    }

    /// What was signed may be forgotten.
    pub(crate) fn refuse_if_lost(&self) -> Result<(), JournalError> {
        match &self.state().lost {
            None => Ok(()),
            Some(lost) => Err(JournalError::new(JournalErrorKind::Tampered).because(lost.clone())),
        }
    }

    /// A pool says no more than that it got no connection; this says why the last one was refused.
    pub(super) fn explain<T>(&self, result: Result<T, sqlx::Error>) -> Result<T, sqlx::Error> {
        result.map_err(|error| match (&error, self.state().refusal.clone()) {
            (sqlx::Error::PoolTimedOut, Some(refusal)) => sqlx::Error::Configuration(Unsafe(refusal).into()),
            _ => error,
        })
    }

    /// Looks at a new connection before it is used.
    pub(super) async fn admit(&self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        let admitted = self.look(connection).await;
        self.state().refusal = match &admitted {
            Err(sqlx::Error::Configuration(refusal)) => Some(refusal.to_string()),
            _ => None,
        };
        admitted
    }

    async fn look(&self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        let row = sqlx::query(LOOK).fetch_one(&mut *connection).await?;
        refuse(row.try_get("version")?, row.try_get("recovering")?, &|name| row.try_get::<String, _>(name))?;
        if !row.try_get::<bool, _>("has_journal")? {
            return Ok(());
        }
        self.compare(connection).await?;
        self.follow(connection).await
    }

    /// The row that was the newest once is still there.
    async fn compare(&self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        let seen = self.seen();
        let rows = seen.rows;
        let Ok(sequence) = i64::try_from(rows) else { return Ok(()) };
        if sequence == 0 {
            return Ok(());
        }
        let found: Option<Vec<u8>> = sqlx::query_scalar("SELECT row_hash FROM journal WHERE sequence = $1")
            .bind(sequence)
            .fetch_optional(&mut *connection)
            .await?;
        self.compare_with(seen, found.and_then(|bytes| B256::try_from(bytes.as_slice()).ok()));
        Ok(())
    }

    /// The newest head that this process wrote or read.
    pub(crate) fn seen(&self) -> JournalHead {
        self.state().head
    }

    /// What stands in the place of a head that was seen.
    pub(crate) fn compare_with(&self, JournalHead { rows, hash }: JournalHead, found: Option<B256>) {
        if found == Some(hash) {
            return;
        }
        let found = found.map_or_else(|| "nothing".to_owned(), |hash| hash.to_string());
        let lost = format!(
            "the database lost rows that were written: row {rows} was {hash}, and there is {found}; nothing is signed any more, \
             see docs/postgres.md"
        );
        tracing::error!(lost, "journal");
        self.state().lost = Some(lost);
    }

    /// Another timeline means that another server took over, which may lack what the one before promised.
    async fn follow(&self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        if !self.0.writes {
            return Ok(());
        }
        let timeline: String = sqlx::query_scalar(TIMELINE).fetch_one(&mut *connection).await?;
        let life = i64::try_from(self.0.life.as_micros()).unwrap_or(i64::MAX);
        let reason = format!("another server took over the database, on timeline {timeline}, and may lack rows");
        let moved = sqlx::query(MOVE).bind(&timeline).bind(&reason).bind(life).execute(&mut *connection).await?;
        if moved.rows_affected() > 0 {
            tracing::error!(reason, "quarantined: nothing is signed until whatever was signed has expired");
        }
        Ok(())
    }
}

type Setting<'s> = &'s (dyn Fn(&'static str) -> Result<String, sqlx::Error> + Sync);

/// Refuses a server that would forget what it promised.
fn refuse(version: i64, is_recovering: bool, setting: Setting<'_>) -> Result<(), sqlx::Error> {
    let no = |problem: String| Err(sqlx::Error::Configuration(Unsafe(problem).into()));
    if version < 150_000 {
        return no(format!("the server has version {version}; PostgreSQL 15 or later is needed"));
    }
    if is_recovering {
        return no("the server is a standby; `postgres.host` has to name the primary".to_owned());
    }
    for (name, why) in [
        ("fsync", "a crash would forget what was signed"),
        ("full_page_writes", "a crash would destroy pages of the journal"),
        ("synchronous_commit", "a crash would forget what was signed"),
    ] {
        if setting(name)? == "off" {
            return no(format!("the server has {name} = off: {why}; set it to on, and reload the server"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(version: i64, is_recovering: bool, off: &str) -> Option<String> {
        let setting = |name: &'static str| Ok(if name == off { "off" } else { "on" }.to_owned());
        refuse(version, is_recovering, &setting).err().map(|error| error.to_string())
    }

    /// T27: `server_version_num` of the PostgreSQL manual, "Preset Options".
    #[test]
    fn a_server_that_may_forget_or_is_too_old_is_refused() {
        assert_eq!(refusal(150_000, false, ""), None);
        assert!(refusal(140_019, false, "").unwrap().contains("PostgreSQL 15"));
        assert!(refusal(170_002, true, "").unwrap().contains("primary"));
        assert!(refusal(170_002, false, "fsync").unwrap().contains("fsync = off"));
    }
}
