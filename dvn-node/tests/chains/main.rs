//! The program on local chains with the real LayerZero contracts: what is attested, what is not, and what a kill, a
//! reorg or a mistake in the configuration does.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "helpers of tests stop the test when something is off and say why one is skipped"
)]

mod assignments;
mod flow;
mod kills;
mod mistakes;
mod reorgs;
mod setup;
