//! Remembers which nonce signed which digest, as far back as its capacity.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
};

use alloy_primitives::B256;

/// What a nonce says about the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Not seen, or seen with the same digest, as a deterministic signer repeats it.
    Fresh,
    /// Seen with another digest.
    Reused,
}

/// The most recent nonces by the r of their signatures; the oldest goes when the capacity is reached.
pub(super) struct SeenNonces {
    capacity: usize,
    digests: HashMap<B256, B256>,
    order: VecDeque<B256>,
}

impl SeenNonces {
    pub(super) fn new(capacity: usize) -> Self {
        Self { capacity, digests: HashMap::new(), order: VecDeque::new() }
    }

    pub(super) fn insert(&mut self, r: B256, digest: B256) -> Verdict {
        match self.digests.get(&r) {
            Some(known) if *known == digest => return Verdict::Fresh,
            Some(_) => return Verdict::Reused,
            None => {}
        }
        if self.order.len() >= self.capacity
            && let Some(oldest) = self.order.pop_front()
        {
            self.digests.remove(&oldest);
        }
        self.order.push_back(r);
        self.digests.insert(r, digest);
        Verdict::Fresh
    }
}

impl fmt::Debug for SeenNonces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SeenNonces").field("len", &self.order.len()).field("capacity", &self.capacity).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_bounded_and_drops_the_oldest() {
        let mut seen = SeenNonces::new(2);
        let [a, b, c] = [1, 2, 3].map(B256::with_last_byte);
        for r in [a, b, c] {
            assert_eq!(seen.insert(r, a), Verdict::Fresh);
        }
        assert_eq!((seen.order.len(), seen.digests.len()), (2, 2));
        assert_eq!(seen.insert(c, b), Verdict::Reused);
        assert_eq!(seen.insert(a, b), Verdict::Fresh, "the oldest was forgotten");
    }

    #[test]
    fn the_same_digest_again_is_no_reuse() {
        let mut seen = SeenNonces::new(2);
        assert_eq!(seen.insert(B256::ZERO, B256::ZERO), Verdict::Fresh);
        assert_eq!(seen.insert(B256::ZERO, B256::ZERO), Verdict::Fresh);
        assert_eq!(seen.order.len(), 1);
    }
}
