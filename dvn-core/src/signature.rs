//! Signatures as `MultiSig.sol` accepts them: 65 bytes r ‖ s ‖ v with v 27 or 28 and s in the lower half of the order,
//! ascending by signer, exactly as many as the quorum.

use std::collections::BTreeMap;

use alloy_primitives::{Address, B256, Bytes, Signature, keccak256};
use thiserror::Error;

use crate::ids::Vid;

/// Bytes of one signature.
pub const SIGNATURE_LEN: usize = 65;

/// Why signatures would be refused by the DVN contract.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SignatureError {
    /// `s` is in the upper half of the order; OpenZeppelin's `ECDSA` refuses it.
    #[error("signature has a high s value")]
    HighS,
    /// No public key gives this signature.
    #[error("signature does not recover to any address")]
    Unrecoverable,
    /// Recovered to somebody else than expected.
    #[error("signature recovers to {recovered}, expected {expected}")]
    WrongSigner {
        /// Who signed.
        recovered: Address,
        /// Who should have.
        expected: Address,
    },
    /// Not one of the DVN contract's signers.
    #[error("{0} is not a signer of the DVN contract")]
    Stranger(Address),
    /// Fewer distinct signers than the contract wants.
    #[error("{have} of {need} signatures")]
    TooFew {
        /// Distinct members that signed.
        have: usize,
        /// The contract's quorum.
        need: usize,
    },
}

/// What a key signs to show that it works: a digest of its own address and a text, which no contract takes for anything, since
/// it is no EIP-191 digest.
#[must_use]
pub fn test_digest(address: Address) -> B256 {
    keccak256([b"dvn signer self-test v1".as_slice(), address.as_slice()].concat())
}

/// The address that signed `digest`, with the contract's strictness: high s is an error even though it recovers.
///
/// # Errors
/// [`SignatureError::HighS`] or [`SignatureError::Unrecoverable`].
pub fn recover(digest: B256, signature: &Signature) -> Result<Address, SignatureError> {
    if signature.normalize_s().is_some() {
        return Err(SignatureError::HighS);
    }
    signature.recover_address_from_prehash(&digest).map_err(|_| SignatureError::Unrecoverable)
}

/// Checks that `expected` signed `digest`.
///
/// # Errors
/// As [`recover`], and [`SignatureError::WrongSigner`].
pub fn check(digest: B256, signature: &Signature, expected: Address) -> Result<(), SignatureError> {
    let recovered = recover(digest, signature)?;
    if recovered == expected { Ok(()) } else { Err(SignatureError::WrongSigner { recovered, expected }) }
}

/// Who signed `digest`, of the `signatures` argument of a `DVN.execute`: every 65 bytes that the contract could accept,
/// with their signer. Whatever else is there is left out, since it gave the call no effect.
#[must_use]
pub fn recover_packed(digest: B256, packed: &[u8]) -> Vec<(Address, Signature)> {
    let recovered = packed.chunks_exact(SIGNATURE_LEN).filter_map(|bytes| {
        // OpenZeppelin's `ECDSA` takes no other v, whatever else it is short for elsewhere.
        if !matches!(bytes.last(), Some(27 | 28)) {
            return None;
        }
        let signature = Signature::from_raw(bytes).ok()?;
        Some((recover(digest, &signature).ok()?, signature))
    });
    recovered.collect()
}

/// Who may sign for a DVN contract, as read from it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "what the contract's getters say")]
pub struct Committee {
    /// `DVN.vid()`.
    pub vid: Vid,
    /// `DVN.quorum()`.
    pub quorum: usize,
    /// Those of the asked addresses for which `DVN.signers(address)` is true.
    pub members: Vec<Address>,
}

/// A quorum of signatures over one digest, in the contract's order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignatureSet(Vec<(Address, Signature)>);

impl SignatureSet {
    /// Checks every signature, drops repeated signers, sorts, and keeps exactly the quorum.
    ///
    /// # Errors
    /// Any [`SignatureError`]; one bad signature spoils the set, since it shows that a cosigner or this code is wrong.
    pub fn try_new(
        digest: B256,
        committee: &Committee,
        signatures: impl IntoIterator<Item = Signature>,
    ) -> Result<Self, SignatureError> {
        let mut by_signer = BTreeMap::new();
        for signature in signatures {
            let signer = recover(digest, &signature)?;
            if !committee.members.contains(&signer) {
                return Err(SignatureError::Stranger(signer));
            }
            by_signer.insert(signer, signature);
        }
        if committee.quorum == 0 || by_signer.len() < committee.quorum {
            return Err(SignatureError::TooFew { have: by_signer.len(), need: committee.quorum });
        }
        Ok(Self(by_signer.into_iter().take(committee.quorum).collect()))
    }

    /// The `signatures` argument of `DVN.execute`: quorum × 65 bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        self.0.iter().flat_map(|(_, signature)| signature.as_bytes()).collect::<Vec<_>>().into()
    }

    /// Who signed what, ascending.
    pub fn iter(&self) -> impl Iterator<Item = (Address, Signature)> + '_ {
        self.0.iter().copied()
    }

    /// Who signed, ascending.
    pub fn signers(&self) -> impl Iterator<Item = Address> + '_ {
        self.0.iter().map(|(signer, _)| *signer)
    }
}

#[cfg(test)]
mod tests;
