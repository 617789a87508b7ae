use std::fmt;

use async_trait::async_trait;

use super::Sighting;
use crate::{
    error::StoreError,
    ids::{Eid, Nonce},
    packet::Path,
};

/// What is known of the packets before one on its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "callers match on all of it, without a wildcard")]
pub enum Neighbours {
    /// Every nonce between the first one ever seen on the path and this one was seen.
    Seen,
    /// The packet itself was not seen in a settled block yet.
    Unread,
    /// Packets before this one were never seen although the path's later ones were.
    Gap {
        /// The first that is missing.
        first: Nonce,
        /// The last of that gap.
        last: Nonce,
    },
}

/// Which nonces of each path were seen in settled blocks. `EndpointV2` numbers a path's packets without gaps, so that a
/// nonce whose forerunner nobody saw was invented, or its forerunner is being hidden.
#[async_trait]
pub trait Paths: fmt::Debug + Send + Sync {
    /// Takes note of packets, in any order and as often as they are seen. The lowest nonce of a path's first note is where
    /// the path begins for this node; lower ones are ignored later.
    ///
    /// # Errors
    /// [`StoreError`]; perhaps some of them are noted then, and noting them again is harmless.
    async fn note(&self, seen: &[Sighting]) -> Result<(), StoreError>;

    /// What is known of the nonces up to and including `nonce`.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn neighbours(&self, path: Path, nonce: Nonce) -> Result<Neighbours, StoreError>;

    /// Whether any path from this source has a gap.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn has_gap(&self, src_eid: Eid) -> Result<bool, StoreError>;
}
