//! Redis servers through a test's troubles.

use std::{thread, time::Duration};

use dvn_testkit::redis::{Cluster, Redis, Reply, Sentinel};

fn text(text: &str) -> Reply {
    Reply::Text(text.to_owned())
}

#[test]
fn what_was_written_survives_only_where_it_is_persistent() {
    if !Redis::is_there("a Redis that is killed") {
        return;
    }
    for (builder, kept) in [(Redis::builder(), Reply::Nil), (Redis::builder().persistent(), text("kept"))] {
        let server = builder.start().unwrap();
        assert_eq!(server.command(&["SET", "key", "kept"]).unwrap(), text("OK"));
        let address = server.address();
        server.kill().unwrap();
        assert!(server.command(&["PING"]).is_err());
        server.start_again().unwrap();
        assert_eq!(server.address(), address);
        assert_eq!(server.command(&["GET", "key"]).unwrap(), kept);
        server.flush_all().unwrap();
        assert_eq!(server.command(&["GET", "key"]).unwrap(), Reply::Nil);
    }
}

#[test]
fn a_frozen_server_answers_later() {
    let Some(server) = Redis::for_test("a frozen Redis") else {
        return;
    };
    server.pause().unwrap();
    thread::scope(|scope| {
        let asked = scope.spawn(|| server.command(&["PING"]));
        thread::sleep(Duration::from_millis(300));
        assert!(!asked.is_finished());
        server.resume().unwrap();
        assert_eq!(asked.join().unwrap().unwrap(), text("PONG"));
    });
    assert!(!format!("{server:?}").contains(server.password()));
}

#[test]
fn a_replica_takes_over() {
    if !Redis::is_there("Redis with a Sentinel") {
        return;
    }
    let sentinel = Sentinel::start().unwrap();
    let [first, second] = sentinel.servers();
    assert_eq!(first.command(&["ROLE"]).unwrap().list()[0], text("master"));
    assert_eq!(second.command(&["ROLE"]).unwrap().list()[0], text("slave"));
    first.kill().unwrap();
    sentinel.until_taken_over().unwrap();
    assert_eq!(second.command(&["SET", "key", "value"]).unwrap(), text("OK"));
}

#[test]
fn a_cluster_divides_the_slots() {
    if !Redis::is_there("a cluster of Redis") {
        return;
    }
    let cluster = Cluster::start().unwrap();
    let taken = cluster.servers().iter().map(|server| server.command(&["SET", "key", "value"]).unwrap());
    let (served, moved) = taken.partition::<Vec<_>, _>(|reply| *reply == text("OK"));
    assert_eq!((served.len(), moved.len()), (1, 2));
}
