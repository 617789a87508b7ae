//! Rows that are told to the log at the same time share a commit: every row waits for the one before, so that they would otherwise
//! wait for the disk one after the other.

use std::sync::{Arc, OnceLock, Weak};

use async_trait::async_trait;
use dvn_core::{
    error::{StoreError, StoreErrorKind},
    ids::Guid,
    ports::{AuditCut, AuditEntry, AuditHead, AuditLog, AuditQuery, AuditRow},
};
use futures::future::join_all;
use tokio::sync::{mpsc, oneshot};

use crate::{
    database::{Database, Order, Transaction},
    error::storage,
};

/// Calls that share a commit at most, and that wait here; the others wait before they come in.
const MOST: usize = 128;

struct Told {
    entries: Vec<AuditEntry>,
    answer: oneshot::Sender<Result<(), StoreError>>,
}

/// The audit log of a database, with appends that wait together.
#[derive(Debug)]
pub(crate) struct GroupedAudit {
    database: Arc<Database>,
    /// Begins with the first append, which is in a runtime; its task ends with the log.
    waiting: OnceLock<mpsc::Sender<Told>>,
}

impl GroupedAudit {
    pub(crate) const fn new(database: Arc<Database>) -> Self {
        Self { database, waiting: OnceLock::new() }
    }

    fn begin(&self) -> mpsc::Sender<Told> {
        let (waiting, told) = mpsc::channel(MOST);
        tokio::spawn(run(Arc::downgrade(&self.database), told));
        waiting
    }
}

/// Holds the database while it works alone, so that its last user can close it.
async fn run(database: Weak<Database>, mut waiting: mpsc::Receiver<Told>) {
    let mut told = Vec::new();
    while waiting.recv_many(&mut told, MOST).await > 0 {
        let Some(database) = database.upgrade() else { return };
        let answers = append(&database, &told).await;
        drop(database);
        for (Told { answer, .. }, done) in told.drain(..).zip(answers) {
            // Whoever is gone needs no answer.
            let _ = answer.send(done);
        }
    }
}

/// All in one transaction, or, where that cannot be, each by itself, so that only that one fails which is at fault.
async fn append(database: &Database, told: &[Told]) -> Vec<Result<(), StoreError>> {
    if told.len() > 1
        && let Ok(transaction) = together(database, told).await
    {
        let committed = transaction.commit().await.map_err(|error| error.to_string());
        // It is not known whether it is durable, so that it must not be told again.
        let failed = |error| StoreError::new(StoreErrorKind::Storage).because(error);
        return told.iter().map(|_| committed.clone().map_err(failed)).collect();
    }
    // At once: on a database that does not answer nobody waits for the others' deadlines.
    join_all(told.iter().map(|it| database.append(&it.entries))).await
}

/// A transaction that tells all; dropping it undoes it.
async fn together(database: &Database, told: &[Told]) -> Result<Transaction, StoreError> {
    let mut transaction = database.begin(Order::Audit).await.map_err(storage)?;
    for it in told {
        super::append(&mut transaction, &it.entries).await?;
    }
    Ok(transaction)
}

#[async_trait]
impl AuditLog for GroupedAudit {
    async fn append(&self, entries: &[AuditEntry]) -> Result<(), StoreError> {
        if entries.is_empty() {
            return Ok(());
        }
        let (answer, answered) = oneshot::channel();
        let told = Told { entries: entries.to_vec(), answer };
        if self.waiting.get_or_init(|| self.begin()).send(told).await.is_err() {
            // The runtime that the task was in has ended.
            return self.database.append(entries).await;
        }
        answered.await.map_err(|_| storage(sqlx::Error::WorkerCrashed))?
    }

    async fn of_packet(&self, guid: Guid) -> Result<Vec<AuditRow>, StoreError> {
        self.database.of_packet(guid).await
    }

    async fn rows(&self, after: u64, most: usize) -> Result<Vec<AuditRow>, StoreError> {
        AuditLog::rows(&*self.database, after, most).await
    }

    async fn query(&self, query: &AuditQuery) -> Result<Vec<AuditRow>, StoreError> {
        self.database.query(query).await
    }

    async fn head(&self) -> Result<AuditHead, StoreError> {
        AuditLog::head(&*self.database).await
    }

    async fn base(&self) -> Result<AuditHead, StoreError> {
        self.database.base().await
    }

    async fn verify(&self) -> Result<AuditHead, StoreError> {
        AuditLog::verify(&*self.database).await
    }

    async fn cut(&self, cut: &AuditCut, entry: &AuditEntry) -> Result<u64, StoreError> {
        self.database.cut(cut, entry).await
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;
    use crate::{schema, sql::sql};

    fn told(actions: &[&str]) -> (Told, oneshot::Receiver<Result<(), StoreError>>) {
        let entry = |action: &&str| AuditEntry {
            at: UNIX_EPOCH,
            actor: "engine".to_owned(),
            action: (*action).to_owned(),
            guid: None,
            evidence: None,
            detail: "{}".to_owned(),
        };
        let (answer, answered) = oneshot::channel();
        (Told { entries: actions.iter().map(entry).collect(), answer }, answered)
    }

    async fn database() -> Database {
        let database = crate::sqlite::in_memory().await.unwrap();
        schema::migrate(&database).await.unwrap();
        database
    }

    async fn actions(database: &Database) -> Vec<String> {
        let rows = AuditLog::rows(database, 0, 99).await.unwrap();
        rows.into_iter().map(|row| row.entry.action).collect()
    }

    #[tokio::test]
    async fn all_are_told_in_their_order_and_chained() {
        let database = database().await;
        let (several, _answers): (Vec<_>, Vec<_>) =
            [&["a", "b"] as &[&str], &["c"], &["d", "e"]].map(told).into_iter().unzip();
        assert!(append(&database, &several).await.iter().all(Result::is_ok));
        assert_eq!(actions(&database).await, ["a", "b", "c", "d", "e"]);
        assert_eq!(AuditLog::verify(&database).await.unwrap().rows, 5);
    }

    #[tokio::test]
    async fn one_that_fails_fails_alone_and_leaves_no_row() {
        let database = database().await;
        let refuse =
            "CREATE TRIGGER refuse BEFORE INSERT ON audit WHEN NEW.action = 'bad' BEGIN SELECT RAISE(ABORT, 'no'); END";
        database.execute(sql(refuse)).await.unwrap();
        let (several, _answers): (Vec<_>, Vec<_>) =
            [&["a"] as &[&str], &["b", "bad"], &["c"]].map(told).into_iter().unzip();
        let done: Vec<bool> = append(&database, &several).await.iter().map(Result::is_ok).collect();
        assert_eq!(done, [true, false, true]);
        assert_eq!(actions(&database).await, ["a", "c"]);
        assert_eq!(AuditLog::verify(&database).await.unwrap().rows, 2);
    }
}
