use alloy::{
    primitives::{Address, B256, Bloom, BloomInput, Bytes, U64},
    rlp::{self, Encodable},
};
use serde::Deserialize;

use super::ProofError;

/// The types of EIP-2718 that every chain knows: legacy, 2930, 1559, 4844 and 7702.
const USUAL: [u64; 5] = [0, 1, 2, 3, 4];
/// A deposit of the OP Stack.
const DEPOSIT: u64 = 0x7e;
/// A transaction from before Nitro; its receipt has no type prefix.
const ARBITRUM_LEGACY: u64 = 0x78;

/// Which receipt types a class of chains has beside those of Ethereum. Any other type fails to prove: its encoding may
/// differ.
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
    /// The receipt's value in the trie, at this position, where so many logs of the block came before.
    pub(super) fn encoded(&self, types: ReceiptTypes, index: usize, first_log: usize) -> Result<Vec<u8>, ProofError> {
        let kind = self.kind.map_or(0, |kind| kind.to());
        let unknown = ProofError::UnknownType { index, kind };
        if !USUAL.contains(&kind) && !types.extra.contains(&kind) {
            return Err(unknown);
        }
        let bloom = self.bloom();
        let contradiction = |what| Err(ProofError::Inconsistent { index, what });
        if self.transaction_index.is_some_and(|it| it != U64::from(index)) {
            return contradiction("transactionIndex");
        }
        if self.logs_bloom.is_some_and(|it| it != bloom) {
            return contradiction("logsBloom");
        }
        if (first_log..).zip(&self.logs).any(|(at, log)| log.log_index.is_some_and(|it| it != U64::from(at))) {
            return contradiction("logIndex");
        }
        let mut encoded = match kind {
            0 | ARBITRUM_LEGACY => Vec::new(),
            kind => vec![u8::try_from(kind).map_err(|_| unknown)?],
        };
        list(&self.fields(kind, &bloom), &mut encoded);
        Ok(encoded)
    }

    fn fields(&self, kind: u64, bloom: &Bloom) -> Vec<u8> {
        let mut fields = Vec::new();
        match (self.status, self.root) {
            (None, Some(root)) => root.encode(&mut fields),
            (status, _) => status.unwrap_or_default().encode(&mut fields),
        }
        self.cumulative_gas_used.encode(&mut fields);
        bloom.encode(&mut fields);
        let mut logs = Vec::new();
        self.logs.iter().for_each(|log| log.encode(&mut logs));
        list(&logs, &mut fields);
        // Before Canyon the nonce was stored and not hashed: it counts only with a version (OP Stack, deposits).
        if let (DEPOSIT, Some(version)) = (kind, self.deposit_receipt_version) {
            self.deposit_nonce.unwrap_or_default().encode(&mut fields);
            version.encode(&mut fields);
        }
        fields
    }

    fn bloom(&self) -> Bloom {
        let mut bloom = Bloom::ZERO;
        for log in &self.logs {
            bloom.accrue(BloomInput::Raw(log.address.as_slice()));
            log.topics.iter().for_each(|topic| bloom.accrue(BloomInput::Raw(topic.as_slice())));
        }
        bloom
    }
}

impl Log {
    fn encode(&self, out: &mut Vec<u8>) {
        let mut fields = Vec::new();
        self.address.encode(&mut fields);
        self.topics.encode(&mut fields);
        self.data.encode(&mut fields);
        list(&fields, out);
    }
}

fn list(payload: &[u8], out: &mut Vec<u8>) {
    rlp::Header { list: true, payload_length: payload.len() }.encode(out);
    out.extend_from_slice(payload);
}
