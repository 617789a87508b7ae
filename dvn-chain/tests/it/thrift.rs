//! How many calls a look takes.

use std::sync::Arc;

use dvn_chain::{ChainClass, SourceConfig, proof::HISTORY_CONTRACT};
use dvn_core::ports::Verification;
use dvn_testkit::proxy::{Exchange, FaultProxy};
use futures::future::join_all;
use serde_json::{Value, json};

use crate::proxied::{FINAL, Looker, Net, PATIENT};

fn is_about(exchange: &Exchange, account: impl serde::Serialize) -> bool {
    exchange.params[0] == json!(account)
}

/// Looks at a packet this far below the newest block, and returns how many proofs of the history contract and how many
/// headers by hash that took.
async fn link(blocks: u64) -> Option<(usize, usize)> {
    let net = Net::start(4).await?;
    let sent = net.send(1).await;
    net.mine(blocks).await;
    let looker = net.looker(ChainClass::Ethereum, 3);
    let seen = looker.found(&net.location(&sent, &sent.packets[0])).await;
    assert_eq!(seen.claim.payload_hash.0, sent.packets[0].payload_hash);
    let proofs = net.asked("eth_getProof").into_iter().filter(|it| is_about(it, HISTORY_CONTRACT)).count();
    Some((proofs, net.asked("eth_getBlockByHash").len()))
}

#[tokio::test]
async fn an_old_block_is_linked_by_the_history_contract() {
    let Some((proofs, headers)) = link(300).await else { return };
    assert!(proofs > 0 && headers < 40, "{proofs} proofs, {headers} headers");
}

#[tokio::test]
async fn a_short_distance_is_walked_by_parents() {
    let Some((proofs, headers)) = link(12).await else { return };
    assert_eq!(proofs, 0);
    assert!((1..=16).contains(&headers), "{headers} headers");
}

/// Twenty packets of one block and one head: what it takes to look at one is all that it takes.
#[tokio::test]
async fn views_of_many_packets_are_one_call() {
    let Some(net) = Net::start(4).await else { return };
    let sent = net.send(20).await;
    net.mine(FINAL).await;
    // One head for all of them.
    let config = SourceConfig { block_time: std::time::Duration::from_secs(3_600), ..net.config(ChainClass::Ethereum) };
    let looker = Looker::new(Arc::new(net.panel(3, PATIENT)), config);
    let locations: Vec<_> = sent.packets.iter().map(|packet| net.location(&sent, packet)).collect();
    let looks = join_all(locations.iter().map(|location| looker.verify(location))).await;
    for (look, packet) in looks.into_iter().zip(&sent.packets) {
        let Verification::Found(seen) = look.unwrap() else { panic!("a packet was not found") };
        assert_eq!((seen.claim.payload_hash.0, seen.assigned), (packet.payload_hash, true));
    }
    for proxy in &net.proxies {
        let calls = calls(proxy, "eth_call");
        assert_eq!(calls.len(), 1);
        assert_eq!(calls[0].params[0].get("to"), None::<&Value>, "a bundle of calls, to no contract");
    }
    assert_eq!(net.asked("eth_getBlockReceipts").len(), 1);
    let proofs = net.asked("eth_getProof");
    assert_eq!(proofs.len(), 1);
    assert!(is_about(&proofs[0], net.source().addresses().endpoint));
}

fn calls(proxy: &FaultProxy, method: &str) -> Vec<Exchange> {
    proxy.traffic().into_iter().filter(|exchange| exchange.method == method).collect()
}
