use alloy::primitives::{Address, B256, Bloom, Bytes, U64};
use serde::Deserialize;

use super::{ProofError, bloom::BloomHashes, encode::Committed};

/// The types of EIP-2718 that every chain knows: legacy, 2930, 1559, 4844 and 7702.
const USUAL: [u64; 5] = [0, 1, 2, 3, 4];

/// Which receipt types a class of chains has beside those of Ethereum (0 to 4). Any other type fails to prove: its
/// encoding may differ.
///
/// Known are 0x7e, a deposit of the OP Stack, and those of Arbitrum: 0x64 to 0x6a, and 0x78 from before Nitro, whose
/// receipts are encoded as those of type 0, so that the trie does not tell the two apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a plain list")]
pub struct ReceiptTypes {
    /// Types whose receipt has the usual four fields, and 0x7e and 0x78 with their own rules.
    pub extra: &'static [u64],
}

/// A receipt as the Ethereum JSON-RPC gives it, as far as the trie commits to it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::exhaustive_structs, reason = "the committed fields of a receipt")]
#[expect(missing_docs, reason = "the names are those of the JSON-RPC")]
pub struct Receipt {
    /// A label: the trie does not commit to it.
    pub transaction_hash: B256,
    pub transaction_index: Option<U64>,
    #[serde(rename = "type")]
    pub kind: Option<U64>,
    /// From Byzantium on.
    pub status: Option<U64>,
    /// The state's root, before Byzantium.
    pub root: Option<B256>,
    pub cumulative_gas_used: U64,
    pub logs_bloom: Option<Bloom>,
    pub logs: Vec<Log>,
    /// OP Stack, deposits only.
    pub deposit_nonce: Option<U64>,
    /// OP Stack from Canyon on, deposits only.
    pub deposit_receipt_version: Option<U64>,
}

/// A log as a receipt has it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::exhaustive_structs, reason = "the committed fields of a log")]
#[expect(missing_docs, reason = "the names are those of the JSON-RPC")]
pub struct Log {
    pub address: Address,
    pub topics: Vec<B256>,
    pub data: Bytes,
    pub log_index: Option<U64>,
}

impl Receipt {
    /// What the trie commits to at this position, where so many logs of the block came before. Whatever the receipt says
    /// beside that must fit to it.
    pub(super) fn committed<'a>(
        &'a self,
        types: ReceiptTypes,
        index: usize,
        first_log: usize,
        hashes: &mut BloomHashes<'a>,
    ) -> Result<Committed<'a>, ProofError> {
        let kind = types.known(self.kind.unwrap_or_default().to(), index)?;
        let contradiction = |what| Err(ProofError::Inconsistent { index, what });
        if self.transaction_index.is_some_and(|it| it != U64::from(index)) {
            return contradiction("transactionIndex");
        }
        if (first_log..).zip(&self.logs).any(|(at, log)| log.log_index.is_some_and(|it| it != U64::from(at))) {
            return contradiction("logIndex");
        }
        let bloom = hashes.bloom(&self.logs);
        if self.logs_bloom.is_some_and(|it| it != bloom) {
            return contradiction("logsBloom");
        }
        Ok(Committed { receipt: self, kind, bloom })
    }
}

impl ReceiptTypes {
    fn known(self, kind: u64, index: usize) -> Result<u8, ProofError> {
        let is_known = USUAL.contains(&kind) || self.extra.contains(&kind);
        u8::try_from(kind).ok().filter(|_| is_known).ok_or(ProofError::UnknownType { index, kind })
    }
}
