//! The whole life of packets, with a quorum of keys in memory in the place of a DVN node.

use alloy_primitives::{Address, U256};
use dvn_testkit::{
    devnet::{Chain, ChainSpec, Delivery, Devnet, SentPacket, VerificationState},
    keys,
};

use crate::support::{DVN_FEE_PAID, EXECUTOR_FEE_PAID, PACKET_SENT, messages, pair, signers, start, topics};

const CONFIRMATIONS: u64 = 3;

#[tokio::test]
async fn packets_of_two_sources_are_verified_by_two_of_three_and_delivered() {
    let builder = pair().chain(ChainSpec::arbitrum()).signers(signers(3).iter().map(|key| key.address()), 2);
    let Some(devnet) = start("flow", builder).await else { return };
    let conflux = devnet.chain("conflux").unwrap();
    let one = devnet.send(devnet.chain("ethereum").unwrap(), conflux, &messages(1)).await.unwrap();
    let many = devnet.send(devnet.chain("arbitrum").unwrap(), conflux, &messages(5)).await.unwrap();
    let dvn = devnet.chain("ethereum").unwrap().addresses().dvn;
    assert_eq!(one.packets[0].fee_of(dvn), fee_of_one_packet());
    let packets: Vec<_> = one.packets.into_iter().chain(many.packets).collect();
    assert_eq!(packets.len(), 6);

    verify(conflux, &packets).await;
    for packet in &packets {
        assert_eq!(devnet.verification_state(packet).await.unwrap(), VerificationState::Verifiable);
        let recorded = devnet.hash_lookup(packet, conflux.addresses().dvn).await.unwrap();
        assert_eq!(recorded, Some(CONFIRMATIONS));
        assert!(!devnet.committed(packet).await.unwrap());
        assert_eq!(devnet.deliver(packet).await.unwrap(), Delivery::Delivered);
        assert!(devnet.committed(packet).await.unwrap() && devnet.delivered(packet).await.unwrap());
        // The record goes with the commit, and a second delivery has nothing to do.
        assert_eq!(devnet.hash_lookup(packet, conflux.addresses().dvn).await.unwrap(), None);
        assert_eq!(devnet.deliver(packet).await.unwrap(), Delivery::Delivered);
    }
    assert_eq!(conflux.delivered_count().await.unwrap(), 6);
    assert_eq!(conflux.execute_transactions().await.unwrap().len(), 1);
    let verified = conflux.payload_verified_logs().await.unwrap();
    let verified: Vec<_> = verified.iter().map(|log| log.payload_hash).collect();
    assert_eq!(verified, packets.iter().map(|packet| packet.payload_hash).collect::<Vec<_>>());
}

/// 60,000 gas and 16 for each of the 740 bytes of an `execute` with two signatures, at 1 gwei, and a fifth on top.
fn fee_of_one_packet() -> U256 {
    U256::from((60_000 + 16 * 740) * 1_000_000_000_u64 * 12 / 10)
}

/// One `execute` for all packets, after every step of the signing was compared with the contract.
async fn verify(conflux: &Chain, packets: &[SentPacket]) {
    let keys = signers(3);
    let mut signed = Vec::new();
    for packet in packets {
        let attestation = conflux.attestation(packet, CONFIRMATIONS).await.unwrap();
        let (vid, target, data) = (attestation.vid, attestation.target, attestation.call_data.clone());
        let hash = conflux.on_chain_hash(vid, target, data, attestation.expiration).await.unwrap();
        assert_eq!(hash, attestation.hash());
        let too_few = conflux.verify_signatures(hash, attestation.sign(&keys[..1])).await.unwrap();
        assert_eq!(too_few, (false, 1));
        let stranger = conflux.verify_signatures(hash, attestation.sign(&[keys[0].clone(), keys::deployer()])).await;
        assert_eq!(stranger.unwrap(), (false, 3));
        let signatures = attestation.sign(&keys[1..]);
        assert_eq!(conflux.verify_signatures(hash, signatures.clone()).await.unwrap(), (true, 0));
        signed.push((attestation, signatures));
    }
    conflux.execute(conflux.addresses().dvn, &keys::submitter(0), &signed).await.unwrap();
}

