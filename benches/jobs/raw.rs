//! What the same database and the same Redis give to somebody who asks them directly.

use std::{
    path::Path,
    str::FromStr as _,
    sync::atomic::{AtomicI64, Ordering},
    time::{Duration, Instant},
};

use dvn_store::PostgresOptions;
use dvn_testkit::{postgres::Postgres as Server, redis::Redis};
use futures::future::join_all;
use redis::{Client, Cmd, IntoConnectionInfo as _, Value, aio::MultiplexedConnection, cmd, streams::StreamReadReply};
use sqlx::{
    ConnectOptions as _, Executor as _, PgConnection, SqliteConnection,
    postgres::{PgConnectOptions, PgSslMode},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};

/// About the bytes of a job's row: one key, and everything else in one column. It has no other index.
const TABLE: [&str; 2] = [
    "CREATE TABLE raw (id BLOB NOT NULL PRIMARY KEY, body BLOB NOT NULL, version INTEGER NOT NULL) STRICT",
    "CREATE TABLE raw (id BYTEA NOT NULL PRIMARY KEY, body BYTEA NOT NULL, version BIGINT NOT NULL)",
];
const INSERT: &str = "INSERT INTO raw (id, body, version) VALUES ($1, $2, 0)";
const UPDATE: &str = "UPDATE raw SET body = $2, version = version + 1 WHERE id = $1";
const BODY: usize = 480;
const SIGNED: usize = 670;

static NEXT: AtomicI64 = AtomicI64::new(1);

/// A key that looks like a hash, so that an index takes it as it takes a job's.
fn key() -> Vec<u8> {
    alloy_primitives::keccak256(NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes()).to_vec()
}

/// Inserts a row and changes it twice, each committed by itself.
macro_rules! row {
    ($connection:expr) => {{
        let key = key();
        for (sql, size) in [(INSERT, BODY), (UPDATE, BODY), (UPDATE, SIGNED)] {
            sqlx::query(sql).bind(&key).bind(vec![7_u8; size]).execute(&mut *$connection).await.unwrap();
        }
    }};
}

/// A database with a table of its own.
pub(crate) enum Database {
    Sqlite(tokio::sync::Mutex<SqliteConnection>),
    Postgres { options: Box<PgConnectOptions>, connections: usize },
}

impl Database {
    /// With the pragmas of the embedded store.
    pub(crate) async fn sqlite(path: &Path) -> Self {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .pragma("fullfsync", "ON")
            .pragma("checkpoint_fullfsync", "ON");
        let mut connection = options.connect().await.unwrap();
        connection.execute(TABLE[0]).await.unwrap();
        Self::Sqlite(connection.into())
    }

    /// With up to as many connections as the store may have.
    pub(crate) async fn postgres(server: &Server, store: &PostgresOptions) -> Self {
        let options = PgConnectOptions::new()
            .host(&store.host)
            .port(store.port)
            .username(&store.user)
            .password(server.password())
            .database(&store.database)
            .ssl_mode(PgSslMode::Disable);
        options.connect().await.unwrap().execute(TABLE[1]).await.unwrap();
        Self::Postgres { options: options.into(), connections: usize::try_from(store.connections).unwrap() }
    }

    /// How long so many commits take, with as many connections as there are workers where the database has use for more than one.
    pub(crate) async fn run(&self, workers: usize, writes: u64) -> Duration {
        match self {
            Self::Sqlite(connection) => {
                let mut connection = connection.lock().await;
                let start = Instant::now();
                for _row in 0..writes / 3 {
                    row!(connection);
                }
                start.elapsed()
            }
            Self::Postgres { options, connections } => {
                let count = workers.min(*connections);
                let mut open: Vec<PgConnection> = Vec::new();
                for _connection in 0..count {
                    open.push(options.connect().await.unwrap());
                }
                let left = AtomicI64::new(i64::try_from(writes / 3).unwrap());
                let start = Instant::now();
                join_all(open.iter_mut().map(async |connection| {
                    while left.fetch_sub(1, Ordering::Relaxed) > 0 {
                        row!(connection);
                    }
                }))
                .await;
                start.elapsed()
            }
        }
    }
}

/// A stream with a group.
pub(crate) struct Stream(Client);

impl Stream {
    pub(crate) async fn open(redis: &Redis) -> Self {
        let address = format!("redis://{}", redis.address());
        let info = url::Url::from_str(&address).unwrap().into_connection_info().unwrap();
        let settings = info.redis_settings().clone().set_password(redis.password());
        Self(Client::open(info.set_redis_settings(settings)).unwrap())
    }

    /// How long it takes to add, read and acknowledge so many entries, each by itself, with a connection for each worker.
    pub(crate) async fn run(&self, workers: usize, entries: u64) -> Duration {
        let mut links = Vec::new();
        for _worker in 0..workers {
            links.push(self.0.get_multiplexed_async_connection().await.unwrap());
        }
        let _: Value = ask(&mut links[0], cmd("DEL").arg("raw")).await;
        let _: Value = ask(&mut links[0], cmd("XGROUP").arg(&["CREATE", "raw", "dvn", "0", "MKSTREAM"])).await;
        let left = AtomicI64::new(i64::try_from(entries).unwrap());
        let start = Instant::now();
        join_all(links.iter_mut().map(async |link| {
            while left.fetch_sub(1, Ordering::Relaxed) > 0 {
                entry(link).await;
            }
        }))
        .await;
        start.elapsed()
    }
}

async fn entry(link: &mut MultiplexedConnection) {
    let body = alloy_primitives::hex::encode(key());
    let _: Value = ask(link, cmd("XADD").arg(&["raw", "*", "job"]).arg(body)).await;
    let read: StreamReadReply =
        ask(link, cmd("XREADGROUP").arg(&["GROUP", "dvn", "bench", "COUNT", "1", "STREAMS", "raw", ">"])).await;
    let id = &read.keys[0].ids[0].id;
    let _: Value = ask(link, cmd("XACK").arg(&["raw", "dvn"]).arg(id)).await;
    let _: Value = ask(link, cmd("XDEL").arg("raw").arg(id)).await;
}

async fn ask<T: redis::FromRedisValue>(link: &mut MultiplexedConnection, command: &Cmd) -> T {
    command.query_async(link).await.unwrap()
}
