//! All of it against the real contracts on local nodes.

use std::{sync::Arc, time::Duration};

use alloy::primitives::{B256, Bytes, Signature};
use async_trait::async_trait;
use dvn_chain::{
    ChainClass, EvmReader, EvmSource, EvmSubmitter, EvmVerifier, FeeCaps, Panel, Profile, SourceConfig,
    SourceContracts, SubmitterConfig,
    preflight::{self, Expectations},
};
use dvn_core::{
    attestation::Attestation,
    destination::Decision,
    error::SignError,
    ids::{BlockNumber, Confirmations, Eid, Vid},
    packet::Claim,
    ports::{
        Chain, ChainSource, Clock, Observation, Outcome, Settlement, SignedAttestation, Signer, Submitter, SystemClock,
        Verification, Verifier,
    },
    quorum::Threshold,
    signature::{Committee, SignatureSet},
};
use dvn_testkit::{
    devnet::{self, ChainSpec, Decoys, Devnet, PacketFields},
    keys,
    toolchain::Toolchain,
};

use crate::{
    fakes::{Hashes, MemoryOutbox},
    node,
};

#[derive(Debug)]
struct Sender(keys::Key);

#[async_trait]
impl Signer for Sender {
    fn address(&self) -> alloy::primitives::Address {
        self.0.address()
    }

    async fn sign_digest(&self, digest: B256) -> Result<Signature, SignError> {
        Ok(self.0.sign(&digest))
    }
}

/// Three seats of one node: enough for the adapters' side of agreement.
fn panel(chain: &devnet::Chain) -> Arc<Panel> {
    let seats = (1..=3).map(|seat| Arc::new(node::seat(&format!("{}?seat={seat}", chain.url())))).collect();
    let named = Chain { name: chain.name().to_owned(), eid: Eid(chain.eid()) };
    let panel = Panel::try_new(named, seats, Threshold::try_new(3, 2).unwrap()).unwrap();
    Arc::new(panel.with_patience(Duration::from_secs(60), Duration::from_secs(60)))
}

fn contracts(chain: &devnet::Chain) -> SourceContracts {
    let addresses = chain.addresses();
    let (endpoint, dvn) = (addresses.endpoint, addresses.dvn);
    SourceContracts { endpoint, send_libs: vec![addresses.send_lib], legacy_send_libs: vec![], dvn }
}

/// Everything asked anew at every look.
fn reader(chain: &devnet::Chain) -> Arc<EvmReader> {
    let config = SourceConfig::new(contracts(chain), &ChainClass::Ethereum.profile(), Confirmations(1));
    let config = SourceConfig { block_time: Duration::ZERO, ..config };
    Arc::new(EvmReader::new(panel(chain), config, Arc::new(Hashes::default())))
}

fn verifier(chain: &devnet::Chain) -> EvmVerifier {
    EvmVerifier::new(reader(chain))
}

pub(crate) fn submitter(chain: &devnet::Chain) -> EvmSubmitter {
    submitter_on(chain, Arc::new(MemoryOutbox::default()), Arc::new(SystemClock::new()))
}

/// One that goes on with what an earlier one kept.
pub(crate) fn submitter_on(chain: &devnet::Chain, outbox: Arc<MemoryOutbox>, clock: Arc<dyn Clock>) -> EvmSubmitter {
    sent_by(keys::submitter(0), chain, outbox, clock)
}

/// One that sends from this account.
pub(crate) fn sent_by(
    key: keys::Key,
    chain: &devnet::Chain,
    outbox: Arc<MemoryOutbox>,
    clock: Arc<dyn Clock>,
) -> EvmSubmitter {
    let Profile { finality, gas, .. } = ChainClass::Generic.profile();
    let config = SubmitterConfig {
        chain_id: chain.chain_id(),
        endpoint: chain.addresses().endpoint,
        receive_libs: vec![chain.addresses().receive_lib],
        dvn: chain.addresses().dvn,
        finality,
        floor: Confirmations(1),
        log_range: 1_000,
        gas,
        fees: FeeCaps { max_fee: 1_000_000_000_000, max_priority_fee: 5_000_000_000 },
        replace_after: Duration::from_secs(60),
        resend_after: Duration::from_secs(60),
        expiry_margin: Duration::from_secs(30),
    };
    EvmSubmitter::new(panel(chain), config, Arc::new(Sender(key)), outbox, clock)
}

