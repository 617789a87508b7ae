//! The program as an operator starts it, most of it on local chains with the real LayerZero contracts: what is attested,
//! what is not, and what a kill, a reorg or a mistake in the configuration does.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::arithmetic_side_effects,
    reason = "helpers of tests stop the test when something is off"
)]

mod assignments;
mod audit;
mod codec;
mod copied;
mod flow;
mod journal;
mod kelp;
mod kills;
mod lanes;
mod load;
mod mistakes;
mod program;
mod properties;
mod quorum;
mod reorgs;
mod replicas;
mod seats;
mod setup;
mod sketch;
mod steady;
