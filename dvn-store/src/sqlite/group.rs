//! Independent writes that wait for the disk at the same time wait once: they share a transaction.

use sqlx::SqlitePool;
use tokio::sync::{mpsc, oneshot};

use crate::sql::Statement;

/// How many writes share a commit at most, and how many wait here; the others wait before they come in.
const MOST: usize = 128;

type Rows = Result<u64, sqlx::Error>;

struct Write {
    statement: Statement,
    answer: oneshot::Sender<Rows>,
}

/// The way to the one writer for statements that are transactions by themselves. One that comes alone is executed as it is;
/// those that came while the writer was busy are executed in their order and committed together, before any of them is answered.
#[derive(Clone, Debug)]
pub(crate) struct Group(mpsc::Sender<Write>);

impl Group {
    /// The group ends with its last clone.
    pub(super) fn new(writer: SqlitePool) -> Self {
        let (sender, waiting) = mpsc::channel(MOST);
        tokio::spawn(run(writer, waiting));
        Self(sender)
    }

    /// Writes, and says how many rows there were. Durable when it returns; a dropped call may be carried out or not.
    pub(crate) async fn execute(&self, statement: Statement) -> Rows {
        let (answer, answered) = oneshot::channel();
        self.0.send(Write { statement, answer }).await.map_err(|_| sqlx::Error::WorkerCrashed)?;
        answered.await.map_err(|_| sqlx::Error::WorkerCrashed)?
    }
}

async fn run(writer: SqlitePool, mut waiting: mpsc::Receiver<Write>) {
    let mut writes = Vec::new();
    while waiting.recv_many(&mut writes, MOST).await > 0 {
        // Nobody would learn what came of it.
        writes.retain(|write: &Write| !write.answer.is_closed());
        if writes.len() > 1 {
            writes = together(&writer, writes).await;
        }
        for Write { statement, answer } in writes.drain(..) {
            let done = statement.sqlite().execute(&writer).await;
            let _ = answer.send(done.map(|done| done.rows_affected()));
        }
    }
}

/// Executes all in one transaction and answers all, or undoes all and returns them: where one fails, each is to be executed by
/// itself, so that only that one fails.
async fn together(writer: &SqlitePool, writes: Vec<Write>) -> Vec<Write> {
    let Ok(mut transaction) = writer.begin_with("BEGIN IMMEDIATE").await else { return writes };
    let mut rows = Vec::with_capacity(writes.len());
    for write in &writes {
        match write.statement.clone().sqlite().execute(&mut *transaction).await {
            Ok(done) => rows.push(done.rows_affected()),
            Err(_) => {
                // What cannot be undone now is undone before the connection is used again.
                let _ = transaction.rollback().await;
                return writes;
            }
        }
    }
    let committed = transaction.commit().await.map_err(|error| error.to_string());
    for (write, rows) in writes.into_iter().zip(rows) {
        // It is not known whether it is durable, so that it must not be tried again.
        let answer = committed.clone().map(|()| rows).map_err(|error| sqlx::Error::Io(std::io::Error::other(error)));
        let _ = write.answer.send(answer);
    }
    Vec::new()
}

#[cfg(test)]
mod tests {
    use sqlx::{Row as _, sqlite::SqlitePoolOptions};

    use super::*;
    use crate::sql::sql;

    async fn table() -> SqlitePool {
        let writer = SqlitePoolOptions::new().max_connections(1).connect("sqlite::memory:").await.unwrap();
        sqlx::query("CREATE TABLE it (id INTEGER PRIMARY KEY)").execute(&writer).await.unwrap();
        writer
    }

    fn insert(id: i64) -> (Write, oneshot::Receiver<Rows>) {
        let (answer, answered) = oneshot::channel();
        (Write { statement: sql("INSERT INTO it VALUES ($1)").bind(id), answer }, answered)
    }

    async fn ids(writer: &SqlitePool) -> Vec<i64> {
        let rows = sqlx::query("SELECT id FROM it ORDER BY id").fetch_all(writer).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }

    #[tokio::test]
    async fn one_that_fails_fails_alone() {
        let writer = table().await;
        let (sender, waiting) = mpsc::channel(MOST);
        let mut answers = Vec::new();
        for id in [1, 2, 1, 3] {
            let (write, answered) = insert(id);
            sender.try_send(write).map_err(drop).unwrap();
            answers.push(answered);
        }
        drop(sender);
        run(writer.clone(), waiting).await;
        let mut done = Vec::new();
        for answered in answers {
            done.push(answered.await.unwrap().ok());
        }
        assert_eq!(done, [Some(1), Some(1), None, Some(1)]);
        assert_eq!(ids(&writer).await, [1, 2, 3]);
    }

    #[tokio::test]
    async fn what_shares_a_commit_is_answered_after_it_and_what_nobody_waits_for_is_left() {
        let writer = table().await;
        let [(first, answered), (second, also), (third, dropped)] = [1, 2, 3].map(insert);
        drop(dropped);
        let (sender, waiting) = mpsc::channel(MOST);
        for write in [first, second, third] {
            sender.try_send(write).map_err(drop).unwrap();
        }
        drop(sender);
        run(writer.clone(), waiting).await;
        assert_eq!((answered.await.unwrap().unwrap(), also.await.unwrap().unwrap()), (1, 1));
        assert_eq!(ids(&writer).await, [1, 2]);
    }

    #[tokio::test]
    async fn where_the_commit_fails_all_learn_it() {
        let writer = table().await;
        for sql in [
            "PRAGMA foreign_keys = ON",
            "CREATE TABLE child (id INTEGER REFERENCES it (id) DEFERRABLE INITIALLY DEFERRED)",
        ] {
            sqlx::query(sql).execute(&writer).await.unwrap();
        }
        let (first, answered) = insert(1);
        let (mut second, also) = insert(2);
        second.statement = sql("INSERT INTO child VALUES ($1)").bind(9_i64);
        assert!(together(&writer, vec![first, second]).await.is_empty());
        assert!(answered.await.unwrap().is_err() && also.await.unwrap().is_err());
        assert_eq!(ids(&writer).await, [0_i64; 0]);
    }
}
