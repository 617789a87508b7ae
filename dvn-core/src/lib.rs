//! Decides what a LayerZero V2 DVN (Decentralized Verifier Network) attests.
//!
//! A DVN watches packets on source chains, convinces itself that each is real and final, signs
//! `ReceiveUln302.verify(header, payloadHash, confirmations)` and puts the signatures on the destination. This crate
//! holds every decision on that way and none of the input and output: chains, keys and storage come through the traits
//! of [`ports`]. [`Dvn::builder`] composes them.
//!
//! ```text
//!  ChainSource ──assignment──▶ job ──▶ queue ──▶ Verifier ──evidence──▶ policy
//!                                                                          │ sign
//!                                                                       Journal (durable first)
//!                                                                          │
//!                                              Cosigners: own Attestor ──▶ Signer
//!                                                                          │ quorum
//!                        committed ◀── attested ◀── PayloadVerified ◀── Submitter
//! ```
//!
//! A job's states and moves:
//!
//! ```text
//!  observed ─▶ waiting ─▶ verified ─▶ signed ─▶ submitted ─▶ attested ─▶ committed
//!     ▲           │          ▲  ▲────────┴───────────┴───────────┘   lost, expired or raised: verify again
//!     └─ orphaned ◀┘          └── held (a reason) comes back by itself or by an operator; refused is for ever
//! ```
//!
//! [`packet`], [`job`], [`attestation`], [`signature`], [`destination`], [`policy`] and [`quorum`] are pure: no I/O, no
//! clock, no tasks. Errors say what to do by their [`error::Disposition`].

mod assess;
pub mod attestation;
pub mod attestor;
pub mod backoff;
mod builder;
pub mod destination;
mod engine;
pub mod error;
pub mod hashchain;
pub mod ids;
pub mod job;
pub mod packet;
pub mod policy;
pub mod ports;
pub mod quorum;
pub mod rank;
pub mod signature;
#[cfg(feature = "test-util")]
pub mod testing;

pub use alloy_primitives;
pub use builder::{Batch, BuildError, Builder, Destination, Source};
pub use engine::{Backfill, Dvn, HistoryError, Progress, ProgressReport, RecentMove, RunError, SourceProgress};
pub use policy::longest_life;
