//! Nodes that mine as told, forget blocks, freeze and die.

use std::time::Duration;

use dvn_testkit::{
    anvil::{Anvil, AnvilOptions},
    devnet::{Chain, Mining, SendRequest, SentPackets},
    toolchain::Toolchain,
};

use crate::support::{messages, pair, start};

async fn node(test: &str) -> Option<Anvil> {
    let toolchain = Toolchain::for_test(test)?;
    Some(Anvil::spawn(&toolchain.anvil().unwrap(), &AnvilOptions::new(31337)).await.unwrap())
}

async fn height(anvil: &Anvil) -> u64 {
    anvil.rpc_client().block_number().await.unwrap()
}

async fn finalized(anvil: &Anvil) -> String {
    let block: serde_json::Value = anvil.rpc("eth_getBlockByNumber", ("finalized", false)).await.unwrap();
    block["number"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_node_mines_and_goes_back() {
    let Some(anvil) = node("mining").await else { return };
    anvil.mine(10).await.unwrap();
    assert_eq!((height(&anvil).await, finalized(&anvil).await.as_str()), (10, "0x8"));
    anvil.rollback(4).await.unwrap();
    assert_eq!(height(&anvil).await, 6);
    anvil.mine(9).await.unwrap();
    anvil.reorg(2, &[]).await.unwrap();
    assert_eq!(height(&anvil).await, 15);
}

#[tokio::test]
async fn a_snapshot_is_restored() {
    let Some(anvil) = node("snapshot").await else { return };
    let snapshot = anvil.snapshot().await.unwrap();
    anvil.mine(3).await.unwrap();
    assert!(anvil.revert(snapshot).await.unwrap());
    assert_eq!(height(&anvil).await, 0);
}

#[tokio::test]
async fn a_dead_node_answers_no_more() {
    let Some(anvil) = node("death").await else { return };
    anvil.stop().unwrap();
    assert!(anvil.rpc_client().block_number().await.is_err());
}

#[cfg(unix)]
#[tokio::test]
async fn a_frozen_node_answers_when_it_thaws() {
    let Some(anvil) = node("freeze").await else { return };
    anvil.pause().unwrap();
    let asked = tokio::spawn({
        let rpc = anvil.rpc_client().clone();
        async move { rpc.block_number().await }
    });
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!asked.is_finished());
    anvil.resume().unwrap();
    assert_eq!(asked.await.unwrap().unwrap(), 0);
}

#[tokio::test]
async fn a_reorganisation_takes_a_packet_away_and_can_bring_it_back() {
    let Some(devnet) = start("reorg", pair()).await else { return };
    let (source, destination) = (devnet.chain("ethereum").unwrap(), devnet.chain("conflux").unwrap());
    let sent = devnet.send(source, destination, &messages(1)).await.unwrap();
    let raw = source.anvil().raw_transaction(sent.transaction).await.unwrap();
    source.anvil().reorg(1, &[]).await.unwrap();
    assert!(source.rpc().receipt(sent.transaction).await.unwrap().is_none());

    source.anvil().reorg(1, &[(raw, 0)]).await.unwrap();
    let again = again(source, &sent).await;
    assert_ne!(again.block_hash, sent.block_hash);
    assert_eq!(again.packets[0].encoded, sent.packets[0].encoded);
}

async fn again(source: &Chain, sent: &SentPackets) -> SentPackets {
    let receipt = source.rpc().wait_for_receipt(sent.transaction).await.unwrap();
    SentPackets::from_receipt(source, receipt).unwrap()
}

#[tokio::test]
async fn blocks_come_when_they_are_asked_for() {
    let Some(devnet) = start("manual", pair().mining(Mining::Manual)).await else { return };
    let (source, destination) = (devnet.chain("ethereum").unwrap(), devnet.chain("conflux").unwrap());
    let first = SendRequest::new(source, destination, &messages(1)).submit().await.unwrap();
    let second = SendRequest::new(source, destination, &messages(2)).submit().await.unwrap();
    assert!(source.rpc().receipt(first).await.unwrap().is_none());
    source.anvil().mine(1).await.unwrap();
    let blocks =
        (source.rpc().wait_for_receipt(first).await.unwrap(), source.rpc().wait_for_receipt(second).await.unwrap());
    assert_eq!(blocks.0.block_number, blocks.1.block_number);
}

#[tokio::test]
async fn blocks_come_by_themselves() {
    let interval = Mining::Interval(Duration::from_secs(1));
    let Some(devnet) = start("interval", pair().mining(interval)).await else { return };
    let (source, destination) = (devnet.chain("ethereum").unwrap(), devnet.chain("conflux").unwrap());
    let before = height(source.anvil()).await;
    let sent = devnet.send(source, destination, &messages(1)).await.unwrap();
    assert!(sent.block_number > before);
}
