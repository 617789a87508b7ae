use std::time::{Duration, UNIX_EPOCH};

use alloy_primitives::{Address, B256, Bytes};

use super::{attestation, intent, kind_of};
use crate::{
    attestation::Attestation,
    error::{JournalError, JournalErrorKind},
    ids::{BlockNumber, ChainTime, Eid, Vid},
    ports::{Intent, Journal, JournalHead, Purpose, Quarantine, Store},
};

/// [`Journal`]: one payload per slot, one number of confirmations at a time, nothing but retractions after a retraction,
/// and a chain without gaps.
pub async fn journal(make: &impl AsyncFn() -> Store) {
    rows_read_back_and_chain(&*make().await.journal).await;
    a_slot_has_one_payload(&*make().await.journal).await;
    of_concurrent_payloads_one_wins(make().await).await;
    concurrent_slots_leave_no_gap(make().await).await;
    confirmations_stay_until_they_expire(&*make().await.journal).await;
    every_signature_that_is_out_counts(&*make().await.journal).await;
    after_a_retraction_only_retractions(&*make().await.journal).await;
    what_was_signed_elsewhere_closes_the_slot_as_well(&*make().await.journal).await;
    a_slot_that_was_taken_back_is_released_by_a_row(&*make().await.journal).await;
    a_quarantine_never_gets_shorter(&*make().await.journal).await;
    a_mirrors_place_is_never_forgotten(&*make().await.journal).await;
    an_anchor_never_moves_back(&*make().await.journal).await;
    rows_come_in_pages(&*make().await.journal).await;
    a_signature_is_added_once(&*make().await.journal).await;
}

async fn refused(journal: &dyn Journal, intent: &Intent) -> JournalErrorKind {
    let before = journal.verify().await.unwrap();
    let kind = kind_of(journal.intend(intent).await, JournalError::kind);
    assert_eq!(journal.verify().await.unwrap(), before, "a refused intent leaves no row");
    kind
}

/// An intent whose every number is as large as it can be.
fn largest_intent() -> Intent {
    let attestation = Attestation {
        vid: Vid(u32::MAX),
        target: Address::repeat_byte(0xff),
        ..attestation(u64::MAX, "largest", u64::MAX, u64::MAX)
    };
    Intent { now: ChainTime(u64::MAX), ..intent(attestation, 1) }
}

async fn rows_read_back_and_chain(journal: &dyn Journal) {
    assert_eq!(journal.verify().await.unwrap(), JournalHead::default());
    let intents =
        [intent(attestation(1, "a", 15, 600), 100), intent(attestation(2, "b", 15, 600), 100), largest_intent()];
    let mut heads = vec![B256::ZERO];
    for (sequence, intent) in (1..).zip(&intents) {
        assert_eq!(journal.intend(intent).await.unwrap().rows, sequence);
        let rows = journal.slot(intent.attestation.claim.header.guid()).await.unwrap();
        let [row] = rows.as_slice() else { unreachable!("{rows:?}") };
        assert_eq!((row.sequence, &row.intent, &row.signature), (sequence, intent, &None));
        let head = JournalHead { rows: sequence, hash: row.row_hash };
        assert_eq!((journal.verify().await.unwrap(), journal.head().await.unwrap()), (head, head));
        assert!(!heads.contains(&row.row_hash));
        heads.push(row.row_hash);
    }
    assert_eq!(journal.slot(attestation(9, "", 1, 1).claim.header.guid()).await.unwrap(), []);
}

async fn a_slot_has_one_payload(journal: &dyn Journal) {
    let first = intent(attestation(1, "a", 15, 600), 100);
    journal.intend(&first).await.unwrap();
    assert_eq!(journal.intend(&first).await.unwrap().rows, 2, "the same again is allowed");
    journal.intend(&intent(attestation(1, "a", 15, 900), 300)).await.unwrap();
    journal.intend(&intent(attestation(2, "b", 15, 600), 100)).await.unwrap();
    // Neither time, nor expiration, nor another key, nor a retraction opens the slot to another payload.
    let long_after = intent(attestation(1, "b", 15, u64::MAX), u64::MAX - 1);
    let other_key = Intent { signer: Address::repeat_byte(0x78), ..intent(attestation(1, "b", 15, 600), 100) };
    for other in
        [intent(attestation(1, "b", 15, 600), 100), long_after, other_key, intent(attestation(1, "b", 0, 600), 100)]
    {
        assert_eq!(refused(journal, &other).await, JournalErrorKind::Equivocation, "{other:?}");
    }
    let mut zero = first.clone();
    zero.attestation.claim.payload_hash.0 = B256::ZERO;
    assert_eq!(refused(journal, &zero).await, JournalErrorKind::Equivocation, "zero is a payload as any other");
}

