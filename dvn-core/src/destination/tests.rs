use super::*;
use crate::{
    ids::{BlockNumber, PayloadHash},
    packet::tests::golden,
};

/// A destination that knows nothing of the golden packet and lists us with 15 confirmations.
pub(crate) fn fresh() -> DestinationView {
    DestinationView {
        at: BlockRef { number: BlockNumber(500), hash: B256::repeat_byte(5) },
        time: ChainTime(1_700_000_000),
        receive_lib: Address::repeat_byte(0x16),
        receive_lib_known: true,
        config: Some(ReceiveConfig { confirmations: Confirmations(15), lists_us: true }),
        stored: B256::ZERO,
        lazy_nonce: Nonce(0),
        record: None,
    }
}

#[test]
fn every_row_of_the_decision_table() {
    let claim = golden().claim();
    let config = ReceiveConfig { confirmations: Confirmations(15), lists_us: true };
    let cases = [
        ("new", fresh(), Decision::Submit(config)),
        (
            "unknown library",
            DestinationView { receive_lib_known: false, ..fresh() },
            Decision::Hold(Hold::UnknownReceiveLibrary),
        ),
        ("config reverts", DestinationView { config: None, ..fresh() }, Decision::Hold(Hold::NoReceiveConfig)),
        ("stored", DestinationView { stored: claim.payload_hash.0, ..fresh() }, Decision::Committed),
        ("executed", DestinationView { lazy_nonce: Nonce(1), ..fresh() }, Decision::Committed),
        ("nilified", DestinationView { stored: NIL_PAYLOAD_HASH, ..fresh() }, Decision::Hold(Hold::Nilified)),
        (
            "foreign payload",
            DestinationView { stored: B256::repeat_byte(9), ..fresh() },
            Decision::Hold(Hold::ForeignPayload),
        ),
        (
            "not listed",
            DestinationView { config: Some(ReceiveConfig { lists_us: false, ..config }), ..fresh() },
            Decision::Hold(Hold::NotListed),
        ),
        ("recorded", DestinationView { record: Some(Confirmations(15)), ..fresh() }, Decision::Attested),
        ("recorded too low", DestinationView { record: Some(Confirmations(14)), ..fresh() }, Decision::Submit(config)),
    ];
    for (name, view, decision) in cases {
        assert_eq!(view.decide(&claim), decision, "{name}");
    }
}

#[test]
fn a_commit_counts_whatever_library_the_receiver_uses_now() {
    let claim = golden().claim();
    let moved_on = DestinationView { receive_lib_known: false, config: None, stored: claim.payload_hash.0, ..fresh() };
    assert_eq!(moved_on.decide(&claim), Decision::Committed);
}

#[test]
fn another_payload_is_never_taken_for_ours_even_behind_the_lazy_nonce() {
    let mut claim = golden().claim();
    let view = DestinationView { stored: claim.payload_hash.0, lazy_nonce: Nonce(7), ..fresh() };
    claim.payload_hash = PayloadHash(B256::repeat_byte(1));
    assert_eq!(view.decide(&claim), Decision::Hold(Hold::ForeignPayload));
}
