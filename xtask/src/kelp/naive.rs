//! Verifiers as they are often built. Each takes the newest packet for our DVN of the final part of the chain, with its
//! receipt, and differs from the others only in whom it believes. None of them is a straw man: each does what it is named
//! for, by the book, and would be right as long as nobody lies.

use std::{collections::BTreeMap, time::Duration};

use alloy_primitives::{B256, U64, keccak256};
use dvn_testkit::{
    devnet::{Chain, SentPackets},
    rpc::{Log, Rpc},
};
use futures::{
    future::join_all,
    stream::{FuturesUnordered, StreamExt},
};
use serde_json::{Value, json};

/// How long a verifier waits for one node.
const TIMEOUT: Duration = Duration::from_secs(2);

/// A node of the source chain.
pub(super) struct Node {
    pub(super) name: &'static str,
    pub(super) rpc: Rpc,
}

/// Whom a verifier believes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Its own first node.
    Single,
    /// Whoever answers, providers first.
    Failover,
    /// Whoever answers first.
    First,
    /// More than half of those who answer: a quorum that shrinks.
    Majority,
}

/// What a verifier would sign.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Signed {
    pub(super) nonce: u64,
    pub(super) message: Vec<u8>,
    pub(super) payload_hash: B256,
}

impl Kind {
    pub(super) const ALL: [Self; 4] = [Self::Single, Self::Failover, Self::First, Self::Majority];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Single => "asks one RPC",
            Self::Failover => "fails over to whoever answers",
            Self::First => "takes the first of several answers",
            Self::Majority => "majority of those who answer",
        }
    }
}

/// A packet to sign, and on whose word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Decision {
    pub(super) signed: Signed,
    pub(super) because: String,
}

/// What a verifier of this kind signs that has these nodes, its own first.
pub(super) async fn decide(kind: Kind, source: &Chain, nodes: &[Node]) -> Option<Decision> {
    match kind {
        Kind::Single => failover(source, nodes.iter().take(1)).await,
        Kind::Failover => failover(source, nodes.iter().rev()).await,
        Kind::First => first(source, nodes).await,
        Kind::Majority => majority(source, nodes).await,
    }
}

/// One after the other.
async fn failover(source: &Chain, nodes: impl Iterator<Item = &Node>) -> Option<Decision> {
    let mut failed: usize = 0;
    for node in nodes {
        if let Some(signed) = newest(source, node).await {
            let after = if failed == 0 { String::new() } else { format!(" when {failed} had failed") };
            return Some(Decision { signed, because: format!("{} said so{after}", node.name) });
        }
        failed = failed.saturating_add(1);
    }
    None
}

async fn first(source: &Chain, nodes: &[Node]) -> Option<Decision> {
    let ask = async |node: &Node| (node.name, newest(source, node).await);
    let mut asked: FuturesUnordered<_> = nodes.iter().map(ask).collect();
    while let Some((name, answer)) = asked.next().await {
        if let Some(signed) = answer {
            return Some(Decision { signed, because: format!("{name} was the fastest") });
        }
    }
    None
}

/// Counts those who answered, which is what makes it naive.
async fn majority(source: &Chain, nodes: &[Node]) -> Option<Decision> {
    let answers = join_all(nodes.iter().map(|node| newest(source, node))).await;
    let mut votes = BTreeMap::<Signed, usize>::new();
    let mut answered: usize = 0;
    for signed in answers.into_iter().flatten() {
        answered = answered.saturating_add(1);
        let count = votes.entry(signed).or_default();
        *count = count.saturating_add(1);
    }
    let (signed, count) = votes.into_iter().find(|(_, count)| count.saturating_mul(2) > answered)?;
    Some(Decision { signed, because: format!("{count} of {answered} answers") })
}

/// The newest packet by one node's word; nothing where that does not come in time.
async fn newest(source: &Chain, node: &Node) -> Option<Signed> {
    tokio::time::timeout(TIMEOUT, read(source, &node.rpc)).await.ok().flatten()
}

async fn read(source: &Chain, rpc: &Rpc) -> Option<Signed> {
    let block: Value = rpc.request("eth_getBlockByNumber", ("finalized", false)).await.ok()?;
    let number: U64 = serde_json::from_value(block.get("number")?.clone()).ok()?;
    let topic = keccak256("PacketSent(bytes,bytes,address)");
    let at = source.addresses();
    let filter = json!({ "fromBlock": "0x0", "toBlock": number, "address": at.endpoint, "topics": [topic] });
    let logs: Vec<Log> = rpc.request("eth_getLogs", (filter,)).await.ok()?;
    let receipt = rpc.receipt(logs.last()?.transaction_hash).await.ok()??;
    // By the book: it is mined, it succeeded, and the send library says that our DVN was paid for it.
    if receipt.status.is_zero() {
        return None;
    }
    let packet = SentPackets::from_receipt(source, receipt).ok()?.packets.pop()?;
    let paid = packet.required_dvns.contains(&at.dvn);
    let (nonce, message, payload_hash) = (packet.fields.nonce, packet.fields.message.to_vec(), packet.payload_hash);
    paid.then_some(Signed { nonce, message, payload_hash })
}
