use alloy::primitives::{Bytes, address};
use dvn_core::{ids::Nonce, packet::Header};

use super::*;

const ENDPOINT: Address = address!("1a44076050125825900e736c501f859c50fE728c");
const LIB: Address = address!("bB2Ea70C9E858123480642Cf96acbcCE1372dCe1");
const OTHER_LIB: Address = address!("975bcD720be66659e3EB3C0e4F1866a3020E493A");
const DVN: Address = address!("589dEDbD617e0CBcB916A9223F4d1300c294236b");
const STRANGER: Address = Address::repeat_byte(0xbb);
const EID: Eid = Eid(30101);

fn contracts() -> SourceContracts {
    SourceContracts { endpoint: ENDPOINT, send_libs: vec![LIB, OTHER_LIB], legacy_send_libs: vec![], dvn: DVN }
}

fn packet(nonce: u64) -> Packet {
    let header = Header {
        nonce: Nonce(nonce),
        src_eid: EID,
        sender: STRANGER.into_word(),
        dst_eid: Eid(30212),
        receiver: B256::repeat_byte(2),
    };
    Packet { header, message: Bytes::from_static(b"hello") }
}

fn log(index: u64, address: Address, event: &impl SolEvent) -> Log {
    let data = event.encode_log_data();
    Log { index, address, topics: data.topics().to_vec(), data: data.data }
}

fn sent_as(index: u64, emitter: Address, encoded: Bytes, send_library: Address) -> Log {
    let event = Endpoint::PacketSent { encodedPayload: encoded, options: Bytes::new(), sendLibrary: send_library };
    log(index, emitter, &event)
}

fn sent(index: u64, nonce: u64) -> Log {
    sent_as(index, ENDPOINT, packet(nonce).encode(), LIB)
}

fn paid(index: u64, lib: Address, required: &[Address], optional: &[Address], fees: &[u64]) -> Log {
    let event = SendUln::DVNFeePaid {
        requiredDVNs: required.to_vec(),
        optionalDVNs: optional.to_vec(),
        fees: fees.iter().map(|fee| U256::from(*fee)).collect(),
    };
    log(index, lib, &event)
}

fn ours(index: u64) -> Log {
    paid(index, LIB, &[DVN], &[], &[5])
}

fn run(logs: &[Log]) -> Vec<Finding> {
    pair(EID, &contracts(), logs).into_iter().map(|paired| paired.finding).collect()
}

fn assigned(nonce: u64, fee: u64) -> Finding {
    Finding::Assigned { claim: packet(nonce).claim(), send_lib: LIB, fee: U256::from(fee) }
}

fn suspicion(logs: &[Log]) -> Suspicion {
    match run(logs).as_slice() {
        [Finding::Suspicious(suspicion)] => suspicion.clone(),
        other => panic!("expected one suspicion, got {other:?}"),
    }
}

#[test]
fn a_packet_is_paired_with_the_fee_event_before_it() {
    assert_eq!(run(&[ours(1), sent(2, 1)]), [assigned(1, 5)]);
}

#[test]
fn each_of_many_packets_has_its_own_fee_event() {
    let logs = [
        ours(1),
        sent(2, 1),
        paid(4, LIB, &[STRANGER], &[], &[9]),
        sent(5, 2),
        paid(7, LIB, &[STRANGER], &[DVN], &[1, 2]),
        sent(8, 3),
    ];
    let others = Finding::NotAssigned { claim: packet(2).claim(), send_lib: LIB };
    assert_eq!(run(&logs), [assigned(1, 5), others, assigned(3, 2)]);
    let indices: Vec<u64> = pair(EID, &contracts(), &logs).iter().map(|paired| paired.log_index).collect();
    assert_eq!(indices, [2, 5, 8]);
}

#[test]
fn logs_are_taken_in_the_order_of_their_indices() {
    assert_eq!(run(&[sent(2, 1), ours(1)]), [assigned(1, 5)]);
}

#[test]
fn a_dvn_in_both_lists_is_assigned_once_with_both_fees() {
    assert_eq!(run(&[paid(1, LIB, &[STRANGER, DVN], &[DVN], &[1, 2, 4]), sent(2, 1)]), [assigned(1, 6)]);
}

#[test]
fn a_fee_of_zero_is_an_assignment() {
    assert_eq!(run(&[paid(1, LIB, &[DVN], &[], &[0]), sent(2, 1)]), [assigned(1, 0)]);
}

#[test]
fn a_packet_for_others_is_not_assigned() {
    let expected = Finding::NotAssigned { claim: packet(1).claim(), send_lib: LIB };
    assert_eq!(run(&[paid(1, LIB, &[STRANGER], &[], &[1]), sent(2, 1)]), [expected]);
}

#[test]
fn decoys_around_a_packet_change_nothing() {
    let decoy = |index| paid(index, STRANGER, &[DVN], &[], &[1]);
    let forged = |index| sent_as(index, STRANGER, packet(9).encode(), LIB);
    let logs = [
        decoy(0),
        forged(1),
        paid(2, LIB, &[STRANGER], &[], &[1]),
        decoy(3),
        forged(4),
        sent(5, 1),
        decoy(6),
        forged(7),
    ];
    assert_eq!(run(&logs), [Finding::NotAssigned { claim: packet(1).claim(), send_lib: LIB }]);
}

#[test]
fn a_hostile_dvn_in_the_middle_of_a_send_is_not_believed() {
    // Its assignJob emits a fee event that names us and a packet that names the genuine library.
    let hostile = [paid(1, STRANGER, &[DVN], &[], &[1]), sent_as(2, STRANGER, packet(9).encode(), LIB)];
    let logs = [hostile[0].clone(), hostile[1].clone(), ours(3), sent(4, 1)];
    assert_eq!(run(&logs), [assigned(1, 5)]);
}

