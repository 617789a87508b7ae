use alloy::primitives::{Bytes, U256};
use dvn_core::ids::{Eid, Nonce};

use super::*;

const DVN: Address = Address::repeat_byte(0xd0);
const LIB: Address = Address::repeat_byte(0x16);
const OTHER: Address = Address::repeat_byte(9);

fn claim() -> Claim {
    let (nonce, app) = (Nonce(1), B256::repeat_byte(7));
    let header = Header { nonce, src_eid: Eid(30101), sender: app, dst_eid: Eid(30212), receiver: app };
    Claim { header, payload_hash: PayloadHash(B256::repeat_byte(3)) }
}

fn payload_verified() -> ReceiveUln::PayloadVerified {
    let Claim { header, payload_hash } = claim();
    let (header, confirmations) = (header.encode(), U256::from(15));
    ReceiveUln::PayloadVerified { dvn: DVN, header, confirmations, proofHash: payload_hash.0 }
}

fn log(address: Address, event: &impl SolEvent) -> Log {
    let data = event.encode_log_data();
    Log { index: 0, address, topics: data.topics().to_vec(), data: data.data }
}

fn read(log: &Log) -> Option<Event> {
    event(&[OTHER, LIB], DVN, log)
}

#[test]
fn a_verification_by_ours_is_told_from_those_of_others() {
    let expected = Verified { claim: claim(), confirmations: Confirmations(15), target: LIB };
    assert_eq!(read(&log(LIB, &payload_verified())), Some(Event::Verified(expected)));
    let theirs = ReceiveUln::PayloadVerified { dvn: OTHER, ..payload_verified() };
    assert_eq!(read(&log(LIB, &theirs)), None);
    assert_eq!(read(&log(DVN, &payload_verified())), None, "only a receive library says so");
}

#[test]
fn a_retraction_is_a_verification_with_no_confirmations() {
    let retraction = ReceiveUln::PayloadVerified { confirmations: U256::ZERO, ..payload_verified() };
    let Some(Event::Verified(verified)) = read(&log(LIB, &retraction)) else { panic!("expected an event") };
    assert_eq!(verified.confirmations, Confirmations(0));
}

#[test]
fn a_header_of_other_bytes_is_unreadable_and_stops_nothing() {
    let header = claim().header.encode();
    let mut version = header.to_vec();
    version[0] = 2;
    for header in [Bytes::new(), header.slice(..80), [&header[..], &[0]].concat().into(), version.into()] {
        let event = ReceiveUln::PayloadVerified { header, ..payload_verified() };
        assert!(matches!(read(&log(LIB, &event)), Some(Event::Unreadable(_))));
    }
    let endless = ReceiveUln::PayloadVerified { confirmations: U256::MAX, ..payload_verified() };
    assert!(matches!(read(&log(LIB, &endless)), Some(Event::Unreadable(_))));
}

#[test]
fn changes_are_the_contracts_own() {
    let (role, account, sender) = (B256::repeat_byte(5), OTHER, DVN);
    let changes = [
        (
            log(DVN, &Dvn::UpdateSigner { signer: OTHER, active: true }),
            ChangeKind::Signer { signer: OTHER, active: true },
        ),
        (log(DVN, &Dvn::UpdateQuorum { quorum: 3 }), ChangeKind::Quorum(3)),
        (log(DVN, &Dvn::RoleGranted { role, account, sender }), ChangeKind::Role { role, account, granted: true }),
        (log(DVN, &Dvn::RoleRevoked { role, account, sender }), ChangeKind::Role { role, account, granted: false }),
    ];
    for (mut log, kind) in changes {
        assert_eq!(read(&log), Some(Event::Changed(kind)));
        log.address = LIB;
        assert_eq!(read(&log), None);
    }
}

#[test]
fn a_log_that_is_no_such_event_says_nothing() {
    let mut short = log(DVN, &Dvn::UpdateQuorum { quorum: 3 });
    short.data = Bytes::new();
    assert!(matches!(read(&short), Some(Event::Unreadable(_))));
    let mut indexed = log(DVN, &Dvn::UpdateQuorum { quorum: 3 });
    indexed.topics.push(B256::ZERO);
    assert!(matches!(read(&indexed), Some(Event::Unreadable(_))));
    let mut cut = log(LIB, &payload_verified());
    cut.data = cut.data.slice(..40);
    assert_eq!(read(&cut), None);
    assert_eq!(read(&log(DVN, &Dvn::VerifySignaturesFailed { idx: U256::ZERO })), None);
    assert_eq!(read(&Log { topics: vec![], ..short }), None);
}
