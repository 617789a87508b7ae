//! Packets for a long time, while the node is killed with SIGKILL again and again. Nothing may be lost, and nothing that
//! is attested may be executed again. What happened is read from the chains alone.

mod program;
mod quorum;

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use dvn_testkit::devnet::SentPacket;

use crate::{
    Failure,
    command::say,
    stage::{DESTINATION, SOURCES, Stage, failure},
};

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// How long packets are sent; 10 minutes without it, 20 with `--steady`.
    #[arg(long)]
    minutes: Option<u64>,
    /// The longest that the node lives before it is killed, in seconds.
    #[arg(long, default_value_t = 15)]
    life: u64,
    /// How many nodes: one, or three of which two must sign.
    #[arg(long, default_value_t = 1, value_parser = crate::demo::nodes)]
    nodes: usize,
    /// How many packets three nodes or two replicas attest; `minutes` is for one. 500 for nodes and 2,000 for replicas without it.
    #[arg(long)]
    packets: Option<usize>,
    /// Two processes of one member on PostgreSQL and Redis, while both servers, the network to them and the processes are taken
    /// away in turn.
    #[arg(long, conflicts_with_all = ["nodes", "minutes", "life"])]
    replicas: bool,
    /// A steady load while the destination drops transactions, raises its fees, is started again and replaces blocks, as the source does.
    #[arg(long, conflicts_with_all = ["nodes", "packets", "life", "replicas"])]
    steady: bool,
}

/// How long the last packets may take once nothing is killed any more.
const PATIENCE: Duration = Duration::from_secs(180);

pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    if options.replicas {
        return program::replicas(options.packets.unwrap_or(2_000));
    }
    if options.steady {
        return program::steady(options.minutes.unwrap_or(20));
    }
    let runtime = tokio::runtime::Runtime::new().map_err(|error| failure(&error))?;
    if options.nodes > 1 {
        runtime.block_on(quorum::play(options.packets.unwrap_or(500)))
    } else {
        runtime.block_on(play(options))
    }
}

async fn play(options: &Options) -> Result<(), Failure> {
    let stage = Stage::set("soak").await?;
    let end = Instant::now().checked_add(Duration::from_secs(options.minutes.unwrap_or(10).saturating_mul(60)));
    let (sent, kills) = tokio::try_join!(send_until(&stage, end), kill_until(&stage, end, options.life))?;
    let node = stage.start_node().await?;
    settle(&stage, &sent).await?;
    node.stop().await.map_err(|error| failure(&error))?;
    judge(&stage, &sent, kills).await
}

async fn send_until(stage: &Stage, end: Option<Instant>) -> Result<Vec<SentPacket>, Failure> {
    let mut sent = Vec::new();
    while end.is_some_and(|end| Instant::now() < end) {
        send_some(stage, &mut sent).await?;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    Ok(sent)
}

/// Starts the node and kills it, each time after another life, so that every step of a packet is hit sooner or later.
async fn kill_until(stage: &Stage, end: Option<Instant>, longest: u64) -> Result<u64, Failure> {
    let mut kills: u64 = 0;
    while end.is_some_and(|end| Instant::now() < end) {
        let mut node = stage.start_node().await?;
        let life = kills.wrapping_mul(7_919).checked_rem(longest.max(1).saturating_mul(1_000)).unwrap_or_default();
        let life = Duration::from_millis(life.max(300));
        let listening = async { while node.next_event().await.is_some() {} };
        if tokio::time::timeout(life, listening).await.is_ok() {
            return Err(Failure::new("the node ended by itself"));
        }
        node.kill().await.map_err(|error| failure(&error))?;
        kills = kills.saturating_add(1);
        say(&format!("killed {kills} times, {} packets attested", verified(stage).await?.len()));
    }
    Ok(kills)
}

async fn send_some(stage: &Stage, sent: &mut Vec<SentPacket>) -> Result<(), Failure> {
    let destination = stage.devnet.chain(DESTINATION).map_err(|error| failure(&error))?;
    for name in SOURCES {
        let source = stage.devnet.chain(name).map_err(|error| failure(&error))?;
        let messages = [b"soak".to_vec(), b"soak too".to_vec()];
        let batch = stage.devnet.send(source, destination, &messages).await.map_err(|error| failure(&error))?;
        sent.extend(batch.packets);
    }
    Ok(())
}

/// How often each packet, by guid, was verified by our DVN.
async fn verified(stage: &Stage) -> Result<BTreeMap<Vec<u8>, usize>, Failure> {
    let destination = stage.devnet.chain(DESTINATION).map_err(|error| failure(&error))?;
    let mut counts = BTreeMap::new();
    for log in destination.payload_verified_logs().await.map_err(|error| failure(&error))? {
        let count: &mut usize = counts.entry(log.header.to_vec()).or_default();
        *count = count.saturating_add(1);
    }
    Ok(counts)
}

async fn settle(stage: &Stage, sent: &[SentPacket]) -> Result<(), Failure> {
    let begun = Instant::now();
    loop {
        let counts = verified(stage).await?;
        let missing = sent.iter().filter(|packet| !counts.contains_key(packet.header.as_ref())).count();
        if missing == 0 {
            return Ok(());
        }
        if begun.elapsed() > PATIENCE {
            return Err(Failure::new(format!(
                "{missing} of {} packets are not attested after {PATIENCE:?}",
                sent.len()
            )));
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

async fn judge(stage: &Stage, sent: &[SentPacket], kills: u64) -> Result<(), Failure> {
    let counts = verified(stage).await?;
    let repeated = counts.values().filter(|count| **count > 1).count();
    let foreign = counts.keys().filter(|header| !sent.iter().any(|it| it.header.as_ref() == header.as_slice())).count();
    say(&format!(
        "\n{} packets, {kills} kills: {} attested, {repeated} more than once, {foreign} unknown",
        sent.len(),
        counts.len()
    ));
    if repeated > 0 || foreign > 0 {
        return Err(Failure::new("the destination has verifications that should not be there"));
    }
    Ok(())
}
