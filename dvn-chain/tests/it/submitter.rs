mod batches;
mod cancel;
mod looks;
mod purse;

use std::{sync::Arc, time::Duration};

use alloy::{
    consensus::{Transaction, TxEnvelope, transaction::SignerRecoverable},
    eips::eip2718::Decodable2718,
    primitives::{Address, B256, Bytes, U64, U256, keccak256},
    sol_types::SolCall,
};
use dvn_chain::{ChainClass, EvmSubmitter, FeeCaps, Finality, SubmitterConfig};
use dvn_core::{
    attestation::Attestation,
    destination::{Decision, ReceiveConfig},
    error::SubmitErrorKind,
    ids::{BlockNumber, ChainTime, Confirmations, JobId, Vid},
    job::Hold,
    ports::{Head, Outcome, Settlement, SignedAttestation, Signer, Submitter},
    signature::{Committee, SignatureSet},
};
use serde_json::json;

use crate::{
    fakes::{Key, ManualClock, MemoryOutbox},
    node::{self, Node},
    world::{self, Tx, World},
};

pub(crate) struct Setup {
    pub(crate) nodes: Vec<Node>,
    pub(crate) submitter: EvmSubmitter,
    pub(crate) outbox: Arc<MemoryOutbox>,
    clock: Arc<ManualClock>,
}

pub(crate) fn config() -> SubmitterConfig {
    SubmitterConfig {
        chain_id: 1030,
        endpoint: world::ENDPOINT,
        receive_libs: vec![world::RECEIVE_LIB],
        dvn: world::DVN,
        finality: Finality::Finalized,
        floor: Confirmations(10),
        log_range: ChainClass::Ethereum.profile().log_range,
        gas: ChainClass::Ethereum.profile().gas,
        fees: FeeCaps { max_fee: 10_000, max_priority_fee: 1_000 },
        replace_after: Duration::from_secs(60),
        resend_after: Duration::from_secs(10),
        expiry_margin: Duration::from_secs(30),
    }
}

pub(crate) async fn setup_with(world: &World, config: SubmitterConfig) -> Setup {
    let (nodes, panel) = node::panel(world, world::DST, 3, 2).await;
    let (outbox, clock) = (Arc::new(MemoryOutbox::default()), Arc::new(ManualClock::new()));
    let submitter = EvmSubmitter::new(panel, config, Arc::new(Key::new(2)), outbox.clone(), clock.clone());
    Setup { nodes, submitter, outbox, clock }
}

pub(crate) async fn setup(world: &World) -> Setup {
    setup_with(world, config()).await
}

/// A destination that asks for 20 confirmations, lists our DVN and knows nothing of any packet.
pub(crate) fn destination() -> World {
    let mut world = World::default();
    let library = world::getReceiveLibraryReturn { lib: world::RECEIVE_LIB, isDefault: true };
    world.returns::<world::getReceiveLibraryCall>(world::ENDPOINT, &library);
    world.returns::<world::inboundPayloadHashCall>(world::ENDPOINT, &B256::ZERO);
    world.returns::<world::lazyInboundNonceCall>(world::ENDPOINT, &0);
    world.returns::<world::getUlnConfigCall>(world::RECEIVE_LIB, &world::uln(20, &[world::DVN]));
    let record = world::hashLookupReturn { submitted: false, confirmations: 0 };
    world.returns::<world::hashLookupCall>(world::RECEIVE_LIB, &record);
    world.returns::<world::vidCall>(world::DVN, &212);
    world.returns::<world::quorumCall>(world::DVN, &1);
    world.returns::<world::signersCall>(world::DVN, &true);
    let valid = world::verifySignaturesReturn { valid: true, error: 0 };
    world.returns::<world::verifySignaturesCall>(world::DVN, &valid);
    world.returns::<world::verifyCall>(world::RECEIVE_LIB, &world::verifyReturn {});
    world
}

pub(crate) fn signed(nonce: u64) -> SignedAttestation {
    let claim = world::packet(nonce).claim();
    let (confirmations, expiration) = (Confirmations(20), ChainTime(5_000));
    let attestation = Attestation { claim, confirmations, expiration, vid: Vid(212), target: world::RECEIVE_LIB };
    let key = Key::new(1);
    let committee = Committee { vid: Vid(212), quorum: 1, members: vec![key.address()] };
    let signatures = SignatureSet::try_new(attestation.digest(), &committee, [key.sign(attestation.digest())]).unwrap();
    SignedAttestation { job: claim.job_id(), attestation, signatures }
}

