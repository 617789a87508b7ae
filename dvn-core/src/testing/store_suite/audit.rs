use alloy_primitives::B256;

use super::{at, claim, hash, job, kind_of};
use crate::{
    error::{StoreError, StoreErrorKind},
    ids::Guid,
    ports::{AuditCut, AuditEntry, AuditHead, AuditLog, AuditQuery, AuditRow, Store},
};

/// [`AuditLog`]: in order, without gaps, each row with its own hash; found by what people ask for; cut at its beginning alone.
pub async fn audit(make: &impl AsyncFn() -> Store) {
    appended(&*make().await.audit).await;
    asked(&make().await).await;
    cut(&*make().await.audit).await;
    let audit = make().await.audit;
    let mut tasks = tokio::task::JoinSet::new();
    for micros in 0..8 {
        let audit = audit.clone();
        tasks.spawn(
            async move { audit.append(&[entry(micros, None, "observed"), entry(micros, None, "waiting")]).await },
        );
    }
    assert!(tasks.join_all().await.iter().all(Result::is_ok));
    assert_eq!(audit.verify().await.unwrap().rows, 16, "concurrent writers share one chain");
}

fn guid(nonce: u64) -> Guid {
    claim(nonce, "hello").header.guid()
}

fn entry(micros: u64, guid: Option<Guid>, action: &str) -> AuditEntry {
    AuditEntry {
        at: at(micros),
        actor: if action == "halt" { "operator" } else { "verifier" }.to_owned(),
        action: action.to_owned(),
        guid,
        evidence: (action == "verified").then(|| hash(0xe1)),
        detail: "{\"why\":\"it's so\"}".to_owned(),
    }
}

async fn appended(audit: &dyn AuditLog) {
    let none = AuditHead::default();
    assert_eq!((audit.head().await.unwrap(), audit.base().await.unwrap()), (none, none));
    assert_eq!((audit.verify().await.unwrap(), audit.rows(0, 9).await.unwrap()), (none, vec![]));
    let [one, two] = [1, 2].map(|nonce| Some(guid(nonce)));
    let first =
        [entry(1, one, "observed"), entry(1, two, "observed"), entry(1, None, "halt"), entry(1, one, "verified")];
    audit.append(&first).await.unwrap();
    audit.append(&[]).await.unwrap();
    audit.append(&[entry(1, one, "verified")]).await.unwrap();
    let told = |rows: &[AuditRow]| rows.iter().map(|row| (row.sequence, row.entry.clone())).collect::<Vec<_>>();
    let of_one = audit.of_packet(guid(1)).await.unwrap();
    assert_eq!(
        told(&of_one),
        [(1, entry(1, one, "observed")), (4, entry(1, one, "verified")), (5, entry(1, one, "verified"))]
    );
    assert_eq!(told(&audit.of_packet(guid(2)).await.unwrap()), [(2, entry(1, two, "observed"))]);
    let rows = audit.rows(0, 9).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.sequence).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    let mut previous = B256::ZERO;
    for row in &rows {
        assert_eq!(row.prev_hash, previous, "each row follows the one before");
        assert_ne!(row.row_hash, previous, "equal entries at other places have other hashes");
        previous = row.row_hash;
    }
    let head = AuditHead { rows: 5, hash: previous };
    assert_eq!((audit.head().await.unwrap(), audit.verify().await.unwrap()), (head, head));
    assert_eq!(audit.rows(1, 2).await.unwrap(), rows[1..3]);
    assert_eq!(audit.rows(5, 2).await.unwrap(), []);
}

