//! Rows that each commit to the one before, so that an edited, removed or inserted row shows. The journal and the audit
//! log use this one rule.

use alloy_primitives::{B256, Keccak256};

/// The hash of a row: `keccak256(previous ‖ len₀ ‖ field₀ ‖ len₁ ‖ field₁ ‖ …)`, lengths as 8 bytes big-endian. The first
/// row's previous hash is zero.
#[must_use]
pub fn link<'a>(previous: B256, fields: impl IntoIterator<Item = &'a [u8]>) -> B256 {
    let mut hasher = Keccak256::new();
    hasher.update(previous);
    for field in fields {
        // A slice is never longer than u64::MAX bytes.
        hasher.update(u64::try_from(field.len()).unwrap_or(u64::MAX).to_be_bytes());
        hasher.update(field);
    }
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moved_boundary_changes_the_hash() {
        let ab_c = link(B256::ZERO, [b"ab".as_slice(), b"c"]);
        let a_bc = link(B256::ZERO, [b"a".as_slice(), b"bc"]);
        assert_ne!(ab_c, a_bc);
    }

    #[test]
    fn the_row_before_is_part_of_the_hash() {
        assert_ne!(link(B256::ZERO, [b"x".as_slice()]), link(B256::repeat_byte(1), [b"x".as_slice()]));
    }
}
