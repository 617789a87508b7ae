use alloy::primitives::{B256, Bloom, BloomInput, keccak256, map::HashMap};

use super::Log;

/// The hashes of a block's addresses and topics, of which a bloom filter is made. The same contracts and events come
/// again and again in one block, and a hash takes many times as long as finding it here.
#[derive(Debug, Default)]
pub(super) struct BloomHashes<'a>(HashMap<&'a [u8], B256>);

impl<'a> BloomHashes<'a> {
    /// The filter of one receipt's logs (Yellow Paper, section 4.3.1).
    pub(super) fn bloom(&mut self, logs: &'a [Log]) -> Bloom {
        let mut bloom = Bloom::ZERO;
        for log in logs {
            bloom.accrue(self.hash(log.address.as_slice()));
            log.topics.iter().for_each(|topic| bloom.accrue(self.hash(topic.as_slice())));
        }
        bloom
    }

    fn hash(&mut self, of: &'a [u8]) -> BloomInput<'static> {
        BloomInput::Hash(*self.0.entry(of).or_insert_with(|| keccak256(of)))
    }
}