async fn of_concurrent_payloads_one_wins(store: Store) {
    const MESSAGES: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "h"];
    for nonce in 1..=10 {
        let mut tasks = tokio::task::JoinSet::new();
        for message in MESSAGES {
            let journal = store.journal.clone();
            let intent = intent(attestation(nonce, message, 15, 600), 100);
            tasks.spawn(async move { journal.intend(&intent).await.map(|_| intent) });
        }
        let results = tasks.join_all().await;
        let winners: Vec<&Intent> = results.iter().flatten().collect();
        assert_eq!(winners.len(), 1, "exactly one of the payloads is taken");
        for error in results.iter().filter_map(|result| result.as_ref().err()) {
            assert_eq!(error.kind(), JournalErrorKind::Equivocation);
        }
        let rows = store.journal.slot(attestation(nonce, "", 1, 1).claim.header.guid()).await.unwrap();
        assert_eq!(rows.iter().map(|row| &row.intent).collect::<Vec<_>>(), winners);
    }
    assert_eq!(store.journal.verify().await.unwrap().rows, 10);
}

async fn concurrent_slots_leave_no_gap(store: Store) {
    let mut tasks = tokio::task::JoinSet::new();
    for nonce in 1..=32 {
        let journal = store.journal.clone();
        tasks.spawn(async move { journal.intend(&intent(attestation(nonce, "a", 15, 600), 100)).await.unwrap().rows });
    }
    let mut sequences = tasks.join_all().await;
    sequences.sort_unstable();
    assert_eq!(sequences, (1..=32).collect::<Vec<u64>>());
    assert_eq!(store.journal.verify().await.unwrap().rows, 32);
}

async fn confirmations_stay_until_they_expire(journal: &dyn Journal) {
    journal.intend(&intent(attestation(1, "a", 15, 600), 100)).await.unwrap();
    for confirmations in [1, 14, 16, u64::MAX] {
        let other = intent(attestation(1, "a", confirmations, 1_200), 599);
        assert_eq!(refused(journal, &other).await, JournalErrorKind::Confirmations);
    }
    // The contract refuses the first signature from second 600 on.
    journal.intend(&intent(attestation(1, "a", 20, 1_200), 600)).await.unwrap();
    let back = intent(attestation(1, "a", 15, 1_200), 700);
    assert_eq!(refused(journal, &back).await, JournalErrorKind::Confirmations);
}

async fn every_signature_that_is_out_counts(journal: &dyn Journal) {
    journal.intend(&intent(attestation(1, "a", 15, 900), 100)).await.unwrap();
    journal.intend(&intent(attestation(1, "a", 15, 300), 100)).await.unwrap();
    // The newest one has expired, an older one has not.
    let other = intent(attestation(1, "a", 16, 1_200), 500);
    assert_eq!(refused(journal, &other).await, JournalErrorKind::Confirmations);
    journal.intend(&Intent { now: ChainTime(900), ..other }).await.unwrap();
}

async fn after_a_retraction_only_retractions(journal: &dyn Journal) {
    journal.intend(&intent(attestation(1, "a", 15, 600), 100)).await.unwrap();
    journal.intend(&intent(attestation(1, "a", 0, 500), 110)).await.unwrap();
    journal.intend(&intent(attestation(1, "a", 0, 900), 120)).await.unwrap();
    for (confirmations, now) in [(15, 130), (16, 130), (15, u64::MAX)] {
        let again = intent(attestation(1, "a", confirmations, 1_000), now);
        assert_eq!(refused(journal, &again).await, JournalErrorKind::Equivocation, "{again:?}");
    }
    assert_eq!(journal.intend(&intent(attestation(2, "a", 15, 600), 100)).await.unwrap().rows, 4, "other slots go on");
}

fn of(purpose: Purpose, attestation: Attestation, now: u64) -> Intent {
    Intent { purpose, ..intent(attestation, now) }
}

async fn what_was_signed_elsewhere_closes_the_slot_as_well(journal: &dyn Journal) {
    journal.intend(&of(Purpose::Recovered, attestation(1, "a", 15, 600), 100)).await.unwrap();
    assert_eq!(refused(journal, &intent(attestation(1, "b", 15, 600), 700)).await, JournalErrorKind::Equivocation);
    let recovered = of(Purpose::Recovered, attestation(1, "b", 15, 600), 700);
    assert_eq!(refused(journal, &recovered).await, JournalErrorKind::Equivocation, "nor is a second one recorded");
    let other = intent(attestation(1, "a", 16, 900), 599);
    assert_eq!(refused(journal, &other).await, JournalErrorKind::Confirmations, "it is out until it expires");
    // What is found is recorded whatever it states, and opens nothing that was closed.
    journal.intend(&of(Purpose::Recovered, attestation(1, "a", 16, 500), 100)).await.unwrap();
    journal.intend(&of(Purpose::Recovered, attestation(1, "a", 0, 500), 100)).await.unwrap();
    journal.intend(&of(Purpose::Recovered, attestation(1, "a", 15, 600), 100)).await.unwrap();
    assert_eq!(refused(journal, &intent(attestation(1, "a", 15, 900), 800)).await, JournalErrorKind::Equivocation);
    let rows = journal.slot(attestation(1, "a", 1, 1).claim.header.guid()).await.unwrap();
    assert!(rows.iter().all(|row| row.intent.purpose == Purpose::Recovered), "{rows:?}");
}

