//! What can happen to a transaction between its making and its record, on the real contracts.

use std::{sync::Arc, time::Duration};

use alloy::primitives::{Address, B256, Bytes, U64, U256};
use dvn_chain::SharedSubmitter;
use dvn_core::{
    attestation::Attestation,
    destination::Decision,
    error::SubmitErrorKind,
    packet::Claim,
    ports::{Outcome, SignedAttestation, Submitter},
    signature::SignatureSet,
};
use dvn_testkit::{
    devnet::{Attestation as Instruction, Chain, ChainSpec, Devnet, DvnChange},
    keys,
    toolchain::Toolchain,
};

use crate::{
    devnet::{observations, sent_by, settled, signed, submitter, submitter_on},
    fakes::{ManualClock, MemoryOutbox},
};

/// Two chains, and the claims of packets that were sent from one to the other.
struct Stage {
    devnet: Devnet,
    claims: Vec<Claim>,
}

impl Stage {
    async fn with(packets: u8) -> Option<Self> {
        let devnet = crate::devnet::start().await?;
        Some(Self::sent(devnet, packets).await)
    }

    async fn sent(devnet: Devnet, packets: u8) -> Self {
        let (ethereum, conflux) = (devnet.chain("ethereum").unwrap(), devnet.chain("conflux").unwrap());
        let messages: Vec<Vec<u8>> = (0..packets).map(|byte| vec![byte]).collect();
        devnet.send(ethereum, conflux, &messages).await.unwrap();
        ethereum.anvil().mine(5).await.unwrap();
        let claims = observations(ethereum).await.iter().map(|seen| seen.claim).collect();
        Self { devnet, claims }
    }

    fn conflux(&self) -> &Chain {
        self.devnet.chain("conflux").unwrap()
    }

    async fn batch(&self, submitter: &dyn Submitter) -> Vec<SignedAttestation> {
        let mut batch = Vec::new();
        for claim in &self.claims {
            batch.push(signed(submitter, *claim).await);
        }
        batch
    }

    /// Mines by hand from here on.
    async fn by_hand(&self) {
        self.conflux().anvil().set_automine(false).await.unwrap();
    }

    async fn drop_from_pools(&self) {
        let _: serde_json::Value = self.conflux().anvil().rpc("anvil_dropAllTransactions", ()).await.unwrap();
    }

    async fn set_code(&self, of: Address, code: Bytes) {
        let _: serde_json::Value = self.conflux().anvil().rpc("anvil_setCode", (of, code)).await.unwrap();
    }

    async fn code(&self, of: Address) -> Bytes {
        self.conflux().anvil().rpc("eth_getCode", (of, "latest")).await.unwrap()
    }

    async fn later(&self, seconds: u64) {
        let _: serde_json::Value = self.conflux().anvil().rpc("evm_increaseTime", (seconds,)).await.unwrap();
    }

    async fn mine(&self, blocks: u64) {
        self.conflux().anvil().mine(blocks).await.unwrap();
    }

    /// How many transactions of the sender were mined.
    async fn count(&self) -> u64 {
        let sender = keys::submitter(0).address();
        self.conflux().anvil().rpc::<U64>("eth_getTransactionCount", (sender, "latest")).await.unwrap().to()
    }

    /// Says that each claim is attested, by exactly one log.
    async fn assert_attested_once(&self, submitter: &dyn Submitter) {
        let logs = self.conflux().payload_verified_logs().await.unwrap();
        let mut headers: Vec<_> = logs.iter().map(|log| log.header.clone()).collect();
        headers.sort();
        headers.dedup();
        assert_eq!((headers.len(), logs.len()), (self.claims.len(), self.claims.len()));
        for claim in &self.claims {
            assert_eq!(submitter.view(claim).await.unwrap().decide(claim), Decision::Attested);
        }
    }
}

fn ineffective(outcomes: &[Outcome], word: &str) {
    let [Outcome::Ineffective { reason }] = outcomes else { panic!("expected no effect, got {outcomes:?}") };
    assert!(reason.contains(word), "{reason}");
}

async fn outcomes(submitter: &dyn Submitter) -> Vec<Outcome> {
    settled(submitter).await.into_iter().map(|it| it.outcome).collect()
}

/// Looks, and mines, until the open transactions are decided.
async fn decided(stage: &Stage, submitter: &dyn Submitter, clock: &ManualClock) -> Vec<Outcome> {
    decided_within(stage, submitter, clock, Duration::from_secs(61)).await
}

/// The same, while so much time passes between looks.
async fn decided_within(stage: &Stage, submitter: &dyn Submitter, clock: &ManualClock, step: Duration) -> Vec<Outcome> {
    for _ in 0..200 {
        let settlements = submitter.settle().await.unwrap();
        if !settlements.is_empty() {
            return settlements.into_iter().map(|it| it.outcome).collect();
        }
        clock.advance(step);
        stage.mine(1).await;
    }
    panic!("never decided");
}

