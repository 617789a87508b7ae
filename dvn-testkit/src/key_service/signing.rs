//! Signs as a service does, well or badly.

use std::ops::{Add, Mul, Neg};

use k256::{
    NonZeroScalar, ProjectivePoint, Scalar,
    ecdsa::{Signature, SigningKey, hazmat::SignPrimitive},
    elliptic_curve::{
        point::AffineCoordinates,
        rand_core::{OsRng, RngCore},
    },
};

use super::Fault;

/// Zero and what is beyond the order are no keys; any other one does for those who ask for these.
pub(crate) fn key_of(secret: [u8; 32]) -> SigningKey {
    SigningKey::from_slice(&secret).unwrap_or_else(|_| SigningKey::random(&mut OsRng))
}

/// A signature in the encoding in which it leaves the service; `None` where arithmetic forbids it, which no digest of a
/// test does.
pub(crate) fn sign(key: &SigningKey, digest: [u8; 32], fault: Option<&Fault>) -> Option<Vec<u8>> {
    let mut signed = digest;
    if fault == Some(&Fault::OtherDigest) {
        signed = signed.map(|byte| !byte);
    }
    let secret = match fault {
        Some(Fault::OtherKey) => *NonZeroScalar::random(&mut OsRng),
        _ => *key.as_nonzero_scalar().as_ref(),
    };
    let nonce = match fault {
        Some(Fault::OneNonce) => Scalar::from(0x5ca1_ab1e_u64),
        Some(Fault::Short) => short_nonce(),
        _ => *NonZeroScalar::random(&mut OsRng),
    };
    let (low, _) = secret.try_sign_prehashed(nonce, &signed.into()).ok()?;
    let low = low.normalize_s().unwrap_or(low);
    // The service does not care, so that either comes half of the time.
    let is_high = fault == Some(&Fault::HighS) || OsRng.next_u32().is_multiple_of(2);
    let signature = if is_high { Signature::from_scalars(*low.r(), low.s().neg()).ok()? } else { low };
    Some(match fault {
        Some(Fault::Bare) => signature.to_bytes().to_vec(),
        Some(Fault::Noise) => vec![0x30, 0x45, 0x02],
        _ => signature.to_der().as_bytes().to_vec(),
    })
}

/// The next one after a random one whose r begins with a zero byte, by a walk that is cheap enough for a test's deadline.
fn short_nonce() -> Scalar {
    let mut nonce = *NonZeroScalar::random(&mut OsRng);
    let mut point = ProjectivePoint::GENERATOR.mul(&nonce);
    while point.to_affine().x().first() != Some(&0) {
        nonce = nonce.add(&Scalar::ONE);
        point = point.add(&ProjectivePoint::GENERATOR);
    }
    nonce
}
