//! The LayerZero V2 packet, version 1: an 81-byte header, then guid and message, big-endian and tightly packed
//! (`PacketV1Codec.sol`).

use alloy_primitives::{B256, Bytes, keccak256};
use thiserror::Error;

use crate::ids::{Eid, Guid, HeaderHash, JobId, Nonce, PayloadHash};

/// Length of an encoded header in bytes.
pub const HEADER_LEN: usize = 81;
/// The one packet version there is.
pub const VERSION: u8 = 1;

const GUID_LEN: usize = 32;

/// Why bytes are not a packet.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PacketError {
    /// A header must be exactly 81 bytes, an encoded packet at least 113.
    #[error("packet has {actual} bytes, expected {expected}")]
    Length {
        /// What was given.
        actual: usize,
        /// The exact length of a header, or the least length of a packet.
        expected: usize,
    },
    /// Only version 1 exists.
    #[error("packet version {0}, expected 1")]
    Version(u8),
    /// Nonces start at 1.
    #[error("packet nonce is zero")]
    ZeroNonce,
    /// The guid in the payload is not the hash of the header's fields.
    #[error("packet guid {stated} does not match its header, expected {computed}")]
    Guid {
        /// What the payload says.
        stated: Guid,
        /// What the header hashes to.
        computed: Guid,
    },
}

/// A packet's header, which names its slot: (source, sender, destination, receiver, nonce).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_structs, reason = "the fields of a fixed wire format")]
pub struct Header {
    /// Number on the path, from 1.
    pub nonce: Nonce,
    /// Where the packet was sent.
    pub src_eid: Eid,
    /// The sending OApp; an EVM address is left-padded with zeros.
    pub sender: B256,
    /// Where it is to be delivered.
    pub dst_eid: Eid,
    /// The receiving OApp; EVM destinations use the low 20 bytes.
    pub receiver: B256,
}

/// One direction between two applications; its packets are numbered without gaps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_structs, reason = "what the endpoint's nonces are counted by")]
pub struct Path {
    /// Where its packets are sent.
    pub src_eid: Eid,
    /// Who sends them.
    pub sender: B256,
    /// Where they are to be delivered.
    pub dst_eid: Eid,
    /// Who receives them.
    pub receiver: B256,
}

impl Header {
    /// The path that the packet is on.
    #[must_use]
    pub const fn path(&self) -> Path {
        Path { src_eid: self.src_eid, sender: self.sender, dst_eid: self.dst_eid, receiver: self.receiver }
    }

    /// Parses exactly 81 bytes.
    ///
    /// # Errors
    /// [`PacketError::Length`], [`PacketError::Version`] or [`PacketError::ZeroNonce`].
    pub fn decode(bytes: &[u8]) -> Result<Self, PacketError> {
        let wrong_length = || PacketError::Length { actual: bytes.len(), expected: HEADER_LEN };
        let bytes: &[u8; HEADER_LEN] = bytes.try_into().map_err(|_| wrong_length())?;
        let (version, rest) = take::<1>(bytes).ok_or_else(wrong_length)?;
        let (nonce, rest) = take::<8>(rest).ok_or_else(wrong_length)?;
        let (src_eid, rest) = take::<4>(rest).ok_or_else(wrong_length)?;
        let (sender, rest) = take::<32>(rest).ok_or_else(wrong_length)?;
        let (dst_eid, rest) = take::<4>(rest).ok_or_else(wrong_length)?;
        let (receiver, _) = take::<32>(rest).ok_or_else(wrong_length)?;
        if version != [VERSION] {
            return Err(PacketError::Version(version[0]));
        }
        let header = Self {
            nonce: Nonce(u64::from_be_bytes(nonce)),
            src_eid: Eid(u32::from_be_bytes(src_eid)),
            sender: B256::from(sender),
            dst_eid: Eid(u32::from_be_bytes(dst_eid)),
            receiver: B256::from(receiver),
        };
        if header.nonce == Nonce(0) { Err(PacketError::ZeroNonce) } else { Ok(header) }
    }

    /// The 81 bytes that [`Header::decode`] reads.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut out = Vec::with_capacity(HEADER_LEN);
        out.push(VERSION);
        self.encode_slot(&mut out);
        out.into()
    }

    /// The slot's id: the hash of the header without its version byte.
    #[must_use]
    pub fn guid(&self) -> Guid {
        let mut out = Vec::with_capacity(HEADER_LEN);
        self.encode_slot(&mut out);
        Guid(keccak256(out))
    }

    /// The hash under which `ReceiveUln302` files verifications.
    #[must_use]
    pub fn hash(&self) -> HeaderHash {
        HeaderHash(keccak256(self.encode()))
    }

    fn encode_slot(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.nonce.0.to_be_bytes());
        out.extend_from_slice(&self.src_eid.0.to_be_bytes());
        out.extend_from_slice(self.sender.as_slice());
        out.extend_from_slice(&self.dst_eid.0.to_be_bytes());
        out.extend_from_slice(self.receiver.as_slice());
    }
}

/// A whole packet, as the `encodedPayload` of `PacketSent` carries it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_structs, reason = "the fields of a fixed wire format")]
pub struct Packet {
    /// The slot.
    pub header: Header,
    /// What the sending OApp says; may be empty.
    pub message: Bytes,
}

impl Packet {
    /// Parses a packet and recomputes its guid.
    ///
    /// # Errors
    /// Any [`PacketError`].
    pub fn decode(encoded: &[u8]) -> Result<Self, PacketError> {
        let expected = HEADER_LEN.saturating_add(GUID_LEN);
        let short = || PacketError::Length { actual: encoded.len(), expected };
        let (header, payload) = encoded.split_at_checked(HEADER_LEN).ok_or_else(short)?;
        let (guid, message) = take::<GUID_LEN>(payload).ok_or_else(short)?;
        let header = Header::decode(header)?;
        let (stated, computed) = (Guid(B256::from(guid)), header.guid());
        if stated != computed {
            return Err(PacketError::Guid { stated, computed });
        }
        Ok(Self { header, message: Bytes::copy_from_slice(message) })
    }

    /// The bytes that [`Packet::decode`] reads.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        [self.header.encode().as_ref(), self.header.guid().0.as_slice(), &self.message].concat().into()
    }

    /// `keccak256(guid ‖ message)`.
    #[must_use]
    pub fn payload_hash(&self) -> PayloadHash {
        PayloadHash(keccak256([self.header.guid().0.as_slice(), &self.message].concat()))
    }

    /// What a job needs to know of this packet.
    #[must_use]
    pub fn claim(&self) -> Claim {
        Claim { header: self.header, payload_hash: self.payload_hash() }
    }
}

/// A slot and the payload that is said to fill it: what an attestation attests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_structs, reason = "a plain pair")]
pub struct Claim {
    /// The slot.
    pub header: Header,
    /// Its payload.
    pub payload_hash: PayloadHash,
}

impl Claim {
    /// The id of the job for this claim.
    #[must_use]
    pub fn job_id(&self) -> JobId {
        JobId(keccak256([self.header.guid().0, self.payload_hash.0].concat()))
    }
}

fn take<const N: usize>(bytes: &[u8]) -> Option<([u8; N], &[u8])> {
    let (head, tail) = bytes.split_first_chunk::<N>()?;
    Some((*head, tail))
}

#[cfg(test)]
pub(crate) mod tests;
