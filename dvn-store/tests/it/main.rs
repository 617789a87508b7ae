//! The embedded store: the common suite, and what is its own: files, locks, crashes, tampering.
#![expect(
    clippy::unwrap_used,
    clippy::arithmetic_side_effects,
    reason = "helpers of tests stop the test when something is off"
)]

mod audit;
mod disk;
mod files;
mod fixture;
mod forgery;
mod killed;
mod migrated;
mod mirror;
mod model;
mod postgres;
mod queue;
mod statements;
mod suite;
mod tampering;
