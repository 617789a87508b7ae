//! A key in this process's memory, for development and tests.

use std::fmt;

use alloy_primitives::{Address, B256, Signature, hex};
use async_trait::async_trait;
use dvn_core::{
    error::{SignError, SignErrorKind},
    ports::Signer,
};
use k256::{ecdsa::SigningKey, elliptic_curve::zeroize::Zeroizing};
use secrecy::{ExposeSecret, SecretString};
use thiserror::Error;

use crate::ecdsa::Release;

/// Why text is not a private key. The text itself is never part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum LocalKeyError {
    /// A character outside `0-9a-fA-F`, or not 64 of them.
    #[error("private key must be 64 hexadecimal digits, with or without 0x")]
    NotHex,
    /// Zero, or not below the order of the curve.
    #[error("private key is zero or not below the order of secp256k1, generate another one")]
    OutOfRange,
}

/// Signs with a key that is held in memory: for development only, since whoever owns the host owns the key.
///
/// The node accepts it only where its environment is `dev`. Nonces are deterministic (RFC 6979), so one digest always
/// gives one signature. The key is wiped on drop.
pub struct LocalSigner {
    key: SigningKey,
    release: Release,
}

impl LocalSigner {
    /// Reads 64 hexadecimal digits; `0x` in front and white space around them are ignored.
    ///
    /// # Errors
    /// [`LocalKeyError`], without any part of the text.
    pub fn from_hex_secret(secret: SecretString) -> Result<Self, LocalKeyError> {
        let text = secret.expose_secret().trim();
        let digits = text.strip_prefix("0x").unwrap_or(text);
        let mut bytes = Zeroizing::new([0_u8; 32]);
        // The decoder accepts a prefix of its own, which would let "0x0x.." through.
        if digits.len() != 64 || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(LocalKeyError::NotHex);
        }
        hex::decode_to_slice(digits, bytes.as_mut_slice()).map_err(|_| LocalKeyError::NotHex)?;
        let key = SigningKey::from_slice(bytes.as_slice()).map_err(|_| LocalKeyError::OutOfRange)?;
        let release = Release::new(Address::from_private_key(&key), "local");
        Ok(Self { key, release })
    }
}

#[async_trait]
impl Signer for LocalSigner {
    fn address(&self) -> Address {
        self.release.address()
    }

    async fn sign_digest(&self, digest: B256) -> Result<Signature, SignError> {
        self.release.ensure_running()?;
        let (scalars, _) = self
            .key
            .sign_prehash_recoverable(digest.as_slice())
            .map_err(|_| SignError::new(SignErrorKind::Bug).key("local").because("this digest cannot be signed"))?;
        self.release.finish(&scalars.to_bytes(), digest)
    }
}

impl fmt::Debug for LocalSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalSigner").field("address", &self.address()).finish_non_exhaustive()
    }
}
