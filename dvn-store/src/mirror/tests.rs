//! What is on disk when, with a disk that forgets whatever was not synced.

use std::{
    io,
    sync::{Arc, Mutex},
    time::UNIX_EPOCH,
};

use alloy_primitives::{Address, B256};
use dvn_core::{
    attestation::Attestation,
    ids::{ChainTime, Confirmations, Eid, Nonce, PayloadHash, Vid},
    packet::{Claim, Header},
    ports::{Intent, Purpose},
};

use super::{file::Media, *};
use crate::{schema, sqlite};

#[derive(Debug, Default)]
struct Disk {
    /// What a crash leaves.
    durable: Vec<u8>,
    /// What was written and not synced.
    volatile: Vec<u8>,
    /// How many bytes each sync and each new file made durable.
    syncs: Vec<usize>,
    appends: Vec<usize>,
    replaced: Vec<usize>,
    fails: Option<Step>,
    /// Every sync waits for as long.
    slow: std::time::Duration,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Step {
    Append,
    Sync,
    Replace,
}

#[derive(Clone, Debug, Default)]
struct FakeMedia(Arc<Mutex<Disk>>);

impl FakeMedia {
    fn disk<T>(&self, look: impl FnOnce(&mut Disk) -> T) -> T {
        look(&mut self.0.lock().unwrap())
    }

    fn kept(&self) -> Option<KeptHead> {
        self.disk(|disk| line::newest(&disk.durable).unwrap())
    }

    fn step(&self, step: Step) -> io::Result<()> {
        if self.disk(|disk| disk.fails) == Some(step) { Err(io::Error::other("no space")) } else { Ok(()) }
    }
}

impl Media for FakeMedia {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.disk(|disk| {
            disk.volatile.extend_from_slice(bytes);
            disk.appends.push(bytes.len());
        });
        self.step(Step::Append)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.step(Step::Sync)?;
        std::thread::sleep(self.disk(|disk| disk.slow));
        self.disk(|disk| {
            let volatile = std::mem::take(&mut disk.volatile);
            disk.syncs.push(volatile.len());
            disk.durable.extend(volatile);
        });
        Ok(())
    }

    fn replace(&mut self, content: &[u8]) -> io::Result<()> {
        self.step(Step::Replace)?;
        self.disk(|disk| {
            disk.volatile.clear();
            disk.durable = content.to_owned();
            disk.replaced.push(content.len());
        });
        Ok(())
    }
}

fn intent(nonce: u64) -> Intent {
    let (sender, receiver) = (B256::repeat_byte(1), B256::repeat_byte(2));
    let header = Header { nonce: Nonce(nonce), src_eid: Eid(30101), sender, dst_eid: Eid(30212), receiver };
    Intent {
        purpose: Purpose::Sign,
        attestation: Attestation {
            claim: Claim { header, payload_hash: PayloadHash(B256::repeat_byte(9)) },
            confirmations: Confirmations(15),
            expiration: ChainTime(600),
            vid: Vid(212),
            target: Address::repeat_byte(3),
        },
        signer: Address::repeat_byte(4),
        source_block: B256::repeat_byte(5),
        evidence: B256::repeat_byte(6),
        now: ChainTime(100),
        at: UNIX_EPOCH,
    }
}

async fn mirrored() -> (Arc<Mirrored>, FakeMedia) {
    let database = sqlite::in_memory().await.unwrap();
    schema::migrate(&database).await.unwrap();
    let journal: Arc<dyn Journal> = Arc::new(database);
    let id = journal.begin(None).await.unwrap();
    let media = FakeMedia::default();
    let mut writer = Writer::new(Box::new(media.clone()), id);
    writer.rewrite(JournalHead::default()).unwrap();
    (Arc::new(Mirrored::new(journal, writer, JournalHead::default())), media)
}

