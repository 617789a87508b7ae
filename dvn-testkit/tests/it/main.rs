//! The kit against the nodes and contracts that it starts. Skipped with a message where the toolchain is absent.
#![expect(clippy::unwrap_used, reason = "helpers of tests stop at the first surprise")]

mod chains;
mod configs;
mod decoys;
mod flow;
mod proxy;
mod servers;
mod support;
