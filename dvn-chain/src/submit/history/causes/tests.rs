use alloy::{
    primitives::{Address, B256, Bytes, Signature, U256},
    sol_types::SolCall,
};
use dvn_core::{
    ids::{Confirmations, Eid, Nonce, PayloadHash},
    packet::{Claim, Header},
};
use k256::ecdsa::SigningKey;

use super::*;

const DVN: Address = Address::repeat_byte(0xd0);
const LIB: Address = Address::repeat_byte(0x16);

fn event() -> Verified {
    let app = B256::repeat_byte(7);
    let header = Header { nonce: Nonce(1), src_eid: Eid(30101), sender: app, dst_eid: Eid(30212), receiver: app };
    let claim = Claim { header, payload_hash: PayloadHash(B256::repeat_byte(3)) };
    Verified { claim, confirmations: Confirmations(15), target: LIB }
}

fn attestation() -> Attestation {
    let Verified { claim, confirmations, target } = event();
    Attestation { claim, confirmations, expiration: ChainTime(2_000), vid: Vid(212), target }
}

fn signed(byte: u8, attestation: &Attestation) -> (Address, Signature) {
    let key = SigningKey::from_slice(&[byte; 32]).unwrap();
    let signature = key.sign_prehash_recoverable(attestation.digest().as_slice()).unwrap().into();
    (Address::from_private_key(&key), signature)
}

/// What a wallet would send for this attestation.
fn call(attestation: &Attestation, keys: &[u8]) -> ExecuteParam {
    ExecuteParam {
        vid: attestation.vid.0,
        target: attestation.target,
        callData: attestation.call_data(),
        expiration: U256::from(attestation.expiration.0),
        signatures: keys.iter().flat_map(|key| signed(*key, attestation).1.as_bytes()).collect(),
    }
}

fn sent(to: Option<Address>, calls: &[ExecuteParam]) -> Sent {
    Sent { to, input: Dvn::executeCall { params: calls.to_vec() }.abi_encode().into() }
}

fn caused(of: &[ExecuteParam]) -> Vec<Cause> {
    causes(&calls(DVN, &sent(Some(DVN), of)), &event())
}

#[test]
fn the_cause_of_an_event_has_its_signers_in_the_calls_order() {
    let attestation = attestation();
    let expected = Cause { attestation, signers: vec![signed(2, &attestation), signed(1, &attestation)] };
    assert_eq!(caused(&[call(&attestation, &[2, 1])]), [expected]);
}

#[test]
fn of_several_calls_only_those_of_the_event_count() {
    let (event, ours) = (event(), attestation());
    let mut other = event.claim;
    other.header.nonce = Nonce(2);
    let others = [
        Attestation { claim: other, ..ours },
        Attestation { claim: Claim { payload_hash: PayloadHash(B256::ZERO), ..event.claim }, ..ours },
        Attestation { confirmations: Confirmations(0), ..ours },
        Attestation { target: DVN, ..ours },
    ];
    let mut all: Vec<ExecuteParam> = others.iter().map(|other| call(other, &[1])).collect();
    all.push(ExecuteParam { callData: Bytes::from_static(&[1, 2, 3, 4]), ..call(&ours, &[1]) });
    all.push(ExecuteParam { callData: [&ours.call_data()[..], &[0]].concat().into(), ..call(&ours, &[1]) });
    assert_eq!(caused(&all), []);
    // The same event may have two causes: which of them was first is not in the event.
    let later = Attestation { expiration: ChainTime(3_000), ..ours };
    all.extend([call(&later, &[1]), call(&ours, &[1])]);
    let seen: Vec<Attestation> = caused(&all).into_iter().map(|cause| cause.attestation).collect();
    assert_eq!(seen, [later, ours]);
}

#[test]
fn a_call_of_another_contract_causes_nothing() {
    let all = [call(&attestation(), &[1])];
    for to in [None, Some(LIB)] {
        assert!(calls(DVN, &sent(to, &all)).is_empty());
    }
}

#[test]
fn input_that_does_not_decode_causes_nothing() {
    let whole = sent(Some(DVN), &[call(&attestation(), &[1])]).input;
    let other_function = [&[0xf3, 0xb4, 0xeb, 0xd0], &whole[4..]].concat();
    for input in
        [Bytes::new(), Bytes::from_static(&[0xb1, 0x43, 0x04, 0x4b]), whole.slice(..200), other_function.into()]
    {
        assert!(calls(DVN, &Sent { to: Some(DVN), input }).is_empty());
    }
    // The contract does not mind bytes after the end.
    let longer = Sent { to: Some(DVN), input: [&whole[..], &[7; 40]].concat().into() };
    assert_eq!(causes(&calls(DVN, &longer), &event()).len(), 1);
}

#[test]
fn a_signature_that_the_contract_refuses_has_no_signer() {
    let attestation = attestation();
    let order = U256::from_str_radix("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141", 16).unwrap();
    let (signer, low) = signed(1, &attestation);
    let high = Signature::new(low.r(), order - low.s(), !low.v());
    let packed = [&high.as_bytes()[..], &[0; 65], &low.as_bytes(), &[1; 30]].concat();
    let spoilt = ExecuteParam { signatures: packed.into(), ..call(&attestation, &[]) };
    assert_eq!(caused(&[spoilt]), [Cause { attestation, signers: vec![(signer, low)] }]);
    assert_eq!(caused(&[call(&attestation, &[])]), [Cause { attestation, signers: vec![] }]);
}

#[test]
fn a_signature_is_over_the_calls_own_expiration_and_vid() {
    let attestation = attestation();
    let (signer, _) = signed(1, &attestation);
    let later = ExecuteParam { expiration: U256::from(2_001), ..call(&attestation, &[1]) };
    let other_vid = ExecuteParam { vid: 7, ..call(&attestation, &[1]) };
    for cause in caused(&[later, other_vid]) {
        assert!(cause.signers.iter().all(|(who, _)| *who != signer));
    }
    let never = ExecuteParam { expiration: U256::MAX, ..call(&attestation, &[1]) };
    assert_eq!(caused(&[never]), [], "no time that we state");
}
