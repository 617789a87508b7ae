use alloy::{
    primitives::Bloom,
    rlp::{BufMut, Encodable, Header},
};

use super::{Log, Receipt};

/// A deposit of the OP Stack.
const DEPOSIT: u8 = 0x7e;
/// A transaction from before Nitro; its receipt has no type prefix.
const ARBITRUM_LEGACY: u8 = 0x78;

/// A receipt of a known type, with the filter of its logs.
#[derive(Debug)]
pub(super) struct Committed<'a> {
    pub(super) receipt: &'a Receipt,
    pub(super) kind: u8,
    pub(super) bloom: Bloom,
}

impl Committed<'_> {
    /// Writes the receipt's value in the trie (EIP-2718).
    pub(super) fn encode(&self, out: &mut dyn BufMut) {
        if !matches!(self.kind, 0 | ARBITRUM_LEGACY) {
            out.put_u8(self.kind);
        }
        let Receipt { status, root, cumulative_gas_used, logs, deposit_nonce, deposit_receipt_version, .. } =
            self.receipt;
        let status = status.unwrap_or_default();
        let outcome: &dyn Encodable = match (self.receipt.status, root) {
            (None, Some(root)) => root,
            _ => &status,
        };
        let nonce = deposit_nonce.unwrap_or_default();
        match (self.kind, deposit_receipt_version) {
            // Before Canyon the nonce was stored and not hashed: it counts only with a version (OP Stack, deposits).
            (DEPOSIT, Some(version)) => list(&[outcome, cumulative_gas_used, &self.bloom, logs, &nonce, version], out),
            _ => list(&[outcome, cumulative_gas_used, &self.bloom, logs], out),
        }
    }
}

impl Encodable for Log {
    fn encode(&self, out: &mut dyn BufMut) {
        list(&self.fields(), out);
    }

    fn length(&self) -> usize {
        header(&self.fields()).length_with_payload()
    }
}

impl Log {
    fn fields(&self) -> [&dyn Encodable; 3] {
        [&self.address, &self.topics, &self.data]
    }
}

/// Writes a list. Lengths are counted before, so that every byte is written once and at its place.
pub(super) fn list(fields: &[&dyn Encodable], out: &mut dyn BufMut) {
    header(fields).encode(out);
    fields.iter().for_each(|field| field.encode(out));
}

fn header(fields: &[&dyn Encodable]) -> Header {
    Header { list: true, payload_length: fields.iter().map(|field| field.length()).sum() }
}
