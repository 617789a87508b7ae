//! Three nodes of one DVN, each with a device, seats, a store and a certificate of its own, two of which must sign; one is killed
//! in the middle.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use alloy_primitives::Bytes;
use dvn_testkit::{
    devnet::{Delivery, SentPacket},
    node::{NodeEvent, NodeProcess},
};
use tokio::sync::mpsc;

use super::PATIENCE;
use crate::{
    Failure,
    cast::{Cast, NODES},
    command::say,
    listening::{Collecting, Listening, Said},
    stage::{failure, tail},
};

/// How often the destination is looked at.
const LOOK: Duration = Duration::from_millis(200);

pub(super) async fn play(packets: usize) -> Result<(), Failure> {
    let cast = Cast::set("demo-nodes").await?;
    let mut show = Show {
        cast: &cast,
        start: Instant::now(),
        running: BTreeMap::new(),
        attested: BTreeSet::new(),
        collecting: Collecting::default(),
    };
    let (send, mut events) = mpsc::channel(1_000);
    for index in 0..NODES {
        show.enter(index, &send).await?;
    }
    let outcome = tokio::time::timeout(PATIENCE, show.perform(packets, &send, &mut events)).await;
    let result = outcome.unwrap_or_else(|_| Err(Failure::new(format!("not done after {PATIENCE:?}"))));
    if result.is_err() {
        for index in 0..NODES {
            let log = std::fs::read_to_string(cast.log(index)).unwrap_or_default();
            say(&format!("the end of {}:\n{}", cast.log(index).display(), tail(&log, 10)));
        }
    }
    result?;
    show.leave().await?;
    say(&format!("all three nodes stopped cleanly; everything is in {}", cast.folder().display()));
    Ok(())
}

struct Show<'a> {
    cast: &'a Cast,
    start: Instant,
    running: BTreeMap<usize, Listening>,
    /// What the destination has, by header.
    attested: BTreeSet<Bytes>,
    collecting: Collecting,
}

impl Show<'_> {
    async fn enter(&mut self, index: usize, send: &mpsc::Sender<Said>) -> Result<(), Failure> {
        let node = self.cast.start(index).await?;
        self.running.insert(index, Listening::start(index, node, send.clone()));
        Ok(())
    }

    async fn exit(&mut self, index: usize) -> Result<NodeProcess, Failure> {
        self.running.remove(&index).ok_or_else(|| Failure::new("no such node runs"))?.stop().await
    }

    async fn perform(
        &mut self,
        packets: usize,
        send: &mpsc::Sender<Said>,
        events: &mut mpsc::Receiver<Said>,
    ) -> Result<(), Failure> {
        let half = packets.div_ceil(2);
        let mut sent = self.cast.send(half).await?;
        self.until_attested(&sent, events).await?;
        let busiest = (0..NODES).max_by_key(|index| self.collecting.part(*index)).unwrap_or_default();
        self.exit(busiest).await?.kill().await.map_err(|error| failure(&error))?;
        self.tell(&format!("{} is killed; two of three are left, and two must sign", self.cast.name(busiest)));
        sent.extend(self.cast.send(packets.saturating_sub(half).max(1)).await?);
        self.until_attested(&sent, events).await?;
        self.tell(&format!("{} is started again", self.cast.name(busiest)));
        self.enter(busiest, send).await?;
        for packet in &sent {
            self.deliver(packet).await?;
        }
        self.sum_up(&sent).await
    }

    /// Follows the logs until the destination has every packet.
    async fn until_attested(&mut self, sent: &[SentPacket], events: &mut mpsc::Receiver<Said>) -> Result<(), Failure> {
        let mut look = tokio::time::interval(LOOK);
        loop {
            tokio::select! {
                Some((index, event)) = events.recv() => self.hear(index, &event),
                _ = look.tick() => {
                    for (header, _) in self.cast.executed().await? {
                        if self.attested.insert(header.clone())
                            && let Some(packet) = sent.iter().find(|packet| packet.header == header)
                        {
                            self.tell(&format!("nonce {:>3} is attested by two signatures", packet.fields.nonce));
                        }
                    }
                    if sent.iter().all(|packet| self.attested.contains(&packet.header)) {
                        return Ok(());
                    }
                }
            }
        }
    }

    fn hear(&mut self, index: usize, event: &NodeEvent) {
        self.collecting.hear(index, event);
        let name = self.cast.name(index);
        if event.text("message") == "cosigned" {
            self.tell(&format!("  {name} looked for itself and signed for {}", event.text("peer")));
        } else if event.is_move_to("signed") {
            let nonce = event.text("nonce");
            self.tell(&format!("  {name} has a quorum for nonce {nonce:>3} of {}", event.text("src")));
        }
    }

    async fn deliver(&self, packet: &SentPacket) -> Result<(), Failure> {
        let delivered = self.cast.devnet().deliver(packet).await.map_err(|error| failure(&error))?;
        if matches!(delivered, Delivery::Delivered) { Ok(()) } else { Err(Failure::new("a packet was not delivered")) }
    }

    async fn sum_up(&self, sent: &[SentPacket]) -> Result<(), Failure> {
        let executed: BTreeMap<Bytes, usize> = self.cast.executed().await?.into_iter().collect();
        let times = |packet: &SentPacket| executed.get(&packet.header).copied().unwrap_or_default();
        let once = sent.iter().filter(|packet| times(packet) == 1).count();
        let lost = sent.iter().filter(|packet| times(packet) == 0).count();
        say(&format!("\n{} packets sent and delivered, {once} executed once, {lost} lost\n", sent.len()));
        self.collecting.tell(&self.cast.metrics().await);
        say("");
        say("  node         device                  proposed   signed for others");
        for index in 0..NODES {
            let (proposed, cosigned) = self.collecting.part(index);
            let (name, device) = (self.cast.name(index), self.cast.device(index));
            say(&format!("  {name:<12} {device:<22} {proposed:>9} {cosigned:>19}"));
        }
        if lost == 0 { Ok(()) } else { Err(Failure::new(format!("{lost} packets were lost"))) }
    }

    async fn leave(&mut self) -> Result<(), Failure> {
        for index in 0..NODES {
            let status = self.exit(index).await?.stop().await.map_err(|error| failure(&error))?;
            if !status.success() {
                return Err(Failure::new(format!("{} stopped with {status}", self.cast.name(index))));
            }
        }
        Ok(())
    }

    fn tell(&self, line: &str) {
        say(&format!("{:7.2}s  {line}", self.start.elapsed().as_secs_f64()));
    }
}