fn job(nonce: u64) -> JobId {
    world::packet(nonce).claim().job_id()
}

impl Setup {
    pub(crate) fn each(&self, change: impl Fn(&mut World)) {
        self.nodes.iter().for_each(|node| change(&mut node.script().world));
    }

    fn sent(&self, node: usize) -> Vec<TxEnvelope> {
        let raws = self.nodes[node].script().world.sent.clone();
        raws.iter().map(|raw| TxEnvelope::decode_2718_exact(raw).unwrap()).collect()
    }

    /// Mines the newest attempt of the only transaction, with these logs.
    pub(crate) fn mine(&self, block: u64, status: u64, logs: &[(Address, Vec<B256>, Bytes)]) {
        let hash = self.outbox.all.lock().unwrap()[0].attempts.last().unwrap().tx_hash;
        self.each(|world| {
            world.blocks.insert(block, vec![Tx { hash, status, logs: logs.to_vec() }]);
            world.nonce = 6;
        });
    }

    async fn outcomes(&self) -> Vec<Outcome> {
        self.submitter.settle().await.unwrap().into_iter().map(|it| it.outcome).collect()
    }
}

pub(crate) fn verified(nonce: u64) -> (Address, Vec<B256>, Bytes) {
    let packet = world::packet(nonce);
    let event = world::PayloadVerified {
        dvn: world::DVN,
        header: packet.header.encode(),
        confirmations: U256::from(20),
        proofHash: packet.payload_hash().0,
    };
    world::log(world::RECEIVE_LIB, &event)
}

#[tokio::test]
async fn a_view_is_read_at_one_block() {
    let world = destination();
    let setup = setup(&world).await;
    let claim = world::packet(1).claim();
    let view = setup.submitter.view(&claim).await.unwrap();
    assert_eq!((view.at, view.time), (world.block(100), ChainTime(1_100)));
    let config = ReceiveConfig { confirmations: Confirmations(20), lists_us: true };
    assert_eq!(view.decide(&claim), Decision::Submit(config));
    for params in setup.nodes[0].asked("eth_call") {
        assert_eq!(params[1], json!("0x64"));
    }
}

#[tokio::test]
async fn a_view_tells_records_stranger_libraries_and_reverts() {
    let claim = world::packet(1).claim();
    let decide = async |change: fn(&mut World)| {
        let mut world = destination();
        change(&mut world);
        setup(&world).await.submitter.view(&claim).await.unwrap().decide(&claim)
    };
    let recorded = |world: &mut World| {
        let record = world::hashLookupReturn { submitted: true, confirmations: 20 };
        world.returns::<world::hashLookupCall>(world::RECEIVE_LIB, &record);
    };
    assert_eq!(decide(recorded).await, Decision::Attested);
    let stranger = |world: &mut World| {
        let library = world::getReceiveLibraryReturn { lib: Address::repeat_byte(9), isDefault: false };
        world.returns::<world::getReceiveLibraryCall>(world::ENDPOINT, &library);
    };
    assert_eq!(decide(stranger).await, Decision::Hold(Hold::UnknownReceiveLibrary));
    let none = |world: &mut World| {
        world.calls.remove(&(world::ENDPOINT, world::getReceiveLibraryCall::SELECTOR));
    };
    assert_eq!(decide(none).await, Decision::Hold(Hold::UnknownReceiveLibrary));
    let reverts = |world: &mut World| {
        world.calls.remove(&(world::RECEIVE_LIB, world::getUlnConfigCall::SELECTOR));
    };
    assert_eq!(decide(reverts).await, Decision::Hold(Hold::NoReceiveConfig));
    let unlisted =
        |world: &mut World| world.returns::<world::getUlnConfigCall>(world::RECEIVE_LIB, &world::uln(20, &[]));
    assert_eq!(decide(unlisted).await, Decision::Hold(Hold::NotListed));
}

#[tokio::test]
async fn t43_one_seats_lie_about_the_view_is_never_taken() {
    let setup = setup(&destination()).await;
    setup.nodes[0].script().world.returns::<world::inboundPayloadHashCall>(world::ENDPOINT, &B256::repeat_byte(1));
    let error = setup.submitter.view(&world::packet(1).claim()).await.unwrap_err();
    assert_eq!(error.kind(), SubmitErrorKind::Missing);
}

#[tokio::test]
async fn the_committee_is_read_by_vote() {
    let setup = setup(&destination()).await;
    let member = Address::repeat_byte(1);
    let committee = setup.submitter.committee(&[member]).await.unwrap();
    assert_eq!(committee, Committee { vid: Vid(212), quorum: 1, members: vec![member] });
    setup.nodes[1].script().world.returns::<world::quorumCall>(world::DVN, &2);
    assert_eq!(setup.submitter.committee(&[member]).await.unwrap_err().kind(), SubmitErrorKind::Missing);
}

