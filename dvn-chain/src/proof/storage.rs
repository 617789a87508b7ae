use alloy::{
    primitives::{Address, B256, Bytes, U64, U256, keccak256},
    rlp,
};
use alloy_trie::{EMPTY_ROOT_HASH, KECCAK_EMPTY, Nibbles, TrieAccount, proof::verify_proof};
use serde::Deserialize;

use super::ProofError;

/// What `eth_getProof` answers (EIP-1186): an account and some of its slots, with the trie nodes above them.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::exhaustive_structs, reason = "the fields of EIP-1186")]
#[expect(missing_docs, reason = "the names are those of EIP-1186")]
pub struct StorageProof {
    pub address: Address,
    pub account_proof: Vec<Bytes>,
    pub balance: U256,
    pub code_hash: B256,
    pub nonce: U64,
    pub storage_hash: B256,
    pub storage_proof: Vec<SlotProof>,
}

/// One slot of a [`StorageProof`].
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[expect(clippy::exhaustive_structs, reason = "the fields of EIP-1186")]
#[expect(missing_docs, reason = "the names are those of EIP-1186")]
pub struct SlotProof {
    /// A number, because some clients pad it and others do not.
    pub key: U256,
    pub value: U256,
    pub proof: Vec<Bytes>,
}

/// The values of an account's slots, in the order of `slots`, as the state root commits to them. A slot that is not
/// there, or an account that is not, holds zero; that is proven too.
///
/// `state_root` must be that of a header which hashes to a trusted block: this shows only what follows from it, and a
/// root that was made up for malformed nodes may make the trie's own code panic.
///
/// # Errors
/// [`ProofError::OtherAccount`], [`ProofError::OtherSlots`], [`ProofError::Account`] and [`ProofError::Slot`].
pub fn prove_storage(
    state_root: B256,
    address: Address,
    slots: &[B256],
    proof: &StorageProof,
) -> Result<Vec<U256>, ProofError> {
    if proof.address != address {
        return Err(ProofError::OtherAccount(proof.address));
    }
    let are_asked = |of: &SlotProof| slots.contains(&of.key.into());
    if proof.storage_proof.len() != slots.len() || !proof.storage_proof.iter().all(are_asked) {
        return Err(ProofError::OtherSlots);
    }
    let storage_root = proof.storage_root(state_root)?;
    let value = |slot: &B256| {
        let of = proof.storage_proof.iter().find(|of| of.key == U256::from_be_bytes(slot.0));
        of.ok_or(ProofError::OtherSlots)?.proven(storage_root)
    };
    slots.iter().map(value).collect()
}

impl StorageProof {
    /// The root of the account's storage, once the account is proven.
    fn storage_root(&self, state_root: B256) -> Result<B256, ProofError> {
        let account = TrieAccount::new(self.nonce.to(), self.balance, self.storage_hash, self.code_hash);
        let (storage_root, leaf) =
            if self.is_absent() { (EMPTY_ROOT_HASH, None) } else { (self.storage_hash, Some(rlp::encode(account))) };
        let path = Nibbles::unpack(keccak256(self.address));
        verify_proof(state_root, path, leaf, &self.account_proof).map_err(|_| ProofError::Account)?;
        Ok(storage_root)
    }

    /// Whether the answer says that there is no such account: no account without code, balance and nonce is in the state
    /// since EIP-161. Some clients say so with zero hashes, others with those of nothing.
    fn is_absent(&self) -> bool {
        let no_code = [B256::ZERO, KECCAK_EMPTY].contains(&self.code_hash);
        let no_storage = [B256::ZERO, EMPTY_ROOT_HASH].contains(&self.storage_hash);
        self.nonce.is_zero() && self.balance.is_zero() && no_code && no_storage
    }
}

impl SlotProof {
    fn proven(&self, storage_root: B256) -> Result<U256, ProofError> {
        let slot = B256::from(self.key);
        let leaf = (!self.value.is_zero()).then(|| rlp::encode(self.value));
        let path = Nibbles::unpack(keccak256(slot));
        verify_proof(storage_root, path, leaf, &self.proof).map_err(|_| ProofError::Slot(slot))?;
        Ok(self.value)
    }
}
