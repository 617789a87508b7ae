//! The endpoint's own count of packets against a log that claims more, and what remains of it where nodes prune.

use alloy::primitives::{Address, B256, Bytes, U256};
use dvn_chain::{ChainClass, proof};
use dvn_core::{error::VerifyErrorKind, job::Refusal, ports::Verification};
use dvn_testkit::{
    anvil::AnvilOptions,
    devnet::{ChainSpec, PacketFields},
    proxy::{Fault, Rule},
};
use serde_json::{Value, json};

use crate::proxied::{FINAL, Net};

/// Where `outboundNonce` stands in `EndpointV2`'s storage.
const OUTBOUND_NONCE: u64 = 3;

const AHEAD: Verification = Verification::Rejected { refusal: Refusal::NonceAhead, is_settled: true };

impl Net {
    /// Lets the endpoint count so many packets on the packet's path. The real contract never counts fewer than it
    /// sent; this stands for a log that it never emitted.
    async fn count(&self, packet: &PacketFields, nonce: u64) {
        let (sender, endpoint) = (Address::from_word(packet.sender), self.source().addresses().endpoint);
        let slot = proof::outbound_nonce_slot(sender, packet.dst_eid, packet.receiver, OUTBOUND_NONCE);
        let value = B256::from(U256::from(nonce));
        let done: bool = self.source().rpc().request("anvil_setStorageAt", (endpoint, slot, value)).await.unwrap();
        assert!(done);
        self.mine(1).await;
    }

    /// What all seats answer from now on to the question that was asked last about contracts.
    async fn keep_views(&self) {
        let asked = self.asked("eth_call").last().unwrap().params[0].clone();
        let answer: Bytes = self.source().rpc().request("eth_call", (asked, "latest")).await.unwrap();
        let fault = Fault::Mutate { pointer: String::new(), value: json!(answer) };
        self.proxies.iter().for_each(|proxy| _ = proxy.add(Rule::new(fault.clone()).method("eth_call")));
    }
}

/// T51 by votes: all seats tell the count, and it is lower.
#[tokio::test]
async fn t51_a_nonce_ahead_of_the_voted_count_is_refused() {
    let Some(net) = Net::start(4).await else { return };
    for class in [ChainClass::Ethereum, ChainClass::Generic] {
        let sent = net.send(2).await;
        let [first, second] = [0, 1].map(|at| net.location(&sent, &sent.packets[at]));
        let last = sent.packets[1].fields.nonce;
        net.count(&sent.packets[1].fields, last - 1).await;
        let looker = net.looker(class, 3);
        // The count may be of another branch than the log until the log is final.
        assert_eq!(looker.failure(&second).await, VerifyErrorKind::Missing, "{class:?}");
        net.mine(FINAL).await;
        assert_eq!(looker.verify(&second).await.unwrap(), AHEAD, "{class:?}");
        assert_eq!(looker.evidence(&first).await["outbound_nonce"], json!(last - 1), "the one before is not ahead");
        net.count(&sent.packets[1].fields, last).await;
        net.mine(FINAL).await;
        assert_eq!(looker.evidence(&second).await["outbound_nonce"], json!(last));
    }
}

/// T51 by proof: all seats lie about the getter, and the storage under a final block's state root denies them.
#[tokio::test]
async fn t51_a_nonce_ahead_of_the_proven_count_is_refused() {
    let Some(net) = Net::start(4).await else { return };
    let sent = net.send(2).await;
    net.mine(FINAL).await;
    let [first, second] = [0, 1].map(|at| net.location(&sent, &sent.packets[at]));
    let packet = &sent.packets[1].fields;
    let looker = net.looker(ChainClass::Ethereum, 3);
    let evidence = looker.evidence(&second).await;
    assert_eq!(
        evidence["proven_nonce"]["nonce"],
        json!(packet.nonce),
        "genuine packets show that the slot is the right one"
    );
    net.keep_views().await;
    net.count(packet, packet.nonce - 1).await;
    net.mine(FINAL).await;
    assert_eq!(looker.verify(&second).await.unwrap(), AHEAD);
    let evidence = looker.evidence(&first).await;
    let counts = (&evidence["outbound_nonce"], &evidence["proven_nonce"]["nonce"]);
    assert_eq!(counts, (&json!(packet.nonce), &json!(packet.nonce - 1)), "it is the proof alone that denies it");
}

/// Blocks become final later than nodes forget their state: then the vote at the newest block counts alone.
#[tokio::test]
async fn state_is_read_at_a_block_that_is_still_served() {
    let mut anvil = AnvilOptions::new(1);
    anvil.slots_in_an_epoch = 20;
    let Some(net) = Net::start_with(4, ChainSpec::ethereum().with_anvil(anvil)).await else { return };
    let sent = net.send(1).await;
    net.mine(45).await;
    let (location, nonce) = (net.location(&sent, &sent.packets[0]), json!(sent.packets[0].fields.nonce));
    for pruned in [true, false] {
        if pruned {
            net.fault(0..4, &Fault::PruneState { blocks: 16 });
        }
        let evidence = net.looker(ChainClass::Ethereum, 3).evidence(&location).await;
        let head = &evidence["head"];
        assert_eq!(head["latest"].as_u64().unwrap() - head["settled"].as_u64().unwrap(), 40);
        assert_eq!(evidence["outbound_nonce"], nonce);
        assert_eq!(evidence["votes"]["state"].as_array().unwrap().len(), 4);
        if pruned {
            assert_eq!(evidence["proven_nonce"], Value::Null);
        } else {
            assert_eq!(evidence["proven_nonce"], json!({ "nonce": nonce, "at": evidence["anchor"] }));
        }
        net.honest();
    }
}
