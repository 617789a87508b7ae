//! The engine and the attestor against scripted chains, with the real embedded store and a real key.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::arithmetic_side_effects,
    reason = "helpers of tests stop the test when something is off"
)]

mod attestor;
mod backfill;
mod crash;
mod engine;
mod health;
mod history;
mod lanes;
mod places;
mod queue;
mod retraction;
mod slots;
mod turns;
mod watch;
mod world;
