//! P1: whatever happens to a node's processes, files and sources, no slot ever gets two payload hashes.
//!
//! A member lives through random schedules of crashes at twelve places, restores of old backups, copies of its folder, reorgs
//! and concurrent conflicting proposals, on real files. What the device signed is compared with what it signed before.

mod faults;
mod member;

use std::collections::HashMap;

use alloy_primitives::B256;
use dvn_core::{
    ids::{ChainTime, Guid, PayloadHash},
    packet::Claim,
};
use proptest::prelude::*;

use self::{faults::At, member::Member};

/// Slots, and payloads that are about for each.
const SLOTS: u64 = 3;
const PAYLOADS: [&[u8]; 2] = [b"genuine", b"forged"];

#[derive(Clone, Debug)]
enum Step {
    /// A proposal for a slot, by its payload, and where the process dies over it.
    Propose {
        slot: u64,
        payload: usize,
        dies: Option<At>,
    },
    /// Both payloads of a slot at once.
    Race {
        slot: u64,
        dies: Option<At>,
    },
    /// The last signature that was given gets onto the destination.
    Execute,
    /// So many seconds pass.
    Wait(u64),
    /// The source's blocks are others; the packets are sent again in new ones.
    Reorg,
    Restart,
    /// A copy of the folder is put aside.
    Backup,
    /// The copy is put in the folder's place.
    Restore,
    /// The copy is started beside the node.
    Clone,
}

fn step() -> impl Strategy<Value = Step> {
    let dies = || prop::option::weighted(0.4, prop::sample::select(At::ALL.to_vec()));
    prop_oneof![
        6 => (1..=SLOTS, 0..PAYLOADS.len(), dies()).prop_map(|(slot, payload, dies)| Step::Propose { slot, payload, dies }),
        3 => (1..=SLOTS, dies()).prop_map(|(slot, dies)| Step::Race { slot, dies }),
        3 => Just(Step::Execute),
        3 => (1_u64..1_500).prop_map(Step::Wait),
        1 => Just(Step::Reorg),
        1 => Just(Step::Restart),
        2 => Just(Step::Backup),
        2 => Just(Step::Restore),
        1 => Just(Step::Clone),
    ]
}

/// A signature as the device made it.
#[derive(Clone, Copy, Debug)]
struct Made {
    claim: Claim,
    expiration: ChainTime,
}

/// What the device signed, in meaning.
#[derive(Debug, Default)]
struct Ledger {
    /// What each digest that was ever proposed means.
    meanings: HashMap<B256, Made>,
    made: Vec<Made>,
    read: usize,
}

impl Ledger {
    /// Reads on in what the device signed, and says what contradicts what was signed before. Where the journal was lost, what has
    /// expired without getting onto the destination is dead.
    fn judge(&mut self, member: &Member) -> Result<(), TestCaseError> {
        let signed = member.device.signed.lock().unwrap().clone();
        for digest in &signed[self.read..] {
            let made = self.meanings.get(digest).copied();
            let made = made.ok_or_else(|| TestCaseError::fail("the device signed what nobody proposed"))?;
            let lives = |earlier: &&Made| {
                !member.lost_its_journal || earlier.expiration.0 > member.time() || member.was_executed(&earlier.claim)
            };
            let payload = |it: &Made| -> (Guid, PayloadHash) { (it.claim.header.guid(), it.claim.payload_hash) };
            let mut others = self.made.iter().filter(lives);
            let contradicts =
                |earlier: &Made| payload(earlier).0 == payload(&made).0 && payload(earlier) != payload(&made);
            prop_assert!(!others.any(contradicts), "{made:?} after {:?}", self.made);
            self.made.push(made);
        }
        self.read = signed.len();
        Ok(())
    }
}

async fn play(steps: &[Step]) -> Result<(), TestCaseError> {
    let mut member = Member::new().await;
    let mut ledger = Ledger::default();
    for step in steps {
        match step {
            Step::Propose { slot, payload, dies } => {
                let proposals = [(*slot, *payload)];
                member.propose(&proposals, *dies, &mut ledger).await;
            }
            Step::Race { slot, dies } => member.propose(&[(*slot, 0), (*slot, 1)], *dies, &mut ledger).await,
            Step::Execute => member.execute(),
            Step::Wait(seconds) => member.wait(*seconds),
            Step::Reorg => member.reorg(),
            Step::Restart => member.restart().await,
            Step::Backup => member.back_up(),
            Step::Restore => member.restore().await,
            Step::Clone => member.start_the_copy().await,
        }
        member.watch().await;
        ledger.judge(&member)?;
        prop_assert!(member.executed_payloads().values().all(|payloads| payloads.len() == 1));
    }
    // Nothing is lost: what is not closed to a payload is signed once the troubles are over.
    for _ in 0..2 {
        // What the destination showed last may have begun another quarantine.
        member.wait(10_000);
        member.restart().await;
    }
    member.wait(10_000);
    for slot in 1..=SLOTS {
        let first = ledger.made.iter().find(|it| it.claim.header.nonce.0 == slot).map(|it| it.claim);
        let signs = member.signs_one_of(slot, &mut ledger).await;
        prop_assert!(signs, "slot {slot} is stuck, first signed as {first:?}");
    }
    ledger.judge(&member)
}

fn cases() -> u32 {
    std::env::var("DVN_P1_SCHEDULES").ok().and_then(|text| text.parse().ok()).unwrap_or(24)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn p1_no_slot_ever_gets_two_payload_hashes(steps in prop::collection::vec(step(), 1..30)) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(play(&steps))?;
    }
}
