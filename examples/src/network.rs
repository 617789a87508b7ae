//! Two local chains with LayerZero's own contracts on them.

use std::time::Duration;

use dvn_testkit::{
    devnet::{ChainSpec, Devnet, Mining},
    toolchain::Toolchain,
};

use crate::Failure;

/// Where packets are sent.
pub const SOURCE: &str = "ethereum";
/// Where they are attested.
pub const DESTINATION: &str = "conflux";

/// Installs what is missing and starts both chains, one block a second each, so that blocks become final by themselves.
/// Says on standard output what it does.
///
/// # Errors
/// When Node.js is absent, nothing can be installed, or a chain does not come up.
#[expect(clippy::print_stdout, reason = "programs for a terminal tell what takes long")]
pub async fn start() -> Result<Devnet, Failure> {
    let toolchain = tokio::task::spawn_blocking(|| Toolchain::install(|line| println!("{line}"))).await??;
    let devnet = Devnet::builder()
        .chain(ChainSpec::ethereum().with_confirmations(2))
        .chain(ChainSpec::conflux())
        .mining(Mining::Interval(Duration::from_secs(1)))
        .start(&toolchain)
        .await?;
    for chain in devnet.chains() {
        println!("{} (chain id {}, eid {}) runs at {}", chain.name(), chain.chain_id(), chain.eid(), chain.url());
    }
    Ok(devnet)
}