async fn a_slot_that_was_taken_back_is_released_by_a_row(journal: &dyn Journal) {
    journal.intend(&intent(attestation(1, "a", 15, 600), 100)).await.unwrap();
    journal.intend(&intent(attestation(1, "a", 0, 900), 110)).await.unwrap();
    let again = intent(attestation(1, "a", 15, 1_200), 950);
    assert_eq!(refused(journal, &again).await, JournalErrorKind::Equivocation);
    journal.intend(&of(Purpose::Released, attestation(1, "a", 0, 900), 950)).await.unwrap();
    let early = intent(attestation(1, "a", 15, 1_200), 899);
    assert_eq!(refused(journal, &early).await, JournalErrorKind::Confirmations, "the retraction is still out");
    journal.intend(&again).await.unwrap();
    assert_eq!(refused(journal, &intent(attestation(1, "b", 15, 1_200), 950)).await, JournalErrorKind::Equivocation);
    // One release is for one retraction.
    journal.intend(&intent(attestation(1, "a", 0, 1_000), 960)).await.unwrap();
    let again = intent(attestation(1, "a", 15, 9_000), 5_000);
    assert_eq!(refused(journal, &again).await, JournalErrorKind::Equivocation);
}

async fn a_quarantine_never_gets_shorter(journal: &dyn Journal) {
    let until = |seconds| Quarantine { until: UNIX_EPOCH + Duration::from_secs(seconds), reason: seconds.to_string() };
    let first = journal.state().await.unwrap().id;
    let second = journal.begin(Some(until(500))).await.unwrap();
    assert_ne!(first, second, "a journal that begins anew has another name");
    for (asked, stands) in [(400, 500), (600, 600), (599, 600)] {
        journal.quarantine(until(asked)).await.unwrap();
        let state = journal.state().await.unwrap();
        assert_eq!((state.id, state.quarantine), (second, Some(until(stands))));
    }
}

async fn a_mirrors_place_is_never_forgotten(journal: &dyn Journal) {
    assert_eq!(journal.state().await.unwrap().mirror, None);
    for place in ["/one/journal.head", "/other/journal.head"] {
        journal.set_mirror(place).await.unwrap();
        assert_eq!(journal.state().await.unwrap().mirror.as_deref(), Some(place));
    }
    journal.begin(None).await.unwrap();
    assert_eq!(journal.state().await.unwrap().mirror.as_deref(), Some("/other/journal.head"), "nor by a new beginning");
}

async fn an_anchor_never_moves_back(journal: &dyn Journal) {
    let (one, other) = (Eid(30212), Eid(30101));
    assert_eq!(journal.anchor(one).await.unwrap(), None);
    for (through, stands) in [(0, 0), (99, 99), (100, 100), (9, 100), (u64::MAX, u64::MAX)] {
        journal.set_anchor(one, BlockNumber(through)).await.unwrap();
        assert_eq!(journal.anchor(one).await.unwrap(), Some(BlockNumber(stands)));
    }
    assert_eq!(journal.anchor(other).await.unwrap(), None);
}

async fn rows_come_in_pages(journal: &dyn Journal) {
    for nonce in 1..=5 {
        journal.intend(&intent(attestation(nonce, "a", 15, 600), 100)).await.unwrap();
    }
    let page = async |after, limit| {
        let rows = journal.rows(after, limit).await.unwrap();
        rows.iter().map(|row| row.sequence).collect::<Vec<_>>()
    };
    assert_eq!(page(0, 2).await, [1, 2]);
    assert_eq!(page(3, 100).await, [4, 5]);
    assert_eq!(page(5, 100).await, [0; 0]);
}

async fn a_signature_is_added_once(journal: &dyn Journal) {
    let intent = intent(attestation(1, "a", 15, 600), 100);
    let sequence = journal.intend(&intent).await.unwrap().rows;
    let before = journal.verify().await.unwrap();
    let (signature, other) = (Bytes::from(vec![1; 65]), Bytes::from(vec![2; 65]));
    journal.signed(sequence, &signature).await.unwrap();
    journal.signed(sequence, &signature).await.unwrap();
    assert!(journal.signed(sequence, &other).await.is_err(), "a signature stays as it is");
    assert!(journal.signed(sequence + 1, &other).await.is_err(), "there is no such intent");
    assert!(journal.signed(u64::MAX, &other).await.is_err());
    let rows = journal.slot(intent.attestation.claim.header.guid()).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.signature.clone()).collect::<Vec<_>>(), [Some(signature)]);
    assert_eq!(journal.verify().await.unwrap(), before, "the signature is not part of the chain");
}
