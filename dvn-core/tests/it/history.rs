//! What destinations show in our name, compared with what this node knows.

use std::{sync::Arc, time::Duration};

use alloy_primitives::{Address, B256};
use dvn_core::{
    attestation::Attestation,
    error::{CosignErrorKind, JournalErrorKind, VerifyErrorKind},
    ids::{BlockNumber, BlockRef, ChainTime, Confirmations},
    job::{Job, Refusal, State},
    longest_life,
    packet::Claim,
    policy,
    ports::{
        Cause, ChangeKind, Clock, ContractChange, Cosigner, HaltScope, Intent, Proposal, Purpose, Shown, Signer,
        SystemClock,
    },
};

use crate::{
    engine::{Setup, key},
    world::{Chains, DST, LIB, Running, SRC, VID, for_a_while, until_state},
};

const LIFE: Duration = Duration::from_secs(900);
const UNSEEN: Duration = Duration::from_millis(100);

/// A call over a claim, as a quorum signs it.
fn attestation(claim: Claim, time: u64) -> Attestation {
    let expiration = policy::expiration(ChainTime(time), LIFE);
    Attestation { claim, confirmations: Confirmations(5), expiration, vid: VID, target: LIB }
}

impl Setup {
    fn watched(&self) -> Running {
        let builder = self.world.builder(&self.store, self.signer.clone());
        Running::start(builder.watch_history(Duration::from_millis(5)).unseen(UNSEEN).build().unwrap())
    }

    /// The destination shows, in its next block, that these keys signed a claim; nobody, where it does not show who did.
    async fn show(&self, claim: Claim, signers: &[&dyn Signer]) -> Attestation {
        let time = self.world.lock().time;
        let attestation = attestation(claim, time);
        let mut causes = Vec::new();
        if !signers.is_empty() {
            let mut signed = Vec::new();
            for signer in signers {
                signed.push((signer.address(), signer.sign_digest(attestation.digest()).await.unwrap()));
            }
            causes.push(Cause { attestation, signers: signed });
        }
        let mut chains = self.world.lock();
        chains.time += 1;
        let block = BlockRef { number: BlockNumber(chains.time), hash: B256::repeat_byte(3) };
        let (confirmations, target, tx_hash) = (attestation.confirmations, LIB, claim.job_id().0);
        chains.shown.push(Shown { block, tx_hash, claim, confirmations, target, causes });
        chains.records.insert(claim.job_id(), confirmations.0);
        attestation
    }

    async fn scopes(&self) -> Vec<HaltScope> {
        self.store.halts.standing().await.unwrap().iter().map(|halt| halt.scope).collect()
    }

