//! What must be true of a key before it is used, whichever service holds it.

use alloy_primitives::Address;
use dvn_core::error::SignErrorKind;
use k256::ecdsa::{Signature, VerifyingKey};

use super::Failure;

/// That each fact, named and as the service tells it, is the one that is wanted.
///
/// # Errors
/// `Key`, with the first that is not.
pub(crate) fn ensure(facts: &[(&str, &str, &str)]) -> Result<(), Failure> {
    let wrong = facts.iter().find(|(_, found, wanted)| found != wanted);
    wrong.map_or(Ok(()), |(name, found, wanted)| Err(unfit(format!("its {name} is {found:?} and must be {wanted}"))))
}

/// The address of a public key, if it is the one that is expected. `None` is what could not be read as a point of our
/// curve in this encoding.
///
/// # Errors
/// `Key`.
pub(crate) fn address(
    public: Option<VerifyingKey>,
    encoding: &str,
    expected: Option<Address>,
) -> Result<Address, Failure> {
    let public = public.ok_or_else(|| unfit(format!("its public key is not a point of secp256k1 in {encoding}")))?;
    let address = Address::from_public_key(&public);
    match expected {
        Some(expected) if expected != address => Err(unfit(format!("its address is {address}, not {expected}"))),
        _ => Ok(address),
    }
}

/// r ‖ s of a signature in DER.
pub(crate) fn scalars(der: &[u8]) -> Option<Vec<u8>> {
    Signature::from_der(der).ok().map(|scalars| scalars.to_bytes().to_vec())
}

/// Such a key signs as well, and people should know.
pub(crate) fn warn_if_imported(key: &str, origin: &str) {
    if origin == "EXTERNAL" {
        tracing::warn!(key, "the key was imported, so that others may have it");
    }
}

/// A key, or a way to it, that cannot be used.
pub(crate) fn unfit(cause: impl Into<String>) -> Failure {
    Failure::new(SignErrorKind::Key, cause)
}

/// Whether a region may be called so. It becomes a part of a host's name, which nothing else may slip into.
#[cfg(any(feature = "aliyun_kms", feature = "aws_kms"))]
pub(crate) fn is_region(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    !text.is_empty() && text.chars().all(fits)
}
