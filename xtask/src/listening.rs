//! Nodes whose logs are followed in the background, and what their logs tell of the time that a quorum takes.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use dvn_testkit::node::{NodeEvent, NodeProcess};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
};

use crate::{Failure, command::say, stage::failure};

/// What a node said, with its number.
pub(crate) type Said = (usize, NodeEvent);

/// A task that reads a node's log until it is told to end, and hands the process back.
pub(crate) struct Listening {
    end: oneshot::Sender<()>,
    task: JoinHandle<NodeProcess>,
}

impl Listening {
    pub(crate) fn start(index: usize, mut node: NodeProcess, send: mpsc::Sender<Said>) -> Self {
        let (end, mut ended) = oneshot::channel();
        let task = tokio::spawn(async move {
            loop {
                tokio::select! {
                    _ = &mut ended => return node,
                    Some(event) = node.next_event() => drop(send.send((index, event)).await),
                    else => return node,
                }
            }
        });
        Self { end, task }
    }

    pub(crate) async fn stop(self) -> Result<NodeProcess, Failure> {
        // A task that has ended by itself needs no word.
        let _ = self.end.send(());
        self.task.await.map_err(|error| failure(&error))
    }
}

/// From a packet's verification to a quorum of signatures, as each node's log tells it.
#[derive(Debug, Default)]
pub(crate) struct Collecting {
    verified: BTreeMap<(usize, String), Instant>,
    took: Vec<Duration>,
    /// How many packets each node proposed, and how many it signed for others.
    part: BTreeMap<usize, (usize, usize)>,
}

impl Collecting {
    pub(crate) fn hear(&mut self, index: usize, event: &NodeEvent) {
        let part = self.part.entry(index).or_default();
        if event.is_move_to("verified") {
            self.verified.insert((index, event.text("guid")), event.at);
        } else if event.text("message") == "cosigned" {
            part.1 = part.1.saturating_add(1);
        } else if event.is_move_to("signed") {
            part.0 = part.0.saturating_add(1);
            let since = self.verified.remove(&(index, event.text("guid")));
            self.took.extend(since.map(|since| event.at.saturating_duration_since(since)));
        }
    }

    /// Packets that a node proposed, and that it signed for others.
    pub(crate) fn part(&self, index: usize) -> (usize, usize) {
        self.part.get(&index).copied().unwrap_or_default()
    }

    /// Prints the distribution beside what a peer's answer takes, which is the least that it can be. `metrics` are those of the
    /// nodes that run.
    pub(crate) fn tell(&self, metrics: &[String]) {
        let mut took = self.took.clone();
        took.sort_unstable();
        let at = |percent: usize| {
            let index = took.len().saturating_mul(percent) / 100;
            took.get(index.min(took.len().saturating_sub(1))).map_or(0.0, Duration::as_secs_f64)
        };
        let (half, most) = (at(50), at(100));
        say(&format!(
            "  from verified to a quorum: p50 {half:.3}s, p99 {:.3}s, max {most:.3}s (takeovers included)",
            at(99)
        ));
        let (sum, count) = answers(metrics);
        if count > 0.0 {
            say(&format!(
                "  a peer's answer, with its own look, its journal and its device: {:.3}s on average",
                sum / count
            ));
        }
    }
}

/// Sum and count of the peers' answers that were signatures.
fn answers(metrics: &[String]) -> (f64, f64) {
    let of = |name: &str| -> f64 {
        let lines = metrics.iter().flat_map(|text| text.lines());
        let signed = lines.filter(|line| line.starts_with(name) && line.contains("outcome=\"Signed\""));
        signed.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    };
    (of("dvn_cosign_seconds_sum"), of("dvn_cosign_seconds_count"))
}