#[tokio::test]
async fn t38_signatures_are_in_the_contracts_order_and_as_many_as_its_quorum() {
    let Some(toolchain) = Toolchain::for_test("signatures over the real contracts") else { return };
    let keys = [keys::signer(0), keys::signer(1), keys::signer(2)];
    let builder = Devnet::builder().chain(ChainSpec::ethereum().with_confirmations(3)).chain(ChainSpec::conflux());
    let builder = builder.signers(keys.each_ref().map(keys::Key::address), 2);
    let stage = Stage::sent(builder.start(&toolchain).await.unwrap(), 6).await;
    let submitter = submitter(stage.conflux());
    let committee = submitter.committee(&keys.each_ref().map(keys::Key::address)).await.unwrap();
    let orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
    let mut batch = Vec::new();
    for (claim, order) in stage.claims.iter().zip(orders) {
        let view = submitter.view(claim).await.unwrap();
        let Decision::Submit(config) = view.decide(claim) else { panic!("expected work") };
        let attestation = Attestation {
            claim: *claim,
            confirmations: config.confirmations,
            expiration: view.time.plus(900),
            vid: committee.vid,
            target: view.receive_lib,
        };
        let digest = attestation.digest();
        // Every order, with one more than the quorum, and the first of them twice.
        let shuffled = order.iter().chain(&order[..1]).map(|at| keys[*at].sign(&digest));
        let signatures = SignatureSet::try_new(digest, &committee, shuffled).unwrap();
        let signers: Vec<Address> = signatures.signers().collect();
        assert!(signers.is_sorted() && signatures.to_bytes().len() == 2 * 65, "{signers:?}");
        batch.push(SignedAttestation { job: claim.job_id(), attestation, signatures });
    }
    let submitted = submitter.submit(batch).await.unwrap();
    assert_eq!((submitted.sent.len(), submitted.refused.len()), (6, 0), "{:?}", submitted.refused);
    assert!(outcomes(&submitter).await.iter().all(|it| matches!(it, Outcome::Attested { .. })));
    stage.assert_attested_once(&submitter).await;
}

#[tokio::test]
async fn t39_a_mined_transaction_without_our_log_attests_nothing() {
    let Some(stage) = Stage::with(1).await else { return };
    let conflux = stage.conflux();
    let (outbox, clock) = (Arc::new(MemoryOutbox::default()), Arc::new(ManualClock::new()));
    let (library, submitter) = (conflux.addresses().receive_lib, submitter_on(conflux, outbox.clone(), clock));
    let code = stage.code(library).await;
    stage.by_hand().await;
    // Between the simulation and the block: the library refuses the call, then it is gone, then time is over.
    for (word, seconds, replaced) in [
        ("refused the call", 0, Some(Bytes::from_static(&[0x60, 0, 0x60, 0, 0xfd]))),
        ("no event", 0, Some(Bytes::new())),
        ("expired", 2_000, None),
    ] {
        let batch = stage.batch(&submitter).await;
        let id = submitter.submit(batch).await.unwrap().sent[0].1;
        if let Some(replaced) = replaced {
            stage.set_code(library, replaced).await;
        }
        stage.later(seconds).await;
        stage.mine(1).await;
        ineffective(&outcomes(&submitter).await, word);
        submitter.close(id).await.unwrap();
        stage.set_code(library, code.clone()).await;
    }
    // The quorum is raised, so that the signatures are too few.
    let batch = stage.batch(&submitter).await;
    let id = submitter.submit(batch).await.unwrap().sent[0].1;
    stage.drop_from_pools().await;
    conflux.anvil().set_automine(true).await.unwrap();
    change(conflux, DvnChange::Signer { signer: keys::signer(2).address(), active: true }).await;
    change(conflux, DvnChange::Quorum(3)).await;
    let raw = outbox.all.lock().unwrap().last().unwrap().attempts[0].raw.clone();
    let _: B256 = conflux.rpc().request("eth_sendRawTransaction", (raw,)).await.unwrap();
    ineffective(&outcomes(&submitter).await, "refused the signatures");
    submitter.close(id).await.unwrap();
    assert_eq!(stage.count().await, 4);
    assert!(conflux.payload_verified_logs().await.unwrap().is_empty());
    let view = submitter.view(&stage.claims[0]).await.unwrap();
    assert!(matches!(view.decide(&stage.claims[0]), Decision::Submit(_)), "it is still to be done");
}

async fn change(chain: &Chain, change: DvnChange) {
    let instruction: Instruction = chain.dvn_change(change).await.unwrap();
    let signatures = instruction.sign(&[keys::signer(0), keys::signer(1)]);
    chain.execute(chain.addresses().dvn, &keys::deployer(), &[(instruction, signatures)]).await.unwrap();
}

