use std::{fmt, ops::RangeInclusive};

use async_trait::async_trait;

use super::Chain;
use crate::{
    error::ChainSourceError,
    ids::{BlockNumber, Nonce},
    job::Location,
    packet::{Claim, Path},
};

/// A chain's newest and newest settled height.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a plain pair")]
pub struct Head {
    /// The newest block that enough seats have.
    pub latest: BlockNumber,
    /// The newest block that is final by the chain's configured finality. Never above `latest`.
    pub settled: BlockNumber,
}

/// A packet that seems to be assigned to our DVN. A hint: only the location is used further on, and everything is read
/// again there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_structs, reason = "what a source, an embedder's too, has to say")]
pub struct Assignment {
    /// Where the `PacketSent` log stands. Where seats name several places for one claim, the one that most of them name.
    pub location: Location,
    /// What it seems to say.
    pub claim: Claim,
    /// Whether as many seats as the threshold reported it here. One seat's word is enough to look at a new packet, but
    /// not to move a known one to another block.
    pub agreed: bool,
}

/// A packet of anybody's on a path: it explains its nonce to the packets after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_structs, reason = "a plain pair")]
pub struct Sighting {
    /// Its path.
    pub path: Path,
    /// Its number there.
    pub nonce: Nonce,
}

/// What a range of blocks holds.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a plain record")]
pub struct Scan {
    /// In order of block and log.
    pub assignments: Vec<Assignment>,
    /// Every packet of the endpoint, assigned to us or not, that the threshold of seats reported or a block's hash
    /// proves. A source that leaves out the packets of others makes the packets after them wait.
    pub sightings: Vec<Sighting>,
    /// The last block that is covered: at least the first one asked for, perhaps less than the last.
    pub through: BlockNumber,
}

/// Says what was assigned to us on a source chain, up to which height, and follows its head.
///
/// It hints and never decides: a source that leaves out a packet loses it, one that invents a packet makes the verifier
/// look and nothing more.
#[async_trait]
pub trait ChainSource: fmt::Debug + Send + Sync {
    /// The chain's name and eid.
    fn chain(&self) -> &Chain;

    /// Waits until the head differs from `seen`; without `seen`, answers at once.
    ///
    /// # Errors
    /// [`ChainSourceError`]; a caller asks again after the disposition's pause.
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped.
    async fn next_head(&self, seen: Option<Head>) -> Result<Head, ChainSourceError>;

    /// Reads a range, in as small steps as the nodes demand, and may stop before its end. It answers only for blocks
    /// that a threshold of seats was asked about and has.
    ///
    /// # Errors
    /// [`ChainSourceError`]; nothing of the range counts as read then.
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped.
    async fn scan(&self, range: RangeInclusive<BlockNumber>) -> Result<Scan, ChainSourceError>;

    /// Reads a range again, if possible by another way than [`ChainSource::scan`], for whatever was missed there. By default
    /// the same way.
    ///
    /// # Errors
    /// As [`ChainSource::scan`].
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped.
    async fn rescan(&self, range: RangeInclusive<BlockNumber>) -> Result<Scan, ChainSourceError> {
        self.scan(range).await
    }
}
