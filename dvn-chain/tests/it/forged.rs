//! A branch that nobody mined, whose hashes, receipts and proofs all fit, next to the one that the seats vote for.

use std::sync::Arc;

use alloy::{primitives::Bytes, sol_types::SolEvent};
use dvn_chain::ChainClass;
use dvn_core::{
    error::VerifyErrorKind,
    ids::{BlockNumber, BlockRef},
    job::Location,
    ports::Verification,
};
use dvn_testkit::{
    devnet::{Forgery, PacketFields, SentPackets},
    proxy::{Fault, FaultProxy, ForgedBranch, Rule},
    rpc::{Receipt, Rpc},
};

use crate::{
    proxied::{Looker, Net, PATIENT},
    world::{DVNFeePaid, PacketSent},
};

/// A node on a branch in which a genuine packet's block holds one more, with the genuine one's number.
struct Branch {
    liar: FaultProxy,
    fault: Fault,
    packet: PacketFields,
    location: Location,
}

impl Branch {
    async fn at(net: &Net, sent: &SentPackets) -> Self {
        let packet = PacketFields { message: Bytes::from_static(b"forged"), ..sent.packets[0].fields.clone() };
        let fault = Fault::Forge(forged(net, &packet, sent.block_number));
        let liar = FaultProxy::start(net.source().url().clone()).await.unwrap();
        liar.add(Rule::new(fault.clone()));
        let number = format!("{:#x}", sent.block_number);
        let receipts: Vec<Receipt> =
            Rpc::new(liar.url().clone()).request("eth_getBlockReceipts", (number,)).await.unwrap();
        let forged = receipts.last().unwrap();
        let genuine = net.location(sent, &sent.packets[0]);
        let block = BlockRef { hash: forged.block_hash, ..genuine.block };
        let log_index = forged.logs.last().unwrap().log_index.to();
        let location = Location { block, tx_hash: forged.transaction_hash, log_index, ..genuine };
        assert_ne!(location.block, genuine.block);
        Self { liar, fault, packet, location }
    }

    /// What somebody sees who believes this node alone.
    fn victim(&self, net: &Net, class: ChainClass) -> Looker {
        Looker::new(Arc::new(net.panel_of(&[self.liar.url()], 1, PATIENT)), net.config(class))
    }
}

fn forged(net: &Net, packet: &PacketFields, height: u64) -> ForgedBranch {
    let (forgery, at) = (Forgery::of(net.source(), packet), net.source().addresses());
    let paid = DVNFeePaid { requiredDVNs: forgery.required, optionalDVNs: forgery.optional, fees: forgery.fees };
    let sent =
        PacketSent { encodedPayload: forgery.encoded, options: forgery.options, sendLibrary: forgery.send_library };
    let logs = [(at.send_lib, paid.encode_log_data()), (at.endpoint, sent.encode_log_data())];
    logs.into_iter().fold(ForgedBranch::at(height), |branch, (emitter, log)| {
        let (topics, data) = log.split();
        branch.log(emitter, topics, data)
    })
}

const CLASSES: [ChainClass; 2] = [ChainClass::Ethereum, ChainClass::Generic];

/// T06: a final block and one at the tip.
#[tokio::test]
async fn t06_a_block_of_a_forged_branch_is_no_descendant_of_the_final_one() {
    let Some(net) = Net::start(4).await else { return };
    for (class, depth) in CLASSES.into_iter().flat_map(|class| [(class, 0), (class, 5)]) {
        let sent = net.send(1).await;
        net.mine(depth).await;
        let genuine = net.location(&sent, &sent.packets[0]);
        let branch = Branch::at(&net, &sent).await;
        let believed = branch.victim(&net, class).found(&branch.location).await;
        assert_eq!(believed.claim.payload_hash.0, branch.packet.payload_hash(), "the forgery is without a flaw");

        let looker = net.looker(class, 3);
        assert_eq!(looker.verify(&branch.location).await.unwrap(), Verification::Orphaned, "{class:?} {depth}");
        for seat in 0..4 {
            // It votes for the true hashes, and whoever asks for the forged block by its hash gets it.
            for method in ["eth_getBlockByHash", "eth_getBlockReceipts", "eth_getTransactionReceipt", "eth_getProof"] {
                net.proxies[seat].add(Rule::new(branch.fault.clone()).method(method));
            }
            let looker = net.looker(class, 3);
            assert_eq!(looker.verify(&branch.location).await.unwrap(), Verification::Orphaned, "{class:?} {depth}");
            assert_eq!(looker.found(&genuine).await.claim.payload_hash.0, sent.packets[0].payload_hash);
            net.honest();
        }
    }
}

