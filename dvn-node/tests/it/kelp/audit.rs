//! The lie holds and is attested: two seats that never voted on it see otherwise, before anybody acts on it.

use alloy_primitives::U256;
use dvn_testkit::{
    devnet::{SentPacket, VerificationState},
    keys,
};
use serde_json::Value;

use super::{
    attack::{Forged, Stage},
    is_halted_by,
};
use crate::setup::{PATIENCE, TEMPTATION};

impl Stage {
    /// The forged packet as if somebody had sent it.
    fn packet(genuine: &[SentPacket], forged: &Forged) -> SentPacket {
        let mut packet = genuine.last().unwrap().clone();
        let fields = &forged.fields;
        (packet.guid, packet.header, packet.payload_hash) = (fields.guid(), fields.header(), fields.payload_hash());
        packet.fields = fields.clone();
        packet
    }

    /// Blocks in which our DVN verified this packet, with the confirmations that were stated.
    async fn records(&self, packet: &SentPacket) -> Vec<(u64, u64)> {
        let logs = self.net.chain("conflux").payload_verified_logs().await.unwrap();
        let of_packet = logs.iter().filter(|log| log.payload_hash == packet.payload_hash);
        of_packet.map(|log| (log.block_number, log.confirmations)).collect()
    }

    async fn until_taken_back(&self, packet: &SentPacket, times: usize) -> Vec<(u64, u64)> {
        let taken_back = async {
            loop {
                let records = self.records(packet).await;
                if records.iter().filter(|(_, confirmations)| *confirmations == 0).count() >= times {
                    return records;
                }
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        };
        let taken_back = tokio::time::timeout(PATIENCE, taken_back).await;
        taken_back.unwrap_or_else(|_| panic!("it stands\n{}", self.node.log()))
    }

    async fn until_state(&self, packet: &SentPacket, state: &str) {
        let reached = async {
            loop {
                let told = self.node.command(&["packet", &packet.guid.to_string(), "--json"]);
                let stories: Value = serde_json::from_slice(&told.stdout).unwrap();
                if stories.as_array().unwrap().iter().any(|story| story["jobs"][0]["state"] == state) {
                    return;
                }
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        };
        let reached = tokio::time::timeout(PATIENCE, reached).await;
        assert!(reached.is_ok(), "it never is {state}\n{}", self.node.log());
    }

    async fn record(&self, packet: &SentPacket) -> Option<u64> {
        let dvn = self.net.chain("conflux").addresses().dvn;
        self.net.devnet.hash_lookup(packet, dvn).await.unwrap()
    }
}

/// T19 and T20, with the real contracts.
#[tokio::test(flavor = "multi_thread")]
async fn t19_what_the_audit_seats_do_not_find_is_taken_back_before_it_is_committed() {
    let Some(stage) = Stage::set_audited("an auditor that sees the truth").await else { return };
    let process = stage.node.start().await;
    let genuine = stage.genuine_history().await;
    let forged = stage.poison(&genuine).await;
    let packet = Stage::packet(&genuine, &forged);
    let records = stage.until_taken_back(&packet, 1).await;
    let [(attested, 2), (taken_back, 0)] = records.as_slice() else { panic!("{records:?}") };
    println!("attested in block {attested}, taken back in block {taken_back}, a block every 100 ms");
    assert_eq!(stage.record(&packet).await, Some(0));
    assert_eq!(stage.net.devnet.verification_state(&packet).await.unwrap(), VerificationState::Verifying);
    assert!(stage.net.devnet.commit(&packet).await.is_err(), "the receive library refuses to commit");
    assert!(is_halted_by(&stage.node, "audit"), "{}", stage.node.log());
    let (_, metrics) = process.fetch("metrics").await.unwrap();
    assert!(metrics.contains("dvn_audit_failures_total{chain=\"ethereum\"} 1"), "{metrics}");
    // What was attested before stays.
    for packet in &genuine {
        assert_eq!(stage.record(packet).await, Some(2));
    }

    stage.until_state(&packet, "retracted").await;
    // T20: whoever may execute brings the attestation back while its signature is alive.
    let conflux = stage.net.chain("conflux");
    let logs = conflux.payload_verified_logs().await.unwrap();
    let first = logs.iter().find(|log| log.payload_hash == packet.payload_hash && log.confirmations == 2).unwrap();
    let mined: Value = conflux.rpc().request("eth_getTransactionByHash", (first.transaction,)).await.unwrap();
    let input = serde_json::from_value(mined["input"].clone()).unwrap();
    let replay = async |input| conflux.transact(&keys::submitter(1), conflux.addresses().dvn, U256::ZERO, input).await;
    replay(alloy_primitives::Bytes::clone(&input)).await.unwrap();
    let records = stage.until_taken_back(&packet, 2).await;
    let stated: Vec<u64> = records.iter().map(|(_, confirmations)| *confirmations).collect();
    assert_eq!(stated, [2, 0, 2, 0]);
    assert_eq!(stage.record(&packet).await, Some(0));
    let (_, metrics) = process.fetch("metrics").await.unwrap();
    assert!(metrics.contains("dvn_attestations_replayed_total 1"), "{metrics}");

    // After its expiration it has no effect.
    let _: Value = conflux.rpc().request("evm_increaseTime", (2_000,)).await.unwrap();
    conflux.anvil().mine(1).await.unwrap();
    replay(input).await.unwrap();
    tokio::time::sleep(TEMPTATION).await;
    assert_eq!((stage.records(&packet).await.len(), stage.record(&packet).await), (4, Some(0)));
    assert!(process.stop().await.unwrap().success());
    stage.node.assert_no_secrets();
}

/// T19 without audit seats: the honest seats come back after the signature, and contradict the liars about the block of the
/// forged packet. The genuine packets stand in blocks about which all agree.
#[tokio::test(flavor = "multi_thread")]
async fn t19_a_contradiction_takes_back_what_it_concerns_and_nothing_else() {
    let Some(stage) = Stage::set("a contradiction that comes late", 2).await else { return };
    let process = stage.node.start().await;
    let genuine = stage.genuine_history().await;
    stage.knock_out(super::HONEST, &dvn_testkit::proxy::Fault::Status { code: 503, retry_after: None });
    let forged = stage.poison(&genuine).await;
    stage.until_fooled(&forged).await;
    let packet = Stage::packet(&genuine, &forged);
    stage.heal(super::HONEST);
    stage.until_taken_back(&packet, 1).await;
    assert!(stage.net.devnet.commit(&packet).await.is_err(), "the receive library refuses to commit");
    tokio::time::sleep(TEMPTATION).await;
    for packet in &genuine {
        assert_eq!(stage.record(packet).await, Some(2));
    }
    assert!(super::is_halted(&stage.node));
    assert!(process.stop().await.unwrap().success());
}

/// Audit seats that see nothing wrong, or nothing at all, take nothing back, and never stand in for a vote.
#[tokio::test(flavor = "multi_thread")]
async fn audit_seats_that_are_silent_or_content_change_nothing() {
    let Some(stage) = Stage::set_audited("an auditor that is content").await else { return };
    let process = stage.node.start().await;
    let mut genuine = stage.genuine_history().await;
    stage.knock_out(super::HONEST, &dvn_testkit::proxy::Fault::Hang);
    genuine.push(stage.send(super::attack::SMALL).await);
    stage.net.until_exactly(&genuine).await;
    stage.heal(super::HONEST);
    stage.knock_out(super::LIARS, &dvn_testkit::proxy::Fault::Hang);
    let waiting = stage.send(super::attack::SMALL).await;
    tokio::time::sleep(TEMPTATION).await;
    stage.net.assert_exactly(&genuine).await;
    stage.heal(super::LIARS);
    genuine.push(waiting);
    stage.net.until_exactly(&genuine).await;
    tokio::time::sleep(TEMPTATION).await;
    stage.net.assert_exactly(&genuine).await;
    assert!(process.stop().await.unwrap().success());
}
