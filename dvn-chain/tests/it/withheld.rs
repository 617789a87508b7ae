//! Seats that leave logs out, that are behind, or that do not have receipts yet.

use std::collections::BTreeSet;

use alloy::primitives::B256;
use dvn_chain::ChainClass;
use dvn_core::{
    error::{ChainSourceErrorKind, VerifyErrorKind},
    ids::BlockNumber,
    ports::{ChainSource, Scan},
};
use dvn_testkit::proxy::{Fault, Rule};
use serde_json::json;

use crate::proxied::Net;

const DROP: Fault = Fault::DropLogs { address: None, topic: None };

fn payload_hashes(scan: &Scan) -> Vec<B256> {
    scan.assignments.iter().map(|it| it.claim.payload_hash.0).collect()
}

/// T09: what a block's hash proves cannot be left out.
#[tokio::test]
async fn t09_a_log_that_a_seat_drops_from_logs_and_receipts_is_found() {
    let Some(net) = Net::start(3).await else { return };
    let (sent, location) = net.send_final().await;
    let range = || location.block.number..=location.block.number.above(1);
    let hash = sent.packets[0].payload_hash;
    let mut detected = 0;
    let each = [vec![0], vec![1], vec![2], vec![0, 1], vec![0, 2], vec![1, 2]];
    // Who is asked first is left to chance, so that it may take more than one turn until a dropper is.
    for (turn, droppers) in each.iter().cycle().take(20 * each.len()).enumerate() {
        if turn >= each.len() && detected > 0 {
            break;
        }
        let rules: Vec<_> =
            droppers.iter().map(|seat| (*seat, net.proxies[*seat].add(Rule::new(DROP.clone())))).collect();
        let honest: Vec<_> = (0..3).filter(|seat| !droppers.contains(seat)).map(|seat| net.label(seat)).collect();
        let looker = net.looker(ChainClass::Ethereum, 2);
        looker.head().await;
        net.forget();
        let scan = looker.source.scan(range()).await.unwrap();
        assert_eq!((payload_hashes(&scan), scan.through), (vec![hash], location.block.number.above(1)));
        assert!(scan.assignments[0].agreed, "its block's hash proves it");
        assert!(net.asked("eth_getLogs").is_empty(), "found by blooms");
        let evidence = looker.evidence(&location).await;
        assert_eq!(evidence["kind"], "proof");
        let served_by = evidence["votes"]["receipts"]["served_by"].as_array().unwrap();
        assert!(served_by.iter().all(|seat| honest.contains(&seat.as_str().unwrap().to_owned())), "{evidence}");
        // By logs it is at least hinted at, which the verifier then proves.
        assert_eq!(payload_hashes(&looker.source.rescan(range()).await.unwrap()), [hash]);
        let asked = net.asked("eth_getBlockReceipts");
        detected += asked.iter().filter(|it| rules.iter().any(|(_, rule)| it.fired.contains(rule))).count();
        net.honest();
    }
    assert!(detected > 0, "some droppers were asked first, and their receipts did not prove the block");
}

/// T09 where logs are voted on: the other seats show the log, and the one that denies it stops the chain.
#[tokio::test]
async fn t09_a_log_that_one_seat_of_a_voted_chain_drops_is_found() {
    let Some(net) = Net::start(3).await else { return };
    let (sent, location) = net.send_final().await;
    for droppers in [1, 2] {
        net.fault(0..droppers, &DROP);
        let looker = net.looker(ChainClass::Generic, 2);
        let head = looker.head().await;
        let scan = looker.source.scan(BlockNumber(1)..=head.settled).await.unwrap();
        assert_eq!(payload_hashes(&scan), [sent.packets[0].payload_hash]);
        assert_eq!(scan.assignments[0].agreed, droppers == 1, "two seats' word is agreed, one seat's is a hint");
        assert_eq!(looker.failure(&location).await, VerifyErrorKind::Contradiction);
        net.honest();
    }
    assert_eq!(net.looker(ChainClass::Generic, 2).evidence(&location).await["kind"], "votes");
}

/// How far `stale_head` is behind here.
const BEHIND: u64 = 20;

/// T10: the cursor follows what the threshold has, and what came in between is found later.
#[tokio::test]
async fn t10_stale_seats_move_no_cursor_and_lose_no_packet() {
    let Some(net) = Net::start(4).await else { return };
    for class in [ChainClass::Ethereum, ChainClass::Generic] {
        net.mine(30).await;
        net.fault(0..2, &Fault::StaleHead { blocks: BEHIND });
        let looker = net.looker(class, 3);
        let mut cursor = looker.head().await.settled;
        let (mut sent, mut found) = (BTreeSet::new(), Vec::new());
        for round in 0..14 {
            if round == 10 {
                net.honest();
            }
            if round < 10 {
                sent.extend(net.send(2).await.packets.iter().map(|packet| packet.payload_hash));
            }
            net.mine(2).await;
            let newest = net.source().rpc().block_number().await.unwrap();
            let head = looker.head().await;
            let lag = if round < 10 { BEHIND } else { 0 };
            assert_eq!((head.latest.0, head.settled.0), (newest - lag, newest - lag - 2), "{class:?} {round}");
            let scan = looker.source.scan(cursor.above(1)..=head.settled).await.unwrap();
            assert!(cursor < scan.through && scan.through <= head.settled, "{class:?} {round}");
            cursor = scan.through;
            found.extend(payload_hashes(&scan));
            if lag > 0 {
                let beyond = looker.source.rescan(cursor.above(1)..=BlockNumber(newest)).await.unwrap_err();
                assert_eq!(beyond.kind(), ChainSourceErrorKind::Missing, "two of four have not got it");
            }
        }
        assert_eq!((found.len(), found.into_iter().collect()), (20, sent), "each once, {class:?}");
    }
}

#[tokio::test]
async fn t10_one_stale_seat_changes_nothing() {
    let Some(net) = Net::start(4).await else { return };
    net.mine(30).await;
    let (sent, location) = net.send_final().await;
    for class in [ChainClass::Ethereum, ChainClass::Generic] {
        let truth = net.looker(class, 3).head().await;
        net.fault(1..2, &Fault::StaleHead { blocks: BEHIND });
        let looker = net.looker(class, 3);
        assert_eq!(looker.head().await, truth);
        assert_eq!(looker.scanned(truth.settled.0 - 10, truth.settled).await, [sent.packets[0].payload_hash]);
        let voters = looker.evidence(&location).await["votes"]["state"].clone();
        assert!(!voters.as_array().unwrap().contains(&json!(net.label(1))), "{voters}");
        net.honest();
    }
}

/// T12: null is no verdict.
#[tokio::test]
async fn t12_null_receipts_five_times_then_ok() {
    let Some(net) = Net::start(4).await else { return };
    let (sent, location) = net.send_final().await;
    for class in [ChainClass::Ethereum, ChainClass::Generic] {
        for proxy in &net.proxies {
            proxy.add(Rule::new(Fault::NullReceipts).method("eth_getBlockReceipts").times(5));
        }
        let looker = net.looker(class, 3);
        for turn in 0..5 {
            assert_eq!(looker.failure(&location).await, VerifyErrorKind::Missing, "{class:?} {turn}");
        }
        assert_eq!(looker.found(&location).await.claim.payload_hash.0, sent.packets[0].payload_hash);
        net.honest();
    }
}
