//! Seats that are another chain today, and seats that tell of a transaction which was never mined.

use std::{ops::Range, sync::Arc, time::Duration};

use alloy::primitives::{Address, B256, Signature};
use async_trait::async_trait;
use dvn_chain::{ChainClass, EvmSubmitter, FeeCaps, Panel, Profile, SubmitterConfig};
use dvn_core::{
    attestation::Attestation,
    destination::Decision,
    error::SignError,
    ids::{Confirmations, Eid},
    packet::Claim,
    ports::{Attempt, Chain, Outcome, SignedAttestation, Signer, Submitter, SystemClock},
    quorum::Threshold,
    signature::SignatureSet,
};
use dvn_testkit::{
    anvil::Anvil,
    keys,
    proxy::{Fault, FaultProxy, Rule},
};
use serde_json::{Value, json};

use crate::{
    fakes::MemoryOutbox,
    node,
    proxied::{Looker, Net, PATIENT},
};

/// Another chain's number.
const ELSEWHERE: Fault = Fault::ChainId { id: 11_155_111 };

impl Net {
    fn identifying(&self) -> Looker {
        let panel = self.panel(3, PATIENT).with_chain_id(self.source().chain_id());
        Looker::new(Arc::new(panel), self.config(ChainClass::Ethereum))
    }

    fn asked_of(&self, seat: usize, method: &str) -> usize {
        self.proxies[seat].traffic().iter().filter(|it| it.method == method).count()
    }
}

fn voters(evidence: &Value) -> Vec<Value> {
    let votes = &evidence["votes"];
    let lists = [&votes["block_hash"], &votes["state"], &votes["receipts"]["served_by"]];
    lists.into_iter().flat_map(|list| list.as_array().unwrap().clone()).collect()
}

/// T13: it never votes, and the others go on.
#[tokio::test]
async fn t13_a_seat_that_swaps_its_chain_id_is_dismissed() {
    let Some(net) = Net::start(4).await else { return };
    let (_, location) = net.send_final().await;
    for seat in 0..4 {
        net.fault(seat..seat + 1, &ELSEWHERE);
        net.forget();
        let looker = net.identifying();
        for _ in 0..4 {
            let voters = voters(&looker.evidence(&location).await);
            assert!(!voters.contains(&json!(net.label(seat))) && voters.len() >= 7, "{voters:?}");
        }
        assert_eq!(net.asked_of(seat, "eth_chainId"), 1, "its word holds for the session");
        for question in ["eth_getBlockByHash", "eth_getBlockReceipts", "eth_call", "eth_getProof"] {
            assert_eq!(net.asked_of(seat, question), 0, "{question}");
        }
        net.honest();
    }
}

/// T13: behind the same URL another chain's node answers once the connection broke.
#[tokio::test]
async fn t13_a_seat_that_swaps_its_chain_id_later_is_dismissed_then() {
    let Some(net) = Net::start(4).await else { return };
    let (_, location) = net.send_final().await;
    let looker = net.identifying();
    let swapper = json!(net.label(0));
    assert!(voters(&looker.evidence(&location).await).contains(&swapper));
    net.proxies[0].add(Rule::new(Fault::Status { code: 502, retry_after: None }).times(1));
    net.fault(0..1, &ELSEWHERE);
    for _ in 0..3 {
        // What it said of the blocks before while it was one of ours was not wrong then: it may have served the receipts, which
        // are read once.
        net.mine(3).await;
        let evidence = looker.evidence(&location).await;
        for votes in [&evidence["votes"]["block_hash"], &evidence["votes"]["state"]] {
            assert!(!votes.as_array().unwrap().contains(&swapper), "{evidence}");
        }
    }
    assert_eq!(net.asked_of(0, "eth_chainId"), 2, "at first, and after it broke");
}

#[derive(Debug)]
struct Sender(keys::Key);

#[async_trait]
impl Signer for Sender {
    fn address(&self) -> Address {
        self.0.address()
    }

    async fn sign_digest(&self, digest: B256) -> Result<Signature, SignError> {
        Ok(self.0.sign(&digest))
    }
}

/// A submitter over three seats of the destination, two of which must agree.
struct Delivery {
    proxies: Vec<FaultProxy>,
    outbox: Arc<MemoryOutbox>,
    submitter: EvmSubmitter,
}

