//! Packets from two sources, attested before your eyes.

mod quorum;
mod story;

use std::time::Duration;

use dvn_testkit::{
    devnet::{Delivery, DevnetError, SentPacket},
    node::NodeProcess,
};
use futures::stream::{FuturesUnordered, StreamExt};

use self::story::Story;
use crate::{
    Failure,
    command::say,
    stage::{DESTINATION, SOURCES, Stage, failure, tail},
};

/// How long the whole may take once packets flow.
const PATIENCE: Duration = Duration::from_secs(300);
/// Packets in one transaction, in turn.
const SIZES: [usize; 4] = [1, 3, 2, 4];

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// How many packets to send, at least.
    #[arg(long, default_value_t = 24)]
    packets: usize,
    /// How many nodes: one of its own, or three of which two must sign and one is killed in the middle.
    #[arg(long, default_value_t = 1, value_parser = nodes)]
    nodes: usize,
    /// Leave chains and node running when everything is delivered, until Ctrl-C.
    #[arg(long)]
    keep: bool,
}

pub(crate) fn nodes(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|nodes| matches!(nodes, 1 | 3)).ok_or_else(|| "1 or 3".to_owned())
}

pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let runtime = tokio::runtime::Runtime::new().map_err(|error| failure(&error))?;
    if options.nodes > 1 {
        return runtime.block_on(quorum::play(options.packets));
    }
    runtime.block_on(play(options))
}

async fn play(options: &Options) -> Result<(), Failure> {
    let stage = Stage::set("demo").await?;
    let mut node = stage.start_node().await?;
    say(&format!("the node is ready; its status page is http://{}/\n", node.http()));
    let mut story = Story::new();
    let outcome = tokio::time::timeout(PATIENCE, perform(&stage, &mut node, &mut story, options.packets)).await;
    let result = outcome.unwrap_or_else(|_| Err(Failure::new(format!("not done after {PATIENCE:?}"))));
    say(&story.summary());
    if let Err(failure) = result {
        say(&format!("the end of {}:\n{}", stage.log().display(), tail(&node.log().await.unwrap_or_default(), 30)));
        return Err(failure);
    }
    if options.keep {
        say(&format!("still running: http://{}/ and {}; Ctrl-C ends it", node.http(), stage.config.display()));
        tokio::signal::ctrl_c().await.map_err(|error| failure(&error))?;
    }
    let status = node.stop().await.map_err(|error| failure(&error))?;
    if !status.success() {
        return Err(Failure::new(format!("the node stopped with {status}")));
    }
    say(&format!("the node stopped cleanly; everything is in {}", stage.folder.display()));
    Ok(())
}

/// Sends packets, plays the executor that commits and delivers what is attested, and follows the node's log until
/// everything is committed and delivered.
async fn perform(stage: &Stage, node: &mut NodeProcess, story: &mut Story, wanted: usize) -> Result<(), Failure> {
    let mut sends = FuturesUnordered::new();
    sends.push(send_all(stage, wanted));
    let mut deliveries = FuturesUnordered::new();
    let mut sent_all = false;
    while !(sent_all && story.is_complete()) {
        tokio::select! {
            Some(batches) = sends.next() => {
                for packet in batches? {
                    if story.sent(packet.clone()) {
                        deliveries.push(deliver(stage, packet));
                    }
                }
                sent_all = true;
            }
            event = node.next_event() => {
                let event = event.ok_or_else(|| Failure::new("the node ended"))?;
                if let Some(packet) = story.event(&event) {
                    deliveries.push(deliver(stage, packet));
                }
            }
            Some(delivered) = deliveries.next() => story.delivered(delivered?),
        }
    }
    Ok(())
}

/// Sends in transactions of different sizes, from both sources in turn.
async fn send_all(stage: &Stage, wanted: usize) -> Result<Vec<SentPacket>, Failure> {
    let destination = stage.devnet.chain(DESTINATION).map_err(|error| failure(&error))?;
    let mut sent = Vec::new();
    for (name, size) in SOURCES.iter().cycle().zip(SIZES.iter().cycle()) {
        if sent.len() >= wanted {
            break;
        }
        let source = stage.devnet.chain(name).map_err(|error| failure(&error))?;
        let messages: Vec<_> = (0..*size).map(|index| format!("{name} says {index}").into_bytes()).collect();
        let batch = stage.devnet.send(source, destination, &messages).await.map_err(|error| failure(&error))?;
        say(&format!("{name}: {size} packet(s) in transaction {}", batch.transaction));
        sent.extend(batch.packets);
    }
    Ok(sent)
}

async fn deliver(stage: &Stage, packet: SentPacket) -> Result<SentPacket, Failure> {
    loop {
        match stage.devnet.deliver(&packet).await {
            Ok(Delivery::Delivered) => return Ok(packet),
            Ok(_) => tokio::time::sleep(Duration::from_millis(500)).await,
            Err(error @ (DevnetError::Reverted { .. } | DevnetError::Rpc(_))) => {
                say(&format!("  delivery is tried again: {error}"));
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
            Err(error) => return Err(failure(&error)),
        }
    }
}