/// A seat that votes for the forged branch too: about a final block that is a contradiction.
#[tokio::test]
async fn t06_a_seat_on_a_forged_branch_gets_nothing_found() {
    let Some(net) = Net::start(4).await else { return };
    let (sent, genuine) = net.send_final().await;
    let branch = Branch::at(&net, &sent).await;
    net.fault(2..3, &branch.fault);
    for class in CLASSES {
        for location in [branch.location, genuine] {
            assert_eq!(net.looker(class, 3).failure(&location).await, VerifyErrorKind::Contradiction, "{class:?}");
        }
    }
}

/// T11: one URL, behind which now a node of the one branch answers and now one of the other.
#[tokio::test]
async fn t11_a_balancer_that_mixes_two_branches_is_never_half_believed() {
    let Some(net) = Net::start(4).await else { return };
    let (sent, genuine) = net.send_final().await;
    let branch = Branch::at(&net, &sent).await;
    let mixed = Fault::Alternate { urls: vec![net.source().url().clone(), branch.liar.url().clone()] };
    let rule = net.fault(0..1, &mixed)[0];
    for class in CLASSES {
        let held = net.looker(class, 3);
        for turn in 0..30 {
            let fresh = net.looker(class, 3);
            let looker = if turn % 2 == 0 { &held } else { &fresh };
            match looker.verify(&genuine).await {
                Ok(Verification::Found(seen)) => {
                    assert_eq!(seen.claim.payload_hash.0, sent.packets[0].payload_hash);
                }
                other => assert_undecided(other.map(|other| panic!("{class:?} {turn}: {other:?}"))),
            }
            match looker.verify(&branch.location).await {
                Ok(Verification::Orphaned) => {}
                other => assert_undecided(other),
            }
        }
    }
    assert!(net.proxies[0].fired(rule).unwrap() > 60);
}

fn assert_undecided(result: Result<Verification, dvn_core::error::VerifyError>) {
    let kind = result.unwrap_err().kind();
    assert!(matches!(kind, VerifyErrorKind::Missing | VerifyErrorKind::Contradiction), "{kind:?}");
}

/// The same where only evidence is mixed: a header of the one, receipts of the other, and a proof of either.
#[tokio::test]
async fn t11_evidence_of_another_branch_gives_way_to_that_of_the_next_seat() {
    let Some(net) = Net::start(4).await else { return };
    let (sent, genuine) = net.send_final().await;
    let branch = Branch::at(&net, &sent).await;
    let mixed = Fault::Alternate { urls: vec![net.source().url().clone(), branch.liar.url().clone()] };
    for seat in 0..2 {
        for method in ["eth_getBlockByHash", "eth_getBlockReceipts", "eth_getProof"] {
            net.proxies[seat].add(Rule::new(mixed.clone()).method(method));
        }
    }
    for _ in 0..30 {
        let looker = net.looker(ChainClass::Ethereum, 3);
        assert_eq!(looker.found(&genuine).await.claim.payload_hash.0, sent.packets[0].payload_hash);
        assert_eq!(looker.verify(&branch.location).await.unwrap(), Verification::Orphaned);
        let scanned = looker.scanned(sent.block_number, BlockNumber(sent.block_number)).await;
        assert_eq!(scanned, [sent.packets[0].payload_hash]);
    }
}