#[tokio::test]
async fn a_batch_is_one_transaction_on_every_seat_and_in_the_outbox() {
    let setup = setup(&destination()).await;
    let ids = setup.submitter.submit(vec![signed(1), signed(2), signed(1)]).await.unwrap().sent;
    assert_eq!(ids.iter().map(|(job, _)| *job).collect::<Vec<_>>(), [job(1), job(2)]);
    let kept = setup.outbox.all.lock().unwrap()[0].clone();
    assert_eq!((kept.nonce, kept.items.len()), (5, 2));
    for node in 0..3 {
        let sent = setup.sent(node);
        assert_eq!(sent.len(), 1);
        let transaction = &sent[0];
        assert_eq!(*transaction.tx_hash(), kept.attempts[0].tx_hash);
        assert_eq!((transaction.nonce(), transaction.chain_id(), transaction.to()), (5, Some(1030), Some(world::DVN)));
        assert_eq!((transaction.gas_limit(), transaction.value()), (115_000, U256::ZERO));
        assert_eq!((transaction.max_fee_per_gas(), transaction.max_priority_fee_per_gas()), (2_100, Some(100)));
        assert_eq!(transaction.recover_signer().unwrap(), Key::new(2).address());
        assert_eq!(world::executeCall::abi_decode(transaction.input()).unwrap().params.len(), 2);
    }
}

#[tokio::test]
async fn calldata_is_that_of_the_protocols_golden_shape() {
    let setup = setup(&destination()).await;
    setup.submitter.submit(vec![signed(1)]).await.unwrap();
    let input = setup.sent(0)[0].input().clone();
    // 68 + 512 + one signature padded to 96 bytes.
    assert_eq!(input.len(), 676);
    let item = signed(1);
    let decoded = world::executeCall::abi_decode(&input).unwrap().params.remove(0);
    assert_eq!(decoded.2, item.attestation.call_data());
    assert_eq!((decoded.0, decoded.1, decoded.3), (212, world::RECEIVE_LIB, U256::from(5_000)));
    assert_eq!(decoded.4, item.signatures.to_bytes());
}

#[tokio::test]
async fn what_is_under_way_is_not_sent_again_and_nonces_go_on() {
    let setup = setup(&destination()).await;
    let first = setup.submitter.submit(vec![signed(1)]).await.unwrap().sent;
    assert!(setup.submitter.is_busy().await.unwrap());
    let second = setup.submitter.submit(vec![signed(1), signed(2)]).await.unwrap().sent;
    assert_eq!(second[0], first[0]);
    let nonces: Vec<u64> = setup.sent(0).iter().map(Transaction::nonce).collect();
    assert_eq!(nonces, [5, 6]);
}

#[tokio::test]
async fn nothing_is_broadcast_that_is_not_durable() {
    let setup = setup(&destination()).await;
    *setup.outbox.fails.lock().unwrap() = true;
    assert_eq!(setup.submitter.submit(vec![signed(1)]).await.unwrap_err().kind(), SubmitErrorKind::Store);
    assert!(setup.sent(0).is_empty());
}

#[tokio::test]
async fn reasons_not_to_submit() {
    let refusal = async |world: World, config: SubmitterConfig| {
        let setup = setup_with(&world, config).await;
        let kind = setup.submitter.submit(vec![signed(1)]).await.unwrap_err().kind();
        assert!(setup.sent(0).is_empty() && setup.outbox.all.lock().unwrap().is_empty());
        kind
    };
    let dear = World { base_fee: 10_001, ..destination() };
    assert_eq!(refusal(dear, config()).await, SubmitErrorKind::FeeCap);
    let poor = World { balance: U256::from(115_000_u64 * 2_100 - 1), ..destination() };
    assert_eq!(refusal(poor, config()).await, SubmitErrorKind::Underfunded);
    let expiring = SubmitterConfig { expiry_margin: Duration::from_secs(3_900), ..config() };
    assert_eq!(refusal(destination(), expiring).await, SubmitErrorKind::Rejected);
}

#[tokio::test]
async fn a_simulation_that_reverts_everywhere_is_a_refusal() {
    let setup = setup(&destination()).await;
    for node in &setup.nodes {
        node.answer("eth_estimateGas", |_| Some(Err((3, "execution reverted: AccessControl".to_owned()))));
    }
    let error = setup.submitter.submit(vec![signed(1)]).await.unwrap_err();
    assert_eq!(error.kind(), SubmitErrorKind::Rejected);
    assert!(error.to_string().contains("AccessControl"));
}

