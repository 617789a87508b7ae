//! What the `Submitter` port promises, with a relayer that does what the test says. No chain is asked.

use std::time::Duration;

use alloy_primitives::B256;
use alloy_sol_types::SolEvent;
use dvn_chain::{ChainClass, FeeCaps, Panel, Seat, SeatConfig, SubmitterConfig};
use dvn_core::{
    ids::{ChainTime, Confirmations, Eid, Nonce, PayloadHash, Vid},
    packet::Header,
    quorum::Threshold,
    signature::SignatureSet,
};
use dvn_store::Sqlite;
use dvn_testkit::keys;
use serde_json::json;

use super::*;

const DVN: Address = Address::repeat_byte(0xd1);
const LIBRARY: Address = Address::repeat_byte(0xe1);

/// A submitter and the far ends of its channels.
struct Stage {
    submitter: RelayedSubmitter,
    taken: mpsc::Receiver<Order>,
    tell: mpsc::Sender<Report>,
    outbox: Arc<dyn Outbox>,
}

async fn stage() -> Stage {
    let outbox = Sqlite::in_memory().await.unwrap().store().outbox;
    on(outbox)
}

/// As after a restart: another process on the same outbox.
fn on(outbox: Arc<dyn Outbox>) -> Stage {
    let (orders, taken) = mpsc::channel(1);
    let (tell, reports) = mpsc::channel(4);
    let relayer = Relayer { wallet: keys::submitter(0).address(), orders, reports };
    let submitter = RelayedSubmitter::new(reads(&outbox), DVN, relayer, Arc::clone(&outbox));
    Stage { submitter, taken, tell, outbox }
}

/// Nobody listens there, and nobody is asked.
fn reads(outbox: &Arc<dyn Outbox>) -> EvmSubmitter {
    let chain = Chain { name: "conflux".to_owned(), eid: Eid(30_212) };
    let config = SeatConfig::new("http://127.0.0.1:9".parse().unwrap(), "self".to_owned(), "none".to_owned());
    let seat = Arc::new(Seat::try_new(&chain.name, config).unwrap());
    let panel = Panel::try_new(chain, vec![seat], Threshold::try_new(1, 1).unwrap()).unwrap();
    let profile = ChainClass::Generic.profile();
    let config = SubmitterConfig {
        chain_id: 1030,
        endpoint: Address::repeat_byte(0xf1),
        receive_libs: vec![LIBRARY],
        dvn: DVN,
        finality: profile.finality,
        floor: Confirmations(1),
        log_range: profile.log_range,
        gas: profile.gas,
        fees: FeeCaps { max_fee: 1, max_priority_fee: 1 },
        replace_after: Duration::from_secs(30),
        resend_after: Duration::from_secs(5),
        expiry_margin: Duration::from_secs(60),
    };
    let signer = dvn_examples::parts::signer(&keys::other_signer()).unwrap();
    EvmSubmitter::new(Arc::new(panel), config, signer, Arc::clone(outbox), Arc::new(SystemClock::new()))
}

fn item(nonce: u64) -> SignedAttestation {
    let (sender, receiver) = (B256::repeat_byte(1), B256::repeat_byte(2));
    let header = Header { nonce: Nonce(nonce), src_eid: Eid(30_101), sender, dst_eid: Eid(30_212), receiver };
    let claim = Claim { header, payload_hash: PayloadHash(B256::repeat_byte(3)) };
    let (confirmations, expiration) = (Confirmations(2), ChainTime(9_000_000_000));
    let attestation = Attestation { claim, confirmations, expiration, vid: Vid(212), target: LIBRARY };
    let key = keys::signer(0);
    let committee = Committee { vid: Vid(212), quorum: 1, members: vec![key.address()] };
    let digest = attestation.digest();
    let signatures = SignatureSet::try_new(digest, &committee, [key.sign(&digest)]).unwrap();
    SignedAttestation { job: claim.job_id(), attestation, signatures }
}

/// A mined transaction that succeeded and emitted these events.
fn receipt(events: &[(Address, PayloadVerified)]) -> Receipt {
    let (transaction, block) = (B256::repeat_byte(7), B256::repeat_byte(8));
    let log = |(address, event): &(Address, PayloadVerified)| {
        let data = event.encode_log_data();
        json!({
            "address": address, "topics": data.topics(), "data": data.data, "blockHash": block, "blockNumber": "0x5",
            "transactionHash": transaction, "logIndex": "0x0",
        })
    };
    let logs: Vec<_> = events.iter().map(log).collect();
    let value = json!({
        "transactionHash": transaction, "blockHash": block, "blockNumber": "0x5", "contractAddress": null,
        "status": "0x1", "gasUsed": "0x1", "logs": logs,
    });
    serde_json::from_value(value).unwrap()
}

