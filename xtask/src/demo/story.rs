//! What is known of each packet, told as it happens and summed up at the end.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    time::{Duration, Instant},
};

use dvn_testkit::{devnet::SentPacket, node::NodeEvent};

use crate::command::say;

/// The states that a packet passes, in order.
const STATES: [&str; 7] = ["observed", "waiting", "verified", "signed", "submitted", "attested", "committed"];

pub(crate) struct Story {
    start: Instant,
    packets: BTreeMap<String, Chapter>,
}

/// One packet.
#[derive(Default)]
struct Chapter {
    number: usize,
    sent: Option<SentPacket>,
    reached: BTreeMap<String, Instant>,
    delivered: Option<Instant>,
}

impl Story {
    pub(crate) fn new() -> Self {
        Self { start: Instant::now(), packets: BTreeMap::new() }
    }

    /// Takes note of a sent packet. Says whether it is attested already.
    pub(crate) fn sent(&mut self, packet: SentPacket) -> bool {
        let chapter = self.chapter(&packet.guid.to_string());
        chapter.sent = Some(packet);
        chapter.reached.contains_key("attested")
    }

    /// Takes note of a log line. Returns the packet where it was attested just now.
    pub(crate) fn event(&mut self, event: &NodeEvent) -> Option<SentPacket> {
        let (guid, state) = (event.text("guid"), event.text("to"));
        if guid.is_empty() || state.is_empty() {
            return None;
        }
        let since = event.at.duration_since(self.start).as_secs_f64();
        let chapter = self.chapter(&guid);
        let (number, from) = (chapter.number, event.text("from"));
        chapter.reached.entry(state.clone()).or_insert(event.at);
        let newly = (state == "attested").then(|| chapter.sent.clone()).flatten();
        let (short, reason) = (guid.get(..10).unwrap_or(&guid), event.text("reason"));
        let path = format!("{} ▶ {}", event.text("src"), event.text("dst"));
        let arrow = if from.is_empty() { state } else { format!("{from} → {state}") };
        say(&format!(
            "{since:7.2}s  packet {number:>3}  {short}…  {path}  nonce {:>3}  {arrow} {reason}",
            event.text("nonce")
        ));
        newly
    }

    pub(crate) fn delivered(&mut self, packet: SentPacket) {
        let since = self.start.elapsed().as_secs_f64();
        let chapter = self.chapter(&packet.guid.to_string());
        chapter.delivered = Some(Instant::now());
        say(&format!("{since:7.2}s  packet {:>3}  delivered to the receiving application", chapter.number));
    }

    /// Whether everything that was sent is committed and delivered.
    pub(crate) fn is_complete(&self) -> bool {
        let done = |it: &Chapter| it.delivered.is_some() && it.reached.contains_key("committed");
        self.packets.values().all(|chapter| chapter.sent.is_none() || done(chapter))
    }

    pub(crate) fn summary(&self) -> String {
        let mut text = String::from("\n");
        let sent = self.packets.values().filter(|chapter| chapter.sent.is_some()).count();
        let delivered = self.packets.values().filter(|chapter| chapter.delivered.is_some()).count();
        let _ = write!(text, "{sent} packets sent");
        for state in ["attested", "committed"] {
            let _ =
                write!(text, ", {} {state}", self.packets.values().filter(|it| it.reached.contains_key(state)).count());
        }
        let _ = writeln!(text, ", {delivered} delivered\n\n  step                      p50       max");
        for pair in STATES.windows(2) {
            if let [from, to] = pair {
                self.latency(&mut text, from, to);
            }
        }
        self.latency(&mut text, "observed", "attested");
        text
    }

    fn latency(&self, text: &mut String, from: &str, to: &str) {
        let span = |it: &Chapter| Some(it.reached.get(to)?.duration_since(*it.reached.get(from)?));
        let mut spans: Vec<Duration> = self.packets.values().filter_map(span).collect();
        spans.sort_unstable();
        let (Some(middle), Some(most)) = (spans.get(spans.len() / 2), spans.last()) else {
            return;
        };
        let step = format!("{from} → {to}");
        let _ = writeln!(text, "  {step:<22} {:>7.3}s  {:>7.3}s", middle.as_secs_f64(), most.as_secs_f64());
    }

    fn chapter(&mut self, guid: &str) -> &mut Chapter {
        let number = self.packets.len().saturating_add(1);
        let guid = guid.to_lowercase();
        self.packets.entry(guid).or_insert_with(|| Chapter { number, ..Chapter::default() })
    }
}
