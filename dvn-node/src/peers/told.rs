//! What peers asked and what they got, in the audit log. Whoever asks again and again is counted and not written each time, so
//! that no peer fills the disk.

mod repeats;

use std::{convert::Infallible, sync::Mutex, time::Duration};

use alloy_primitives::B256;
use dvn_core::{
    error::CosignError,
    ids::Guid,
    job::Location,
    ports::{AuditEntry, Clock, Proposal, Retraction, Store, SystemClock},
};
use serde_json::{Value, json};
use tokio::time::Instant;
use tracing::warn;

use self::repeats::{Counted, Repeats};

/// How long what repeats is counted before it is told.
pub(super) const WINDOW: Duration = Duration::from_secs(60);

/// What a peer asked for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Question {
    Attest(Proposal),
    TakeBack(Retraction),
}

/// One answer to one peer about one packet, as far as a second one is no news.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Answer {
    peer: String,
    action: &'static str,
    guid: Option<Guid>,
    tx_hash: B256,
    log_index: u64,
    /// The kind of a refusal.
    kind: Option<&'static str>,
}

/// Tells answers.
#[derive(Debug)]
pub(super) struct Told {
    store: Store,
    clock: SystemClock,
    repeats: Mutex<Repeats<Answer>>,
}

impl Question {
    const fn location(&self) -> Location {
        match self {
            Self::Attest(proposal) => proposal.location,
            Self::TakeBack(retraction) => retraction.location,
        }
    }

    const fn action(&self, is_given: bool) -> &'static str {
        match (self, is_given) {
            (Self::Attest(_), true) => "cosigned",
            (Self::Attest(_), false) => "cosign_refused",
            (Self::TakeBack(_), true) => "retraction_cosigned",
            (Self::TakeBack(_), false) => "retraction_refused",
        }
    }

    fn detail(&self) -> Value {
        let location = self.location();
        let (dst_eid, confirmations, expiration) = match self {
            Self::Attest(it) => (it.dst_eid, it.confirmations.0, it.expiration),
            Self::TakeBack(it) => (it.claim.header.dst_eid, 0, it.expiration),
        };
        json!({
            "src_eid": location.src_eid.0,
            "block": location.block.number.0,
            "block_hash": location.block.hash,
            "tx": location.tx_hash,
            "log_index": location.log_index,
            "dst_eid": dst_eid.0,
            "confirmations": confirmations,
            "expiration": expiration.0,
        })
    }
}

impl Told {
    pub(super) fn new(store: Store) -> Self {
        Self { store, clock: SystemClock::new(), repeats: Mutex::default() }
    }

    /// Writes down an answer, unless the same one was written a moment ago. A failure is logged: the signature itself is told by
    /// the attestor, which gives none that is not.
    pub(super) async fn answered(&self, peer: &str, question: &Question, refusal: Option<&CosignError>) {
        let Location { tx_hash, log_index, .. } = question.location();
        let guid = match question {
            Question::Attest(_) => None,
            Question::TakeBack(retraction) => Some(retraction.claim.header.guid()),
        };
        let answer = Answer {
            peer: peer.to_owned(),
            action: question.action(refusal.is_none()),
            guid,
            tx_hash,
            log_index,
            kind: refusal.map(|error| error.kind().name()),
        };
        let now = Instant::now();
        let Some(before) = self.repeats().admit(peer, &answer, now) else { return };
        let mut detail = question.detail();
        if let (Value::Object(fields), Some(error)) = (&mut detail, refusal) {
            fields.insert("reason".to_owned(), error.to_string().into());
        }
        self.write(answer, before, detail).await;
    }

    /// Tells what was counted and whose time is over.
    pub(super) async fn flush(&self) {
        let counted = self.repeats().over(Instant::now());
        self.tell(counted).await;
    }

    /// Tells everything that was counted.
    pub(super) async fn finish(&self) {
        let counted = self.repeats().all();
        self.tell(counted).await;
    }

    pub(super) async fn flush_for_ever(&self) -> Infallible {
        loop {
            tokio::time::sleep(WINDOW).await;
            self.flush().await;
        }
    }

    async fn tell(&self, counted: Counted<Answer>) {
        for (answer, times) in counted.repeated {
            self.write(answer, times, json!({})).await;
        }
        for (peer, times) in counted.dropped {
            let detail = json!({ "peer": peer, "times": times });
            self.append("cosign_answers_not_written", None, detail).await;
        }
    }

