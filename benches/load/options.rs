use std::path::PathBuf;

use super::LoadError;

/// What is run.
#[derive(Clone, Debug, clap::Args)]
#[expect(clippy::exhaustive_structs, reason = "tests and programs make it")]
pub struct Options {
    /// How many packets are sent, over all paths in turn.
    #[arg(long, default_value_t = 1_000)]
    pub packets: usize,
    /// Packets a second; 0 sends all at once, which is how to see what the node can do.
    #[arg(long, default_value_t = 50)]
    pub rate: u32,
    /// Packets in one transaction of the source; without it one, or as many as the rate needs.
    #[arg(long)]
    pub per_transaction: Option<usize>,
    /// Source chains.
    #[arg(long, default_value_t = 2)]
    pub sources: usize,
    /// Destination chains.
    #[arg(long, default_value_t = 1)]
    pub destinations: usize,
    /// The node's `batch.max_items`.
    #[arg(long, default_value_t = 25)]
    pub batch: usize,
    /// Seats of every chain; all lead to the chain's one local node and all must agree.
    #[arg(long, default_value_t = 3)]
    pub seats: usize,
    /// Signatures that the DVN contract asks for.
    #[arg(long, default_value_t = 1)]
    pub quorum: usize,
    /// Nodes of the DVN; as many as the quorum without it.
    #[arg(long)]
    pub nodes: Option<usize>,
    /// The configuration's `class` of every chain. Blocks of local nodes hash as those of `ethereum` do; with `generic` nothing is
    /// concluded from hashes and everything is voted on.
    #[arg(long, default_value = "ethereum")]
    pub class: String,
    /// Sources are polled for new heads, as they are where no seat of theirs has a `ws`.
    #[arg(long)]
    pub polled: bool,
    /// Seconds between two blocks of every chain.
    #[arg(long, default_value_t = 1)]
    pub block_time: u64,
    /// Seconds in which nothing is sent, to see what idle blocks cost.
    #[arg(long, default_value_t = 20)]
    pub idle: u64,
    /// Packets of the naive loop on blocks that come at once; 0 leaves it out.
    #[arg(long, default_value_t = 200)]
    pub naive: usize,
    /// Packets of the measurement of the limit; 0 leaves it out.
    #[arg(long, default_value_t = 2_000)]
    pub limit: usize,
    /// In place of all that: so many packets wait for confirmations that do not come, and the node's memory is looked at.
    #[arg(long)]
    pub hold: Option<usize>,
    /// Seconds after which a load that is not attested is a failure.
    #[arg(long, default_value_t = 300)]
    pub patience: u64,
    /// One JSON document in place of the table.
    #[arg(long)]
    pub json: bool,
    /// The program `dvn-node`.
    #[arg(long)]
    pub node: PathBuf,
    /// Where the nodes' stores, configurations and logs go; what is there is removed.
    #[arg(long)]
    pub folder: PathBuf,
}

/// Most packets in one transaction: 7.4 million gas.
const TOGETHER: usize = 100;
/// Transactions a second above which packets share them.
const TRANSACTIONS: usize = 50;
/// What the aim allows beside one poll or push.
const SLACK_MS: u64 = 150;

impl Options {
    pub(super) fn validate(&self) -> Result<(), LoadError> {
        let wrong = |option, reason| Err(LoadError::Option { option, reason });
        if self.packets == 0 {
            return wrong("packets", "at least 1");
        }
        if self.sources == 0 || self.sources > 30 {
            return wrong("sources", "from 1 to 30");
        }
        if self.destinations == 0 || self.destinations > 30 {
            return wrong("destinations", "from 1 to 30");
        }
        if self.seats == 0 || self.seats > 20 {
            return wrong("seats", "from 1 to 20");
        }
        if !(1..=200).contains(&self.batch) {
            return wrong("batch", "from 1 to 200");
        }
        if self.block_time == 0 {
            return wrong("block-time", "at least 1 second");
        }
        if self.quorum == 0 || self.quorum > self.node_count() || self.node_count() > 7 {
            return wrong("nodes", "at least as many as the quorum, and at most 7");
        }
        if self.per_transaction.is_some_and(|it| it == 0 || it > 400) {
            return wrong("per-transaction", "from 1 to 400");
        }
        Ok(())
    }

    pub(super) fn node_count(&self) -> usize {
        self.nodes.unwrap_or(self.quorum)
    }

    /// How many packets of one path share a transaction.
    pub(super) fn together(&self, rate: u32) -> usize {
        let needed = match usize::try_from(rate).unwrap_or(usize::MAX) {
            0 => TOGETHER,
            rate => rate.div_ceil(TRANSACTIONS).min(TOGETHER),
        };
        self.per_transaction.unwrap_or(needed)
    }

    /// Milliseconds: one interval of polling, which is a block, or eight thirds of one where hashes prove nothing, and what is
    /// allowed beside it.
    pub(super) fn latency_aim(&self) -> u64 {
        let thirds = if matches!(self.class.as_str(), "polygon" | "bsc" | "conflux" | "generic") { 8 } else { 3 };
        (self.block_time.saturating_mul(1_000).saturating_mul(thirds) / 3).saturating_add(SLACK_MS)
    }

    /// The command that repeats the run.
    pub(super) fn command(&self) -> String {
        let Self {
            packets,
            rate,
            sources,
            destinations,
            batch,
            seats,
            quorum,
            class,
            block_time,
            idle,
            naive,
            limit,
            ..
        } = self;
        let mut text = format!(
            "cargo xtask bench load --packets {packets} --rate {rate} --sources {sources} --destinations {destinations} \
             --batch {batch} --seats {seats} --quorum {quorum} --nodes {} --class {class} --block-time {block_time} --idle {idle} \
             --naive {naive} --limit {limit}",
            self.node_count()
        );
        if let Some(together) = self.per_transaction {
            text.push_str(&format!(" --per-transaction {together}"));
        }
        if self.polled {
            text.push_str(" --polled");
        }
        if let Some(hold) = self.hold {
            text.push_str(&format!(" --hold {hold}"));
        }
        text
    }
}
