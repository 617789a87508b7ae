//! The numbers and hashes of the protocol, each its own type, so that none passes for another.

use std::fmt;

use alloy_primitives::B256;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[expect(clippy::exhaustive_structs, reason = "every value of the inner number is valid")]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl From<$inner> for $name {
            fn from(value: $inner) -> Self {
                Self(value)
            }
        }
    };
}

macro_rules! hash {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[expect(clippy::exhaustive_structs, reason = "every 32-byte value is valid")]
        pub struct $name(pub B256);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl From<B256> for $name {
            fn from(value: B256) -> Self {
                Self(value)
            }
        }
    };
}

number! {
    /// A LayerZero endpoint id: the protocol's name of a chain, unrelated to its EVM chain id.
    Eid(u32)
}
number! {
    /// A packet's number on its path (sender, destination, receiver); the first is 1.
    Nonce(u64)
}
number! {
    /// The height of a block.
    BlockNumber(u64)
}
number! {
    /// A count of blocks on top of a packet's block: `head - block`. Also what an attestation states.
    Confirmations(u64)
}
number! {
    /// The id that separates DVN contracts inside the signed hash; read from `DVN.vid()`.
    Vid(u32)
}
number! {
    /// A chain's clock: whole seconds since 1970, as `block.timestamp`.
    ChainTime(u64)
}

hash! {
    /// A packet's slot in one hash: `keccak256(nonce ‖ srcEid ‖ sender ‖ dstEid ‖ receiver)`.
    /// It does not commit to the message; [`PayloadHash`] does.
    Guid
}
hash! {
    /// `keccak256(guid ‖ message)`.
    PayloadHash
}
hash! {
    /// `keccak256` of the 81-byte packet header.
    HeaderHash
}
hash! {
    /// A job's id: `keccak256(guid ‖ payloadHash)`, so that two payloads for one slot are two jobs.
    JobId
}

impl BlockNumber {
    /// The height `n` blocks above this one, saturating.
    #[must_use]
    pub const fn above(self, n: u64) -> Self {
        Self(self.0.saturating_add(n))
    }

    /// The height `n` blocks below this one, saturating at the first block.
    #[must_use]
    pub const fn below(self, n: u64) -> Self {
        Self(self.0.saturating_sub(n))
    }
}

impl ChainTime {
    /// This time plus whole seconds, saturating.
    #[must_use]
    pub const fn plus(self, seconds: u64) -> Self {
        Self(self.0.saturating_add(seconds))
    }
}

/// A block by height and hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_structs, reason = "a plain pair")]
pub struct BlockRef {
    /// Height.
    pub number: BlockNumber,
    /// Hash of the header.
    pub hash: B256,
}

impl fmt::Display for BlockRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.number, self.hash)
    }
}
