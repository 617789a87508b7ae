//! The one way by which a signature leaves this crate: whatever a device returned is parsed, brought to low s, given its
//! parity, recovered to the key's address and compared with the nonces of earlier signatures.

mod nonces;

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use alloy_primitives::{Address, B256, Signature};
use dvn_core::error::{SignError, SignErrorKind};
use k256::ecdsa::Signature as Scalars;
use secp256k1::{
    Message,
    ecdsa::{RecoverableSignature, RecoveryId},
};

use self::nonces::{SeenNonces, Verdict};

/// Nonces that are remembered for each key. Two hashes each, so about 10 MiB when full; older ones are forgotten.
const REMEMBERED_NONCES: usize = 1 << 16;

/// Releases the signatures of one key, or stops the key.
#[derive(Debug)]
pub(crate) struct Release {
    address: Address,
    label: String,
    seen: Mutex<SeenNonces>,
    stopped: AtomicBool,
}

impl Release {
    /// For the key of this address; the label is for people.
    pub(crate) fn new(address: Address, label: impl Into<String>) -> Self {
        Self {
            address,
            label: label.into(),
            seen: Mutex::new(SeenNonces::new(REMEMBERED_NONCES)),
            stopped: AtomicBool::new(false),
        }
    }

    /// The address that every released signature recovers to.
    pub(crate) const fn address(&self) -> Address {
        self.address
    }

    /// Whether the key may still be asked.
    ///
    /// # Errors
    /// `Integrity` once the key was stopped.
    pub(crate) fn ensure_running(&self) -> Result<(), SignError> {
        if self.stopped.load(Ordering::SeqCst) { Err(self.wrong(STOPPED)) } else { Ok(()) }
    }

    /// Makes a signature of the 64 bytes r ‖ s that a device returned for `digest`.
    ///
    /// # Errors
    /// `Integrity` if these are not a signature of this key over this digest, or if the device used one nonce for two
    /// digests: then this signature is withheld and the key is stopped for good, since two such signatures give the key
    /// away.
    pub(crate) fn finish(&self, raw: &[u8], digest: B256) -> Result<Signature, SignError> {
        let scalars = Scalars::from_slice(raw).map_err(|_| self.wrong("it is not 64 bytes of two non-zero scalars"))?;
        let low = scalars.normalize_s().unwrap_or(scalars);
        let signature = self.with_parity(low, digest)?;
        self.record(B256::from(signature.r()), digest)?;
        Ok(signature)
    }

    /// Finds the parity by trial, which is the comparison with the address as well. A device does not tell it, and
    /// libsecp256k1 recovers several times faster than the crate that the attestor checks signatures with once more.
    fn with_parity(&self, low: Scalars, digest: B256) -> Result<Signature, SignError> {
        [(RecoveryId::Zero, false), (RecoveryId::One, true)]
            .into_iter()
            .find(|(id, _)| recovered(low, *id, digest) == Some(self.address))
            .map(|(_, parity)| Signature::from_signature_and_parity(low, parity))
            .ok_or_else(|| self.wrong("it does not recover to the key's address over this digest"))
    }

    fn record(&self, r: B256, digest: B256) -> Result<(), SignError> {
        // The flag is looked at and set under the lock, so that nothing is released after the second use of a nonce.
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        self.ensure_running()?;
        match seen.insert(r, digest) {
            Verdict::Fresh => Ok(()),
            Verdict::Reused => {
                self.stopped.store(true, Ordering::SeqCst);
                tracing::warn!(key = %self.label, address = %self.address, "nonce reused, key stopped");
                Err(self.wrong(STOPPED))
            }
        }
    }

    fn wrong(&self, detail: &str) -> SignError {
        SignError::new(SignErrorKind::Integrity).key(&self.label).because(detail)
    }
}

/// Who signed, with the contract's strictness: a high s is nobody's, although it recovers.
fn recovered(scalars: Scalars, id: RecoveryId, digest: B256) -> Option<Address> {
    if scalars.normalize_s().is_some() {
        return None;
    }
    let signature = RecoverableSignature::from_compact(&scalars.to_bytes(), id).ok()?;
    let [_, point @ ..] = signature.recover(Message::from_digest(digest.0)).ok()?.serialize_uncompressed();
    Some(Address::from_raw_public_key(&point))
}

const STOPPED: &str = "it used one nonce for two digests, the key may be known to others and must be replaced";

#[cfg(test)]
mod tests;
