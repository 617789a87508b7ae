//! Installs the toolchain, starts two chains, prints where everything is, and runs until Ctrl-C.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for people at a terminal")]

use std::{error::Error, time::Instant};

use dvn_testkit::{
    devnet::{ChainSpec, Devnet},
    toolchain::Toolchain,
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let toolchain = Toolchain::install(|line| eprintln!("{line}"))?;
    let started = Instant::now();
    let devnet = Devnet::builder().chain(ChainSpec::ethereum()).chain(ChainSpec::conflux()).start(&toolchain).await?;
    eprintln!("ready after {:?}; Ctrl-C ends it", started.elapsed());
    for chain in devnet.chains() {
        println!("{} (chain {}, eid {}) at {}", chain.name(), chain.chain_id(), chain.eid(), chain.url());
        println!("{:#?}", chain.addresses());
    }
    tokio::signal::ctrl_c().await?;
    Ok(())
}
