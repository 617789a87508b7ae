//! SIGKILL at ten different points of a packet's way. Nothing is lost, nothing is executed twice.

use std::time::Duration;

use dvn_testkit::node::NodeEvent;

use crate::setup::{Net, Node, PATIENCE};

/// The log line that triggers a kill.
type Point = (&'static str, fn(&NodeEvent) -> bool);

fn says(event: &NodeEvent, message: &str) -> bool {
    event.text("message") == message
}

/// One point before each durable step and one after.
const POINTS: [Point; 10] = [
    ("ready", |event| says(event, "running")),
    ("observed", |event| event.is_move_to("observed")),
    ("waiting", |event| event.is_move_to("waiting")),
    ("verified, nothing signed", |event| event.is_move_to("verified")),
    ("the key was used, no signature stored", |event| says(event, "signed")),
    ("signed, nothing sent", |event| event.is_move_to("signed")),
    ("the transaction is durable, maybe not sent", |event| says(event, "transaction kept")),
    ("submitted", |event| event.is_move_to("submitted")),
    ("attested", |event| event.is_move_to("attested")),
    ("committed", |event| event.is_move_to("committed")),
];

#[tokio::test(flavor = "multi_thread")]
async fn ten_kills_lose_nothing_and_repeat_nothing() {
    let Some(net) = Net::pair("ten kills").await else { return };
    let node = Node::of(&net);
    let mut packets = Vec::new();
    for (name, is_there) in POINTS {
        let mut process = node.start().await;
        packets.extend(net.send("ethereum", 3).await);
        if name == "committed" {
            net.until_exactly(&packets).await;
            net.deliver(&packets).await;
        }
        let seen = if name == "ready" { Ok(()) } else { process.until_event(PATIENCE, is_there).await.map(drop) };
        assert!(seen.is_ok(), "the node never came to: {name}\n{}", node.log());
        process.kill().await.unwrap();
    }
    let process = node.start().await;
    net.until_exactly(&packets).await;
    // Whatever was in flight has had its second chance by now.
    tokio::time::sleep(Duration::from_secs(2)).await;
    net.assert_exactly(&packets).await;
    assert!(process.stop().await.unwrap().success());
    node.assert_no_secrets();
}
