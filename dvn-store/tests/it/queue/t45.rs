//! T45: a queue that forgets, dies, repeats, reorders and brings back old entries costs time and nothing else.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use dvn_core::{
    ports::{Due, JobQueue},
    testing::queue_suite::{due, sweep_until_all_done, take},
};
use dvn_store::RedisQueue;
use dvn_testkit::{cut::Cut, redis::Redis};
use tokio::time::timeout;

use super::{PATIENCE, connected, length, options, pending, until};

fn jobs(count: u64) -> Vec<Due> {
    (0..count).map(due).collect()
}

async fn push_all(queue: &RedisQueue, jobs: &[Due]) {
    for due in jobs {
        queue.push(*due).await.unwrap();
    }
}

/// Seen before the next sweep, a lost stream is filled by it: long before an entry counts as swallowed.
#[tokio::test]
async fn t45_what_a_flush_forgot_is_handed_out_after_the_next_sweep() {
    let Some(server) = Redis::for_test("a flushed queue") else {
        return;
    };
    let mut options = options(&server, "flush", "one");
    options.visibility = Duration::from_secs(3_600);
    let queue = connected(options).await;
    let jobs = jobs(50);
    for _flush in 0..3 {
        push_all(&queue, &jobs).await;
        until("sent", || length(&server, "flush", "verify") == 50).await;
        server.flush_all().unwrap();
        sweep_until_all_done(&queue, &jobs).await;
        until("acknowledged", || pending(&server, "flush", "verify") == 0).await;
    }
    assert!(queue.is_up());
}

#[tokio::test]
async fn t45_a_killed_redis_is_worked_without_and_used_again() {
    let Some(server) = Redis::for_test("a killed queue") else {
        return;
    };
    let queue = connected(options(&server, "kill", "one")).await;
    let jobs = jobs(50);
    push_all(&queue, &jobs).await;
    server.kill().unwrap();
    sweep_until_all_done(&queue, &jobs).await;
    until("down", || !queue.is_up()).await;
    sweep_until_all_done(&queue, &jobs).await;
    server.start_again().unwrap();
    until("up", || queue.is_up()).await;
    sweep_until_all_done(&queue, &jobs).await;
}

/// Nobody who pushes, pops or acknowledges waits for a Redis that is frozen or behind a dead network.
#[tokio::test]
async fn t45_workers_never_wait_for_a_silent_redis() {
    let Some(server) = Redis::for_test("a silent queue") else {
        return;
    };
    let network = Cut::start(server.address()).await.unwrap();
    let mut options = options(&server, "silent", "one");
    options.addresses = vec![network.address().to_string()];
    options.timeout = Duration::from_millis(500);
    let queue = connected(options).await;
    let jobs = jobs(20);
    network.silence().await;
    let started = Instant::now();
    for due in &jobs {
        timeout(Duration::from_secs(1), queue.push(*due)).await.unwrap().unwrap();
    }
    sweep_until_all_done(&queue, &jobs).await;
    assert!(started.elapsed() < PATIENCE);
    until("down", || !queue.is_up()).await;
    network.heal().await;
    until("up", || queue.is_up()).await;
    network.cut().await;
    until("down", || !queue.is_up()).await;
    sweep_until_all_done(&queue, &jobs).await;
    network.heal().await;
    until("up", || queue.is_up()).await;
    sweep_until_all_done(&queue, &jobs).await;
}

#[tokio::test]
async fn t45_repeated_reordered_and_replayed_entries_lose_nothing() {
    let Some(server) = Redis::for_test("a queue that repeats itself") else {
        return;
    };
    let queue = connected(options(&server, "replay", "one")).await;
    let jobs = jobs(20);
    // Old entries of every job, ten times each and in the wrong order.
    for _repeat in 0..10 {
        for due in jobs.iter().rev() {
            add(&server, "replay", "verify", due);
            add(&server, "replay", "watch", due);
        }
    }
    sweep_until_all_done(&queue, &jobs).await;
    // The group is moved back to the start, so that Redis hands out all that it still has once more.
    for due in &jobs {
        add(&server, "replay", "verify", due);
    }
    server.command(&["XGROUP", "SETID", "{replay}:verify", "dvn", "0"]).unwrap().ok().unwrap();
    sweep_until_all_done(&queue, &jobs).await;
    // All of it is worked off in the end, and nothing piles up.
    while length(&server, "replay", "verify") + length(&server, "replay", "watch") > 0 {
        if let Ok(popped) = timeout(Duration::from_millis(100), queue.pop()).await {
            queue.ack(popped.unwrap()).await.unwrap();
        }
    }
}

/// Entries that a worker took along into its death come to another one.
#[tokio::test]
async fn t45_the_work_of_a_dead_process_comes_to_another() {
    let Some(server) = Redis::for_test("a worker that dies") else {
        return;
    };
    let dead = connected(options(&server, "dead", "dead")).await;
    let jobs = jobs(5);
    push_all(&dead, &jobs).await;
    for _taken in &jobs {
        timeout(PATIENCE, dead.pop()).await.unwrap().unwrap();
    }
    assert_eq!(pending(&server, "dead", "verify"), 5);
    drop(dead);
    // Nobody sweeps here: the entries come by themselves.
    let other = connected(options(&server, "dead", "other")).await;
    let mut ids = Vec::new();
    for _taken in &jobs {
        ids.push(take(&other).await.id);
    }
    ids.sort();
    assert_eq!(ids, jobs.iter().map(|due| due.id).collect::<Vec<_>>());
    until("acknowledged", || length(&server, "dead", "verify") == 0).await;
}

/// Two processes on one queue: each job goes to one of them.
#[tokio::test]
async fn t45_two_processes_share_the_work() {
    let Some(server) = Redis::for_test("two processes") else {
        return;
    };
    let mut long = options(&server, "two", "one");
    long.visibility = Duration::from_secs(3_600);
    let one = Arc::new(connected(long.clone()).await);
    long.instance = "two".to_owned();
    let two = Arc::new(connected(long).await);
    let jobs = jobs(100);
    push_all(&one, &jobs).await;
    let mut ids = Vec::new();
    while ids.len() < jobs.len() {
        for queue in [&one, &two] {
            if let Ok(popped) = timeout(Duration::from_millis(50), queue.pop()).await {
                let entry = popped.unwrap();
                ids.push(entry.id);
                queue.ack(entry).await.unwrap();
            }
        }
    }
    ids.sort();
    assert_eq!(ids, jobs.iter().map(|due| due.id).collect::<Vec<_>>());
    until("acknowledged", || length(&server, "two", "verify") == 0).await;
}

fn add(server: &Redis, prefix: &str, stage: &str, due: &Due) {
    let id = alloy_primitives::hex::encode(due.id.0);
    server.command(&["XADD", &format!("{{{prefix}}}:{stage}"), "*", "job", &id]).unwrap().ok().unwrap();
}
