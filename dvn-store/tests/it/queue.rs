//! Queues: the one in the process and the one in Redis pass the same suite, and no Redis that forgets, dies, repeats or
//! lies keeps a job from being handed out.

mod kinds;
mod t45;
mod t46;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use dvn_core::{
    ports::{JobQueue, LocalQueue},
    testing::queue_suite,
};
use dvn_store::{RedisOptions, RedisQueue};
use dvn_testkit::redis::{Redis, Reply};

/// Longer than anything takes that must happen.
const PATIENCE: Duration = Duration::from_secs(60);

/// A queue on this server, with streams of its own.
fn options(server: &Redis, prefix: &str, instance: &str) -> RedisOptions {
    let mut options = RedisOptions::new(server.address().to_string(), instance);
    options.password = Some(server.password().into());
    options.prefix = prefix.to_owned();
    options.visibility = Duration::from_secs(2);
    options
}

/// Started and connected.
async fn connected(options: RedisOptions) -> RedisQueue {
    let queue = RedisQueue::start(options).unwrap();
    until("connected", || queue.is_up()).await;
    queue
}

async fn until(what: &str, is_so: impl Fn() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < PATIENCE, "not {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// How many entries the stream of a stage holds, handed out or not.
fn length(server: &Redis, prefix: &str, stage: &str) -> i64 {
    server.command(&["XLEN", &format!("{{{prefix}}}:{stage}")]).unwrap().number().unwrap()
}

/// How many entries are handed out and not acknowledged.
fn pending(server: &Redis, prefix: &str, stage: &str) -> i64 {
    let reply = server.command(&["XPENDING", &format!("{{{prefix}}}:{stage}"), "dvn"]).unwrap();
    reply.list().first().and_then(Reply::number).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_local_queue_passes_the_suite() {
    queue_suite::run(&async || Arc::new(LocalQueue::new(1_000)) as Arc<dyn JobQueue>).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_redis_queue_passes_the_suite() {
    let Some(server) = Redis::for_test("the queue in Redis") else {
        return;
    };
    let made = AtomicUsize::new(0);
    let make = async || {
        let prefix = format!("suite-{}", made.fetch_add(1, Ordering::SeqCst));
        Arc::new(connected(options(&server, &prefix, "one")).await) as Arc<dyn JobQueue>
    };
    queue_suite::run(&make).await;
}

/// Without Redis, from the first moment.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_redis_queue_passes_the_suite_without_redis() {
    // Nobody listens on a port that was just given back.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let make = async || {
        let mut options = RedisOptions::new(format!("127.0.0.1:{port}"), "alone");
        options.visibility = Duration::from_secs(2);
        Arc::new(RedisQueue::start(options).unwrap()) as Arc<dyn JobQueue>
    };
    queue_suite::run(&make).await;
}
