//! T46: whoever writes to Redis can make the node look at a job that its store knows, and can do nothing else.

use std::time::Duration;

use dvn_core::ports::JobQueue;
use dvn_core::testing::queue_suite::{due, sweep_until_all_done, take};
use dvn_testkit::redis::Redis;

use super::{connected, length, options, until};

const KEY: &str = "{forged}:sign";

/// Whole payloads, garbage and huge fields are removed, and what stands behind them is handed out.
#[tokio::test]
async fn t46_forged_entries_are_removed_and_never_handed_out() {
    let Some(server) = Redis::for_test("forged entries") else {
        return;
    };
    let queue = connected(options(&server, "forged", "one")).await;
    let id = alloy_primitives::hex::encode(due(7).id.0);
    let huge = "f".repeat(16 * 1024 * 1024);
    let attestation =
        r#"{"vid":30212,"target":"0x00","callData":"0x0223536e","signatures":"0xffff","expiration":4102444800}"#;
    let forged: [&[&str]; 9] = [
        &["payload", attestation],
        &["job", attestation],
        &["job", &id, "attestation", attestation],
        &["job", &id, "job", &id],
        &["job", "../../etc/passwd"],
        &["job", ""],
        &["\u{1f980}", "\u{0}"],
        &["job", &huge],
        &[&huge, &id],
    ];
    for fields in forged {
        server.command(&[&["XADD", KEY, "*"], fields].concat()).unwrap().ok().unwrap();
    }
    let genuine = alloy_primitives::hex::encode(due(8).id.0);
    server.command(&["XADD", KEY, "*", "job", &genuine]).unwrap().ok().unwrap();
    assert_eq!(take(&queue).await.id, due(8).id);
    until("all removed", || length(&server, "forged", "sign") == 0).await;
    assert!(tokio::time::timeout(Duration::from_millis(300), queue.pop()).await.is_err());
    assert!(queue.is_up());
}

/// Keys of another kind, streams without a group, and a group that somebody else empties: work goes on.
#[tokio::test]
async fn t46_a_hostile_redis_stops_no_work() {
    let Some(server) = Redis::for_test("a hostile Redis") else {
        return;
    };
    let queue = connected(options(&server, "hostile", "one")).await;
    let jobs = (0..20).map(due).collect::<Vec<_>>();
    let key = "{hostile}:verify";
    server.command(&["XGROUP", "DESTROY", key, "dvn"]).unwrap().ok().unwrap();
    sweep_until_all_done(&queue, &jobs).await;
    server.command(&["DEL", key]).unwrap().ok().unwrap();
    server.command(&["SET", key, "no stream"]).unwrap().ok().unwrap();
    sweep_until_all_done(&queue, &jobs).await;
    until("down", || !queue.is_up()).await;
    sweep_until_all_done(&queue, &jobs).await;
    server.command(&["DEL", key]).unwrap().ok().unwrap();
    until("up", || queue.is_up()).await;
    sweep_until_all_done(&queue, &jobs).await;
}

/// Somebody takes every entry out of Redis before the workers see it, and says that it is done.
#[tokio::test]
async fn t46_what_a_thief_takes_is_done_from_the_store() {
    let Some(server) = Redis::for_test("a thief") else {
        return;
    };
    let queue = connected(options(&server, "thief", "one")).await;
    // The thief moves the group's place ahead of everything that will ever be written.
    for stage in ["verify", "sign", "watch"] {
        let key = format!("{{thief}}:{stage}");
        let command = ["XGROUP", "SETID", &key, "dvn", "18446744073709551615-0"];
        server.command(&command).unwrap().ok().unwrap();
    }
    let jobs = (0..20).map(due).collect::<Vec<_>>();
    sweep_until_all_done(&queue, &jobs).await;
    assert!(queue.is_up());
}
