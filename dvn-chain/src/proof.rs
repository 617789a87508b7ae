//! Proves what a block holds from its hash alone: the header hashes to it, the receipts to the header's root, and slots of
//! the state after it to the header's other root.
//!
//! Nothing here asks anybody. Whoever trusts a block hash needs to trust no one about the block's logs. A receipt commits
//! neither to its transaction's hash nor to the numbers of its logs: the hash stays a label, and a log's number is its
//! position in the block.

mod bloom;
mod encode;
mod header;
mod receipt;
mod slots;
mod storage;

#[cfg(test)]
mod tests;

use alloy::primitives::{Address, B256};
use alloy_trie::root::ordered_trie_root_with_encoder;
use thiserror::Error;

use self::bloom::BloomHashes;
pub use self::{
    header::Header,
    receipt::{Log, Receipt, ReceiptTypes},
    slots::{HISTORY_CONTRACT, history_slot, outbound_nonce_slot},
    storage::{SlotProof, StorageProof, prove_storage},
};

/// Why evidence does not prove a block.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ProofError {
    /// The header hashes to another block.
    #[error("header hashes to {0}")]
    HeaderHash(B256),
    /// A header field is absent although a later fork's field is there.
    #[error("header has a field of a later fork without those before it")]
    HeaderGap,
    /// The receipts have another root than the header says.
    #[error("receipts have the root {0}")]
    ReceiptsRoot(B256),
    /// The class of chain has no receipts of this type.
    #[error("receipt {index} is of the unknown type {kind}")]
    UnknownType {
        /// Position in the block.
        index: usize,
        /// The transaction type.
        kind: u64,
    },
    /// What a receipt says beside its committed fields differs from them.
    #[error("receipt {index} contradicts itself: {what}")]
    Inconsistent {
        /// Position in the block.
        index: usize,
        /// The field.
        what: &'static str,
    },
    /// A storage proof is about another account than was asked about.
    #[error("storage proof is about the account {0}")]
    OtherAccount(Address),
    /// A storage proof has not exactly the slots that were asked for.
    #[error("storage proof is about other slots than were asked for")]
    OtherSlots,
    /// The account is not what the proof says, as far as the state root shows.
    #[error("account does not prove under the state root")]
    Account,
    /// A slot's value is not what the proof says, as far as the account's storage root shows.
    #[error("slot {0} does not prove under the account's storage root")]
    Slot(B256),
}

/// Checks that these are all receipts of the block with this hash, in order.
///
/// # Errors
/// [`ProofError`], whatever differs first.
pub fn prove(types: ReceiptTypes, hash: B256, header: &Header, receipts: &[Receipt]) -> Result<(), ProofError> {
    let computed = header.hash()?;
    if computed != hash {
        return Err(ProofError::HeaderHash(computed));
    }
    let root = receipts_root(types, receipts)?;
    if root != header.receipts_root {
        return Err(ProofError::ReceiptsRoot(root));
    }
    Ok(())
}

/// The root of the receipts trie: keys are `rlp(index)`, values the encoded receipts (Yellow Paper, section 4.3).
///
/// # Errors
/// [`ProofError::UnknownType`] and [`ProofError::Inconsistent`].
pub fn receipts_root(types: ReceiptTypes, receipts: &[Receipt]) -> Result<B256, ProofError> {
    let mut hashes = BloomHashes::default();
    let mut first_log = 0_usize;
    let mut committed = Vec::with_capacity(receipts.len());
    for (index, receipt) in receipts.iter().enumerate() {
        committed.push(receipt.committed(types, index, first_log, &mut hashes)?);
        first_log = first_log.saturating_add(receipt.logs.len());
    }
    Ok(ordered_trie_root_with_encoder(&committed, |receipt, out| receipt.encode(out)))
}
