//! Asks about blocks what the verification of their packets asks, as soon as a range was read and whoever the packets are
//! for. The verifier finds it answered, and no seat can tell from its questions which packet is ours.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::RangeInclusive,
};

use alloy::primitives::B256;
use dvn_core::{
    ids::{BlockNumber, BlockRef},
    ports::Head,
};
use futures::{StreamExt, stream};

use super::EvmSource;
use crate::{reader::EvmReader, state::Asked};

/// The transactions with packets of the endpoint, by their block.
pub(super) type Places = BTreeMap<BlockNumber, BTreeSet<B256>>;

/// Blocks of one range that are asked about ahead. There are more only where a node catches up, and then each packet is
/// asked about when it is its turn.
const MOST_BLOCKS: u64 = 32;
/// Blocks that are asked about at once.
const AT_ONCE: usize = 4;

/// Whether a range is short enough for all of its blocks to be asked about, with packets or without.
pub(super) fn takes_all(source: &EvmSource, range: &RangeInclusive<BlockNumber>) -> bool {
    source.reader.config.uniform_queries && range.end().0.saturating_sub(range.start().0) < MOST_BLOCKS
}

/// Asks about the range's blocks with packets, and about the others where no block may stand out.
pub(super) async fn ask(source: &EvmSource, range: RangeInclusive<BlockNumber>, places: &Places) {
    let reader = &*source.reader;
    let Some((head, anchor)) = reader.heads.current() else { return };
    let mut numbers: BTreeSet<BlockNumber> = places.keys().copied().collect();
    if takes_all(source, &range) {
        numbers.extend((range.start().0..=range.end().0).map(BlockNumber));
    }
    if numbers.len() > usize::try_from(MOST_BLOCKS).unwrap_or(usize::MAX) {
        return;
    }
    let nothing = BTreeSet::new();
    let looks = stream::iter(numbers).for_each_concurrent(AT_ONCE, |number| {
        look(reader, (head, anchor), number, places.get(&number).unwrap_or(&nothing))
    });
    looks.await;
}

/// What cannot be answered now is asked again by whoever needs it.
async fn look(
    reader: &EvmReader,
    (head, anchor): (Head, BlockRef),
    number: BlockNumber,
    transactions: &BTreeSet<B256>,
) {
    let block = match reader.block_at(head, anchor, number).await {
        Ok(block) => block,
        Err(error) => return unanswered(reader, number, &error),
    };
    if transactions.is_empty() {
        reader.receipts.imitate(block).await;
    }
    let mut all: Vec<Asked> = Vec::new();
    let mut left: BTreeSet<B256> = transactions.clone();
    while let Some(tx_hash) = left.pop_first() {
        match reader.receipts.of_block(block, tx_hash, number <= anchor.number).await {
            Ok(reading) => {
                all.extend(reader.packets(&reading.value));
                // Mostly a block comes whole.
                left.retain(|other| !reading.value.logs().contains_key(other));
            }
            Err(error) => return unanswered(reader, number, &error),
        }
    }
    reader.read_states(block, &all).await;
}

fn unanswered(reader: &EvmReader, number: BlockNumber, error: &impl std::error::Error) {
    tracing::debug!(chain = reader.panel.chain().name, %number, %error, "block is not read ahead");
}
