use alloy_primitives::{address, b256};

use super::*;
use crate::packet::tests::golden;

/// The golden attestation, checked against `hashCallData` of the deployed DVN contract.
pub(crate) fn golden_attestation() -> Attestation {
    Attestation {
        claim: golden().claim(),
        confirmations: Confirmations(15),
        expiration: ChainTime(1_893_456_000),
        vid: Vid(212),
        target: address!("16Cc4EF7c128d7FEa96Cf46FFD9dD20f76170347"),
    }
}

#[test]
fn the_golden_attestation_hashes_byte_for_byte() {
    let attestation = golden_attestation();
    let call_data = attestation.call_data();
    assert_eq!(call_data.len(), 228);
    assert_eq!(call_data[..4], [0x02, 0x23, 0x53, 0x6e]);
    assert_eq!(attestation.hash(), b256!("1909881b8f537b7498f9fd50f6b104f1945665e447cb2a3785ad7d36393aba29"));
    assert_eq!(attestation.digest(), b256!("a385b329964209f84be396440b110b2d308714ed3f92c424511eca34350052c9"));
}

#[test]
fn every_part_of_the_meaning_changes_the_digest() {
    let golden = golden_attestation();
    let mut claim = golden.claim;
    claim.payload_hash.0.0[0] ^= 1;
    let mut slot = golden.claim;
    slot.header.nonce.0 += 1;
    let others = [
        Attestation { claim, ..golden },
        Attestation { claim: slot, ..golden },
        Attestation { confirmations: Confirmations(16), ..golden },
        Attestation { expiration: ChainTime(1_893_456_001), ..golden },
        Attestation { vid: Vid(101), ..golden },
        Attestation { target: Address::ZERO, ..golden },
    ];
    for other in others {
        assert_ne!(other.digest(), golden.digest(), "{other:?}");
    }
}

#[test]
fn t31_nothing_but_a_verification_can_be_expressed() {
    // The first four bytes decide what the DVN contract does; they are a constant of the encoding.
    for confirmations in [0, 1, u64::MAX] {
        let attestation = Attestation { confirmations: Confirmations(confirmations), ..golden_attestation() };
        assert_eq!(attestation.call_data()[..4], abi::verifyCall::SELECTOR);
        assert_eq!(attestation.call_data().len(), 228);
        assert_eq!(attestation.is_retraction(), confirmations == 0);
    }
}
