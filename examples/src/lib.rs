//! What the stories share: a local network to play on, this project's parts over its chains, an executor who
//! finishes what a DVN began, and what is done with a signing device. The stories themselves are the programs in `src/bin`.

pub mod device;
pub mod executor;
pub mod network;
pub mod parts;

/// Why a story ended early, with its causes.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// The README's example compiles.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