/// What the receive library emits for an item.
fn record(item: &SignedAttestation) -> PayloadVerified {
    let Attestation { claim, confirmations, .. } = item.attestation;
    PayloadVerified {
        dvn: DVN,
        header: claim.header.encode(),
        confirmations: U256::from(confirmations.0),
        proofHash: claim.payload_hash.0,
    }
}

#[tokio::test]
async fn an_open_item_is_named_and_not_ordered_again() {
    let mut stage = stage().await;
    let first = stage.submitter.submit(vec![item(1)]).await.unwrap();
    let again = stage.submitter.submit(vec![item(1)]).await.unwrap();
    assert_eq!(first, again);
    assert_eq!(stage.taken.try_recv().unwrap().input, abi::execute(&[item(1)]));
    assert!(stage.taken.try_recv().is_err() && stage.submitter.is_busy().await.unwrap());
}

#[tokio::test]
async fn a_report_repeats_until_it_is_closed() {
    let stage = stage().await;
    let [(job, id)] = stage.submitter.submit(vec![item(1)]).await.unwrap().sent[..] else { panic!("one item") };
    assert!(stage.submitter.settle().await.unwrap().is_empty());
    let mined = receipt(&[(LIBRARY, record(&item(1)))]);
    stage.tell.send(Report { number: id.0, receipt: Some(mined) }).await.unwrap();

    let settled = stage.submitter.settle().await.unwrap();
    assert!(
        matches!(&settled[..], [one] if one.job == job && matches!(one.outcome, Outcome::Attested { .. })),
        "{settled:?}"
    );
    assert_eq!(stage.submitter.settle().await.unwrap(), settled);
    stage.submitter.close(id).await.unwrap();
    assert!(stage.submitter.settle().await.unwrap().is_empty() && !stage.submitter.is_busy().await.unwrap());
}

#[tokio::test]
async fn the_logs_decide_and_never_the_status() {
    let wanted = item(1);
    let changed = |change: fn(&mut PayloadVerified)| {
        let mut event = record(&wanted);
        change(&mut event);
        event
    };
    let cases = [
        (LIBRARY, record(&wanted), true),
        (DVN, record(&wanted), false),
        (LIBRARY, record(&item(2)), false),
        (LIBRARY, changed(|it| it.dvn = LIBRARY), false),
        (LIBRARY, changed(|it| it.proofHash = B256::ZERO), false),
        (LIBRARY, changed(|it| it.confirmations = U256::from(1)), false),
    ];
    for (address, event, expected) in cases {
        let stage = stage().await;
        let [(_, id)] = stage.submitter.submit(vec![item(1)]).await.unwrap().sent[..] else { panic!("one item") };
        let mined = receipt(&[(address, event.clone())]);
        stage.tell.send(Report { number: id.0, receipt: Some(mined) }).await.unwrap();
        let settled = stage.submitter.settle().await.unwrap();
        assert_eq!(matches!(settled[0].outcome, Outcome::Attested { .. }), expected, "{event:?}");
    }
}

#[tokio::test]
async fn what_the_relayer_lacks_is_handed_over_by_a_later_look() {
    let mut stage = stage().await;
    // The relayer takes one order at a time, so that the second waits in the outbox.
    stage.submitter.submit(vec![item(1)]).await.unwrap();
    stage.submitter.submit(vec![item(2)]).await.unwrap();
    let first = stage.taken.try_recv().unwrap();
    stage.submitter.settle().await.unwrap();
    assert_eq!(stage.taken.try_recv().unwrap().input, abi::execute(&[item(2)]));

    stage.tell.send(Report { number: first.number, receipt: None }).await.unwrap();
    stage.submitter.settle().await.unwrap();
    assert_eq!(stage.taken.try_recv().unwrap().number, first.number);
}

#[tokio::test]
async fn an_order_outlives_the_process() {
    let stage = stage().await;
    let before = stage.submitter.submit(vec![item(1)]).await.unwrap();
    let mut restarted = on(stage.outbox);
    assert!(restarted.submitter.settle().await.unwrap().is_empty());
    assert_eq!(restarted.taken.try_recv().unwrap().input, abi::execute(&[item(1)]));
    assert_eq!(restarted.submitter.submit(vec![item(1)]).await.unwrap(), before);
}