#[tokio::test]
async fn one_seats_estimate_cannot_make_us_buy_a_block() {
    let setup = setup(&destination()).await;
    setup.nodes[0].answer("eth_estimateGas", |_| Some(Ok(json!(U64::from(15_000_000)))));
    setup.nodes[1].answer("eth_estimateGas", |_| Some(Ok(json!(U64::from(120_000)))));
    setup.submitter.submit(vec![signed(1)]).await.unwrap();
    assert_eq!(setup.sent(0)[0].gas_limit(), 138_000);
}

#[tokio::test]
async fn our_own_log_settles_and_repeats_until_closed() {
    let world = destination();
    let setup = setup(&world).await;
    let ids = setup.submitter.submit(vec![signed(1), signed(2)]).await.unwrap().sent;
    assert_eq!(setup.submitter.settle().await.unwrap(), []);
    setup.mine(98, 1, &[verified(1)]);
    for _ in 0..2 {
        let settlements = setup.submitter.settle().await.unwrap();
        let tx_hash = setup.outbox.all.lock().unwrap()[0].attempts[0].tx_hash;
        let outcome = Outcome::Attested { block: world.block(98), tx_hash };
        assert_eq!(settlements[0], Settlement { submission: ids[0].1, job: job(1), outcome });
        assert!(matches!(settlements[1].outcome, Outcome::Ineffective { .. }), "status 1 alone attests nothing");
    }
    setup.submitter.close(ids[0].1).await.unwrap();
    assert_eq!(setup.submitter.settle().await.unwrap(), []);
    assert!(!setup.submitter.is_busy().await.unwrap());
}

#[tokio::test]
async fn t43_a_receipt_that_too_few_seats_have_settles_nothing() {
    let setup = setup(&destination()).await;
    setup.submitter.submit(vec![signed(1)]).await.unwrap();
    setup.mine(98, 1, &[verified(1)]);
    for node in &setup.nodes[..2] {
        node.script().world.blocks.clear();
    }
    assert_eq!(setup.outcomes().await, []);
}

#[tokio::test]
async fn one_seats_receipt_is_enough_not_to_give_a_nonce_up() {
    let setup = setup(&destination()).await;
    setup.submitter.submit(vec![signed(1)]).await.unwrap();
    setup.mine(98, 1, &[verified(1)]);
    for node in &setup.nodes[..2] {
        node.script().world.blocks.clear();
    }
    setup.each(|world| world.finalized = 100);
    assert_eq!(setup.outcomes().await, []);
    assert_eq!(setup.outcomes().await, []);
}

#[tokio::test]
async fn a_receipt_of_a_block_that_left_the_chain_settles_nothing() {
    let setup = setup(&destination()).await;
    setup.submitter.submit(vec![signed(1)]).await.unwrap();
    setup.mine(98, 1, &[verified(1)]);
    let hash = keccak256("another block");
    for node in &setup.nodes {
        node.answer("eth_getBlockByNumber", move |params| {
            (params[0] == json!("0x62")).then(|| Ok(json!({ "number": "0x62", "hash": hash, "timestamp": "0x1" })))
        });
    }
    assert_eq!(setup.outcomes().await, []);
}

#[tokio::test]
async fn t43_different_receipts_are_a_contradiction_once_final() {
    let setup = setup(&destination()).await;
    setup.submitter.submit(vec![signed(1)]).await.unwrap();
    setup.mine(98, 1, &[verified(1)]);
    setup.nodes[0].script().world.blocks.get_mut(&98).unwrap()[0].logs.clear();
    assert_eq!(setup.outcomes().await, []);
    setup.each(|world| world.finalized = 99);
    assert_eq!(setup.submitter.settle().await.unwrap_err().kind(), SubmitErrorKind::Contradiction);
}

#[tokio::test]
async fn what_the_nodes_forgot_is_sent_again() {
    let setup = setup(&destination()).await;
    setup.submitter.submit(vec![signed(1)]).await.unwrap();
    setup.outcomes().await;
    assert_eq!(setup.sent(0).len(), 1, "not at every look");
    setup.clock.advance(Duration::from_secs(11));
    setup.outcomes().await;
    let sent = setup.sent(0);
    assert_eq!(sent.len(), 2);
    assert_eq!(sent[0].tx_hash(), sent[1].tx_hash());
}