#[tokio::test]
async fn t40_a_transaction_that_the_nodes_dropped_is_sent_again_also_after_a_kill() {
    let Some(stage) = Stage::with(2).await else { return };
    let (outbox, clock) = (Arc::new(MemoryOutbox::default()), Arc::new(ManualClock::new()));
    let first = submitter_on(stage.conflux(), outbox.clone(), clock.clone());
    stage.by_hand().await;
    let batch = stage.batch(&first).await;
    first.submit(batch.clone()).await.unwrap();
    stage.drop_from_pools().await;
    stage.mine(2).await;
    assert_eq!(stage.count().await, 0);
    // What is durable and on no node, as if the process had died before the broadcast.
    drop(first);
    let second = submitter_on(stage.conflux(), outbox.clone(), clock.clone());
    assert_eq!(second.submit(batch).await.unwrap().sent.len(), 2, "they are under way");
    // No time passes, so that the very same is sent and not one at a better price.
    let outcomes = decided_within(&stage, &second, &clock, Duration::ZERO).await;
    assert!(outcomes.iter().all(|it| matches!(it, Outcome::Attested { .. })));
    assert_eq!((stage.count().await, outbox.all.lock().unwrap().len()), (1, 1));
    stage.assert_attested_once(&second).await;
}

#[tokio::test]
async fn t40_a_nonce_that_another_transaction_took_is_given_up_and_the_work_goes_on() {
    let Some(stage) = Stage::with(1).await else { return };
    let (outbox, clock) = (Arc::new(MemoryOutbox::default()), Arc::new(ManualClock::new()));
    let submitter = submitter_on(stage.conflux(), outbox.clone(), clock.clone());
    stage.by_hand().await;
    let batch = stage.batch(&submitter).await;
    let id = submitter.submit(batch.clone()).await.unwrap().sent[0].1;
    stage.drop_from_pools().await;
    let key = keys::submitter(0);
    stage.conflux().submit(&key, key.address(), U256::ZERO, Bytes::new()).await.unwrap();
    stage.mine(1).await;
    assert_eq!(stage.count().await, 1);
    ineffective(&decided(&stage, &submitter, &clock).await, "another transaction");
    submitter.close(id).await.unwrap();
    submitter.submit(batch).await.unwrap();
    assert!(matches!(decided(&stage, &submitter, &clock).await[..], [Outcome::Attested { .. }]));
    assert_eq!(stage.count().await, 2);
    stage.assert_attested_once(&submitter).await;
}

#[tokio::test]
async fn t40_a_gap_that_a_reorg_left_is_filled_and_what_waits_behind_it_is_mined() {
    let Some(stage) = Stage::with(2).await else { return };
    let (outbox, clock) = (Arc::new(MemoryOutbox::default()), Arc::new(ManualClock::new()));
    let submitter = submitter_on(stage.conflux(), outbox.clone(), clock.clone());
    let batch = stage.batch(&submitter).await;
    let id = submitter.submit(vec![batch[0].clone()]).await.unwrap().sent[0].1;
    assert!(matches!(outcomes(&submitter).await[..], [Outcome::Attested { .. }]));
    submitter.close(id).await.unwrap();
    stage.by_hand().await;
    submitter.submit(vec![batch[1].clone()]).await.unwrap();
    stage.drop_from_pools().await;
    // The block with the first is gone, and nobody sends that again.
    stage.conflux().anvil().rollback(1).await.unwrap();
    assert_eq!(stage.count().await, 0);
    assert!(matches!(decided(&stage, &submitter, &clock).await[..], [Outcome::Attested { .. }]));
    assert_eq!(stage.count().await, 2);
    let kept: Vec<(u64, usize)> = outbox.all.lock().unwrap().iter().map(|it| (it.nonce, it.items.len())).collect();
    assert_eq!(kept, [(0, 1), (1, 1), (0, 0)]);
    assert_eq!(stage.conflux().payload_verified_logs().await.unwrap().len(), 1);
}

