//! What may stand behind an address: a server with a password, with TLS, Sentinels, a cluster.

use std::time::Duration;

use dvn_core::{
    ports::JobQueue,
    testing::queue_suite::{due, sweep_until_all_done, take},
};
use dvn_store::{RedisKind, RedisOptions, RedisQueue, RedisTls};
use dvn_testkit::redis::{Cluster, Redis, Sentinel};

use super::{connected, options, until};

/// Some work goes through.
async fn works(queue: &RedisQueue) {
    let jobs = (0..20).map(due).collect::<Vec<_>>();
    sweep_until_all_done(queue, &jobs).await;
    assert!(queue.is_up());
}

/// Long enough for several attempts to connect.
async fn stays_down(queue: &RedisQueue) {
    for _look in 0..30 {
        assert!(!queue.is_up());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    queue.push(due(1)).await.unwrap();
    assert_eq!(take(queue).await.id, due(1).id, "and works alone");
}

#[tokio::test]
async fn the_password_decides() {
    let Some(server) = Redis::for_test("the queue's password") else {
        return;
    };
    works(&connected(options(&server, "right", "one")).await).await;
    for password in [None, Some("wrong".into())] {
        let mut options = options(&server, "wrong", "one");
        options.password = password;
        stays_down(&RedisQueue::start(options).unwrap()).await;
    }
    // A user of its own, with no more rights than it needs, in another database.
    let user = [
        "ACL",
        "SETUSER",
        "worker",
        "on",
        ">worker's",
        "~{own}:*",
        "-@all",
        "+select",
        "+xadd",
        "+xreadgroup",
        "+xack",
        "+xdel",
        "+xautoclaim",
        "+xgroup|create",
        "+xgroup|delconsumer",
        "+xinfo|consumers",
    ];
    server.command(&user).unwrap().ok().unwrap();
    let mut options = options(&server, "own", "one");
    (options.user, options.password, options.db) = (Some("worker".to_owned()), Some("worker's".into()), 3);
    let queue = connected(options).await;
    assert!(!format!("{queue:?}").contains("worker's"));
    works(&queue).await;
}

#[tokio::test]
async fn the_certificate_decides() {
    if !Redis::is_there("the queue's certificate") {
        return;
    }
    let [server, other] = [(); 2].map(|()| Redis::builder().tls().start().unwrap());
    let with = |ca: &std::path::Path| {
        let mut options = options(&server, "tls", "one");
        options.addresses = vec![server.tls_address().unwrap().to_string()];
        options.tls = Some(RedisTls { ca: Some(ca.to_owned()) });
        options
    };
    works(&connected(with(server.ca().unwrap())).await).await;
    stays_down(&RedisQueue::start(with(other.ca().unwrap())).unwrap()).await;
    let mut plain = with(server.ca().unwrap());
    plain.tls = None;
    stays_down(&RedisQueue::start(plain).unwrap()).await;
}

#[tokio::test]
async fn sentinels_lead_to_the_server_in_charge() {
    if !Redis::is_there("the queue with Sentinels") {
        return;
    }
    let sentinel = tokio::task::spawn_blocking(|| Sentinel::start().unwrap()).await.unwrap();
    let mut options = RedisOptions::new(sentinel.address().to_string(), "one");
    options.password = Some(sentinel.password().into());
    options.kind =
        RedisKind::Sentinel { master: Sentinel::NAME.to_owned(), password: Some(sentinel.password().into()) };
    options.visibility = Duration::from_secs(2);
    let queue = connected(options).await;
    works(&queue).await;
    sentinel.servers()[0].kill().unwrap();
    let sentinel = tokio::task::spawn_blocking(move || {
        sentinel.until_taken_over().unwrap();
        sentinel
    });
    let sentinel = sentinel.await.unwrap();
    until("up again", || queue.is_up()).await;
    let jobs = (0..20).map(due).collect::<Vec<_>>();
    sweep_until_all_done(&queue, &jobs).await;
    until("up", || queue.is_up()).await;
    drop(sentinel);
}

#[tokio::test]
async fn a_cluster_keeps_the_streams_together() {
    if !Redis::is_there("the queue in a cluster") {
        return;
    }
    let cluster = tokio::task::spawn_blocking(|| Cluster::start().unwrap()).await.unwrap();
    let mut options = RedisOptions::new("unused", "one");
    options.addresses = cluster.addresses().iter().map(ToString::to_string).collect();
    options.password = Some(cluster.password().into());
    options.kind = RedisKind::Cluster;
    options.visibility = Duration::from_secs(2);
    let queue = connected(options).await;
    works(&queue).await;
    // One of the servers is lost and comes back without its slots' data.
    for server in cluster.servers() {
        let _ = server.flush_all();
    }
    let jobs = (0..20).map(due).collect::<Vec<_>>();
    sweep_until_all_done(&queue, &jobs).await;
}
