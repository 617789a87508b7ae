//! A head as a line of text: `journal 0x… rows 12 hash 0x… check 1a2b3c4d`, where the check is the first four bytes of
//! keccak256 over everything before ` check`.

use alloy_primitives::{B256, hex, keccak256};
use dvn_core::ports::{JournalHead, JournalId};

use super::KeptHead;

/// A whole line, with its end.
pub(super) fn write(kept: KeptHead) -> String {
    let KeptHead { journal, head } = kept;
    let text = format!("journal {journal} rows {} hash {}", head.rows, head.hash);
    format!("{text} check {}\n", check(&text))
}

/// The newest head of a file; nothing in an empty one. The last line may be torn, as a crash leaves it: nothing was
/// released for a head that was not synced. The first one never is, since files are made whole.
///
/// # Errors
/// The first line, from 1, that is none.
pub(super) fn newest(content: &[u8]) -> Result<Option<KeptHead>, usize> {
    let mut newest = None;
    let mut lines = content.split_inclusive(|byte| *byte == b'\n').enumerate().peekable();
    while let Some((index, line)) = lines.next() {
        match read(line) {
            Some(kept) => newest = Some(kept),
            None if newest.is_some() && lines.peek().is_none() => {}
            None => return Err(index.saturating_add(1)),
        }
    }
    Ok(newest)
}

fn read(line: &[u8]) -> Option<KeptHead> {
    let line = std::str::from_utf8(line).ok()?.strip_suffix('\n')?;
    let (text, written) = line.split_once(" check ")?;
    let words: Vec<_> = text.split(' ').collect();
    let ["journal", journal, "rows", rows, "hash", hash] = words.as_slice() else { return None };
    let kept = KeptHead {
        journal: JournalId(hash_of(journal)?),
        head: JournalHead { rows: rows.parse().ok()?, hash: hash_of(hash)? },
    };
    (written == check(text)).then_some(kept)
}

fn hash_of(text: &str) -> Option<B256> {
    hex::decode_to_array(text.strip_prefix("0x")?).ok().map(B256::new)
}

fn check(text: &str) -> String {
    let hash = keccak256(text);
    hex::encode(hash.as_slice().first_chunk::<4>().copied().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(rows: u64) -> KeptHead {
        let head = JournalHead { rows, hash: keccak256(rows.to_be_bytes()) };
        KeptHead { journal: JournalId(B256::repeat_byte(7)), head }
    }

    #[test]
    fn the_last_whole_line_counts() {
        let content = [1, 2, u64::MAX].map(|rows| write(kept(rows))).concat();
        assert_eq!(newest(content.as_bytes()), Ok(Some(kept(u64::MAX))));
        assert_eq!(newest(b""), Ok(None));
    }

    #[test]
    fn the_last_line_may_be_torn_at_any_byte() {
        let (whole, last) = ([1, 2].map(|rows| write(kept(rows))).concat(), write(kept(3)));
        for cut in 0..last.len() {
            let content = format!("{whole}{}", last.get(..cut).unwrap());
            assert_eq!(newest(content.as_bytes()), Ok(Some(kept(2))), "{content}");
        }
        // Sectors may reach the disk in any order.
        let mut content = format!("{whole}{last}").into_bytes();
        content[whole.len() + 20] = 0;
        assert_eq!(newest(&content), Ok(Some(kept(2))));
    }

    #[test]
    fn anything_else_is_no_mirror() {
        let lines = [1, 2, 3].map(|rows| write(kept(rows))).concat();
        assert_eq!(newest(lines.replacen("rows 2", "rows 1", 1).as_bytes()), Err(2));
        assert_eq!(newest(lines.replacen("rows 1", "rows 2", 1).as_bytes()), Err(1));
        for other in ["x", "\n", "root:x:0:0:root:/root:/bin/bash\n", "service:\n  name: x\n"] {
            assert_eq!(newest(other.as_bytes()), Err(1), "{other:?}");
        }
        // One that has only a torn line was never whole.
        let first = write(kept(1));
        assert_eq!(newest(first.trim_end().as_bytes()), Err(1));
    }
}
