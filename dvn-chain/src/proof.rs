//! Proves what a block holds from its hash alone: the header hashes to it, and the receipts to the header's root.
//!
//! Nothing here asks anybody. Whoever trusts a block hash needs to trust no one about the block's logs. A receipt commits
//! neither to its transaction's hash nor to the numbers of its logs: the hash stays a label, and a log's number is its
//! position in the block.

mod header;
mod receipt;

#[cfg(test)]
mod tests;

use alloy::{consensus::proofs::ordered_trie_root_encoded, primitives::B256};
use thiserror::Error;

pub use self::{
    header::Header,
    receipt::{Log, Receipt, ReceiptTypes},
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
    let mut first_log = 0_usize;
    let mut encoded = Vec::with_capacity(receipts.len());
    for (index, receipt) in receipts.iter().enumerate() {
        encoded.push(receipt.encoded(types, index, first_log)?);
        first_log = first_log.saturating_add(receipt.logs.len());
    }
    Ok(ordered_trie_root_encoded(&encoded))
}
