//! Packets at a steady rate, over all paths in turn.

use std::time::{Duration, Instant};

use alloy_primitives::Bytes;
use dvn_testkit::devnet::{Chain, SendRequest, SentPacket, SentPackets};
use futures::{StreamExt, TryStreamExt, stream};

use super::{LoadError, stage::Stage};

/// One packet that was sent, and where.
pub(super) struct Sent {
    pub(super) source: String,
    pub(super) block: u64,
    pub(super) header: Bytes,
    pub(super) guid: String,
}

/// Transactions that are on their way at the same time.
const AT_ONCE: usize = 16;

/// Sends and waits until everything is mined. `rate` is packets a second, 0 as fast as the sources take them.
pub(super) async fn all(stage: &Stage, packets: usize, rate: u32) -> Result<Vec<Sent>, LoadError> {
    let together = stage.options.together(rate);
    let paths: Vec<(&Chain, &Chain)> =
        stage.destinations().flat_map(|to| stage.sources().map(move |from| (from, to))).collect();
    let begun = Instant::now();
    let transactions = (0..packets).step_by(together).zip(paths.iter().cycle());
    let sending = transactions.map(|(first, (from, to))| async move {
        tokio::time::sleep(due(first, rate).saturating_sub(begun.elapsed())).await;
        let count = together.min(packets.saturating_sub(first));
        let messages: Vec<_> = (first..first.saturating_add(count)).map(|it| it.to_string().into_bytes()).collect();
        let sent = SendRequest::new(from, to, &messages).send().await?;
        Ok::<_, LoadError>(noted(from, sent))
    });
    let sent: Vec<Vec<Sent>> = stream::iter(sending).buffer_unordered(at_once(rate)).try_collect().await?;
    Ok(sent.into_iter().flatten().collect())
}

/// A transaction waits up to a block to be mined, so that a steady rate needs as many at once as come in a few blocks.
fn at_once(rate: u32) -> usize {
    if rate == 0 { AT_ONCE } else { 1_000 }
}

fn due(first: usize, rate: u32) -> Duration {
    let nanos = u128::try_from(first).unwrap_or(u128::MAX).saturating_mul(1_000_000_000);
    let nanos = nanos.checked_div(rate.into()).unwrap_or_default();
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

fn noted(from: &Chain, sent: SentPackets) -> Vec<Sent> {
    let (source, block) = (from.name().to_owned(), sent.block_number);
    let note = |packet: SentPacket| Sent {
        source: source.clone(),
        block,
        header: packet.header,
        guid: packet.guid.to_string(),
    };
    sent.packets.into_iter().map(note).collect()
}
