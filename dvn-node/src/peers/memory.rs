//! One key, one journal: what this node remembers of a peer's journal, until it ends.
//!
//! A peer that shows another name, or has lost a row that it showed, has two journals behind one key, or one that forgot.
//! Messages may overtake each other, so that fewer rows alone are no proof; a row that is asked for by its number is.

use alloy_primitives::B256;

use super::wire::ShownJournal;

/// The journal of one peer.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// The most that it showed.
    seen: Option<ShownJournal>,
    /// Why nothing of this peer counts any more.
    conflict: Option<String>,
}

/// What came of a look at a peer's journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Judged {
    /// Nothing speaks against it.
    Fits,
    /// It is in conflict, as it was before.
    Known(String),
    /// It has just shown itself to be in conflict.
    Alarm(String),
}

impl Memory {
    /// Why nothing of this peer counts, if so.
    pub(super) fn conflict(&self) -> Option<&str> {
        self.conflict.as_deref()
    }

    /// What the peer is to show again.
    pub(super) const fn seen(&self) -> Option<ShownJournal> {
        self.seen
    }

    /// Takes what the peer shows of its journal.
    pub(super) fn hear(&mut self, shown: ShownJournal) -> Judged {
        if let Some(conflict) = &self.conflict {
            return Judged::Known(conflict.clone());
        }
        match self.seen {
            Some(seen) if seen.id != shown.id => self.alarm(format!(
                "two journals are behind this peer's key: {} was seen first, and now {}",
                seen.id, shown.id
            )),
            Some(seen) if seen.rows == shown.rows && seen.head != shown.head => {
                self.alarm(lost(seen, Some(shown.head)))
            }
            Some(seen) if seen.rows >= shown.rows => Judged::Fits,
            Some(_) | None => {
                self.seen = Some(shown);
                Judged::Fits
            }
        }
    }

    /// Takes the hash of the row that `asked` has as its newest; nothing where the peer has no such row.
    pub(super) fn answer(&mut self, asked: ShownJournal, hash: Option<B256>) -> Judged {
        match &self.conflict {
            Some(conflict) => Judged::Known(conflict.clone()),
            None if asked.rows == 0 || hash == Some(asked.head) => Judged::Fits,
            None => self.alarm(lost(asked, hash)),
        }
    }

    fn alarm(&mut self, conflict: String) -> Judged {
        self.conflict = Some(conflict.clone());
        Judged::Alarm(conflict)
    }
}

fn lost(shown: ShownJournal, found: Option<B256>) -> String {
    let ShownJournal { id, rows, head } = shown;
    match found {
        Some(found) => format!("row {rows} of this peer's journal {id} was {head} and is {found}: there are two of it"),
        None => format!("row {rows} of this peer's journal {id} is gone: it was shortened, or there are two of it"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(id: u8, rows: u64, head: u8) -> ShownJournal {
        ShownJournal { id: B256::repeat_byte(id), rows, head: B256::repeat_byte(head) }
    }

    fn alarms(judged: &Judged) -> bool {
        matches!(judged, Judged::Alarm(_))
    }

    #[test]
    fn a_journal_that_grows_fits_and_messages_may_overtake_each_other() {
        let mut memory = Memory::default();
        for it in [shown(1, 0, 0), shown(1, 7, 7), shown(1, 5, 5), shown(1, 7, 7), shown(1, 9, 9)] {
            assert_eq!(memory.hear(it), Judged::Fits, "{it:?}");
        }
        assert_eq!(memory.seen(), Some(shown(1, 9, 9)));
        assert_eq!(memory.answer(shown(1, 9, 9), Some(B256::repeat_byte(9))), Judged::Fits);
        assert_eq!(memory.answer(shown(1, 0, 0), None), Judged::Fits, "there is no row before the first");
        assert_eq!(memory.conflict(), None);
    }

    #[test]
    fn another_name_is_a_conflict_for_good() {
        let mut memory = Memory::default();
        memory.hear(shown(1, 7, 7));
        let judged = memory.hear(shown(2, 7, 7));
        assert!(
            matches!(&judged, Judged::Alarm(text) if text.contains("0x0101") && text.contains("0x0202")),
            "{judged:?}"
        );
        for again in [shown(1, 8, 8), shown(2, 8, 8)] {
            assert!(matches!(memory.hear(again), Judged::Known(_)), "one alarm is enough");
        }
        assert!(matches!(memory.answer(shown(1, 7, 7), Some(B256::repeat_byte(7))), Judged::Known(_)));
    }

    #[test]
    fn a_row_that_is_gone_or_another_one_is_a_conflict() {
        for hash in [None, Some(B256::repeat_byte(8))] {
            let mut memory = Memory::default();
            memory.hear(shown(1, 7, 7));
            assert!(alarms(&memory.answer(shown(1, 7, 7), hash)), "{hash:?}");
            assert!(memory.conflict().is_some());
        }
        let mut memory = Memory::default();
        memory.hear(shown(1, 7, 7));
        assert!(alarms(&memory.hear(shown(1, 7, 8))), "one row has one hash");
    }
}
