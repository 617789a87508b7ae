use dvn_testkit::{
    anvil::AnvilOptions,
    devnet::{ChainSpec, SentPackets},
};

use crate::setup::{Net, Node, PATIENCE, TEMPTATION};

/// A source whose blocks are final only so many blocks later, so that there is time for a reorg.
async fn slow_to_finalize(test: &str, blocks: u64) -> Option<Net> {
    let mut anvil = AnvilOptions::new(1);
    anvil.slots_in_an_epoch = blocks / 2;
    let ethereum = ChainSpec::ethereum().with_confirmations(2).with_anvil(anvil);
    Net::start(test, vec![ethereum, ChainSpec::conflux()]).await
}

/// Sends two packets and waits until the node waits for their finality, with mining stopped.
async fn send_and_stop(net: &Net, process: &mut dvn_testkit::node::NodeProcess) -> SentPackets {
    let (ethereum, conflux) = (net.chain("ethereum"), net.chain("conflux"));
    let sent = net.devnet.send(ethereum, conflux, &[b"a".to_vec(), b"b".to_vec()]).await.unwrap();
    for _ in &sent.packets {
        process.until_event(PATIENCE, |event| event.is_move_to("waiting")).await.unwrap();
    }
    net.pause();
    sent
}

/// How many blocks stand on the sent packets' block, that one included.
async fn depth(net: &Net, sent: &SentPackets) -> u64 {
    net.chain("ethereum").rpc().block_number().await.unwrap() - sent.block_number + 1
}

/// T17: Polygon's reorg of 2023 was 157 blocks deep. Confirmations alone would have been long since enough.
#[tokio::test(flavor = "multi_thread")]
async fn t17_a_packet_under_two_hundred_blocks_is_not_signed_before_it_is_final() {
    let Some(mut net) = slow_to_finalize("a deep reorg", 256).await else { return };
    let node = Node::of(&net);
    let mut process = node.start().await;
    let sent = send_and_stop(&net, &mut process).await;
    let anvil = net.chain("ethereum").anvil();
    anvil.mine(190).await.unwrap();
    tokio::time::sleep(TEMPTATION).await;
    net.assert_exactly(&[]).await;
    anvil.reorg(depth(&net, &sent).await, &[]).await.unwrap();
    anvil.mine(300).await.unwrap();
    for _ in &sent.packets {
        process.until_event(PATIENCE, |event| event.is_move_to("orphaned")).await.unwrap();
    }
    let found_again = net.send("ethereum", 2).await;
    net.resume();
    anvil_mines(&net, 300).await;
    net.until_exactly(&found_again).await;
    assert!(process.stop().await.unwrap().success());
}

async fn anvil_mines(net: &Net, blocks: u64) {
    net.chain("ethereum").anvil().mine(blocks).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_packet_that_a_reorg_removes_is_never_signed() {
    let Some(mut net) = slow_to_finalize("a removing reorg", 20).await else { return };
    let node = Node::of(&net);
    let mut process = node.start().await;
    let sent = send_and_stop(&net, &mut process).await;
    let ethereum = net.chain("ethereum");
    ethereum.anvil().reorg(depth(&net, &sent).await, &[]).await.unwrap();
    ethereum.anvil().mine(40).await.unwrap();
    for _ in &sent.packets {
        process.until_event(PATIENCE, |event| event.is_move_to("orphaned")).await.unwrap();
    }
    net.resume();
    tokio::time::sleep(TEMPTATION).await;
    net.assert_exactly(&[]).await;
    assert!(!node.log().contains("\"message\":\"signed\""));
    assert!(process.stop().await.unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_packet_that_a_reorg_moves_is_attested_once() {
    let Some(mut net) = slow_to_finalize("a moving reorg", 20).await else { return };
    let node = Node::of(&net);
    let mut process = node.start().await;
    let sent = send_and_stop(&net, &mut process).await;
    let ethereum = net.chain("ethereum");
    let raw = ethereum.anvil().raw_transaction(sent.transaction).await.unwrap();
    // A depth of n replaces n blocks; the transaction comes back one block later than it was, where there is room.
    ethereum.anvil().mine(1).await.unwrap();
    ethereum.anvil().reorg(depth(&net, &sent).await, &[(raw, 1)]).await.unwrap();
    let moved = ethereum.rpc().receipt(sent.transaction).await.unwrap().expect("the transaction is in the new chain");
    assert_ne!(moved.block_hash, sent.block_hash);
    net.resume();
    net.until_exactly(&sent.packets).await;
    tokio::time::sleep(TEMPTATION).await;
    net.assert_exactly(&sent.packets).await;
    assert!(process.stop().await.unwrap().success());
}
