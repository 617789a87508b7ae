use alloy_primitives::{U256, address, hex};

use super::*;
use crate::attestation::tests::golden_attestation;

/// Signatures of the keys 2 and 3 over the golden digest, checked with `verifySignatures` of the deployed contract.
const KEY_2: [u8; 65] = hex!(
    "4688a00e74324d70aba9b1283cd20c204cd442af109212a0934998478792476f"
    "55bc2f837f93544ca13ac43226e70c9bfbe4e3b8a83f6e57ba41d9f3d6974b8d1c"
);
const KEY_3: [u8; 65] = hex!(
    "d0f2e17ad75005e955b02cd720e05118cea19ba785ee29ab58e4990c3de6a6e9"
    "4da45cf65f1b848491ee9cc18d57563e9b549d3cc4c0dda2dd17f6fe039d1f8f1c"
);
const SIGNER_1: Address = address!("7E5F4552091A69125d5DfCb7b8C2659029395Bdf");
const SIGNER_2: Address = address!("2B5AD5c4795c026514f8317c7a215E218DcCD6cF");
const SIGNER_3: Address = address!("6813Eb9362372EEF6200f3b1dbC3f819671cBA69");

fn committee(quorum: usize) -> Committee {
    Committee { vid: Vid(212), quorum, members: vec![SIGNER_1, SIGNER_2, SIGNER_3] }
}

fn signature(bytes: [u8; 65]) -> Signature {
    Signature::from_raw(&bytes).unwrap()
}

#[test]
fn the_golden_set_is_byte_for_byte_whatever_the_order_it_came_in() {
    let digest = golden_attestation().digest();
    let set = SignatureSet::try_new(digest, &committee(2), [signature(KEY_3), signature(KEY_2)]).unwrap();
    assert_eq!(set.to_bytes().to_vec(), [KEY_2, KEY_3].concat());
    assert_eq!(set.signers().collect::<Vec<_>>(), [SIGNER_2, SIGNER_3]);
}

#[test]
fn exactly_the_quorum_is_kept() {
    let digest = golden_attestation().digest();
    let set = SignatureSet::try_new(digest, &committee(1), [signature(KEY_3), signature(KEY_2)]).unwrap();
    assert_eq!(set.to_bytes().len(), SIGNATURE_LEN);
}

#[test]
fn one_signer_twice_is_one_signer() {
    let digest = golden_attestation().digest();
    let twice = SignatureSet::try_new(digest, &committee(2), [signature(KEY_3), signature(KEY_3)]);
    assert_eq!(twice, Err(SignatureError::TooFew { have: 1, need: 2 }));
}

#[test]
fn a_quorum_of_zero_is_never_met() {
    let digest = golden_attestation().digest();
    assert!(SignatureSet::try_new(digest, &committee(0), [signature(KEY_3)]).is_err());
}

#[test]
fn a_stranger_is_refused() {
    let digest = golden_attestation().digest();
    let committee = Committee { members: vec![SIGNER_1, SIGNER_2], ..committee(1) };
    let stranger = SignatureSet::try_new(digest, &committee, [signature(KEY_3)]);
    assert_eq!(stranger, Err(SignatureError::Stranger(SIGNER_3)));
}

#[test]
fn a_signature_over_something_else_is_refused() {
    let digest = B256::repeat_byte(7);
    assert!(SignatureSet::try_new(digest, &committee(1), [signature(KEY_2)]).is_err());
    assert!(matches!(check(digest, &signature(KEY_2), SIGNER_2), Err(SignatureError::WrongSigner { .. })));
}

#[test]
fn a_high_s_is_refused_although_it_recovers() {
    let order = U256::from_str_radix("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141", 16).unwrap();
    let low = signature(KEY_2);
    let high = Signature::new(low.r(), order - low.s(), !low.v());
    let digest = golden_attestation().digest();
    assert_eq!(high.recover_address_from_prehash(&digest).ok(), Some(SIGNER_2));
    assert_eq!(recover(digest, &high), Err(SignatureError::HighS));
}

#[test]
fn whatever_the_contract_could_not_accept_is_left_out_of_packed_signatures() {
    let digest = golden_attestation().digest();
    let order = U256::from_str_radix("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141", 16).unwrap();
    let low = signature(KEY_2);
    let high = Signature::new(low.r(), order - low.s(), !low.v()).as_bytes();
    let short_v = [&KEY_2[..64], &[1]].concat();
    let packed = [KEY_3.as_slice(), &high, &short_v, &[0; 65], &[0xff; 65], &KEY_2, &KEY_2[..64]].concat();
    let expected = vec![(SIGNER_3, signature(KEY_3)), (SIGNER_2, signature(KEY_2))];
    assert_eq!(recover_packed(digest, &packed), expected);
    assert_eq!(recover_packed(digest, &[]), []);
}

#[test]
fn what_is_packed_recovers_to_who_signed_it() {
    let digest = golden_attestation().digest();
    let set = SignatureSet::try_new(digest, &committee(2), [signature(KEY_3), signature(KEY_2)]).unwrap();
    assert_eq!(recover_packed(digest, &set.to_bytes()), set.iter().collect::<Vec<_>>());
    let other = recover_packed(B256::repeat_byte(7), &set.to_bytes());
    assert!(other.iter().all(|(signer, _)| ![SIGNER_2, SIGNER_3].contains(signer)));
}