    async fn until_halted(&self, scope: HaltScope) {
        for _ in 0..1_000 {
            if self.scopes().await.contains(&scope) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("{scope:?} is not halted");
    }

    /// The running engine compared the destination's history once.
    async fn until_compared(&self) {
        while self.store.journal.anchor(DST).await.unwrap().is_none() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

#[tokio::test]
async fn what_the_journal_knows_is_no_news() {
    let (setup, claim) = Setup::with_packet(80, |_| {}).await;
    let running = setup.watched();
    until_state(&setup.store, claim, State::Committed).await;
    let before = setup.store.journal.verify().await.unwrap();
    // What the destination shows settles after it was compared the first time.
    setup.world.lock().shown.iter_mut().for_each(|shown| shown.block.number.0 += 1);
    setup.world.lock().time += 1;
    for_a_while().await;
    running.stop().await;
    assert_eq!(setup.scopes().await, []);
    assert_eq!(setup.store.journal.verify().await.unwrap(), before);
    assert_eq!(setup.store.journal.anchor(DST).await.unwrap().unwrap().0, setup.world.lock().time);
}

/// T23: yesterday's journal, and a destination that remembers today.
#[tokio::test]
async fn t23_a_signature_of_ours_that_the_journal_does_not_know_stops_everything() {
    let setup = Setup::new().await;
    let (genuine, other) = (Chains::packet(1, b"genuine"), Chains::packet(1, b"another payload"));
    let now = setup.world.lock().time;
    setup.store.journal.set_anchor(DST, BlockNumber(now)).await.unwrap();
    // Signed after the backup, with a peer.
    let (own, peer) = (key(1), key(2));
    let attestation = setup.show(genuine, &[&*own, &*peer]).await;
    setup.world.lock().send(other, 80);
    let began = SystemClock::new().now();
    let running = setup.watched();
    setup.until_halted(HaltScope::All).await;
    for_a_while().await;
    assert_eq!(setup.signer.calls(), 0, "nothing is signed before the journal was compared");
    running.stop().await;

    let rows = setup.store.journal.slot(genuine.header.guid()).await.unwrap();
    let [row] = rows.as_slice() else { panic!("{rows:?}") };
    assert_eq!((row.intent.purpose, row.intent.attestation), (Purpose::Recovered, attestation));
    assert_eq!(row.signature.as_ref().map(|it| it.len()), Some(65));
    let quarantine = setup.store.journal.state().await.unwrap().quarantine.unwrap();
    assert!(quarantine.until >= began + longest_life(LIFE) && longest_life(LIFE) >= LIFE + Duration::from_secs(180));
    assert!(quarantine.reason.contains("journal_rollback_detected"), "{}", quarantine.reason);
    // The other payload of that slot is never signed, whoever lifts the halt.
    let conflicting = Intent {
        purpose: Purpose::Sign,
        attestation: Attestation { claim: other, ..attestation },
        now: ChainTime(attestation.expiration.0 + 1),
        ..row.intent.clone()
    };
    let refused = setup.store.journal.intend(&conflicting).await.unwrap_err();
    assert_eq!(refused.kind(), JournalErrorKind::Equivocation);
}

/// T32: somebody uses the key and not this node, while it runs.
#[tokio::test]
async fn t32_a_signature_made_around_the_journal_stops_everything() {
    let (setup, claim) = Setup::with_packet(80, |_| {}).await;
    let running = setup.watched();
    until_state(&setup.store, claim, State::Committed).await;
    let before = setup.signer.calls();
    setup.show(Chains::packet(2, b"forged"), &[&*key(1)]).await;
    setup.until_halted(HaltScope::All).await;
    setup.world.lock().send(Chains::packet(2, b"genuine"), 85);
    for_a_while().await;
    assert_eq!(setup.signer.calls(), before);
    running.stop().await;
}

/// The same call with another expiration is another signature.
#[tokio::test]
async fn t32_the_journal_must_know_the_very_call() {
    let (setup, claim) = Setup::with_packet(80, |chains| chains.commits = false).await;
    let running = setup.watched();
    until_state(&setup.store, claim, State::Attested).await;
    setup.world.lock().time += 100;
    setup.show(claim, &[&*key(1)]).await;
    setup.until_halted(HaltScope::All).await;
    running.stop().await;
}

#[tokio::test]
async fn unknown_signers_count_as_ours_unless_the_journal_has_the_claim() {
    let (setup, claim) = Setup::with_packet(80, |_| {}).await;
    let running = setup.watched();
    until_state(&setup.store, claim, State::Committed).await;
    setup.show(claim, &[]).await;
    for_a_while().await;
    assert_eq!(setup.scopes().await, []);
    let unknown = Chains::packet(2, b"through another contract");
    setup.show(unknown, &[]).await;
    setup.until_halted(HaltScope::All).await;
    for_a_while().await;
    running.stop().await;
    let rows = setup.store.journal.slot(unknown.header.guid()).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.intent.purpose).collect::<Vec<_>>(), [Purpose::Recovered]);
}

#[tokio::test]
async fn nothing_is_signed_while_the_destination_cannot_be_compared() {
    let (setup, claim) = Setup::with_packet(80, |chains| chains.history_fails = true).await;
    let earlier = setup.world.lock().time - 10;
    setup.store.journal.set_anchor(DST, BlockNumber(earlier)).await.unwrap();
    let running = setup.watched();
    let job = until_state(&setup.store, claim, State::Verified).await;
    for_a_while().await;
    assert_eq!(setup.signer.calls(), 0);
    setup.world.lock().history_fails = false;
    until_state(&setup.store, claim, State::Committed).await;
    running.stop().await;

    // Nor for a peer.
    let dvn = setup.world.builder(&setup.store, setup.signer.clone()).build().unwrap();
    let attestor = dvn.attestor();
    let expiration = policy::expiration(ChainTime(setup.world.lock().time), LIFE);
    setup.world.lock().stored.clear();
    setup.world.lock().records.clear();
    let proposal = Proposal { location: job.location, dst_eid: DST, confirmations: Confirmations(5), expiration };
    assert_eq!(attestor.cosign(&proposal).await.unwrap_err().kind(), CosignErrorKind::Unavailable);
    dvn.reconcile().await.unwrap();
    attestor.cosign(&proposal).await.unwrap();
}

/// Where the journal's past is uncertain, all of the contract's history is read.
#[tokio::test]
async fn a_journal_that_was_begun_in_quarantine_learns_all_that_was_signed() {
    let setup = Setup::new().await;
    let old = Chains::packet(1, b"long ago");
    setup.show(old, &[&*key(1)]).await;
    setup.world.lock().time += 1_000_000;
    let until = SystemClock::new().now();
    let quarantine = dvn_core::ports::Quarantine { until, reason: "the disk is gone".to_owned() };
    setup.store.journal.begin(Some(quarantine)).await.unwrap();
    let running = setup.watched();
    setup.until_halted(HaltScope::All).await;
    for_a_while().await;
    running.stop().await;
    assert_eq!(setup.store.journal.slot(old.header.guid()).await.unwrap().len(), 1);
}

// Peers.

#[tokio::test]
async fn what_peers_attest_and_this_node_verified_is_explained() {
    let (setup, claim) = Setup::with_packet(80, |chains| chains.quorum = 2).await;
    let running = setup.watched();
    until_state(&setup.store, claim, State::Verified).await;
    setup.until_compared().await;
    setup.show(claim, &[&*key(2), &*key(3)]).await;
    until_state(&setup.store, claim, State::Attested).await;
    tokio::time::sleep(UNSEEN * 2).await;
    assert_eq!(setup.scopes().await, []);
    running.stop().await;
}

/// Two of three are in wrong hands, and attest what this node's source never showed.
#[tokio::test]
async fn what_peers_attest_and_nobody_sent_is_taken_back() {
    let setup = Setup::new().await;
    let running = setup.watched();
    setup.until_compared().await;
    let forged = Chains::packet(1, b"forged");
    setup.show(forged, &[&*key(2), &*key(3)]).await;
    for_a_while().await;
    // The source was not read on since: it may only be late.
    tokio::time::sleep(UNSEEN).await;
    assert_eq!(setup.scopes().await, []);
    setup.world.lock().mine(1);
    setup.until_halted(HaltScope::Chain(SRC)).await;
    until_state(&setup.store, forged, State::Retracted).await;
    assert_eq!(setup.world.lock().records[&forged.job_id()], 0);
    running.stop().await;
}

/// The same for a packet that this node saw and refused, or whose block it saw leave the chain.
#[tokio::test]
async fn what_peers_attest_and_this_node_refused_is_taken_back() {
    let (setup, claim) = Setup::with_packet(80, |chains| chains.packets[0].2 = false).await;
    let running = setup.watched();
    until_state(&setup.store, claim, State::Refused(Refusal::NotAssigned)).await;
    setup.until_compared().await;
    setup.show(claim, &[&*key(2), &*key(3)]).await;
    until_state(&setup.store, claim, State::Retracted).await;
    assert_eq!(setup.scopes().await, [HaltScope::Chain(SRC)]);
    running.stop().await;
}

/// What waits for finality here and is attested by peers already stands, as long as it is on the chain.
#[tokio::test]
async fn what_peers_attest_early_stands_while_the_source_shows_it() {
    let (setup, claim) = Setup::with_packet(98, |_| {}).await;
    let running = setup.watched();
    until_state(&setup.store, claim, State::Waiting).await;
    setup.until_compared().await;
    setup.show(claim, &[&*key(2), &*key(3)]).await;
    tokio::time::sleep(UNSEEN * 2).await;
    assert_eq!(setup.scopes().await, []);
    running.stop().await;
}

// The contract.

impl Setup {
    fn change(&self, kind: ChangeKind) {
        let mut chains = self.world.lock();
        chains.time += 1;
        let block = BlockRef { number: BlockNumber(chains.time), hash: B256::repeat_byte(4) };
        chains.changes.push(ContractChange { block, tx_hash: B256::repeat_byte(5), kind });
    }
}

#[tokio::test]
async fn a_change_of_the_contract_that_contradicts_the_configuration_stops_the_destination() {
    let stranger = Address::repeat_byte(0x66);
    let own = key(1).address();
    for (kind, stops) in [
        (ChangeKind::Signer { signer: stranger, active: true }, true),
        (ChangeKind::Signer { signer: stranger, active: false }, false),
        (ChangeKind::Signer { signer: own, active: true }, false),
        (ChangeKind::Signer { signer: own, active: false }, true),
        (ChangeKind::Quorum(1), false),
        (ChangeKind::Quorum(2), true),
        (ChangeKind::Role { role: B256::repeat_byte(7), account: stranger, granted: true }, false),
    ] {
        let setup = Setup::new().await;
        let signer: Arc<dyn Signer> = setup.signer.clone();
        let builder = setup.world.builder_with_quorum(&setup.store, signer, 1).watch_history(Duration::from_millis(5));
        let running = Running::start(builder.build().unwrap());
        setup.until_compared().await;
        setup.change(kind);
        if stops {
            setup.until_halted(HaltScope::Chain(DST)).await;
        } else {
            for_a_while().await;
            assert_eq!(setup.scopes().await, [], "{kind:?}");
        }
        running.stop().await;
    }
}

#[tokio::test]
async fn a_retraction_by_peers_is_taken_note_of() {
    let (setup, claim) = Setup::with_packet(80, |chains| chains.commits = false).await;
    let running = setup.watched();
    until_state(&setup.store, claim, State::Attested).await;
    {
        let mut chains = setup.world.lock();
        chains.verifier_fails = Some(VerifyErrorKind::Missing);
        chains.records.insert(claim.job_id(), 0);
    }
    let job: Job = until_state(&setup.store, claim, State::Retracted).await;
    assert_eq!(job.signed.unwrap().confirmations, Confirmations(0));
    for_a_while().await;
    assert_eq!(setup.executed(), 1, "nobody signs it again");
    running.stop().await;
}
