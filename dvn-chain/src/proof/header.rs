use alloy::{
    primitives::{Address, B64, B256, Bloom, BloomInput, Bytes, U64, U256, keccak256},
    rlp::Encodable,
};
use serde::Deserialize;

use super::{ProofError, encode::list};

/// A header as the Ethereum JSON-RPC gives it, of any fork from Frontier on. OP Stack and Arbitrum headers have this
/// form too. Unknown fields are ignored: where they are hashed, the hash does not fit.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::exhaustive_structs, reason = "the fields of a header; a fork that adds one changes its hash")]
#[expect(missing_docs, reason = "the names are those of the Yellow Paper, section 4.3, and of the JSON-RPC")]
pub struct Header {
    pub parent_hash: B256,
    pub sha3_uncles: B256,
    pub miner: Address,
    pub state_root: B256,
    pub transactions_root: B256,
    pub receipts_root: B256,
    pub logs_bloom: Bloom,
    pub difficulty: U256,
    pub number: U64,
    pub gas_limit: U64,
    pub gas_used: U64,
    pub timestamp: U64,
    pub extra_data: Bytes,
    pub mix_hash: B256,
    pub nonce: B64,
    /// EIP-1559, London.
    pub base_fee_per_gas: Option<U256>,
    /// EIP-4895, Shanghai.
    pub withdrawals_root: Option<B256>,
    /// EIP-4844, Cancun.
    pub blob_gas_used: Option<U64>,
    /// EIP-4844, Cancun.
    pub excess_blob_gas: Option<U64>,
    /// EIP-4788, Cancun.
    pub parent_beacon_block_root: Option<B256>,
    /// EIP-7685, Prague.
    pub requests_hash: Option<B256>,
    /// EIP-7928, Amsterdam.
    pub block_access_list_hash: Option<B256>,
    /// EIP-7843, Amsterdam: the consensus layer's slot.
    pub slot_number: Option<U64>,
}

impl Header {
    /// The block's hash: keccak of the header's RLP, with those fork fields that are present.
    ///
    /// # Errors
    /// [`ProofError::HeaderGap`].
    pub fn hash(&self) -> Result<B256, ProofError> {
        let mut fields = self.first_fields().to_vec();
        let mut is_over = false;
        for field in self.fork_fields() {
            match field {
                Some(_) if is_over => return Err(ProofError::HeaderGap),
                Some(field) => fields.push(field),
                None => is_over = true,
            }
        }
        let mut encoded = Vec::with_capacity(800);
        list(&fields, &mut encoded);
        Ok(keccak256(encoded))
    }

    /// Whether the block may hold a log of this address with this first topic. A bloom filter errs to one side: `false`
    /// is certain of a header that hashes to its block, `true` means that the receipts must be read.
    #[must_use]
    pub fn may_hold_log(&self, address: Address, topic0: B256) -> bool {
        self.logs_bloom.contains_input(BloomInput::Raw(address.as_slice()))
            && self.logs_bloom.contains_input(BloomInput::Raw(topic0.as_slice()))
    }

    fn first_fields(&self) -> [&dyn Encodable; 15] {
        [
            &self.parent_hash,
            &self.sha3_uncles,
            &self.miner,
            &self.state_root,
            &self.transactions_root,
            &self.receipts_root,
            &self.logs_bloom,
            &self.difficulty,
            &self.number,
            &self.gas_limit,
            &self.gas_used,
            &self.timestamp,
            &self.extra_data,
            &self.mix_hash,
            &self.nonce,
        ]
    }

    fn fork_fields(&self) -> [Option<&dyn Encodable>; 8] {
        fn field<T: Encodable>(value: Option<&T>) -> Option<&dyn Encodable> {
            value.map(|value| value as &dyn Encodable)
        }
        [
            field(self.base_fee_per_gas.as_ref()),
            field(self.withdrawals_root.as_ref()),
            field(self.blob_gas_used.as_ref()),
            field(self.excess_blob_gas.as_ref()),
            field(self.parent_beacon_block_root.as_ref()),
            field(self.requests_hash.as_ref()),
            field(self.block_access_list_hash.as_ref()),
            field(self.slot_number.as_ref()),
        ]
    }
}
