use std::fmt;

use alloy_primitives::{Address, B256, Signature};
use async_trait::async_trait;

use crate::{
    error::{SignError, SignErrorKind},
    signature,
};

/// Signs one 32-byte digest with one secp256k1 key whose address is known beforehand.
///
/// It does not hash, prefix or look at what it signs; that is the attestor's part, which is why only the attestor may
/// hold the attesting signer.
#[async_trait]
pub trait Signer: fmt::Debug + Send + Sync {
    /// The key's Ethereum address, fixed when the signer was made.
    fn address(&self) -> Address;

    /// Signs the digest as it is. The signature has a low s and its parity; it recovers to [`Signer::address`].
    ///
    /// # Errors
    /// [`SignError`]; signing again is always safe, since another valid signature over one digest harms nobody.
    ///
    /// # Cancel safety
    /// The device may still finish after the future was dropped; its signature is thrown away.
    async fn sign_digest(&self, digest: B256) -> Result<Signature, SignError>;

    /// Finds out whether the key can be used now: whether it signs [`signature::test_digest`], which no device does with a
    /// key that is disabled, condemned or gone. A device that can tell more may do so here.
    ///
    /// # Errors
    /// [`SignError`], of the kind that a signature would have failed with.
    ///
    /// # Cancel safety
    /// As [`Signer::sign_digest`].
    async fn check(&self) -> Result<(), SignError> {
        let (address, digest) = (self.address(), signature::test_digest(self.address()));
        let signed = self.sign_digest(digest).await?;
        let is_ours = signature::check(digest, &signed, address);
        is_ours.map_err(|error| SignError::new(SignErrorKind::Integrity).key(address.to_string()).caused_by(error))
    }
}