#[test]
fn a_packet_of_another_emitter_is_no_packet() {
    assert_eq!(run(&[ours(1), sent_as(2, STRANGER, packet(1).encode(), LIB)]), []);
    assert_eq!(run(&[ours(1), sent_as(2, LIB, packet(1).encode(), LIB)]), []);
}

#[test]
fn the_library_that_the_packet_names_counts_and_no_other() {
    assert_eq!(suspicion(&[paid(1, OTHER_LIB, &[DVN], &[], &[1]), sent(2, 1)]), Suspicion::NoFeeEvent);
    assert_eq!(
        suspicion(&[ours(1), sent_as(2, ENDPOINT, packet(1).encode(), STRANGER)]),
        Suspicion::UnknownLibrary(STRANGER)
    );
}

#[test]
fn a_fee_event_before_the_previous_packet_is_spent() {
    // The second packet's own fee event is missing; the first one's, or an unused one of another library, is not taken.
    let logs = [
        ours(1),
        paid(2, OTHER_LIB, &[DVN], &[], &[1]),
        sent(3, 1),
        sent_as(4, ENDPOINT, packet(2).encode(), OTHER_LIB),
    ];
    assert_eq!(run(&logs), [assigned(1, 5), Finding::Suspicious(Suspicion::NoFeeEvent)]);
    assert_eq!(run(&[ours(1), sent(2, 1), sent(3, 2)]), [assigned(1, 5), Finding::Suspicious(Suspicion::NoFeeEvent)]);
}

#[test]
fn a_fee_event_after_the_packet_is_not_its_own() {
    assert_eq!(suspicion(&[sent(1, 1), ours(2)]), Suspicion::NoFeeEvent);
}

#[test]
fn another_transactions_fee_event_is_not_seen() {
    // One transaction at a time is judged; the fee event of the other is simply not among the logs.
    assert_eq!(suspicion(&[sent(2, 1)]), Suspicion::NoFeeEvent);
}

#[test]
fn two_fee_events_for_one_packet_are_suspicious() {
    assert_eq!(suspicion(&[ours(1), paid(2, LIB, &[STRANGER], &[], &[1]), sent(3, 1)]), Suspicion::SeveralFeeEvents);
}

#[test]
fn fees_and_dvns_must_match_in_number() {
    assert_eq!(
        suspicion(&[paid(1, LIB, &[DVN], &[STRANGER], &[1]), sent(2, 1)]),
        Suspicion::FeeCount { fees: 1, dvns: 2 }
    );
}

#[test]
fn a_packet_of_another_source_is_suspicious() {
    let mut foreign = packet(1);
    foreign.header.src_eid = Eid(30110);
    assert_eq!(
        suspicion(&[ours(1), sent_as(2, ENDPOINT, foreign.encode(), LIB)]),
        Suspicion::ForeignSource(Eid(30110))
    );
}

#[test]
fn a_sender_that_is_no_evm_address_is_suspicious() {
    let mut odd = packet(1);
    odd.header.sender = B256::repeat_byte(1);
    assert_eq!(suspicion(&[ours(1), sent_as(2, ENDPOINT, odd.encode(), LIB)]), Suspicion::Sender);
}

#[test]
fn a_packet_that_breaks_the_codec_is_suspicious() {
    let mut encoded = packet(1).encode().to_vec();
    encoded[81] ^= 1;
    assert!(matches!(
        suspicion(&[ours(1), sent_as(2, ENDPOINT, encoded.into(), LIB)]),
        Suspicion::Packet(PacketError::Guid { .. })
    ));
    let short = Bytes::from_static(&[1; 40]);
    assert!(matches!(
        suspicion(&[ours(1), sent_as(2, ENDPOINT, short, LIB)]),
        Suspicion::Packet(PacketError::Length { .. })
    ));
}

#[test]
fn events_that_do_not_decode_are_suspicious() {
    let mut broken = sent(2, 1);
    broken.data = Bytes::from_static(&[0; 31]);
    assert_eq!(suspicion(&[ours(1), broken]), Suspicion::Event);
    let mut broken = ours(1);
    broken.data = Bytes::from_static(&[0xff; 64]);
    assert_eq!(suspicion(&[broken, sent(2, 1)]), Suspicion::FeeEvent);
    let mut indexed = sent(2, 1);
    indexed.topics.push(B256::ZERO);
    assert_eq!(suspicion(&[ours(1), indexed]), Suspicion::Event);
}

#[test]
fn logs_that_share_an_index_spoil_the_transaction() {
    assert_eq!(suspicion(&[ours(1), paid(1, LIB, &[STRANGER], &[], &[1]), sent(2, 1)]), Suspicion::SharedIndex);
}

#[test]
fn a_broken_packet_also_spends_the_fee_event() {
    let logs = [ours(1), sent_as(2, ENDPOINT, packet(1).encode(), STRANGER), sent(3, 2)];
    let expected = [Suspicion::UnknownLibrary(STRANGER), Suspicion::NoFeeEvent].map(Finding::Suspicious);
    assert_eq!(run(&logs), expected);
}

#[test]
fn the_legacy_librarys_packets_are_recognised() {
    let event = LegacySendUln::PacketSent {
        encodedPayload: Bytes::new(),
        options: Bytes::new(),
        nativeFee: U256::ZERO,
        lzTokenFee: U256::ZERO,
    };
    assert!(is_legacy_packet(&log(1, LIB, &event)));
    assert!(!is_legacy_packet(&sent(1, 1)));
}
