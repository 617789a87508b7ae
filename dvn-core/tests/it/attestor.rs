//! The attestor against proposers that mean no good.

use std::{
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use dvn_core::{
    Destination,
    attestor::Attestor,
    error::CosignErrorKind,
    ids::{ChainTime, Confirmations, Eid},
    job::Location,
    policy,
    ports::{Clock, Cosigner, Halt, HaltScope, Proposal, Quarantine, Signer, Store, SystemClock},
};
use dvn_store::{DiskGuard, FreeSpace, Sqlite};

use crate::{
    engine::key,
    world::{self, Chains, CountingSigner, DST, ELSEWHERE, Elsewhere, SRC, World},
};

struct Setup {
    world: World,
    store: Store,
    signer: Arc<CountingSigner>,
    attestor: Arc<Attestor>,
    location: Location,
}

const LIFE: Duration = Duration::from_secs(900);

impl Setup {
    async fn new() -> Self {
        Self::on(|_| {}).await
    }

    /// With some part of the store changed.
    async fn on(change: impl FnOnce(&mut Store)) -> Self {
        let signer = Arc::new(CountingSigner::new(key(1)));
        let world = World::new(signer.address());
        let mut store = Sqlite::in_memory().await.unwrap().store();
        change(&mut store);
        let location = world.lock().send(Chains::packet(1, b"hello"), 80);
        for claim in [Chains::packet(1, b"hello"), Chains::packet(2, b"fresh")] {
            world::note(&store, claim).await;
        }
        let elsewhere = Destination::new(Arc::new(Elsewhere(world.clone())), signer.clone());
        let dvn = world.builder(&store, signer.clone()).destination(elsewhere).build().unwrap();
        dvn.reconcile().await.unwrap();
        let attestor = dvn.attestor();
        Self { world, store, signer, attestor, location }
    }

    fn good(&self) -> Proposal {
        let now = ChainTime(self.world.lock().time);
        let expiration = policy::expiration(now, LIFE);
        Proposal { location: self.location, dst_eid: DST, confirmations: Confirmations(5), expiration }
    }

    /// Asks for a signature and says which kind of refusal came; no key was used then.
    async fn refusal(&self, proposal: Proposal) -> CosignErrorKind {
        let before = self.signer.calls();
        let error = self.attestor.cosign(&proposal).await.expect_err("must not be signed");
        assert_eq!(self.signer.calls(), before, "the key was used for {proposal:?}");
        error.kind()
    }
}

#[tokio::test]
async fn a_good_proposal_is_signed_and_may_be_repeated() {
    let setup = Setup::new().await;
    let first = setup.attestor.cosign(&setup.good()).await.unwrap();
    let second = setup.attestor.cosign(&setup.good()).await.unwrap();
    assert_eq!(first, second);
    let rows = setup.store.journal.slot(Chains::packet(1, b"hello").header.guid()).await.unwrap();
    assert_eq!(rows.len(), 2);
}

/// What was signed, and on what it is based, is a row before the signature is given out.
#[tokio::test]
async fn a_signature_is_told_before_it_leaves() {
    let setup = Setup::new().await;
    let signature = setup.attestor.cosign(&setup.good()).await.unwrap();
    let guid = Chains::packet(1, b"hello").header.guid();
    let [row] = setup.store.journal.slot(guid).await.unwrap().try_into().unwrap();
    let [told] = setup.store.audit.of_packet(guid).await.unwrap().try_into().unwrap();
    assert_eq!((told.entry.actor.as_str(), told.entry.action.as_str()), ("attestor", "signature"));
    assert_eq!(told.entry.evidence, Some(row.intent.evidence));
    let digest = row.intent.attestation.digest();
    assert_eq!(signature.recover_address_from_prehash(&digest).unwrap(), row.intent.signer);
    for word in [digest.to_string(), "\"journal\":1".to_owned(), "\"confirmations\":5".to_owned()] {
        assert!(told.entry.detail.contains(&word), "{word} is not in {}", told.entry.detail);
    }

    // A log that cannot be written.
    let gone = Sqlite::in_memory().await.unwrap();
    let audit = gone.store().audit;
    gone.close().await;
    let setup = Setup::on(|store| store.audit = audit).await;
    let error = setup.attestor.cosign(&setup.good()).await.unwrap_err();
    assert_eq!(error.kind(), CosignErrorKind::Unavailable);
    assert!(error.to_string().contains("could not be told"), "{error}");
}

/// A disk that is nearly full: no signature, and nothing written for one.
#[tokio::test]
async fn without_room_nothing_is_signed_and_nothing_is_written_for_it() {
    let space = Arc::new(FreeSpace::of(std::path::Path::new(".")));
    let setup =
        Setup::on(|store| store.journal = Arc::new(DiskGuard::new(store.journal.clone(), space, u64::MAX))).await;
    assert_eq!(setup.refusal(setup.good()).await, CosignErrorKind::Halted);
    let guid = Chains::packet(1, b"hello").header.guid();
    assert_eq!(setup.store.evidence.of_packet(guid).await.unwrap(), []);
    assert_eq!(setup.store.journal.head().await.unwrap().rows, 0);
}

/// T52 at the key: a proposal for a packet whose forerunner this node never saw.
#[tokio::test]
async fn t52_a_packet_ahead_of_a_gap_gets_nothing() {
    let setup = Setup::new().await;
    let ahead = Chains::packet(4, b"ahead");
    let location = setup.world.lock().send(ahead, 80);
    let proposal = Proposal { location, ..setup.good() };
    assert_eq!(setup.refusal(proposal).await, CosignErrorKind::NotYet, "not even itself was seen");
    world::note(&setup.store, ahead).await;
    assert_eq!(setup.refusal(proposal).await, CosignErrorKind::Refused);
    world::note(&setup.store, Chains::packet(3, b"found")).await;
    setup.attestor.cosign(&proposal).await.unwrap();
}

#[tokio::test]
async fn a_forged_location_gets_nothing() {
    let setup = Setup::new().await;
    let mut forged = setup.good();
    forged.location.log_index += 1;
    assert_eq!(setup.refusal(forged).await, CosignErrorKind::Refused);
    let mut forged = setup.good();
    forged.location.block.hash.0[0] ^= 1;
    assert_eq!(setup.refusal(forged).await, CosignErrorKind::Refused);
    let mut foreign = setup.good();
    foreign.location.src_eid = Eid(1);
    assert_eq!(setup.refusal(foreign).await, CosignErrorKind::Refused);
}

#[tokio::test]
async fn an_answer_about_another_log_gets_nothing() {
    let setup = Setup::new().await;
    setup.world.lock().verifier_wanders = true;
    assert_eq!(setup.refusal(setup.good()).await, CosignErrorKind::Bug);
}

#[tokio::test]
async fn a_removed_packet_gets_nothing() {
    let setup = Setup::new().await;
    setup.world.lock().reorg(70);
    assert_eq!(setup.refusal(setup.good()).await, CosignErrorKind::Refused);
}

#[tokio::test]
async fn another_destination_gets_nothing() {
    let setup = Setup::new().await;
    for dst_eid in [SRC, ELSEWHERE] {
        assert_eq!(setup.refusal(Proposal { dst_eid, ..setup.good() }).await, CosignErrorKind::Refused);
    }
}

#[tokio::test]
async fn confirmations_have_bounds() {
    let setup = Setup::new().await;
    for confirmations in [0, 4, 21, u64::MAX] {
        let proposal = Proposal { confirmations: Confirmations(confirmations), ..setup.good() };
        assert_eq!(setup.refusal(proposal).await, CosignErrorKind::Refused, "{confirmations}");
    }
    // The depth that this node sees is the most it will state.
    let proposal = Proposal { confirmations: Confirmations(20), ..setup.good() };
    assert!(setup.attestor.cosign(&proposal).await.is_ok());
}

#[tokio::test]
async fn expirations_have_bounds() {
    let setup = Setup::new().await;
    let now = setup.world.lock().time;
    for expiration in [0, now, now + 900 + 60 + 121, now * 1_000, u64::MAX] {
        let proposal = Proposal { expiration: ChainTime(expiration), ..setup.good() };
        assert_eq!(setup.refusal(proposal).await, CosignErrorKind::Refused, "{expiration}");
    }
}

#[tokio::test]
async fn a_shallow_packet_is_told_to_wait() {
    let setup = Setup::new().await;
    let location = setup.world.lock().send(Chains::packet(2, b"fresh"), 97);
    let proposal = Proposal { location, ..setup.good() };
    assert_eq!(setup.refusal(proposal).await, CosignErrorKind::NotYet);
    setup.world.lock().latest = 200;
    // Deep enough, but not final.
    assert_eq!(setup.refusal(proposal).await, CosignErrorKind::NotYet);
    setup.world.lock().settled = 97;
    assert!(setup.attestor.cosign(&proposal).await.is_ok());
}

/// T28: an honest reorg, or a forged packet before it. The first payload stays, and the evidence of both is kept.
#[tokio::test]
async fn t28_a_second_payload_for_the_slot_is_an_equivocation() {
    let setup = Setup::new().await;
    setup.attestor.cosign(&setup.good()).await.unwrap();
    let before = setup.store.journal.verify().await.unwrap();
    let location = {
        let mut chains = setup.world.lock();
        chains.reorg(70);
        chains.send(Chains::packet(1, b"other"), 75)
    };
    let other = Proposal { location, ..setup.good() };
    assert_eq!(setup.refusal(other).await, CosignErrorKind::Equivocation);
    let before_signing = setup.signer.calls();
    let asked = setup.attestor.attest_for_peer("peer", &other).await.unwrap_err();
    assert_eq!((asked.kind(), setup.signer.calls()), (CosignErrorKind::Equivocation, before_signing));
    assert_eq!(setup.store.journal.verify().await.unwrap(), before);
    let evidence = setup.store.evidence.of_packet(Chains::packet(1, b"other").header.guid()).await.unwrap();
    assert_eq!(evidence.len(), 2, "{evidence:?}");
    // Nor does time open the slot.
    setup.world.lock().time += 1_000_000;
    assert_eq!(setup.refusal(Proposal { location, ..setup.good() }).await, CosignErrorKind::Equivocation);
}

/// T29: the same payload again, until another second.
#[tokio::test]
async fn t29_the_same_payload_is_signed_again_with_another_expiration() {
    let setup = Setup::new().await;
    for round in 1..=3 {
        setup.attestor.cosign(&setup.good()).await.unwrap();
        let rows = setup.store.journal.slot(Chains::packet(1, b"hello").header.guid()).await.unwrap();
        assert_eq!(rows.len(), round);
        assert!(rows.iter().all(|row| row.intent.attestation.confirmations == Confirmations(5)));
        setup.world.lock().time += 300;
    }
}

/// T30: a signature with fewer confirmations could be replayed to downgrade what is attested.
#[tokio::test]
async fn t30_other_confirmations_wait_until_the_earlier_signature_expired() {
    let setup = Setup::new().await;
    setup.attestor.cosign(&setup.good()).await.unwrap();
    for confirmations in [6, 7, 20] {
        let higher = Proposal { confirmations: Confirmations(confirmations), ..setup.good() };
        assert_eq!(setup.refusal(higher).await, CosignErrorKind::NotYet);
    }
    setup.world.lock().time += 2_000;
    let higher = Proposal { confirmations: Confirmations(7), ..setup.good() };
    assert!(setup.attestor.cosign(&higher).await.is_ok());
}

#[tokio::test]
async fn a_halt_stops_the_key() {
    let setup = Setup::new().await;
    for scope in [HaltScope::All, HaltScope::Chain(SRC), HaltScope::Chain(DST)] {
        let halt = Halt { scope, reason: "test".to_owned(), evidence: None, since: UNIX_EPOCH };
        setup.store.halts.raise(halt).await.unwrap();
        assert_eq!(setup.refusal(setup.good()).await, CosignErrorKind::Halted, "{scope:?}");
        assert!(setup.store.halts.clear(scope).await.unwrap());
    }
    assert!(setup.attestor.cosign(&setup.good()).await.is_ok());
}

/// Both clocks must have passed its end: expirations are by the destination's, and either may be wrong.
#[tokio::test]
async fn a_quarantine_stops_the_key_until_both_clocks_have_passed_its_end() {
    let setup = Setup::new().await;
    let quarantine = |until| Quarantine { until, reason: "the journal was lost".to_owned() };
    let by_the_chain = UNIX_EPOCH + Duration::from_millis(1_700_000_499_500);
    setup.store.journal.quarantine(quarantine(by_the_chain)).await.unwrap();
    for passed in [1_700_000_000, 1_700_000_499] {
        setup.world.lock().time = passed;
        let error = setup.attestor.cosign(&setup.good()).await.unwrap_err();
        assert_eq!(error.kind(), CosignErrorKind::Halted, "{error}");
        assert!(error.to_string().contains("quarantined until second 1700000500: the journal was lost"), "{error}");
    }
    assert_eq!(setup.refusal(setup.good()).await, CosignErrorKind::Halted);
    let rows = setup.store.journal.verify().await.unwrap().rows;
    assert_eq!(rows, 0, "nothing is journaled that is not signed");
    setup.world.lock().time = 1_700_000_500;
    setup.attestor.cosign(&setup.good()).await.unwrap();

    let by_the_clock = SystemClock::new().now() + Duration::from_secs(3_600);
    setup.store.journal.quarantine(quarantine(by_the_clock)).await.unwrap();
    setup.world.lock().time = 4_000_000_000;
    assert_eq!(setup.refusal(setup.good()).await, CosignErrorKind::Halted);
}

#[tokio::test]
async fn a_key_that_the_contract_does_not_list_is_not_used() {
    let setup = Setup::new().await;
    setup.world.lock().members = vec![key(2).address()];
    assert_eq!(setup.refusal(setup.good()).await, CosignErrorKind::Key);
}

#[tokio::test]
async fn a_changed_vid_is_a_contradiction() {
    let setup = Setup::new().await;
    setup.attestor.cosign(&setup.good()).await.unwrap();
    setup.world.lock().vid.0 += 1;
    assert_eq!(setup.refusal(setup.good()).await, CosignErrorKind::Contradiction);
}

#[tokio::test]
async fn one_key_does_not_sign_for_two_contracts_with_one_vid() {
    let setup = Setup::new().await;
    setup.attestor.cosign(&setup.good()).await.unwrap();
    let mut claim = Chains::packet(2, b"elsewhere");
    claim.header.dst_eid = ELSEWHERE;
    let location = setup.world.lock().send(claim, 80);
    world::note(&setup.store, claim).await;
    let elsewhere = Proposal { location, dst_eid: ELSEWHERE, ..setup.good() };
    assert_eq!(setup.refusal(elsewhere).await, CosignErrorKind::Key);
    // Another vid tells the contracts apart.
    let other = Setup::new().await;
    let location = other.world.lock().send(claim, 80);
    world::note(&other.store, claim).await;
    assert!(other.attestor.cosign(&Proposal { location, ..elsewhere }).await.is_ok());
}

#[tokio::test]
async fn what_the_destination_has_is_not_signed_again() {
    let setup = Setup::new().await;
    let claim = Chains::packet(1, b"hello");
    setup.world.lock().records.insert(claim.job_id(), 5);
    assert_eq!(setup.refusal(setup.good()).await, CosignErrorKind::Refused);
}
