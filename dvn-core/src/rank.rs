//! Which of a DVN's signers proposes a packet: all compute the same order, and neighbouring packets share a proposer, so that
//! batches fill.

use alloy_primitives::{Address, B256, keccak256};

use crate::ids::{BlockNumber, Eid};

/// Blocks of a source that share a proposer.
const NEIGHBOURS: u64 = 32;

/// The signers in the order in which they propose packets of this source block and destination: by the hash of source eid (4
/// bytes), destination eid (4), block ÷ 32 (8), big-endian, and address (20).
#[must_use]
pub fn order(
    src_eid: Eid,
    dst_eid: Eid,
    block: BlockNumber,
    signers: impl IntoIterator<Item = Address>,
) -> Vec<Address> {
    let mut signers: Vec<Address> = signers.into_iter().collect();
    signers.sort_unstable_by_key(|signer| (lot(src_eid, dst_eid, block, *signer), *signer));
    signers.dedup();
    signers
}

fn lot(src_eid: Eid, dst_eid: Eid, block: BlockNumber, signer: Address) -> B256 {
    let part = block.0.checked_div(NEIGHBOURS).unwrap_or_default();
    let (src, dst, part) = (src_eid.0.to_be_bytes(), dst_eid.0.to_be_bytes(), part.to_be_bytes());
    keccak256([src.as_slice(), &dst, &part, signer.as_slice()].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIGNERS: [Address; 3] = [Address::repeat_byte(1), Address::repeat_byte(2), Address::repeat_byte(3)];

    fn first(src: u32, dst: u32, block: u64) -> Address {
        order(Eid(src), Eid(dst), BlockNumber(block), SIGNERS)[0]
    }

    #[test]
    fn all_compute_the_same_order_whoever_they_know_first() {
        let [a, b, c] = SIGNERS;
        let one = order(Eid(1), Eid(2), BlockNumber(64), [a, b, c]);
        assert_eq!(one, order(Eid(1), Eid(2), BlockNumber(64), [c, a, b, c]));
        assert_eq!(one.len(), 3);
    }

    #[test]
    fn neighbours_share_a_proposer_and_the_work_is_spread() {
        assert!((64..96).all(|block| first(1, 2, block) == first(1, 2, 64)));
        let counts = SIGNERS.map(|signer| (0..300).filter(|part| first(1, 2, part * 32) == signer).count());
        assert!(counts.iter().all(|count| (70..130).contains(count)), "{counts:?}");
        assert!((0..100).any(|dst| first(1, dst, 0) != first(1, 0, 0)), "the destination matters");
        assert!((0..100).any(|src| first(src, 2, 0) != first(0, 2, 0)), "the source matters");
    }
}
