//! The table, and the same as JSON.

use std::fmt::Write as _;

use serde::Serialize;

use super::{
    LoadError,
    figures::{Baseline, Batches, Calls, Counts, Held, Latency, NodeUsage},
};

/// Everything that one run measured.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// The command that repeats it.
    pub command: String,
    /// How fast packets were sent: nothing is attested faster.
    pub sent_per_second: f64,
    /// What became of the packets; nothing where they were held.
    pub counts: Option<Counts>,
    /// Attested a second, from the first packet that was signable to the last that was included.
    pub rate: Option<f64>,
    /// From signable on.
    pub latency: Option<Latency>,
    /// What the median until the broadcast shall be below: a block, as heads are asked for once in a block, and 150 ms.
    pub latency_aim_ms: Option<u64>,
    /// Gas.
    pub batches: Option<Batches>,
    /// Calls while nothing was sent.
    pub idle_calls: Vec<Calls>,
    /// Calls from then on until all was attested.
    pub load_calls: Vec<Calls>,
    /// CPU time and memory.
    pub nodes: Vec<NodeUsage>,
    /// Packets that waited, where they were held.
    pub held: Option<Held>,
    /// One packet, one transaction, without a store.
    pub naive: Vec<Baseline>,
    /// Full batches as fast as the destination takes them.
    pub limit: Vec<Baseline>,
}

impl Report {
    /// Whether every packet is attested, and none twice.
    ///
    /// # Errors
    /// What is wrong.
    pub fn verdict(&self) -> Result<(), LoadError> {
        if let Some(Counts { sent, attested, repeated, foreign }) = self.counts
            && (attested < sent || repeated > 0 || foreign > 0)
        {
            return Err(LoadError::Incomplete(format!(
                "of {sent} packets {attested} are attested and {repeated} more than once; {foreign} that nobody sent"
            )));
        }
        match self.held {
            Some(Held { sent, waiting, .. }) if waiting < sent => {
                Err(LoadError::Incomplete(format!("of {sent} packets only {waiting} wait")))
            }
            _ => Ok(()),
        }
    }

    /// One JSON document.
    #[must_use]
    pub fn json(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default()
    }

    /// For people.
    #[must_use]
    pub fn table(&self) -> String {
        let mut table = format!("{}\n\n", self.command);
        self.flow(&mut table);
        self.rivals(&mut table);
        for node in &self.nodes {
            row(
                &mut table,
                &format!("CPU of {}", node.name),
                &format!(
                    "{:.2} s, {:.2} ms a packet; {:.2} s while idle",
                    node.cpu_seconds, node.cpu_ms_per_packet, node.idle_cpu_seconds
                ),
            );
            row(
                &mut table,
                &format!("memory of {}", node.name),
                &format!("{:.1} MiB at most, {:.1} at the end", node.peak_memory_mb, node.memory_mb),
            );
        }
        let packets = self.counts.map_or(0, |it| it.sent);
        calls(&mut table, "idle", &self.idle_calls, 0);
        calls(&mut table, "load", &self.load_calls, packets);
        table
    }

    fn flow(&self, table: &mut String) {
        row(table, "sent", &format!("{:.1} a second", self.sent_per_second));
        if let Some(Held { sent, waiting, seconds, cpu_percent }) = self.held {
            row(table, "waiting", &format!("{waiting} of {sent} after {seconds:.1} s"));
            row(table, "CPU while all wait", &format!("{cpu_percent:.1} % of one core"));
        }
        if let Some(Counts { sent, attested, repeated, foreign }) = self.counts {
            row(table, "attested", &format!("{attested} of {sent}, {repeated} more than once, {foreign} unknown"));
        }
        if let Some(rate) = self.rate {
            row(table, "rate", &format!("{rate:.1} attested a second"));
        }
        if let Some(Latency { to_broadcast, to_included, to_verified, to_signed }) = self.latency {
            let aim = self.latency_aim_ms.map_or_else(String::new, |aim| format!("; aim: p50 under {aim}"));
            let steps = [
                ("verified", to_verified, ""),
                ("signed", to_signed, ""),
                ("broadcast", to_broadcast, aim.as_str()),
                ("included", to_included, ""),
            ];
            for (name, it, aim) in steps {
                let text = format!("p50 {:.0} ms, p99 {:.0} ms, most {:.0} ms{aim}", it.p50_ms, it.p99_ms, it.max_ms);
                row(table, &format!("signable to {name}"), &text);
            }
        }
        if let Some(Batches { transactions, mean_items, gas_per_packet, bound_per_packet }) = self.batches {
            row(table, "batches", &format!("{transactions} transactions with {mean_items:.1} packets each"));
            let percent = gas_per_packet / bound_per_packet * 100.0;
            row(
                table,
                "gas a packet",
                &format!("{gas_per_packet:.0}, {percent:.1} % of the contract's bound {bound_per_packet:.0}"),
            );
        }
    }

    fn rivals(&self, table: &mut String) {
        for (what, rivals) in [("naive loop", &self.naive), ("limit", &self.limit)] {
            for Baseline { blocks, packets, per_second } in rivals {
                let ours = self.rate.unwrap_or_default() / per_second.max(f64::EPSILON);
                let ratio = if what == "limit" { format!("{:.0} %", ours * 100.0) } else { format!("{ours:.1} times") };
                row(
                    table,
                    &format!("{what}, blocks {blocks}"),
                    &format!("{per_second:.1} a second ({packets} packets); the node has {ratio} of it"),
                );
            }
        }
    }
}

fn row(table: &mut String, name: &str, value: &str) {
    let _ = writeln!(table, "{name:<32}{value}");
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn calls(table: &mut String, phase: &str, calls: &[Calls], packets: usize) {
    for Calls { chain, blocks, calls, per_seat_and_block, methods } in calls {
        let each = if packets > 0 {
            format!(", {:.2} a packet of all", *calls as f64 / packets as f64)
        } else {
            String::new()
        };
        row(
            table,
            &format!("calls, {phase}, {chain}"),
            &format!("{per_seat_and_block:.2} a seat and block ({calls} in {blocks} blocks){each}"),
        );
        for it in methods {
            let _ = writeln!(table, "    {:<28}{:.2} ({})", it.method, it.per_seat_and_block, it.calls);
        }
    }
}
