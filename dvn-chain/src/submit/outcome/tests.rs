use alloy::primitives::{Bytes, address};
use dvn_core::{
    ids::{BlockNumber, BlockRef, Confirmations, Eid, JobId, Nonce, PayloadHash, Vid},
    packet::{Claim, Header},
};

use super::*;

const DVN: Address = address!("8D183A062e99cad6f3723E6d836F9EA13886B173");
const LIB: Address = address!("16Cc4EF7c128d7FEa96Cf46FFD9dD20f76170347");
const OTHER: Address = Address::repeat_byte(9);
const TX: B256 = B256::repeat_byte(0xaa);
const BLOCK: BlockRef = BlockRef { number: BlockNumber(7), hash: B256::repeat_byte(7) };
const NOW: ChainTime = ChainTime(1_000);

fn item(nonce: u64) -> OutboxItem {
    let header = Header {
        nonce: Nonce(nonce),
        src_eid: Eid(30101),
        sender: OTHER.into_word(),
        dst_eid: Eid(30212),
        receiver: OTHER.into_word(),
    };
    let claim = Claim { header, payload_hash: PayloadHash(B256::repeat_byte(3)) };
    let attestation = Attestation {
        claim,
        confirmations: Confirmations(15),
        expiration: ChainTime(2_000),
        vid: Vid(212),
        target: LIB,
    };
    OutboxItem { job: JobId(B256::with_last_byte(1)), attestation }
}

fn log(index: u64, address: Address, event: &impl SolEvent) -> Log {
    let data = event.encode_log_data();
    Log { index, address, topics: data.topics().to_vec(), data: data.data }
}

fn verified(item: &OutboxItem) -> ReceiveUln::PayloadVerified {
    let Attestation { claim, confirmations, .. } = item.attestation;
    ReceiveUln::PayloadVerified {
        dvn: DVN,
        header: claim.header.encode(),
        confirmations: U256::from(confirmations.0),
        proofHash: claim.payload_hash.0,
    }
}

fn run(items: &[OutboxItem], status: Option<u64>, logs: Vec<Log>) -> Vec<Outcome> {
    let receipt = Receipt { block: BLOCK, status, logs };
    outcomes(items, Mined { tx_hash: TX, receipt: &receipt, time: NOW }, DVN).collect()
}

fn attested() -> Outcome {
    Outcome::Attested { block: BLOCK, tx_hash: TX }
}

fn only_reason(items: &[OutboxItem], status: Option<u64>, logs: Vec<Log>) -> String {
    match run(items, status, logs).pop() {
        Some(Outcome::Ineffective { reason }) => reason,
        other => panic!("expected no effect, got {other:?}"),
    }
}

#[test]
fn our_own_record_attests() {
    let item = item(1);
    assert_eq!(run(&[item], Some(1), vec![log(0, LIB, &verified(&item))]), [attested()]);
}

#[test]
fn a_replay_that_records_again_attests() {
    let item = item(1);
    let logs = vec![log(0, LIB, &verified(&item)), log(1, LIB, &verified(&item))];
    assert_eq!(run(&[item, item], Some(1), logs), [attested(), attested()]);
}

#[test]
fn status_one_alone_attests_nothing() {
    assert!(only_reason(&[item(1)], Some(1), vec![]).contains("no event"));
}

#[test]
fn refused_signatures_are_named_for_the_right_item() {
    let (good, bad) = (item(1), item(2));
    let logs = vec![log(0, LIB, &verified(&good)), log(1, DVN, &Dvn::VerifySignaturesFailed { idx: U256::from(1) })];
    let outcomes = run(&[good, bad], Some(1), logs.clone());
    assert_eq!(outcomes[0], attested());
    assert!(matches!(&outcomes[1], Outcome::Ineffective { reason } if reason.contains("signatures")));
    // The same event about another item says nothing about this one.
    assert!(only_reason(&[bad], Some(1), logs).contains("no event"));
}

#[test]
fn a_target_that_refuses_is_named() {
    let logs = vec![log(0, DVN, &Dvn::ExecuteFailed { index: U256::ZERO, data: Bytes::from(vec![0x4c; 500]) })];
    let reason = only_reason(&[item(1)], Some(1), logs);
    assert!(reason.contains("refused the call with 0x4c4c") && reason.len() < 250, "{reason}");
}

#[test]
fn expiry_leaves_no_event_and_is_told_by_the_block_time() {
    let mut late = item(1);
    late.attestation.expiration = NOW;
    assert!(only_reason(&[late], Some(1), vec![]).contains("expired"));
    let mut in_time = item(1);
    in_time.attestation.expiration = NOW.plus(1);
    assert!(only_reason(&[in_time], Some(1), vec![]).contains("no event"));
}

#[test]
fn a_wrong_vid_or_an_empty_target_leaves_no_event() {
    assert!(only_reason(&[item(1)], Some(1), vec![]).contains("vid"));
}

#[test]
fn a_revert_attests_nothing_whatever_the_logs_say() {
    let item = item(1);
    assert!(only_reason(&[item], Some(0), vec![]).contains("reverted"));
    assert!(only_reason(&[item], Some(0), vec![log(0, LIB, &verified(&item))]).contains("reverted"));
}

#[test]
fn a_record_with_any_other_value_is_not_ours() {
    let item = item(1);
    let good = verified(&item);
    let others = [
        // Filed under somebody else: an EOA or another DVN called the library.
        log(0, LIB, &ReceiveUln::PayloadVerified { dvn: OTHER, ..good.clone() }),
        // Overwritten with fewer confirmations.
        log(0, LIB, &ReceiveUln::PayloadVerified { confirmations: U256::from(14), ..good.clone() }),
        log(0, LIB, &ReceiveUln::PayloadVerified { proofHash: B256::ZERO, ..good.clone() }),
        log(0, LIB, &ReceiveUln::PayloadVerified { header: Bytes::from_static(&[1; 4]), ..good.clone() }),
        log(0, OTHER, &good),
    ];
    for other in others {
        assert!(only_reason(&[item], Some(1), vec![other]).contains("no event"));
    }
    let mut indexed = log(0, LIB, &good);
    indexed.topics.push(B256::ZERO);
    assert!(only_reason(&[item], Some(1), vec![indexed]).contains("no event"));
}

#[test]
fn failures_told_by_another_contract_are_not_ours() {
    let logs = vec![log(0, OTHER, &Dvn::VerifySignaturesFailed { idx: U256::ZERO })];
    assert!(only_reason(&[item(1)], Some(1), logs).contains("no event"));
}
