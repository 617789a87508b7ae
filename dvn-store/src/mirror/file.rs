//! What is written when, so that a head that was promised is there after a crash.

use std::{fmt, io};

use dvn_core::ports::{JournalHead, JournalId};

use super::{KeptHead, line};

/// The file operations that a mirror relies on, apart so that a test can count them, let them fail and drop what was not
/// synced.
pub(super) trait Media: fmt::Debug + Send {
    /// Adds bytes at the end. Nothing is durable yet.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Makes durable what was added.
    fn sync(&mut self) -> io::Result<()>;

    /// Puts a file with this content in the place of the old one, durably: a crash leaves the one or the other, whole.
    fn replace(&mut self, content: &[u8]) -> io::Result<()>;
}

/// From this length on the file is made anew with its last line alone.
const MOST_BYTES: usize = 1 << 20;

/// Keeps the head of one journal.
#[derive(Debug)]
pub(super) struct Writer {
    media: Box<dyn Media>,
    journal: JournalId,
    durable: JournalHead,
    bytes: usize,
    /// A write failed, and nobody knows what of it is on disk: the file is made anew.
    broken: bool,
}

impl Writer {
    pub(super) fn new(media: Box<dyn Media>, journal: JournalId) -> Self {
        Self { media, journal, durable: JournalHead::default(), bytes: 0, broken: true }
    }

    /// Whether this head, or a later one, is durable.
    pub(super) const fn covers(&self, head: JournalHead) -> bool {
        !self.broken && self.durable.rows >= head.rows
    }

    /// From the next write on the journal has another name.
    pub(super) const fn rename(&mut self, journal: JournalId) {
        self.journal = journal;
        self.broken = true;
    }

    /// Returns once the head is durable.
    pub(super) fn write(&mut self, head: JournalHead) -> io::Result<()> {
        if self.broken || self.bytes >= MOST_BYTES {
            return self.rewrite(head);
        }
        let line = line::write(KeptHead { journal: self.journal, head });
        self.broken = true;
        self.media.append(line.as_bytes())?;
        self.media.sync()?;
        self.bytes = self.bytes.saturating_add(line.len());
        self.done(head);
        Ok(())
    }

    /// The same with a new file that holds nothing else.
    pub(super) fn rewrite(&mut self, head: JournalHead) -> io::Result<()> {
        let line = line::write(KeptHead { journal: self.journal, head });
        self.broken = true;
        self.media.replace(line.as_bytes())?;
        self.bytes = line.len();
        self.done(head);
        Ok(())
    }

    const fn done(&mut self, head: JournalHead) {
        self.durable = head;
        self.broken = false;
    }
}
