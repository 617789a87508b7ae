#![expect(clippy::arithmetic_side_effects, reason = "arithmetic in the scalar field cannot overflow")]

use dvn_core::signature::recover;
use k256::{
    Scalar,
    ecdsa::{SigningKey, hazmat::SignPrimitive},
};

use super::*;

fn key() -> SigningKey {
    SigningKey::from_slice(B256::with_last_byte(7).as_slice()).unwrap()
}

fn release() -> Release {
    Release::new(Address::from_private_key(&key()), "test")
}

fn digest(byte: u8) -> B256 {
    B256::repeat_byte(byte)
}

/// r ‖ s made with a nonce of the test's choice, as a broken device would.
fn sign_with_nonce(nonce: u64, digest: B256) -> [u8; 64] {
    let secret = *key().as_nonzero_scalar().as_ref();
    let (scalars, _) = secret.try_sign_prehashed(Scalar::from(nonce), &digest.0.into()).unwrap();
    scalars.to_bytes().into()
}

fn with_high_s(raw: [u8; 64]) -> [u8; 64] {
    let low = Scalars::from_slice(&raw).unwrap();
    let low = low.normalize_s().unwrap_or(low);
    Scalars::from_scalars(*low.r(), -*low.s()).unwrap().to_bytes().into()
}

fn kind(result: Result<Signature, SignError>) -> SignErrorKind {
    result.unwrap_err().kind()
}

#[test]
fn low_and_high_s_come_out_low_and_with_their_parity() {
    let release = release();
    for nonce in 2..40_u64 {
        let digest = B256::from(alloy_primitives::U256::from(nonce));
        let raw = sign_with_nonce(nonce, digest);
        let high = with_high_s(raw);
        assert!(Scalars::from_slice(&high).unwrap().normalize_s().is_some());
        for bytes in [raw, high] {
            let signature = release.finish(&bytes, digest).unwrap();
            assert_eq!(recover(digest, &signature), Ok(release.address()));
        }
    }
}

#[test]
fn anything_but_two_scalars_is_refused() {
    let release = release();
    let good = sign_with_nonce(5, digest(1));
    let mut zero_r = good;
    zero_r[..32].fill(0);
    let mut zero_s = good;
    zero_s[32..].fill(0);
    let mut above_order = good;
    above_order[..32].fill(0xff);
    let long = [good.as_slice(), &[0]].concat();
    let cases: [&[u8]; 6] = [&[], &good[..63], &long, &zero_r, &zero_s, &above_order];
    for raw in cases {
        assert_eq!(kind(release.finish(raw, digest(1))), SignErrorKind::Integrity, "{raw:02x?}");
    }
}

#[test]
fn a_signature_over_another_digest_or_of_another_key_is_withheld() {
    let raw = sign_with_nonce(5, digest(1));
    assert_eq!(kind(release().finish(&raw, digest(2))), SignErrorKind::Integrity);
    let other = Release::new(Address::repeat_byte(1), "other");
    assert_eq!(kind(other.finish(&raw, digest(1))), SignErrorKind::Integrity);
    // A wrong answer alone does not stop the key: the caller decides.
    assert!(release().ensure_running().is_ok());
}

#[test]
fn a_nonce_used_for_two_digests_stops_the_key_before_the_second_is_released() {
    let release = release();
    release.finish(&sign_with_nonce(5, digest(1)), digest(1)).unwrap();
    release.finish(&sign_with_nonce(5, digest(1)), digest(1)).unwrap();
    assert!(release.ensure_running().is_ok());
    assert_eq!(kind(release.finish(&sign_with_nonce(5, digest(2)), digest(2))), SignErrorKind::Integrity);
    assert!(release.ensure_running().is_err());
    assert_eq!(kind(release.finish(&sign_with_nonce(6, digest(3)), digest(3))), SignErrorKind::Integrity);
}

#[test]
fn the_negated_nonce_is_the_same_nonce() {
    let release = release();
    release.finish(&sign_with_nonce(5, digest(1)), digest(1)).unwrap();
    let negated = with_high_s(sign_with_nonce(5, digest(2)));
    assert_eq!(kind(release.finish(&negated, digest(2))), SignErrorKind::Integrity);
    assert!(release.ensure_running().is_err());
}
