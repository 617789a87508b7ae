//! What the shim needs to sign with one nonce. It computes s = k⁻¹z + k⁻¹rd for each digest z, of which all but z is known
//! beforehand.

use std::ops::Mul;

use alloy_primitives::hex;
use k256::{FieldBytes, Scalar, SecretKey, ecdsa::hazmat::SignPrimitive};

use crate::keys::Key;

/// The nonce itself: any number will do, as long as it is always the same.
const NONCE: u64 = 0x5ca1_ab1e;

/// r, k⁻¹ and k⁻¹rd in hexadecimal, with a space between them.
#[expect(clippy::expect_used, reason = "a key that exists is a scalar, and this nonce has an inverse and a point")]
pub(super) fn scalars(key: &Key) -> String {
    let secret = SecretKey::from_slice(key.secret().as_slice()).expect("a key");
    let secret = *secret.to_nonzero_scalar().as_ref();
    let nonce = Scalar::from(NONCE);
    let (any, _) = secret.try_sign_prehashed(nonce, &FieldBytes::default()).expect("a point");
    let inverse = Option::<Scalar>::from(nonce.invert()).expect("an inverse");
    let r = *any.r();
    let factors = [r, inverse, inverse.mul(&r).mul(&secret)];
    factors.map(|scalar| hex::encode(scalar.to_bytes())).join(" ")
}
