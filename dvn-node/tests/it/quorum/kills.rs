//! Three nodes of which one is always just killed or coming back. `cargo xtask soak --nodes 3` does it for longer, and judges how
//! many packets are executed exactly once; here none may be lost.

use std::time::Duration;

use dvn_testkit::node::NodeProcess;

use super::{NODES, Trio};
use crate::setup::PATIENCE;

const ROUNDS: usize = 8;
const TOGETHER: usize = 5;

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_while_one_of_three_is_killed_again_and_again() {
    let Some(trio) = Trio::set("kills of three").await else { return };
    let mut processes: Vec<Option<NodeProcess>> = trio.start().await.into_iter().map(Some).collect();
    let mut sent = Vec::new();
    for round in 0..ROUNDS {
        sent.extend(trio.net.send("ethereum", TOGETHER).await);
        let victim = round % NODES;
        // Another step of the packets is hit each time.
        tokio::time::sleep(Duration::from_millis(u64::try_from(round * 211 % 900).unwrap())).await;
        processes[victim].take().unwrap().kill().await.unwrap();
        tokio::time::sleep(Duration::from_millis(700)).await;
        processes[victim] = Some(trio.nodes[victim].spawn().await);
        processes[victim].as_mut().unwrap().until_ready(PATIENCE).await.unwrap();
    }
    let all = async {
        loop {
            let verified = trio.net.verified().await;
            if sent.iter().all(|packet| verified.contains_key(packet.header.as_ref())) {
                return verified;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let verified = tokio::time::timeout(PATIENCE, all).await.expect("packets are lost");
    let once = sent.iter().filter(|packet| verified[packet.header.as_ref()] == 1).count();
    println!("{} packets, {ROUNDS} kills: {once} executed once", sent.len());
    assert_eq!(verified.len(), sent.len(), "nothing but what was sent");
    for process in processes.into_iter().flatten() {
        assert!(process.stop().await.unwrap().success());
    }
}
