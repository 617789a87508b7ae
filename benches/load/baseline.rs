//! What others reach with the same key and contract on the first destination, once the nodes have stopped: a naive loop, and
//! the destination itself with transactions that were signed before.

use std::time::{Duration, Instant};

use alloy_primitives::{B256, Bytes};
use dvn_testkit::{
    devnet::{Attestation, Chain, PacketFields},
    keys::{self, Key},
};

use super::{Baseline, LoadError, Report, figures::rate, judge::bound_of, stage::Stage};

/// Naive packets on the chain's own blocks: each takes a block, so that more say no more.
const OWN_BLOCKS: usize = 3;
/// Batches go with this much more gas than they need.
const MARGIN: f64 = 1.1;
/// The local node takes requests of up to 2 MB.
const MOST_CHARACTERS: usize = 1_500_000;
/// A guard: no block takes less than one batch.
const MOST_BLOCKS: usize = 10_000;

pub(super) async fn measure(stage: &Stage, report: &mut Report, say: &(dyn Fn(&str) + Sync)) -> Result<(), LoadError> {
    let chain = stage.destinations().next().ok_or_else(|| LoadError::Incomplete("no destination".to_owned()))?;
    let keys: Vec<Key> = (0..stage.options.quorum).map(keys::signer).collect();
    let mut rival = Rival { stage, chain, keys, next: 1 };
    let own = format!("every {} s", stage.options.block_time);
    let at_once = "at once".to_owned();
    let (naive, limit) = (stage.options.naive, stage.options.limit);
    say("measuring the naive loop and the destination's limit");
    if naive > 0 {
        let packets = OWN_BLOCKS.min(naive);
        let per_second = rival.naive(packets).await?;
        report.naive.push(Baseline { blocks: own.clone(), packets, per_second });
    }
    if limit > 0 {
        let per_second = rival.limit(limit, false).await?;
        report.limit.push(Baseline { blocks: own, packets: limit, per_second });
    }
    chain.anvil().set_interval_mining(Duration::ZERO).await?;
    if limit > 0 {
        let per_second = rival.limit(limit, true).await?;
        report.limit.push(Baseline { blocks: at_once.clone(), packets: limit, per_second });
    }
    if naive > 0 {
        chain.anvil().set_automine(true).await?;
        let per_second = rival.naive(naive).await?;
        report.naive.push(Baseline { blocks: at_once, packets: naive, per_second });
    }
    Ok(())
}

struct Rival<'a> {
    stage: &'a Stage,
    chain: &'a Chain,
    keys: Vec<Key>,
    next: u64,
}

impl Rival<'_> {
    /// One packet, one transaction, one after the other, each waited for; no store, no check, no vote.
    async fn naive(&mut self, packets: usize) -> Result<f64, LoadError> {
        let begun = Instant::now();
        for _ in 0..packets {
            let signed = self.signed().await?;
            self.chain.execute(self.chain.addresses().dvn, &keys::submitter(0), &[signed]).await?;
        }
        Ok(rate(packets, begun.elapsed()))
    }

    /// Full batches, signed before the clock starts and sent in a few requests: what the destination takes. With `at_once` it is
    /// asked for a block as soon as it has mined one; else it mines by itself, and what counts is from its first block
    /// with a batch to its last.
    async fn limit(&mut self, packets: usize, at_once: bool) -> Result<f64, LoadError> {
        let size = self.stage.options.batch;
        let count = packets.div_ceil(size);
        let mut batches = Vec::new();
        for _ in 0..count {
            let mut batch = Vec::new();
            for _ in 0..size {
                batch.push(self.signed().await?);
            }
            batches.push(batch);
        }
        let raw = self.chain.signed_executes(&keys::submitter(0), gas(size, self.keys.len()), &batches).await?;
        let raw: Vec<(Bytes,)> = raw.into_iter().map(|it| (it,)).collect();
        let begun = Instant::now();
        let mut hashes: Vec<B256> = Vec::new();
        for some in raw.chunks(in_one_request(&raw)) {
            hashes.extend(self.chain.rpc().batch::<_, B256>("eth_sendRawTransaction", some).await?);
        }
        if at_once {
            self.mine(&hashes).await?;
            return Ok(rate(count.saturating_mul(size), begun.elapsed()));
        }
        self.by_itself(&hashes, begun).await
    }

    async fn mine(&self, hashes: &[B256]) -> Result<(), LoadError> {
        let Some(&last) = hashes.last() else { return Ok(()) };
        for _ in 0..MOST_BLOCKS {
            self.chain.anvil().mine(1).await?;
            if self.chain.rpc().receipt(last).await?.is_some() {
                return Ok(());
            }
        }
        Err(LoadError::Incomplete("the destination does not take full batches".to_owned()))
    }

    /// By the blocks in which the batches are: all but the first block's came in the time from the first to the last.
    async fn by_itself(&self, hashes: &[B256], begun: Instant) -> Result<f64, LoadError> {
        let (Some(&first), Some(&last)) = (hashes.first(), hashes.last()) else { return Ok(0.0) };
        let first = self.chain.rpc().wait_for_receipt(first).await?;
        let from = Instant::now();
        let last = self.chain.rpc().wait_for_receipt(last).await?;
        let took = from.elapsed();
        let mut later = 0_usize;
        for hash in hashes {
            let receipt = self.chain.rpc().wait_for_receipt(*hash).await?;
            later = later.saturating_add(usize::from(receipt.block_number > first.block_number));
        }
        let size = self.stage.options.batch;
        if last.block_number == first.block_number {
            return Ok(rate(hashes.len().saturating_mul(size), begun.elapsed()));
        }
        Ok(rate(later.saturating_mul(size), took))
    }

    /// An attestation of a packet that nobody sent: the contracts verify any.
    async fn signed(&mut self) -> Result<(Attestation, Bytes), LoadError> {
        let fields = PacketFields {
            nonce: self.next,
            src_eid: 30_999,
            sender: B256::repeat_byte(1),
            dst_eid: self.chain.eid(),
            receiver: B256::repeat_byte(2),
            message: Bytes::from_static(b"naive"),
        };
        self.next = self.next.saturating_add(1);
        let attestation = self.chain.attestation_of(&fields, 1).await?;
        let signatures = attestation.sign(&self.keys);
        Ok((attestation, signatures))
    }
}

/// How many transactions of about this size one request takes; each byte is two characters of it.
fn in_one_request(raw: &[(Bytes,)]) -> usize {
    let largest = raw.iter().map(|(raw,)| raw.len().saturating_mul(2)).max().unwrap_or_default();
    MOST_CHARACTERS.checked_div(largest).unwrap_or(1).max(1)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a positive number of a few million")]
fn gas(items: usize, quorum: usize) -> u64 {
    (bound_of(items, quorum) * MARGIN) as u64
}
