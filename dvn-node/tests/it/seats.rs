//! Three seats of one chain, of which one is dead.

use crate::setup::{Net, Node, TEMPTATION};

/// A node whose source has this threshold of three seats. Both living seats lead to the same local node; port 9 of the
/// third is nobody's.
fn node_with(net: &Net, threshold: usize) -> Node {
    let mut node = Node::of(net);
    let url = net.chain("ethereum").url().as_str().trim_end_matches('/').to_owned();
    let other = url.replace("127.0.0.1", "localhost");
    let seats = format!("[ {{ url: \"{url}\" }}, {{ url: \"{other}\" }}, {{ url: \"http://127.0.0.1:9\" }} ]");
    let short = node.text.lines().find(|line| line.contains(&url)).unwrap().trim().to_owned();
    node.text = node.text.replacen(&short, &format!("rpc: {{ threshold: {threshold}, seats: {seats} }}"), 1);
    node
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_seat_is_a_missing_vote_and_no_more() {
    let Some(net) = Net::pair("a dead seat").await else { return };
    let node = node_with(&net, 2);
    let process = node.start().await;
    let packets = net.send("ethereum", 3).await;
    net.until_exactly(&packets).await;
    assert!(process.stop().await.unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn t03_the_threshold_never_shrinks_to_the_seats_that_are_left() {
    let Some(net) = Net::pair("too few seats").await else { return };
    let node = node_with(&net, 3);
    let mut process = node.spawn().await;
    process.until_event(crate::setup::PATIENCE, |event| event.text("message") == "running").await.unwrap();
    net.send("ethereum", 3).await;
    tokio::time::sleep(TEMPTATION).await;
    net.assert_exactly(&[]).await;
    let (code, body) = process.fetch("ready").await.unwrap();
    assert_eq!(code, 503, "{body}");
    assert!(body.contains("ethereum"), "{body}");
    assert!(!node.log().contains("\"message\":\"signed\""));
    assert!(process.stop().await.unwrap().success());
}
