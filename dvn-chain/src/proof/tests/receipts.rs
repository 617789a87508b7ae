//! Recorded receipts have their header's root, and nothing else has.

use alloy::primitives::{Bloom, U64};

use super::{edits::edited_receipts, *};

/// A recorded block, parsed.
struct Block {
    file: String,
    hash: B256,
    header: Header,
    receipts: Vec<Receipt>,
}

impl Block {
    fn proven(&self, receipts: &[Receipt]) -> Result<(), ProofError> {
        prove(ALL, self.hash, &self.header, receipts)
    }

    /// Without all that a receipt says beside what the trie commits to: only the root is left to give an edit away.
    fn bare(mut self) -> Self {
        for receipt in &mut self.receipts {
            (receipt.transaction_index, receipt.logs_bloom) = (None, None);
            receipt.logs.iter_mut().for_each(|log| log.log_index = None);
        }
        self
    }
}

fn recorded_blocks() -> impl Iterator<Item = Block> {
    recorded("receipts").into_iter().map(|(file, of)| {
        let header = &of["block"];
        Block { file, hash: parsed(&header["hash"]), header: parsed(header), receipts: parsed(&of["receipts"]) }
    })
}

#[test]
fn recorded_blocks_prove_their_receipts() {
    for block in recorded_blocks() {
        assert_eq!(block.proven(&block.receipts), Ok(()), "{}", block.file);
        let block = block.bare();
        assert_eq!(block.proven(&block.receipts), Ok(()), "{}", block.file);
    }
}

#[test]
fn other_receipts_of_no_block_do_not_prove() {
    let blocks: Vec<_> = recorded_blocks().collect();
    for (at, block) in blocks.iter().enumerate() {
        let other = &blocks[(at + 1) % blocks.len()];
        assert!(block.proven(&other.receipts).is_err());
        assert!(matches!(block.proven(&[]), Err(ProofError::ReceiptsRoot(_))));
        assert_eq!(prove(ALL, other.hash, &block.header, &block.receipts), Err(ProofError::HeaderHash(block.hash)));
    }
}

#[test]
fn a_type_that_the_class_does_not_have_is_an_error() {
    let usual = [0, 1, 2, 3, 4];
    for block in recorded_blocks() {
        let kinds = block.receipts.iter().map(|receipt| receipt.kind.map_or(0, |kind| kind.to::<u64>()));
        let unknown = kinds.enumerate().find(|(_, kind)| !usual.contains(kind));
        let result = prove(ETHEREUM, block.hash, &block.header, &block.receipts);
        let expected = unknown.map_or(Ok(()), |(index, kind)| Err(ProofError::UnknownType { index, kind }));
        assert_eq!(result, expected, "{}", block.file);
    }
    let mut block = recorded_blocks().next().unwrap();
    for kind in (5..0x400).filter(|kind| !ALL.extra.contains(kind)) {
        block.receipts[0].kind = Some(U64::from(kind));
        assert_eq!(block.proven(&block.receipts), Err(ProofError::UnknownType { index: 0, kind }));
    }
}

#[test]
fn what_a_receipt_says_beside_the_trie_must_fit() {
    for block in recorded_blocks() {
        let at = block.receipts.iter().position(|receipt| !receipt.logs.is_empty()).unwrap_or_default();
        let fails = |what, edit: fn(&mut Receipt)| {
            let mut receipts = block.receipts.clone();
            edit(&mut receipts[at]);
            assert_eq!(block.proven(&receipts), Err(ProofError::Inconsistent { index: at, what }), "{}", block.file);
        };
        fails("transactionIndex", |it| it.transaction_index = Some(U64::MAX));
        fails("logsBloom", |it| it.logs_bloom = Some(Bloom::repeat_byte(0x11)));
        if !block.receipts[at].logs.is_empty() {
            fails("logIndex", |it| it.logs[0].log_index = Some(U64::MAX));
        }
    }
}

#[test]
fn t07_receipts_edited_in_any_field_do_not_prove() {
    for block in recorded_blocks().map(Block::bare) {
        // A block of many receipts takes long without optimisation: one edit of so many, of ever another field.
        let stride = if block.receipts.len() > 20 { 61 } else { 1 };
        let mut count = 0_usize;
        let mut fails = |at: usize, edit: &dyn Fn(&mut Vec<Receipt>)| {
            count += 1;
            if count.is_multiple_of(stride) {
                let mut receipts = block.receipts.clone();
                edit(&mut receipts);
                assert!(block.proven(&receipts).is_err(), "edit {count}, of receipt {at} of {}", block.file);
            }
        };
        for (at, receipt) in block.receipts.iter().enumerate() {
            for edited in edited_receipts(receipt, at) {
                fails(at, &|all| all[at] = edited.clone());
            }
            fails(at, &|all| _ = all.remove(at));
            fails(at, &|all| all.insert(at, receipt.clone()));
            if at > 0 {
                fails(at, &|all| all.swap(at, at - 1));
            }
        }
        assert!(count > 12 * block.receipts.len());
    }
}