/// T27, the mirror's half: a power loss drops what was not synced, at whatever moment after the journal's word it comes.
#[tokio::test]
async fn t27_the_head_is_synced_before_the_key_may_be_used() {
    let (journal, media) = mirrored().await;
    for nonce in 1..=20 {
        let head = journal.intend(&intent(nonce)).await.unwrap();
        let expected = KeptHead { journal: journal.state().await.unwrap().id, head };
        assert_eq!(media.kept(), Some(expected), "what a power loss would leave");
    }
    assert_eq!(media.disk(|disk| (disk.appends.len(), disk.syncs.len(), disk.volatile.len())), (20, 20, 0));
}

#[tokio::test]
async fn a_failed_write_is_a_storage_error_and_the_next_one_begins_the_file_anew() {
    let (journal, media) = mirrored().await;
    for (nonce, step) in [(1, Step::Append), (2, Step::Sync)] {
        media.disk(|disk| disk.fails = Some(step));
        let error = journal.intend(&intent(nonce)).await.unwrap_err();
        assert_eq!(error.kind(), JournalErrorKind::Storage, "{error:?}");
        assert!(error.to_string().contains("mirror"), "{error}");
        // What of the failed write is on disk nobody knows, so that it is never added to.
        media.disk(|disk| disk.fails = Some(Step::Replace));
        assert_eq!(journal.intend(&intent(nonce)).await.unwrap_err().kind(), JournalErrorKind::Storage);
        media.disk(|disk| disk.fails = None);
        let replaced = media.disk(|disk| disk.replaced.len());
        let head = journal.intend(&intent(nonce)).await.unwrap();
        assert_eq!(media.kept().unwrap().head, head);
        assert!(media.disk(|disk| disk.replaced.len()) > replaced);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn intents_of_one_moment_share_a_sync() {
    let (journal, media) = mirrored().await;
    media.disk(|disk| disk.slow = std::time::Duration::from_millis(20));
    let mut tasks = tokio::task::JoinSet::new();
    for nonce in 1..=64 {
        let (journal, media) = (Arc::clone(&journal), media.clone());
        tasks.spawn(async move {
            let head = journal.intend(&intent(nonce)).await.unwrap();
            assert!(media.kept().unwrap().head.rows >= head.rows, "a later head covers the earlier ones");
        });
    }
    assert_eq!(tasks.join_all().await.len(), 64);
    let syncs = media.disk(|disk| disk.syncs.len());
    assert!(syncs < 40, "{syncs} syncs for 64 intents");
    assert_eq!(media.kept().unwrap().head, journal.verify().await.unwrap());
}

/// Whoever asked may be gone; the head that was committed is written nevertheless, and no later one is lost with it.
#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_goes_away_leaves_the_mirror_whole() {
    let (journal, media) = mirrored().await;
    media.disk(|disk| disk.slow = std::time::Duration::from_millis(20));
    for nonce in 1..=10 {
        let intent = intent(nonce);
        let _ = tokio::time::timeout(std::time::Duration::from_millis(5), journal.intend(&intent)).await;
    }
    let head = journal.intend(&intent(11)).await.unwrap();
    assert_eq!(media.kept().unwrap().head, head);
    assert_eq!(journal.verify().await.unwrap(), head);
}

#[tokio::test]
async fn a_long_file_is_made_anew() {
    let (journal, media) = mirrored().await;
    let id = journal.state().await.unwrap().id;
    let mut writer = Writer::new(Box::new(media.clone()), id);
    for rows in 1..=10_000 {
        writer.write(JournalHead { rows, hash: B256::ZERO }).unwrap();
    }
    let (length, replaced) = media.disk(|disk| (disk.durable.len(), disk.replaced.len()));
    assert!(length < 2 << 20 && replaced >= 2, "{length} bytes, made anew {replaced} times");
    assert_eq!(media.kept().unwrap().head.rows, 10_000);
}

#[tokio::test]
async fn a_new_beginning_is_written_at_once() {
    let (journal, media) = mirrored().await;
    let head = journal.intend(&intent(1)).await.unwrap();
    let id = journal.begin(None).await.unwrap();
    assert_eq!(media.kept(), Some(KeptHead { journal: id, head }));
}
