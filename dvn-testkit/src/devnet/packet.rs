//! Packets as the endpoint emits them, read from receipts by the kit's own rules.

use alloy_primitives::{Address, B256, Bytes, U256, keccak256};

use super::{Chain, DevnetError};
use crate::{
    bindings::{Endpoint, SendUln},
    rpc::Receipt,
};

const VERSION: u8 = 1;
const HEADER_LENGTH: usize = 81;
const MESSAGE_START: usize = 113;

/// What a packet says. (Packet V1: version, nonce, source, sender, destination, receiver, guid, message, packed.)
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "the wire format is fixed, and tests write packets down")]
pub struct PacketFields {
    /// Its number on its path, from 1.
    pub nonce: u64,
    /// The endpoint id of the source.
    pub src_eid: u32,
    /// The sending application, left-padded.
    pub sender: B256,
    /// The endpoint id of the destination.
    pub dst_eid: u32,
    /// The receiving application, left-padded.
    pub receiver: B256,
    /// What it carries.
    pub message: Bytes,
}

impl PacketFields {
    /// The hash that names the packet.
    pub fn guid(&self) -> B256 {
        keccak256(self.path())
    }

    /// The 81 bytes that are attested.
    pub fn header(&self) -> Bytes {
        [&[VERSION], self.path().as_slice()].concat().into()
    }

    /// The hash of guid and message, which is attested with the header.
    pub fn payload_hash(&self) -> B256 {
        keccak256([self.guid().as_slice(), &self.message].concat())
    }

    /// The whole packet, for a look-alike or for a comparison.
    pub fn encode(&self) -> Bytes {
        [&self.header(), self.guid().as_slice(), &self.message].concat().into()
    }

    /// Reads a packet; `None` when it is cut short, has another version, or its guid is not that of its header.
    pub fn decode(encoded: &[u8]) -> Option<Self> {
        let message = encoded.get(MESSAGE_START..)?;
        let fields = Self {
            nonce: u64::from_be_bytes(encoded.get(1..9)?.try_into().ok()?),
            src_eid: u32::from_be_bytes(encoded.get(9..13)?.try_into().ok()?),
            sender: B256::try_from(encoded.get(13..45)?).ok()?,
            dst_eid: u32::from_be_bytes(encoded.get(45..49)?.try_into().ok()?),
            receiver: B256::try_from(encoded.get(49..HEADER_LENGTH)?).ok()?,
            message: Bytes::copy_from_slice(message),
        };
        (*fields.encode() == *encoded).then_some(fields)
    }

    fn path(&self) -> Vec<u8> {
        [
            self.nonce.to_be_bytes().as_slice(),
            &self.src_eid.to_be_bytes(),
            self.sender.as_slice(),
            &self.dst_eid.to_be_bytes(),
            self.receiver.as_slice(),
        ]
        .concat()
    }
}

/// One genuine packet, with what was paid for it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SentPacket {
    /// What it says.
    pub fields: PacketFields,
    /// Its bytes, as emitted.
    pub encoded: Bytes,
    /// Its first 81 bytes.
    pub header: Bytes,
    /// Hash of guid and message.
    pub payload_hash: B256,
    /// The hash that names it.
    pub guid: B256,
    /// The executor options that it was sent with.
    pub options: Bytes,
    /// Position of its `PacketSent` in the block.
    pub log_index: u64,
    /// DVNs that must verify it, by their contracts on the source.
    pub required_dvns: Vec<Address>,
    /// DVNs of which enough must verify it.
    pub optional_dvns: Vec<Address>,
    /// What each was paid, required ones first, in wei.
    pub fees: Vec<U256>,
}

impl SentPacket {
    /// All that the DVN contract `dvn` was paid, in wei; it may be listed twice.
    pub fn fee_of(&self, dvn: Address) -> U256 {
        let listed = self.required_dvns.iter().chain(&self.optional_dvns);
        listed
            .zip(&self.fees)
            .filter(|(one, _)| **one == dvn)
            .fold(U256::ZERO, |sum, (_, fee)| sum.saturating_add(*fee))
    }
}