pub(crate) async fn start() -> Option<Devnet> {
    let toolchain = Toolchain::for_test("the adapters over the real contracts")?;
    let signers = [keys::signer(0).address(), keys::signer(1).address()];
    let builder = Devnet::builder().chain(ChainSpec::ethereum().with_confirmations(3)).chain(ChainSpec::conflux());
    Some(builder.signers(signers, 2).start(&toolchain).await.unwrap())
}

/// Scans the chain and verifies all that the scan hints at.
pub(crate) async fn observations(chain: &devnet::Chain) -> Vec<Observation> {
    let source = EvmSource::new(reader(chain));
    let head = source.next_head(None).await.unwrap();
    let scan = source.scan(BlockNumber(0)..=head.latest).await.unwrap();
    let verifier = verifier(chain);
    let mut seen = Vec::new();
    for assignment in scan.assignments {
        match verifier.verify(&assignment.location).await.unwrap() {
            Verification::Found(found) => seen.push(*found),
            other => panic!("expected a packet, got {other:?}"),
        }
    }
    seen
}

pub(crate) async fn signed(submitter: &dyn Submitter, claim: Claim) -> SignedAttestation {
    let keys = [keys::signer(0), keys::signer(1), keys::other_signer()];
    let committee = submitter.committee(&keys.each_ref().map(keys::Key::address)).await.unwrap();
    assert_eq!((committee.quorum, committee.members.len()), (2, 2));
    let view = submitter.view(&claim).await.unwrap();
    let Decision::Submit(config) = view.decide(&claim) else { panic!("expected work, got {view:?}") };
    let attestation = Attestation {
        claim,
        confirmations: config.confirmations,
        expiration: view.time.plus(900),
        vid: committee.vid,
        target: view.receive_lib,
    };
    let digest = attestation.digest();
    let signatures = SignatureSet::try_new(digest, &committee, keys[..2].iter().map(|key| key.sign(&digest))).unwrap();
    SignedAttestation { job: claim.job_id(), attestation, signatures }
}