    async fn write(&self, answer: Answer, repeated: u64, mut detail: Value) {
        let guid = match answer.guid {
            Some(guid) => Some(guid),
            None => self.guid_at(answer.tx_hash, answer.log_index).await,
        };
        if let Value::Object(fields) = &mut detail {
            fields.insert("peer".to_owned(), answer.peer.into());
            fields.insert("tx".to_owned(), json!(answer.tx_hash));
            if let Some(kind) = answer.kind {
                fields.insert("kind".to_owned(), kind.into());
            }
            if repeated > 0 {
                fields.insert("repeated".to_owned(), repeated.into());
            }
        }
        self.append(answer.action, guid, detail).await;
    }

    async fn append(&self, action: &str, guid: Option<Guid>, detail: Value) {
        let entry = AuditEntry {
            at: self.clock.now(),
            actor: "cosigner".to_owned(),
            action: action.to_owned(),
            guid,
            evidence: None,
            detail: detail.to_string(),
        };
        if let Err(error) = self.store.audit.append(&[entry]).await {
            warn!(action, %error, "what a peer got is not in the audit log");
        }
    }

    /// The packet at this place, as far as this node has seen it itself.
    async fn guid_at(&self, tx_hash: B256, log_index: u64) -> Option<Guid> {
        let jobs = self.store.jobs.by_transaction(tx_hash).await.ok()?;
        jobs.iter().find(|job| job.location.log_index == log_index).map(|job| job.claim.header.guid())
    }

    fn repeats(&self) -> std::sync::MutexGuard<'_, Repeats<Answer>> {
        self.repeats.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use dvn_core::{
        error::CosignErrorKind,
        ids::{BlockNumber, BlockRef, ChainTime, Confirmations, Eid},
        ports::AuditQuery,
    };
    use dvn_store::Sqlite;

    use super::*;

    fn question(log_index: u64) -> Question {
        let block = BlockRef { number: BlockNumber(90), hash: B256::repeat_byte(0xb0) };
        let location = Location { src_eid: Eid(40001), block, tx_hash: B256::repeat_byte(0xcc), log_index };
        let (dst_eid, confirmations, expiration) = (Eid(40002), Confirmations(20), ChainTime(1_700_000_900));
        Question::Attest(Proposal { location, dst_eid, confirmations, expiration })
    }

    /// A peer that asks without end leaves a bounded number of rows, which say how often it asked.
    #[tokio::test]
    async fn a_hostile_peer_does_not_fill_the_disk() {
        let store = Sqlite::in_memory().await.unwrap().store();
        let told = Told::new(store.clone());
        let refused = CosignError::new(CosignErrorKind::Refused).because("not a packet to attest");
        for _ in 0..500 {
            told.answered("dvn-b", &question(1), Some(&refused)).await;
        }
        assert_eq!(store.audit.head().await.unwrap().rows, 1);
        for log_index in 0..500 {
            told.answered("dvn-b", &question(log_index), Some(&refused)).await;
        }
        let most = repeats::MOST_ROWS;
        assert_eq!(store.audit.head().await.unwrap().rows, most);
        // Another peer, and another answer, are news.
        told.answered("dvn-c", &question(1), Some(&refused)).await;
        told.answered("dvn-c", &question(1), None).await;
        told.finish().await;
        let rows = store.audit.query(&AuditQuery::default()).await.unwrap();
        let told: Vec<Value> = rows.iter().map(|row| serde_json::from_str(&row.entry.detail).unwrap()).collect();
        let first = &told[0];
        assert_eq!((&rows[0].entry.action, &first["peer"]), (&"cosign_refused".to_owned(), &"dvn-b".into()));
        assert_eq!((&first["kind"], &first["confirmations"]), (&"Refused".into(), &20.into()));
        assert!(first["reason"].as_str().unwrap().contains("not a packet to attest"), "{first}");
        let repeated: u64 = told.iter().filter_map(|it| it["repeated"].as_u64()).sum();
        let dropped: u64 = told.iter().filter_map(|it| it["times"].as_u64()).sum();
        assert_eq!(repeated + dropped, 1000 - most, "none is lost");
        assert_eq!(rows.iter().filter(|row| row.entry.action == "cosigned").count(), 1);
        assert!(rows.len() < 70, "{} rows", rows.len());
    }
}