/// The genuine packets of one transaction.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SentPackets {
    /// The transaction.
    pub transaction: B256,
    /// The height of its block.
    pub block_number: u64,
    /// The hash of its block.
    pub block_hash: B256,
    /// Its packets, in the order of their logs.
    pub packets: Vec<SentPacket>,
    /// All that it left behind, forged logs too.
    pub receipt: Receipt,
}

impl SentPackets {
    /// Reads the genuine packets of a mined transaction of `chain`. Each `PacketSent` of the endpoint is paired with
    /// the latest `DVNFeePaid` of the send library before it; logs of other contracts are passed over.
    ///
    /// # Errors
    /// When a genuine packet is malformed or nobody was paid for it.
    pub fn from_receipt(chain: &Chain, receipt: Receipt) -> Result<Self, DevnetError> {
        let malformed = |reason| DevnetError::Packet { transaction: receipt.transaction_hash, reason };
        let at = chain.addresses();
        let mut paid = None;
        let mut packets = Vec::new();
        for log in &receipt.logs {
            if log.address == at.send_lib {
                paid = log.decode::<SendUln::DVNFeePaid>().or(paid);
            } else if log.address == at.endpoint
                && let Some(sent) = log.decode::<Endpoint::PacketSent>()
            {
                let paid = paid.take().ok_or_else(|| malformed("no DVNFeePaid comes before a PacketSent"))?;
                let packet = SentPacket::of(sent, paid, log.log_index.to());
                packets.push(packet.ok_or_else(|| malformed("a packet cannot be decoded"))?);
            }
        }
        Ok(Self {
            transaction: receipt.transaction_hash,
            block_number: receipt.block_number.to(),
            block_hash: receipt.block_hash,
            packets,
            receipt,
        })
    }
}

impl SentPacket {
    fn of(sent: Endpoint::PacketSent, paid: SendUln::DVNFeePaid, log_index: u64) -> Option<Self> {
        let fields = PacketFields::decode(&sent.encodedPayload)?;
        Some(Self {
            header: fields.header(),
            payload_hash: fields.payload_hash(),
            guid: fields.guid(),
            fields,
            encoded: sent.encodedPayload,
            options: sent.options,
            log_index,
            required_dvns: paid.requiredDVNs,
            optional_dvns: paid.optionalDVNs,
            fees: paid.fees,
        })
    }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::{address, b256};

    use super::*;

    /// Written down from contracts that ran: guid and payload hash are those that the endpoint computed.
    fn golden() -> PacketFields {
        PacketFields {
            nonce: 1,
            src_eid: 30101,
            sender: address!("0x1111111111111111111111111111111111111111").into_word(),
            dst_eid: 30212,
            receiver: address!("0x2222222222222222222222222222222222222222").into_word(),
            message: Bytes::from_static(b"hello"),
        }
    }

    #[test]
    fn the_golden_packet_has_its_hashes() {
        assert_eq!(golden().guid(), b256!("0xe5db3389fefbadd69003c6833562f1f3206dea7ede54ffb2d722164265f15b65"));
        let payload_hash = b256!("0x157a56abccb027fc0f4c2351f7833b0fa8762fad8a266d9ba1f5f10c10ad7ea4");
        assert_eq!(golden().payload_hash(), payload_hash);
        let header_hash = b256!("0xfa0e9bc74c8db90a800cd286cd42ae9afbc85f2acdfb7329ae34d2e9c22c891c");
        assert_eq!(keccak256(golden().header()), header_hash);
    }

    #[test]
    fn what_is_encoded_is_decoded() {
        let encoded = golden().encode();
        assert_eq!(PacketFields::decode(&encoded), Some(golden()));
        assert_eq!(PacketFields::decode(&encoded[..112]), None);
        let mut other_guid = encoded.to_vec();
        other_guid[100] ^= 1;
        assert_eq!(PacketFields::decode(&other_guid), None);
    }
}