/// Looks until the open transaction is decided: a node takes a transaction before it mines it.
pub(crate) async fn settled(submitter: &dyn Submitter) -> Vec<Settlement> {
    let decided = async {
        loop {
            let settlements = submitter.settle().await.unwrap();
            if !settlements.is_empty() {
                return settlements;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), decided).await.unwrap()
}

#[tokio::test]
async fn packets_go_from_log_to_record_over_the_real_contracts() {
    let Some(devnet) = start().await else { return };
    let (ethereum, conflux) = (devnet.chain("ethereum").unwrap(), devnet.chain("conflux").unwrap());
    let messages = [b"one".to_vec(), b"two".to_vec(), Vec::new()];
    let forged = PacketFields {
        nonce: 9,
        src_eid: ethereum.eid(),
        sender: ethereum.addresses().oapp.into_word(),
        dst_eid: conflux.eid(),
        receiver: conflux.addresses().oapp.into_word(),
        message: Bytes::from_static(b"forged"),
    };
    let decoys = Decoys::everywhere(ethereum, &forged);
    let sent = devnet.send_with_decoys(ethereum, conflux, &messages, decoys).await.unwrap();
    ethereum.anvil().mine(5).await.unwrap();

    let seen = observations(ethereum).await;
    let claims: Vec<Claim> = seen.iter().map(|seen| seen.claim).collect();
    let payload_hashes: Vec<B256> = claims.iter().map(|claim| claim.payload_hash.0).collect();
    assert_eq!(payload_hashes, sent.packets.iter().map(|packet| packet.payload_hash).collect::<Vec<_>>());
    for seen in &seen {
        assert!(seen.assigned && seen.head.settled >= seen.location.block.number);
        assert_eq!(seen.send_confirmations, Confirmations(3));
    }

    let submitter = submitter(conflux);
    let mut batch = Vec::new();
    for claim in &claims {
        batch.push(signed(&submitter, *claim).await);
    }
    let ids = submitter.submit(batch).await.unwrap().sent;
    assert_eq!(ids.len(), 3);
    let settlements = settled(&submitter).await;
    assert_eq!(settlements.len(), 3);
    assert!(settlements.iter().all(|it| matches!(it.outcome, Outcome::Attested { .. })), "{settlements:?}");
    submitter.close(ids[0].1).await.unwrap();
    assert!(!submitter.is_busy().await.unwrap());
    for claim in &claims {
        assert_eq!(submitter.view(claim).await.unwrap().decide(claim), Decision::Attested);
    }
    devnet.deliver(&sent.packets[0]).await.unwrap();
    assert_eq!(submitter.view(&claims[0]).await.unwrap().decide(&claims[0]), Decision::Committed);
}

#[tokio::test]
async fn what_the_contract_would_refuse_is_left_out_and_the_rest_is_sent() {
    let Some(devnet) = start().await else { return };
    let (ethereum, conflux) = (devnet.chain("ethereum").unwrap(), devnet.chain("conflux").unwrap());
    let messages: Vec<Vec<u8>> = (0..4_u8).map(|byte| vec![byte]).collect();
    devnet.send(ethereum, conflux, &messages).await.unwrap();
    ethereum.anvil().mine(5).await.unwrap();
    let submitter = submitter(conflux);
    let mut batch = Vec::new();
    for seen in observations(ethereum).await {
        batch.push(signed(&submitter, seen.claim).await);
    }
    // Signed for one expiration and sent with another; with another contract's vid; for a target that refuses the call.
    batch[1].attestation.expiration = batch[1].attestation.expiration.plus(1);
    batch[2].attestation.vid = Vid(7);
    batch[3] = resigned(&batch[3], conflux.addresses().endpoint);
    let submitted = submitter.submit(batch.clone()).await.unwrap();
    assert_eq!(submitted.sent.iter().map(|(job, _)| *job).collect::<Vec<_>>(), [batch[0].job]);
    let reasons: Vec<&str> = submitted.refused.iter().map(|(_, reason)| reason.as_str()).collect();
    let [signatures, vid, call] = reasons[..] else { panic!("three are refused, not {reasons:?}") };
    assert!(
        signatures.contains("signatures") && vid.contains("vid 7") && call.contains("refuses the call"),
        "{reasons:?}"
    );
    let outcomes: Vec<Outcome> = settled(&submitter).await.into_iter().map(|it| it.outcome).collect();
    assert!(matches!(outcomes[..], [Outcome::Attested { .. }]), "{outcomes:?}");
}

/// The same, signed well for another target.
fn resigned(item: &SignedAttestation, target: alloy::primitives::Address) -> SignedAttestation {
    let attestation = Attestation { target, ..item.attestation };
    let keys = [keys::signer(0), keys::signer(1)];
    let members = keys.each_ref().map(keys::Key::address).to_vec();
    let committee = Committee { vid: attestation.vid, quorum: 2, members };
    let digest = attestation.digest();
    let signatures = SignatureSet::try_new(digest, &committee, keys.iter().map(|key| key.sign(&digest))).unwrap();
    SignedAttestation { attestation, signatures, ..item.clone() }
}

#[tokio::test]
async fn a_reorg_orphans_a_packet_that_was_not_final() {
    let Some(devnet) = start().await else { return };
    let (ethereum, conflux) = (devnet.chain("ethereum").unwrap(), devnet.chain("conflux").unwrap());
    devnet.send(ethereum, conflux, &[b"one".to_vec()]).await.unwrap();
    let seen = observations(ethereum).await;
    assert!(seen[0].head.settled < seen[0].location.block.number);
    ethereum.anvil().reorg(1, &[]).await.unwrap();
    let result = verifier(ethereum).verify(&seen[0].location).await.unwrap();
    assert_eq!(result, Verification::Orphaned);
}

#[tokio::test]
async fn start_checks_pass_on_the_real_contracts() {
    let Some(devnet) = start().await else { return };
    let conflux = devnet.chain("conflux").unwrap();
    let addresses = conflux.addresses();
    let expected = Expectations {
        chain_id: conflux.chain_id(),
        eid: Eid(conflux.eid()),
        endpoint: addresses.endpoint,
        send_libs: vec![addresses.send_lib],
        receive_libs: vec![addresses.receive_lib],
        dvn: addresses.dvn,
        vid: Some(Vid(conflux.vid())),
        quorum: Some(2),
        signer: Some(keys::signer(0).address()),
        senders: vec![keys::submitter(0).address()],
    };
    assert_eq!(preflight::check(&panel(conflux), &expected).await, []);
    let stranger = Expectations { senders: vec![keys::submitter(0).address(), keys::signer(0).address()], ..expected };
    assert!(preflight::check(&panel(conflux), &stranger).await.iter().any(|finding| finding.fatal));
}