#[tokio::test]
async fn logs_come_in_the_order_of_the_protocol_and_fees_are_paid() {
    let Some(devnet) = start("order", pair()).await else { return };
    let (ethereum, conflux) = (devnet.chain("ethereum").unwrap(), devnet.chain("conflux").unwrap());
    let sent = devnet.send(ethereum, conflux, &messages(3)).await.unwrap();

    assert_eq!(topics(&sent), [EXECUTOR_FEE_PAID, DVN_FEE_PAID, PACKET_SENT].repeat(3));
    let nonces: Vec<_> = sent.packets.iter().map(|packet| packet.fields.nonce).collect();
    assert_eq!(nonces, [1, 2, 3]);
    let at = ethereum.addresses();
    for packet in &sent.packets {
        assert_eq!(packet.required_dvns, [at.dvn]);
        assert_eq!(packet.fields.sender, at.oapp.into_word());
        assert_eq!(packet.fields.receiver, conflux.addresses().oapp.into_word());
        assert!(packet.fee_of(at.dvn) > U256::ZERO);
        assert_eq!(packet.fee_of(at.other_dvn), U256::ZERO);
    }
    let paid: U256 = sent.packets.iter().map(|packet| packet.fee_of(at.dvn)).sum();
    assert_eq!(ethereum.accrued_fees(at.dvn).await.unwrap(), paid);
    assert!(ethereum.accrued_fees(at.executor).await.unwrap() > U256::ZERO);
    let left = ethereum.anvil().rpc::<U256>("eth_getBalance", (at.oapp, "latest")).await.unwrap();
    assert_eq!(left, U256::ZERO, "what was not used is given back");
}

#[tokio::test]
async fn only_an_admin_may_execute() {
    let Some(devnet) = start("admin", pair()).await else { return };
    let (ethereum, conflux) = (devnet.chain("ethereum").unwrap(), devnet.chain("conflux").unwrap());
    let sent = devnet.send(ethereum, conflux, &messages(1)).await.unwrap();
    let attestation = conflux.attestation(&sent.packets[0], 1).await.unwrap();
    let signatures = attestation.sign(&signers(1));
    let stranger = keys::submitter(1);
    let refused = conflux.execute(conflux.addresses().dvn, &stranger, &[(attestation, signatures)]).await;
    assert!(refused.is_err());
    assert_eq!(devnet.deliver(&sent.packets[0]).await.unwrap(), Delivery::NotYet);
    assert!(!devnet.delivered(&sent.packets[0]).await.unwrap());
}

#[tokio::test]
async fn the_vid_and_every_address_belong_to_one_chain() {
    let Some(devnet) = start("addresses", pair()).await else { return };
    let roles = |devnet: &Devnet, name: &str| -> Vec<Address> {
        let at = devnet.chain(name).unwrap().addresses().clone();
        vec![at.endpoint, at.send_lib, at.receive_lib, at.dvn, at.other_dvn, at.oapp, at.executor]
    };
    let (ethereum, conflux) = (roles(&devnet, "ethereum"), roles(&devnet, "conflux"));
    assert!(ethereum.iter().zip(&conflux).all(|(one, other)| one != other), "no role has one address on both");
    assert_eq!(ethereum[2], conflux[1], "one address has two roles, as on the live chains");
    assert_eq!((devnet.chains()[0].vid(), devnet.chains()[1].vid()), (101, 212));
    assert!(devnet.chain("polygon").is_err());
}

#[tokio::test]
async fn sends_at_the_same_time_do_not_race_for_a_nonce() {
    let Some(devnet) = start("race", pair()).await else { return };
    let (ethereum, conflux) = (devnet.chain("ethereum").unwrap(), devnet.chain("conflux").unwrap());
    let one = messages(1);
    let sends = (0..10).map(|_| devnet.send(ethereum, conflux, &one));
    let sent = futures::future::try_join_all(sends).await.unwrap();
    let mut nonces: Vec<_> = sent.iter().map(|sent| sent.packets[0].fields.nonce).collect();
    nonces.sort_unstable();
    assert_eq!(nonces, (1..=10).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_hundred_packets_fit_one_transaction() {
    let Some(devnet) = start("hundred", pair()).await else { return };
    let (ethereum, conflux) = (devnet.chain("ethereum").unwrap(), devnet.chain("conflux").unwrap());
    let sent = devnet.send(ethereum, conflux, &messages(100)).await.unwrap();
    assert_eq!(sent.packets.len(), 100);
}

/// Tests that share a network each have a runtime of their own.
#[test]
fn a_network_outlives_the_runtime_that_started_it() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let Some(devnet) = runtime().block_on(start("runtimes", pair())) else { return };
    let (ethereum, conflux) = (devnet.chain("ethereum").unwrap(), devnet.chain("conflux").unwrap());
    for nonce in [1, 2] {
        let sent = runtime().block_on(devnet.send(ethereum, conflux, &messages(1))).unwrap();
        assert_eq!(sent.packets[0].fields.nonce, nonce);
    }
}
