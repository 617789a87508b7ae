//! Random sequences of intents against a model that fits in a few lines.

use std::collections::{BTreeMap, BTreeSet};

use dvn_core::{
    error::JournalErrorKind,
    ids::{ChainTime, Confirmations},
    ports::Store,
};
use dvn_store::Sqlite;
use proptest::prelude::*;

use crate::fixture::{guid, intent};

const MESSAGES: [&str; 3] = ["a", "b", "c"];
const SLOTS: std::ops::RangeInclusive<u64> = 1..=3;

#[derive(Clone, Copy, Debug)]
struct Step {
    slot: u64,
    message: usize,
    confirmations: u64,
    /// How long the signature lives, in seconds.
    life: u64,
    /// How many seconds pass before it.
    pause: u64,
}

fn step() -> impl Strategy<Value = Step> {
    // Mostly one payload and one number, so that sequences get somewhere.
    let message = prop_oneof![6 => Just(0), 1 => Just(1), 1 => Just(2)];
    let confirmations = prop_oneof![6 => Just(15), 3 => Just(16), 1 => Just(0)];
    (SLOTS, message, confirmations, 0_u64..40, 0_u64..20).prop_map(|(slot, message, confirmations, life, pause)| Step {
        slot,
        message,
        confirmations,
        life,
        pause,
    })
}

/// What the model remembers of a slot: payload, and confirmations with expiration of everything signed.
#[derive(Debug, Default)]
struct Slot {
    message: Option<usize>,
    signed: Vec<(u64, u64)>,
}

impl Slot {
    fn refuses(&self, step: Step, now: u64) -> Option<JournalErrorKind> {
        let another_payload = self.message.is_some_and(|message| message != step.message);
        let taken_back = self.signed.iter().any(|(confirmations, _)| *confirmations == 0);
        let another_number =
            |(confirmations, expiration): &(u64, u64)| *confirmations != step.confirmations && *expiration > now;
        if another_payload || (taken_back && step.confirmations != 0) {
            Some(JournalErrorKind::Equivocation)
        } else if step.confirmations != 0 && self.signed.iter().any(another_number) {
            Some(JournalErrorKind::Confirmations)
        } else {
            None
        }
    }
}

async fn play(steps: &[Step], store: &Store) -> Result<(), TestCaseError> {
    let (mut now, mut rows) = (1_000, 0);
    let mut slots: BTreeMap<u64, Slot> = BTreeMap::new();
    for step in steps {
        now += step.pause;
        let mut intent = intent(step.slot, MESSAGES[step.message]);
        intent.attestation.confirmations = Confirmations(step.confirmations);
        intent.attestation.expiration = ChainTime(now + step.life);
        intent.now = ChainTime(now);
        let slot = slots.entry(step.slot).or_default();
        let result = store.journal.intend(&intent).await;
        prop_assert_eq!(result.as_ref().err().map(|error| error.kind()), slot.refuses(*step, now), "{:?}", step);
        if let Ok(head) = result {
            rows += 1;
            prop_assert_eq!(head.rows, rows);
            slot.message = Some(step.message);
            slot.signed.push((step.confirmations, now + step.life));
        }
    }
    prop_assert_eq!(store.journal.verify().await.unwrap().rows, rows);
    for slot in SLOTS {
        let signed = store.journal.slot(guid(slot)).await.unwrap();
        let payloads: BTreeSet<_> = signed.iter().map(|row| row.intent.attestation.claim.payload_hash).collect();
        prop_assert!(payloads.len() <= 1, "{:?}", payloads);
        prop_assert_eq!(signed.len(), slots.get(&slot).map_or(0, |slot| slot.signed.len()));
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_journal_does_what_the_model_says(steps in prop::collection::vec(step(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async { play(&steps, &Sqlite::in_memory().await.unwrap().store()).await })?;
    }
}