#[tokio::test]
async fn what_is_stuck_is_replaced_with_the_same_nonce_and_call_at_a_better_price() {
    let setup = setup(&destination()).await;
    setup.submitter.submit(vec![signed(1)]).await.unwrap();
    setup.clock.advance(Duration::from_secs(61));
    setup.outcomes().await;
    let sent = setup.sent(0);
    assert_eq!(sent.len(), 2);
    assert_eq!((sent[1].nonce(), sent[1].input(), sent[1].gas_limit()), (5, sent[0].input(), sent[0].gas_limit()));
    assert_eq!((sent[1].max_fee_per_gas(), sent[1].max_priority_fee_per_gas()), (2_310, Some(110)));
    let attempts: Vec<B256> = setup.outbox.all.lock().unwrap()[0].attempts.iter().map(|it| it.tx_hash).collect();
    assert_eq!(attempts, [*sent[0].tx_hash(), *sent[1].tx_hash()]);
}

#[tokio::test]
async fn any_attempt_may_be_the_one_that_is_mined() {
    let setup = setup(&destination()).await;
    setup.submitter.submit(vec![signed(1)]).await.unwrap();
    setup.mine(101, 1, &[verified(1)]);
    setup.each(|world| world.nonce = 5);
    setup.clock.advance(Duration::from_secs(61));
    setup.outcomes().await;
    assert_eq!(setup.outbox.all.lock().unwrap()[0].attempts.len(), 2);
    setup.each(|world| {
        world.head = 102;
        world.nonce = 6;
    });
    assert!(matches!(setup.outcomes().await[..], [Outcome::Attested { .. }]), "the first attempt was mined");
}

#[tokio::test]
async fn only_the_next_nonce_is_replaced() {
    let setup = setup(&destination()).await;
    setup.submitter.submit(vec![signed(1)]).await.unwrap();
    setup.submitter.submit(vec![signed(2)]).await.unwrap();
    setup.clock.advance(Duration::from_secs(61));
    setup.outcomes().await;
    let attempts: Vec<usize> = setup.outbox.all.lock().unwrap().iter().map(|it| it.attempts.len()).collect();
    assert_eq!(attempts, [2, 1]);
}

#[tokio::test]
async fn a_replacement_that_is_not_durable_is_not_sent() {
    let setup = setup(&destination()).await;
    setup.submitter.submit(vec![signed(1)]).await.unwrap();
    setup.clock.advance(Duration::from_secs(61));
    *setup.outbox.fails.lock().unwrap() = true;
    assert_eq!(setup.submitter.settle().await.unwrap_err().kind(), SubmitErrorKind::Store);
    assert_eq!(setup.sent(0).len(), 1);
}

#[tokio::test]
async fn a_nonce_that_somebody_else_used_is_told_once_that_is_final() {
    let setup = setup(&destination()).await;
    setup.submitter.submit(vec![signed(1)]).await.unwrap();
    setup.each(|world| world.nonce = 6);
    assert_eq!(setup.outcomes().await, [], "a receipt may only be late");
    setup.each(|world| {
        world.head = 130;
        world.finalized = 99;
    });
    assert_eq!(setup.outcomes().await, []);
    setup.each(|world| world.finalized = 100);
    assert!(matches!(&setup.outcomes().await[..], [Outcome::Ineffective { reason }] if reason.contains("another")));
}

#[tokio::test]
async fn a_nonce_that_the_chain_waits_for_is_filled_after_a_while() {
    let setup = setup(&destination()).await;
    setup.submitter.submit(vec![signed(1)]).await.unwrap();
    // A reorg took a closed transaction's nonce away: the chain waits for 4, the open transaction has 5.
    setup.each(|world| world.nonce = 4);
    setup.outcomes().await;
    setup.submitter.submit(vec![signed(2)]).await.unwrap();
    setup.outcomes().await;
    setup.each(|world| world.head = 108);
    setup.submitter.submit(vec![signed(3)]).await.unwrap();
    let nonces: Vec<u64> = setup.outbox.all.lock().unwrap().iter().map(|it| it.nonce).collect();
    assert_eq!(nonces, [5, 6, 4]);
}

#[tokio::test]
async fn the_head_is_what_the_threshold_has_and_calls_final() {
    let setup = setup(&destination()).await;
    setup.nodes[0].script().world.finalized = 99;
    setup.nodes[1].script().world.head = 120;
    let head = setup.submitter.head().await.unwrap();
    assert_eq!(head, Head { latest: BlockNumber(100), settled: BlockNumber(80) });
}
