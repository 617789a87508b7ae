//! Three nodes of one DVN, of which one is always just killed or coming back, and two of which must sign.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use alloy_primitives::Bytes;
use dvn_testkit::devnet::SentPacket;
use tokio::sync::mpsc;

use super::PATIENCE;
use crate::{
    Failure,
    cast::{Cast, NODES},
    command::say,
    listening::{Collecting, Listening, Said},
    stage::failure,
};

/// How long the nodes are let alone between two kills, at most and at least.
const LIFE: Duration = Duration::from_secs(6);
const LEAST: Duration = Duration::from_millis(600);
/// How long a killed node is away.
const AWAY: Duration = Duration::from_secs(1);
/// Packets that each source sends together, and the pause after them.
const TOGETHER: usize = 4;
const PAUSE: Duration = Duration::from_secs(1);
/// So many of a hundred packets must be executed exactly once; two nodes that submit the same cost gas, never correctness.
const ONCE: usize = 98;

pub(super) async fn play(packets: usize) -> Result<(), Failure> {
    let cast = Cast::set("soak-nodes").await?;
    let collecting = Arc::new(Mutex::new(Collecting::default()));
    let (send, events) = mpsc::channel(1_000);
    tokio::spawn(hear(events, Arc::clone(&collecting)));
    let mut running = Vec::new();
    for index in 0..NODES {
        running.push(Listening::start(index, cast.start(index).await?, send.clone()));
    }
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let sending = async {
        let sent = send_all(&cast, packets).await;
        let _ = stop.send(true);
        sent
    };
    let killing = kill_until(&cast, &mut running, &send, stopped);
    let (sent, kills) = tokio::try_join!(sending, killing)?;
    settle(&cast, &sent).await?;
    let metrics = cast.metrics().await;
    for node in running {
        let status = node.stop().await?.stop().await.map_err(|error| failure(&error))?;
        if !status.success() {
            return Err(Failure::new(format!("a node stopped with {status}")));
        }
    }
    let result = judge(&cast, &sent, kills).await;
    collecting.lock().unwrap_or_else(PoisonError::into_inner).tell(&metrics);
    result
}

async fn hear(mut events: mpsc::Receiver<Said>, collecting: Arc<Mutex<Collecting>>) {
    while let Some((index, event)) = events.recv().await {
        collecting.lock().unwrap_or_else(PoisonError::into_inner).hear(index, &event);
    }
}

async fn send_all(cast: &Cast, packets: usize) -> Result<Vec<SentPacket>, Failure> {
    let mut sent = Vec::new();
    while sent.len() < packets {
        sent.extend(cast.send_together(TOGETHER).await?);
        tokio::time::sleep(PAUSE).await;
    }
    Ok(sent)
}

/// Kills one node after the other, each time after another while, so that every step of a packet is hit sooner or later.
async fn kill_until(
    cast: &Cast,
    running: &mut Vec<Listening>,
    send: &mpsc::Sender<Said>,
    mut stopped: tokio::sync::watch::Receiver<bool>,
) -> Result<u64, Failure> {
    let mut kills: u64 = 0;
    loop {
        let most = u64::try_from(LIFE.as_millis()).unwrap_or(u64::MAX);
        let life = kills.wrapping_mul(7_919).checked_rem(most).unwrap_or_default();
        let life = Duration::from_millis(life).max(LEAST);
        if tokio::time::timeout(life, stopped.wait_for(|stopped| *stopped)).await.is_ok() {
            return Ok(kills);
        }
        let index = usize::try_from(kills.wrapping_mul(5)).unwrap_or_default().checked_rem(NODES).unwrap_or_default();
        // The last one takes the place of the one that is removed, and gives it back below.
        let node = running.swap_remove(index);
        node.stop().await?.kill().await.map_err(|error| failure(&error))?;
        kills = kills.saturating_add(1);
        let attested = cast.executed().await?.len();
        say(&format!("killed {} ({kills} kills), {attested} packets attested", cast.name(index)));
        tokio::time::sleep(AWAY).await;
        running.push(Listening::start(index, cast.start(index).await?, send.clone()));
        let last = running.len().saturating_sub(1);
        running.swap(index, last);
    }
}

async fn settle(cast: &Cast, sent: &[SentPacket]) -> Result<(), Failure> {
    let begun = Instant::now();
    loop {
        let counts: BTreeMap<Bytes, usize> = cast.executed().await?.into_iter().collect();
        let missing = sent.iter().filter(|packet| !counts.contains_key(&packet.header)).count();
        if missing == 0 {
            return Ok(());
        }
        if begun.elapsed() > PATIENCE {
            let total = sent.len();
            return Err(Failure::new(format!(
                "{missing} of {total} packets are lost: not attested after {PATIENCE:?}"
            )));
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

async fn judge(cast: &Cast, sent: &[SentPacket], kills: u64) -> Result<(), Failure> {
    // What a second node has in the pool shall count as well.
    tokio::time::sleep(Duration::from_secs(5)).await;
    let counts: BTreeMap<Bytes, usize> = cast.executed().await?.into_iter().collect();
    let times = |packet: &&SentPacket| counts.get(&packet.header).copied().unwrap_or_default();
    let once = sent.iter().filter(|packet| times(packet) == 1).count();
    let more = sent.iter().filter(|packet| times(packet) > 1).count();
    let foreign = counts.keys().filter(|header| !sent.iter().any(|it| it.header == **header)).count();
    let total = sent.len();
    let percent = once.saturating_mul(1_000).checked_div(total).unwrap_or_default();
    say(&format!(
        "\n{total} packets, {kills} kills: {once} executed once ({}.{} %), {more} more than once, {foreign} unknown\n",
        percent / 10,
        percent % 10
    ));
    if foreign > 0 {
        return Err(Failure::new("the destination has verifications that should not be there"));
    }
    if percent < ONCE.saturating_mul(10) {
        return Err(Failure::new(format!("fewer than {ONCE} % were executed exactly once")));
    }
    Ok(())
}
