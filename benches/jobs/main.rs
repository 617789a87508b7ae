//! Jobs per second through each store and queue, from the first sight of a packet to its second move, against what the same
//! database and the same Redis give without us in the same run.
//!
//! Every row is measured in turns with its raw rates, so that whatever else the machine does falls on all of them. The servers
//! are real ones with durable settings: a database that is not on the disk says nothing about one that is.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::arithmetic_side_effects,
    clippy::cast_precision_loss,
    reason = "a benchmark prints and stops when something is off"
)]

mod path;
mod raw;

use std::{sync::Arc, time::Duration};

use dvn_core::ports::{JobQueue, JobStore, LocalQueue};
use dvn_store::{Postgres, PostgresOptions, PostgresTls, RedisOptions, RedisQueue, Sqlite};
use dvn_testkit::{
    postgres::{Postgres as Server, USER},
    redis::Redis,
};

use self::raw::{Database, Stream};

/// Workers, and how many jobs go through at once for so many.
const LOADS: [(usize, u64); 3] = [(1, 300), (8, 1_000), (32, 2_000)];
const TURNS: u32 = 3;
/// What is on the way of every job: it is inserted and moved twice.
const WRITES: u64 = 3;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(all());
}

async fn all() {
    println!("raw database: {WRITES} commits for each job; raw Redis: XADD, XREADGROUP, XACK and XDEL for each job");
    println!("ratio: to the slower of the raw rates that are on the way; {TURNS} turns each");
    println!(
        "{:<12}{:<8}{:>8}{:>12}{:>14}{:>12}{:>8}",
        "store", "queue", "workers", "jobs/s", "raw database", "raw Redis", "ratio"
    );
    let Ok(redis) = Redis::start() else {
        println!("Redis is not installed: nothing is measured");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let sqlite = Sqlite::open(folder.path().join("store")).await.unwrap();
    let raw = Database::sqlite(&folder.path().join("raw.db")).await;
    pairs("SQLite", &sqlite.store().jobs, &raw, &redis).await;
    let Ok(server) = Server::start() else {
        println!("PostgreSQL is not installed: it is not measured");
        return;
    };
    let options = options(&server);
    let postgres = Postgres::open(&options).await.unwrap();
    let raw = Database::postgres(&server, &options).await;
    pairs("PostgreSQL", &postgres.store().jobs, &raw, &redis).await;
}

fn options(server: &Server) -> PostgresOptions {
    server.create_database("dvn").unwrap();
    let mut options = PostgresOptions::new(server.host(), "dvn", USER);
    options.port = server.port();
    options.password = Some(server.password().to_owned().into());
    options.tls = PostgresTls::Disable;
    options
}

/// Times of one load, summed over its turns.
#[derive(Default)]
struct Times {
    local: Duration,
    shared: Duration,
    database: Duration,
    stream: Duration,
}

async fn pairs(store: &str, jobs: &Arc<dyn JobStore>, raw: &Database, redis: &Redis) {
    for (workers, count) in LOADS {
        let mut times = Times::default();
        let stream = Stream::open(redis).await;
        for _turn in 0..TURNS {
            times.database += raw.run(workers, count * WRITES).await;
            times.local +=
                path::run(jobs, &(Arc::new(LocalQueue::new(10_000)) as Arc<dyn JobQueue>), workers, count).await;
            times.stream += stream.run(workers, count).await;
            times.shared += path::run(jobs, &queue(redis).await, workers, count).await;
        }
        let rate = |time: Duration| (count * u64::from(TURNS)) as f64 / time.as_secs_f64();
        let (database, stream) = (rate(times.database), rate(times.stream));
        let row = |queue: &str, jobs: f64, redis: &str, slower: f64| {
            let percent = jobs / slower * 100.0;
            println!("{store:<12}{queue:<8}{workers:>8}{jobs:>12.0}{database:>14.0}{redis:>12}{percent:>7.0}%");
        };
        row("local", rate(times.local), "-", database);
        row("Redis", rate(times.shared), &format!("{stream:.0}"), database.min(stream));
    }
}

/// A queue with streams of its own, connected.
async fn queue(redis: &Redis) -> Arc<dyn JobQueue> {
    redis.flush_all().unwrap();
    let mut options = RedisOptions::new(redis.address().to_string(), "bench");
    options.password = Some(redis.password().into());
    let queue = RedisQueue::start(options).unwrap();
    while !queue.is_up() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Arc::new(queue)
}
