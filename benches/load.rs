//! The load bench: a node as a process on local chains with the real contracts, so many packets at such a rate, and what came
//! of them, read from the chains; beside it what a naive loop and the destination itself reach in the same run.
//!
//! Where the times come from: this process subscribes to the new heads of every chain and to the pending transactions of every
//! destination, and notes when each was told to it, all on one monotonic clock. A packet is *signable* when the source tells
//! the head that makes its block final and deep enough, *broadcast* when the destination tells of the transaction that
//! was mined with it in the end (an earlier form of it that was replaced does not count), and *included* when the
//! destination tells the head with that transaction. No clock of a block and none of the node is used. The two steps before
//! the broadcast, verified and signed, are when this process read the line of the node's log.

mod baseline;
mod calls;
mod figures;
mod hold;
mod judge;
mod options;
mod process;
mod report;
mod send;
mod stage;
mod usage;
mod watch;

use std::time::{Duration, Instant};

use dvn_testkit::{
    devnet::DevnetError, node::NodeError, rpc::RpcError, tls::Authority, toolchain::Toolchain,
    toolchain::ToolchainError,
};

use self::{calls::Tally, process::Running, stage::Stage, usage::Usage, watch::Watch};
pub use self::{
    figures::{Baseline, Batches, Calls, Counts, Held, Latency, MethodCalls, NodeUsage, Spread},
    options::Options,
    report::Report,
};

/// What `--help` says first.
pub const ABOUT: &str =
    "Packets through a node on local chains with the real contracts: rate, latency, gas, RPC calls, CPU and memory";

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The local nodes and contracts are not installed.
    #[error("the local nodes and contracts are not usable")]
    Toolchain(#[from] ToolchainError),
    /// A local chain.
    #[error("a local chain failed")]
    Devnet(#[from] DevnetError),
    /// A local chain.
    #[error("a local chain failed")]
    Rpc(#[from] RpcError),
    /// The node under test.
    #[error("the node failed")]
    Node(#[from] NodeError),
    /// Files and processes.
    #[error("a file or a process could not be used")]
    Io(#[from] std::io::Error),
    /// An option that cannot be followed.
    #[error("--{option}: {reason}")]
    Option {
        /// Its name.
        option: &'static str,
        /// What is wrong and what to do.
        reason: &'static str,
    },
    /// What was measured is not whole.
    #[error("{0}")]
    Incomplete(String),
}

/// Starts chains and nodes, sends, waits, judges and measures what a naive loop and the destination reach.
///
/// `say` gets a line for people at each step.
///
/// # Errors
/// [`LoadError`]. That a packet is not attested, or twice, is no error here but [`Report::verdict`]'s.
///
/// # Cancel safety
/// Dropping the future kills chains and nodes.
pub async fn run(options: &Options, say: &(dyn Fn(&str) + Sync)) -> Result<Report, LoadError> {
    options.validate()?;
    say("preparing the local nodes and contracts");
    let toolchain = Toolchain::install(|line| say(&format!("  {line}")))?;
    let stage = Stage::set(options, &toolchain, say).await?;
    let mut nodes = stage.start_nodes().await?;
    say("the nodes are ready");
    let outcome = if let Some(packets) = options.hold {
        hold::measure(&stage, &nodes, packets, say).await
    } else {
        measure(&stage, &nodes, say).await
    };
    let mut report = match outcome {
        Ok(report) => report,
        Err(error) => {
            say(&format!("what the nodes logged is in {}", options.folder.display()));
            return Err(error);
        }
    };
    for node in nodes.drain(..) {
        node.stop().await?;
    }
    if options.hold.is_none() {
        baseline::measure(&stage, &mut report, say).await?;
    }
    Ok(report)
}

/// How long the nodes may run before anything is measured, unless the idle phase is shorter: connections and first heads.
const WARM_UP: Duration = Duration::from_secs(3);

async fn measure(stage: &Stage, nodes: &[Running], say: &(dyn Fn(&str) + Sync)) -> Result<Report, LoadError> {
    let options = &stage.options;
    let watch = Watch::start(&stage.devnet, stage.destinations().map(|it| it.name().to_owned()).collect()).await?;
    tokio::time::sleep(WARM_UP.min(Duration::from_secs(options.idle))).await;
    say(&format!("nothing happens for {} s", options.idle));
    let idle_from = (Tally::read(nodes).await?, stage.heights().await?, Usage::read(nodes)?);
    tokio::time::sleep(Duration::from_secs(options.idle)).await;
    let idle_to = (Tally::read(nodes).await?, stage.heights().await?, Usage::read(nodes)?);

    say(&format!("sending {} packets", options.packets));
    let begun = Instant::now();
    let sent = send::all(stage, options.packets, options.rate).await?;
    let sending = begun.elapsed();
    say(&format!("sent in {:.1} s; waiting until all are attested", sending.as_secs_f64()));
    judge::wait(stage, &sent, say).await?;
    let load_to = (Tally::read(nodes).await?, stage.heights().await?, Usage::read(nodes)?);

    let judged = judge::judge(stage, &sent, &watch, nodes).await?;
    let idle = idle_to.0.since(&idle_from.0).per_block(stage, &idle_from.1, &idle_to.1);
    let load = load_to.0.since(&idle_to.0).per_block(stage, &idle_to.1, &load_to.1);
    Ok(Report {
        command: options.command(),
        sent_per_second: figures::rate(sent.len(), sending),
        counts: Some(judged.counts),
        rate: judged.rate,
        latency: judged.latency,
        latency_aim_ms: Some(options.latency_aim()),
        batches: judged.batches,
        idle_calls: idle,
        load_calls: load,
        nodes: load_to.2.since(&idle_from.2, &idle_to.2, sent.len()),
        held: None,
        naive: Vec::new(),
        limit: Vec::new(),
    })
}

/// Certificates of nodes that know each other.
fn authority() -> Result<Authority, LoadError> {
    Ok(Authority::new()?)
}