#[tokio::test]
async fn t44_the_same_signatures_in_another_admins_transaction_do_no_harm() {
    let Some(stage) = Stage::with(1).await else { return };
    let submitter = submitter(stage.conflux());
    let batch = stage.batch(&submitter).await;
    stage.by_hand().await;
    // Both are in the pool, and the other pays more.
    let item = &batch[0];
    let instruction = Instruction {
        vid: item.attestation.vid.0,
        target: item.attestation.target,
        call_data: item.attestation.call_data(),
        expiration: item.attestation.expiration.0,
    };
    let signatures = item.signatures.to_bytes();
    let conflux = stage.conflux();
    let (dvn, deployer) = (conflux.addresses().dvn, keys::deployer());
    let signed = [(instruction, signatures)];
    let (other, ours) = tokio::join!(conflux.execute(dvn, &deployer, &signed), async {
        let ours = submitter.submit(batch.clone()).await.unwrap();
        for _ in 0..100 {
            stage.mine(1).await;
            tokio::time::sleep(Duration::from_millis(50)).await;
            if conflux.payload_verified_logs().await.unwrap().len() == 2 {
                break;
            }
        }
        ours
    });
    other.unwrap();
    assert!(matches!(outcomes(&submitter).await[..], [Outcome::Attested { .. }]));
    submitter.close(ours.sent[0].1).await.unwrap();
    assert_eq!(stage.count().await, 1, "one transaction of ours");
    assert_eq!(submitter.settle().await.unwrap(), []);
    assert_eq!(submitter.view(&stage.claims[0]).await.unwrap().decide(&stage.claims[0]), Decision::Attested);
}

/// A destination with two senders, both of which are admins, in the order of their numbers.
async fn shared(packets: u8) -> Option<(Stage, SharedSubmitter, Arc<MemoryOutbox>, Arc<ManualClock>)> {
    let toolchain = Toolchain::for_test("several senders on the real contracts")?;
    let builder = Devnet::builder().chain(ChainSpec::ethereum().with_confirmations(3)).chain(ChainSpec::conflux());
    let builder = builder.signers([keys::signer(0).address(), keys::signer(1).address()], 2);
    let builder = builder.submitters([keys::submitter(0).address(), keys::submitter(1).address()]);
    let stage = Stage::sent(builder.start(&toolchain).await.unwrap(), packets).await;
    let (outbox, clock) = (Arc::new(MemoryOutbox::default()), Arc::new(ManualClock::new()));
    let lane = |number| sent_by(keys::submitter(number), stage.conflux(), outbox.clone(), clock.clone());
    let submitter = SharedSubmitter::new(lane(0), vec![lane(1)]);
    Some((stage, submitter, outbox, clock))
}

fn lanes(outbox: &MemoryOutbox) -> Vec<(Address, u64, usize)> {
    outbox.all.lock().unwrap().iter().map(|it| (it.lane.sender, it.nonce, it.items.len())).collect()
}

#[tokio::test]
async fn several_senders_share_the_work_with_nonces_of_their_own_and_double_nothing() {
    let Some((stage, submitter, outbox, clock)) = shared(3).await else { return };
    stage.by_hand().await;
    let batch = stage.batch(&submitter).await;
    let (one, two) = (keys::submitter(0).address(), keys::submitter(1).address());
    let first = submitter.submit(vec![batch[0].clone()]).await.unwrap().sent;
    assert!(!submitter.is_busy().await.unwrap(), "one of them is idle");
    // What is under way with one is not given to the other.
    let second = submitter.submit(batch[..2].to_vec()).await.unwrap().sent;
    assert!(second.contains(&first[0]) && second.len() == 2, "{second:?}");
    assert!(submitter.is_busy().await.unwrap());
    submitter.submit(batch.clone()).await.unwrap();
    assert_eq!(lanes(&outbox), [(one, 0, 1), (two, 0, 1), (one, 1, 1)]);
    for _ in 0..200 {
        for settlement in submitter.settle().await.unwrap() {
            assert!(matches!(settlement.outcome, Outcome::Attested { .. }));
            submitter.close(settlement.submission).await.unwrap();
        }
        if outbox.all.lock().unwrap().iter().all(|it| !it.open) {
            break;
        }
        clock.advance(Duration::from_secs(61));
        stage.mine(1).await;
    }
    stage.assert_attested_once(&submitter).await;
}

#[tokio::test]
async fn a_sender_that_cannot_pay_leaves_the_work_to_another() {
    let Some((stage, submitter, outbox, _)) = shared(2).await else { return };
    let batch = stage.batch(&submitter).await;
    let (one, two) = (keys::submitter(0).address(), keys::submitter(1).address());
    let set_balance = async |of: Address, wei: u64| {
        let anvil = stage.conflux().anvil();
        let _: serde_json::Value = anvil.rpc("anvil_setBalance", (of, U256::from(wei))).await.unwrap();
    };
    set_balance(one, 1).await;
    submitter.submit(vec![batch[0].clone()]).await.unwrap();
    assert_eq!(lanes(&outbox), [(two, 0, 1)]);
    assert!(matches!(outcomes(&submitter).await[..], [Outcome::Attested { .. }]));
    set_balance(two, 1).await;
    let error = submitter.submit(vec![batch[1].clone()]).await.unwrap_err();
    assert_eq!(error.kind(), SubmitErrorKind::Underfunded);
    assert_eq!(lanes(&outbox).len(), 1);
}
