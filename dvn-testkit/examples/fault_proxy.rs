//! A proxy that makes a node fail or lie, as a program: `fault_proxy http://127.0.0.1:8545 127.0.0.1:9545`.
#![expect(clippy::print_stdout, reason = "a program for people at a terminal")]

use std::{env, error::Error, net::SocketAddr};

use dvn_testkit::proxy::FaultProxy;
use url::Url;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let upstream: Url =
        arguments.next().ok_or("usage: fault_proxy <URL of the node> [<address to listen on>]")?.parse()?;
    let listen: SocketAddr = arguments.next().as_deref().unwrap_or("127.0.0.1:0").parse()?;
    let proxy = FaultProxy::listen(upstream, listen).await?;
    let control = proxy.url().join("_proxy/rules")?;
    println!("JSON-RPC at {} and {}", proxy.url(), proxy.ws_url());
    println!("rules at {control}, for example:");
    println!(
        r#"  curl {control} -d '{{ "fault": {{ "stale_head": {{ "blocks": 5 }} }}, "methods": ["eth_blockNumber"] }}'"#
    );
    tokio::signal::ctrl_c().await?;
    Ok(())
}