impl Delivery {
    async fn over(net: &Net) -> Self {
        let chain = net.destination();
        let mut proxies = Vec::new();
        for _ in 0..3 {
            proxies.push(FaultProxy::start(chain.url().clone()).await.unwrap());
        }
        let seats = proxies.iter().map(|proxy| Arc::new(node::seat(proxy.url().as_str()))).collect();
        let named = Chain { name: chain.name().to_owned(), eid: Eid(chain.eid()) };
        let panel = Panel::try_new(named, seats, Threshold::try_new(3, 2).unwrap()).unwrap();
        let panel = Arc::new(panel.with_patience(PATIENT.0, PATIENT.1));
        let outbox = Arc::new(MemoryOutbox::default());
        let sender = Arc::new(Sender(keys::submitter(0)));
        let submitter = EvmSubmitter::new(panel, config(net), sender, outbox.clone(), Arc::new(SystemClock::new()));
        Self { proxies, outbox, submitter }
    }

    fn lie(&self, seats: Range<usize>, receipt: &Value) {
        let fault = Fault::Mutate { pointer: String::new(), value: receipt.clone() };
        let rule = Rule::new(fault).method("eth_getTransactionReceipt");
        self.proxies[seats].iter().for_each(|proxy| _ = proxy.add(rule.clone()));
    }

    async fn outcomes(&self) -> Vec<Outcome> {
        self.submitter.settle().await.unwrap().into_iter().map(|it| it.outcome).collect()
    }

    async fn signed(&self, claim: Claim) -> SignedAttestation {
        let key = keys::signer(0);
        let committee = self.submitter.committee(&[key.address()]).await.unwrap();
        let view = self.submitter.view(&claim).await.unwrap();
        let Decision::Submit(config) = view.decide(&claim) else { panic!("expected work, got {view:?}") };
        let (confirmations, expiration) = (config.confirmations, view.time.plus(900));
        let attestation =
            Attestation { claim, confirmations, expiration, vid: committee.vid, target: view.receive_lib };
        let digest = attestation.digest();
        let signatures = SignatureSet::try_new(digest, &committee, [key.sign(&digest)]).unwrap();
        SignedAttestation { job: claim.job_id(), attestation, signatures }
    }
}

fn config(net: &Net) -> SubmitterConfig {
    let (chain, Profile { finality, gas, .. }) = (net.destination(), ChainClass::Generic.profile());
    let hour = Duration::from_secs(3_600);
    SubmitterConfig {
        chain_id: chain.chain_id(),
        endpoint: chain.addresses().endpoint,
        receive_libs: vec![chain.addresses().receive_lib],
        dvn: chain.addresses().dvn,
        finality,
        floor: Confirmations(1),
        log_range: 1_000,
        gas,
        fees: FeeCaps { max_fee: 1_000_000_000_000, max_priority_fee: 5_000_000_000 },
        replace_after: hour,
        resend_after: hour,
        expiry_margin: Duration::from_secs(30),
    }
}

/// The transaction's receipt, taken from a block that nobody has any more.
async fn receipt(anvil: &Anvil, attempt: &Attempt) -> Value {
    let before = anvil.snapshot().await.unwrap();
    anvil.mine(1).await.unwrap();
    let receipt: Value = anvil.rpc("eth_getTransactionReceipt", (attempt.tx_hash,)).await.unwrap();
    assert_eq!(receipt["status"], "0x1");
    assert!(anvil.revert(before).await.unwrap());
    // A node forgets what it held back for mining.
    _ = anvil.rpc::<B256>("eth_sendRawTransaction", (attempt.raw.clone(),)).await;
    receipt
}

/// T43: one seat of the destination shows the receipt of a transaction that is not mined.
#[tokio::test]
async fn t43_a_fake_receipt_on_the_destination_settles_nothing() {
    let Some(net) = Net::start(3).await else { return };
    let (_, location) = net.send_final().await;
    let claim = net.looker(ChainClass::Ethereum, 2).found(&location).await.claim;
    let (delivery, anvil) = (Delivery::over(&net).await, net.destination().anvil());
    anvil.set_automine(false).await.unwrap();
    delivery.submitter.submit(vec![delivery.signed(claim).await]).await.unwrap();
    let attempt = delivery.outbox.all.lock().unwrap()[0].attempts[0].clone();
    let receipt = receipt(anvil, &attempt).await;
    for seat in 0..3 {
        delivery.lie(seat..seat + 1, &receipt);
        assert_eq!(delivery.outcomes().await, [], "one seat's receipt");
        let view = delivery.submitter.view(&claim).await.unwrap();
        assert!(matches!(view.decide(&claim), Decision::Submit(_)), "{view:?}");
        delivery.proxies[seat].clear();
    }
    anvil.mine(1).await.unwrap();
    let outcomes = delivery.outcomes().await;
    assert!(matches!(outcomes[..], [Outcome::Attested { tx_hash, .. }] if tx_hash == attempt.tx_hash), "{outcomes:?}");
}
