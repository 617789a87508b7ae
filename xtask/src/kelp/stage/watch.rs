//! What can be seen from outside: on the chains, at the node's HTTP listener, in its log and its evidence.

use std::time::Duration;

use alloy_primitives::{B256, U64};
use dvn_testkit::{
    devnet::{PacketFields, SentPacket},
    node::NodeProcess,
    rpc::Rpc,
};
use serde_json::Value;

use super::{NODES, SOURCE, Stage};
use crate::{Failure, stage::failure};

/// How often something is looked at.
const POLL: Duration = Duration::from_millis(200);

/// What one seat said, as the halt's evidence keeps it.
pub(crate) struct Vote {
    pub(crate) seat: String,
    pub(crate) number: u64,
    pub(crate) hash: B256,
    /// Whether the chain itself has this block.
    pub(crate) is_true: bool,
}

impl Stage {
    /// Waits until the destination has our DVN's word for this packet.
    pub(crate) async fn until_attested(&self, packet: &SentPacket, patience: Duration) -> Result<(), Failure> {
        let attested = async {
            loop {
                let logs = self.destination()?.payload_verified_logs().await.map_err(|error| failure(&error))?;
                if logs.iter().any(|log| log.payload_hash == packet.payload_hash) {
                    return Ok(());
                }
                tokio::time::sleep(POLL).await;
            }
        };
        within(patience, "the genuine packet is not attested", attested).await
    }

    /// How often our DVN verified anything but this packet.
    pub(crate) async fn attested_beyond(&self, packet: &SentPacket) -> Result<usize, Failure> {
        let logs = self.destination()?.payload_verified_logs().await.map_err(|error| failure(&error))?;
        Ok(logs.iter().filter(|log| log.payload_hash != packet.payload_hash).count())
    }

    /// Whether our node's log tells of a signature for this packet.
    pub(crate) async fn was_signed(&self, fields: &PacketFields) -> Result<bool, Failure> {
        let log = tokio::fs::read_to_string(self.log()).await.map_err(|error| failure(&error))?;
        let guid = fields.guid().to_string();
        Ok(log.lines().any(|line| line.contains(&guid) && line.contains("signed")))
    }

    /// Waits until a block is final on the chain.
    pub(crate) async fn until_final(&self, height: u64, patience: Duration) -> Result<(), Failure> {
        let reached = async {
            loop {
                if block(self.source()?.rpc(), "finalized").await?.0 >= height {
                    return Ok(());
                }
                tokio::time::sleep(POLL).await;
            }
        };
        within(patience, "the forged block does not become final", reached).await
    }

    /// Waits until our node says that it cannot follow the source.
    pub(crate) async fn until_degraded(&self, node: &NodeProcess, patience: Duration) -> Result<(), Failure> {
        let gauge = format!("dvn_source_degraded{{chain=\"{SOURCE}\"}} 1");
        let told = async {
            loop {
                let not_ready = node.fetch("ready").await.is_some_and(|(code, _)| code == 503);
                let degraded = node.fetch("metrics").await.is_some_and(|(_, metrics)| metrics.contains(&gauge));
                if not_ready && degraded {
                    return Ok(());
                }
                tokio::time::sleep(POLL).await;
            }
        };
        within(patience, "our node does not complain", told).await
    }

    /// Asks the very same nodes as a monitor does, which they do not take for the verifier.
    pub(crate) async fn assert_monitor_sees_truth(&self, height: u64) -> Result<(), Failure> {
        let height = format!("{height:#x}");
        let truth = block(self.source()?.rpc(), &height).await?;
        for proxy in &self.proxies {
            if block(&Rpc::new(proxy.url().clone()), &height).await? != truth {
                return Err(Failure::new("the monitor was lied to, so that this is another attack"));
            }
        }
        Ok(())
    }

    /// Who said what, by our node's own record of the halt; the log tells of a halt a moment before it is on record.
    pub(crate) async fn until_evidence(&self, patience: Duration) -> Result<Vec<Vote>, Failure> {
        let shown = async {
            loop {
                let shown = self.command(&["halt", "evidence", SOURCE]).output().map_err(|error| failure(&error))?;
                if shown.status.success() {
                    return serde_json::from_slice(&shown.stdout).map_err(|error| failure(&error));
                }
                tokio::time::sleep(POLL).await;
            }
        };
        let document: Value = within(patience, "the halt has no evidence", shown).await?;
        self.votes(&document).await
    }

    async fn votes(&self, document: &Value) -> Result<Vec<Vote>, Failure> {
        let mut votes = Vec::new();
        for vote in document.get("votes").and_then(Value::as_array).into_iter().flatten() {
            let text = |name: &str| vote.get(name).and_then(Value::as_str).unwrap_or_default();
            let answer: Value = serde_json::from_str(text("answer")).map_err(|error| failure(&error))?;
            let (number, hash) = number_and_hash(&answer)?;
            let truth = block(self.source()?.rpc(), &format!("{number:#x}")).await?;
            votes.push(Vote { seat: self.name(text("seat")), number, hash, is_true: truth == (number, hash) });
        }
        Ok(votes)
    }

    /// The name of the node at this host and port.
    fn name(&self, label: &str) -> String {
        let mut named = NODES.iter().zip(&self.proxies);
        let found = named.find(|(_, proxy)| proxy.url().as_str().contains(label));
        found.map_or_else(|| label.to_owned(), |((name, _), _)| (*name).to_owned())
    }
}

async fn within<T>(
    patience: Duration,
    otherwise: &str,
    wait: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let late = |_| Failure::new(format!("{otherwise} after {patience:?}"));
    tokio::time::timeout(patience, wait).await.map_err(late)?
}

async fn block(rpc: &Rpc, named: &str) -> Result<(u64, B256), Failure> {
    let block: Value = rpc.request("eth_getBlockByNumber", (named, false)).await.map_err(|error| failure(&error))?;
    number_and_hash(&block)
}

fn number_and_hash(block: &Value) -> Result<(u64, B256), Failure> {
    let member = |name: &str| block.get(name).cloned().unwrap_or_default();
    let number: U64 = serde_json::from_value(member("number")).map_err(|error| failure(&error))?;
    let hash = serde_json::from_value(member("hash")).map_err(|error| failure(&error))?;
    Ok((number.to(), hash))
}