async fn asked(store: &Store) {
    let audit = &store.audit;
    // The job of 1 is known, and thereby its two ends; 2 is a packet of nobody.
    store.jobs.observe(&job(1)).await.unwrap();
    let (one, two) = (Some(guid(1)), Some(guid(2)));
    audit.append(&[entry(1, one, "observed"), entry(2, two, "observed"), entry(3, None, "halt")]).await.unwrap();
    audit.append(&[entry(4, one, "waiting"), entry(5, one, "verified")]).await.unwrap();
    let found = async |query: AuditQuery| {
        let rows = audit.query(&query).await.unwrap();
        rows.iter().map(|row| row.sequence).collect::<Vec<_>>()
    };
    let all = AuditQuery::default();
    assert_eq!(found(all.clone()).await, [1, 2, 3, 4, 5]);
    let header = claim(1, "hello").header;
    for oapp in [header.sender, header.receiver] {
        let of_oapp = AuditQuery { oapp: Some(oapp), ..all.clone() };
        assert_eq!(found(of_oapp.clone()).await, [1, 4, 5]);
        assert_eq!(found(AuditQuery { since: Some(at(4)), ..of_oapp.clone() }).await, [4, 5]);
        assert_eq!(found(AuditQuery { action: Some("verified".to_owned()), ..of_oapp.clone() }).await, [5]);
        assert_eq!(found(AuditQuery { guid: two, ..of_oapp.clone() }).await, [0; 0]);
        assert_eq!(found(AuditQuery { guid: one, after: 1, limit: 1, ..of_oapp }).await, [4]);
    }
    assert_eq!(found(AuditQuery { oapp: Some(hash(0x99)), ..all.clone() }).await, [0; 0]);
    assert_eq!(found(AuditQuery { guid: two, ..all.clone() }).await, [2]);
    assert_eq!(found(AuditQuery { since: Some(at(2)), until: Some(at(4)), ..all.clone() }).await, [2, 3]);
    assert_eq!(found(AuditQuery { actor: Some("operator".to_owned()), ..all.clone() }).await, [3]);
    assert_eq!(found(AuditQuery { after: 1, limit: 2, ..all }).await, [2, 3]);
}

async fn cut(audit: &dyn AuditLog) {
    let entries: Vec<_> = (1..=5).map(|nonce| entry(nonce, Some(guid(nonce)), "observed")).collect();
    audit.append(&entries).await.unwrap();
    let rows = audit.rows(0, 9).await.unwrap();
    let at_row = |row: &AuditRow| AuditHead { rows: row.sequence, hash: row.row_hash };
    let cut = AuditCut { through: at_row(&rows[2]), archive: hash(0xa1) };
    let refused = async |cut: AuditCut, entry: &AuditEntry| {
        assert_eq!(kind_of(audit.cut(&cut, entry).await, StoreError::kind), StoreErrorKind::Conflict, "{cut:?}");
    };
    for through in
        [AuditHead { hash: hash(1), ..cut.through }, AuditHead { rows: 9, ..cut.through }, AuditHead::default()]
    {
        let wrong = AuditCut { through, ..cut };
        refused(wrong, &wrong.entry(at(6), "root", "old")).await;
    }
    let told = cut.entry(at(6), "root", "old");
    refused(AuditCut { archive: hash(0xa2), ..cut }, &told).await;
    assert_eq!(audit.rows(0, 9).await.unwrap(), rows, "nothing is removed by what is refused");

    assert_eq!(audit.cut(&cut, &told).await.unwrap(), 3);
    assert_eq!(audit.base().await.unwrap(), cut.through);
    let left = audit.rows(0, 9).await.unwrap();
    assert_eq!(left.iter().map(|row| row.sequence).collect::<Vec<_>>(), [4, 5, 6]);
    assert_eq!((left[0].prev_hash, &left[2].entry), (cut.through.hash, &told));
    assert_eq!(audit.verify().await.unwrap(), at_row(&left[2]));
    assert_eq!(audit.of_packet(guid(1)).await.unwrap(), []);
    refused(cut, &told).await;

    let all = AuditCut { through: at_row(&left[2]), archive: hash(0xa3) };
    assert_eq!(audit.cut(&all, &all.entry(at(7), "root", "older")).await.unwrap(), 3);
    audit.append(&entries[..1]).await.unwrap();
    let head = audit.verify().await.unwrap();
    assert_eq!((head, audit.base().await.unwrap()), (audit.head().await.unwrap(), all.through));
    assert_eq!(head.rows, 8, "positions are never used again");
}
