#![expect(clippy::arithmetic_side_effects, reason = "sums of small literals")]

use alloy_primitives::B256;
use proptest::prelude::*;

use super::*;
use crate::{
    destination::{ReceiveConfig, tests::fresh},
    ids::{BlockRef, Eid},
    job::Location,
    longest_life,
    packet::tests::golden,
    ports::{EvidenceBundle, Head},
};

const BLOCK: u64 = 1_000;

fn seen(latest: u64, settled: u64, send: u64) -> Observation {
    Observation {
        claim: golden().claim(),
        location: Location {
            src_eid: Eid(30101),
            block: BlockRef { number: BlockNumber(BLOCK), hash: B256::repeat_byte(1) },
            tx_hash: B256::repeat_byte(2),
            log_index: 3,
        },
        assigned: true,
        send_confirmations: Confirmations(send),
        head: Head { latest: BlockNumber(latest), settled: BlockNumber(settled) },
        evidence: EvidenceBundle::new("{}"),
    }
}

fn floor(confirmations: u64) -> Floor {
    Floor { confirmations: Confirmations(confirmations), irrevocable: Confirmations(0) }
}

fn asking(receive: u64) -> DestinationView {
    let config = ReceiveConfig { confirmations: Confirmations(receive), lists_us: true };
    DestinationView { config: Some(config), ..fresh() }
}

#[test]
fn the_largest_of_all_waits_counts() {
    let head = |needed: u64| Verdict::Wait { head: BlockNumber(BLOCK + needed) };
    let far = BLOCK + 19;
    assert_eq!(judge(&seen(far, far, 20), &asking(5), floor(1), None), head(20));
    assert_eq!(judge(&seen(far, far, 5), &asking(20), floor(1), None), head(20));
    assert_eq!(judge(&seen(far, far, 5), &asking(5), floor(20), None), head(20));
    assert_eq!(judge(&seen(far, far, 5), &asking(5), floor(1), Some(Confirmations(20))), head(20));
}

#[test]
fn t21_where_nothing_can_be_taken_back_the_wait_is_longer() {
    let floor = Floor { irrevocable: Confirmations(150), ..floor(1) };
    let (near, far) = (seen(BLOCK + 149, BLOCK + 149, 5), seen(BLOCK + 150, BLOCK + 150, 5));
    assert_eq!(judge(&near, &asking(0), floor, None), Verdict::Wait { head: BlockNumber(BLOCK + 150) });
    assert_eq!(judge(&far, &asking(0), floor, None), Verdict::Sign { confirmations: Confirmations(5) });
    assert_eq!(judge(&near, &asking(1), floor, None), Verdict::Sign { confirmations: Confirmations(5) });
}

#[test]
fn a_packet_above_the_final_height_waits_however_deep_it_is() {
    assert_eq!(
        judge(&seen(BLOCK + 100, BLOCK - 1, 15), &asking(15), floor(0), None),
        Verdict::Wait { head: BlockNumber(BLOCK + 15) }
    );
    assert_eq!(
        judge(&seen(BLOCK + 100, BLOCK, 15), &asking(15), floor(0), None),
        Verdict::Sign { confirmations: Confirmations(15) }
    );
}

#[test]
fn the_floor_is_never_attested() {
    let deep = seen(BLOCK + 500, BLOCK + 400, 15);
    assert_eq!(judge(&deep, &asking(10), floor(64), None), Verdict::Sign { confirmations: Confirmations(15) });
}

#[test]
fn zero_confirmations_are_attested_as_one() {
    // 0 would be a retraction.
    let deep = seen(BLOCK + 500, BLOCK + 400, 0);
    assert_eq!(judge(&deep, &asking(0), floor(0), None), Verdict::Sign { confirmations: Confirmations(1) });
}

#[test]
fn a_packet_that_is_not_assigned_is_refused() {
    let mut other = seen(BLOCK + 500, BLOCK + 400, 15);
    other.assigned = false;
    assert_eq!(judge(&other, &asking(15), floor(0), None), Verdict::Refuse(Refusal::NotAssigned));
}

#[test]
fn expirations_are_whole_minutes_within_bounds() {
    let life = Duration::from_secs(900);
    let now = ChainTime(1_000_001);
    let proposed = expiration(now, life);
    assert_eq!(proposed, ChainTime(1_000_920));
    assert!(accepts_expiration(proposed, now, life));
    assert!(accepts_expiration(proposed.plus(120), now, life));
    assert!(!accepts_expiration(proposed.plus(121), now, life));
    assert!(!accepts_expiration(now, now, life));
    assert!(accepts_expiration(now.plus(1), now, life));
}

proptest! {
    #[test]
    fn signing_implies_depth_and_finality(
        latest in BLOCK..BLOCK + 60, settled in BLOCK - 30..BLOCK + 60, send in 0u64..40, receive in 0u64..40,
        least in 0u64..40, first in prop::option::of(0u64..40),
    ) {
        let verdict = judge(&seen(latest, settled, send), &asking(receive), floor(least), first.map(Confirmations));
        let needed = send.max(receive).max(least).max(first.unwrap_or(0)).max(1);
        let may = latest >= BLOCK + needed && settled >= BLOCK;
        match verdict {
            Verdict::Sign { confirmations } => {
                prop_assert!(may);
                prop_assert!(confirmations.0 >= receive.max(send).max(1));
            }
            other => { prop_assert!(!may); prop_assert_eq!(other, Verdict::Wait { head: BlockNumber(BLOCK + needed) }); }
        }
    }
}

#[test]
fn what_was_forgotten_has_expired_after_the_quarantine() {
    for life in [120, 600, 901, 86_400] {
        let life = Duration::from_secs(life);
        for now in 1_700_000_000..1_700_000_120 {
            let latest = (now..now + 100_000).rev().find(|it| accepts_expiration(ChainTime(*it), ChainTime(now), life));
            let spare = now + longest_life(life).as_secs() - latest.unwrap();
            assert!((60..=120).contains(&spare), "{spare} s to spare for {life:?} at {now}");
        }
    }
}
