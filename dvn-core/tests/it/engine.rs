use std::sync::Arc;

use alloy_primitives::{Address, B256, Bytes, Signature};
use async_trait::async_trait;
use dvn_core::{
    attestation::Attestation,
    error::{CosignError, VerifyErrorKind},
    ids::{BlockNumber, ChainTime, Confirmations, Eid},
    job::{Hold, Refusal, State},
    packet::Claim,
    ports::{
        Assignment, Attempt, Cosigner, Halt, HaltScope, LaneId, NewTransaction, OutboxItem, Proposal, Retraction,
        SignedAttestation, Signer, Store,
    },
};
use dvn_hsm::LocalSigner;
use dvn_store::Sqlite;

use crate::world::{Chains, CountingSigner, DST, LIB, Running, SRC, VID, World, for_a_while, note, until, until_state};

pub(crate) fn key(number: u8) -> Arc<dyn Signer> {
    Arc::new(LocalSigner::from_hex_secret(format!("{number:064x}").into()).unwrap())
}

pub(crate) struct Setup {
    pub(crate) world: World,
    pub(crate) store: Store,
    pub(crate) signer: Arc<CountingSigner>,
}

impl Setup {
    pub(crate) async fn new() -> Self {
        Self::with(CountingSigner::new(key(1))).await
    }

    async fn with(signer: CountingSigner) -> Self {
        let store = Sqlite::in_memory().await.unwrap().store();
        Self { world: World::new(signer.address()), store, signer: Arc::new(signer) }
    }

    /// With one packet in this block, in a world that was changed after it was sent.
    pub(crate) async fn with_packet(block: u64, change: impl FnOnce(&mut Chains)) -> (Self, Claim) {
        let setup = Self::new().await;
        let claim = Chains::packet(1, b"hello");
        {
            let mut chains = setup.world.lock();
            chains.send(claim, block);
            change(&mut chains);
        }
        (setup, claim)
    }

    pub(crate) fn start(&self) -> Running {
        let signer: Arc<dyn Signer> = self.signer.clone();
        Running::start(self.world.builder(&self.store, signer).build().unwrap())
    }

    pub(crate) fn executed(&self) -> usize {
        self.world.lock().executed.len()
    }
}

#[tokio::test]
async fn a_packet_goes_all_the_way_and_leaves_its_story() {
    let (setup, claim) = Setup::with_packet(98, |_| {}).await;
    let running = setup.start();
    until_state(&setup.store, claim, State::Waiting).await;
    assert_eq!(setup.signer.calls(), 0);
    setup.world.lock().mine(20);
    until_state(&setup.store, claim, State::Committed).await;
    running.stop().await;

    let story = setup.store.audit.of_packet(claim.header.guid()).await.unwrap();
    let actions: Vec<_> = story.iter().map(|row| row.entry.action.as_str()).collect();
    assert_eq!(
        actions,
        ["observed", "waiting", "verified", "signature", "signed", "submitted", "attested", "committed"]
    );
    let journal = setup.store.journal.slot(claim.header.guid()).await.unwrap();
    assert_eq!(journal.len(), 1);
    assert!(journal[0].signature.is_some());
    assert_eq!(setup.store.evidence.of_packet(claim.header.guid()).await.unwrap().len(), 1);
    assert_eq!((setup.signer.calls(), setup.executed()), (1, 1));
}

#[tokio::test]
async fn a_packet_of_another_dvn_is_refused() {
    let (setup, claim) = Setup::with_packet(80, |chains| chains.packets[0].2 = false).await;
    let running = setup.start();
    until_state(&setup.store, claim, State::Refused(Refusal::NotAssigned)).await;
    running.stop().await;
    assert_eq!(setup.signer.calls(), 0);
}

#[tokio::test]
async fn a_refusal_waits_until_the_block_is_settled() {
    let (setup, claim) = Setup::with_packet(98, |chains| chains.packets[0].2 = false).await;
    let running = setup.start();
    until_state(&setup.store, claim, State::Waiting).await;
    {
        // A reorg puts the same packet into another block, and there our DVN is paid.
        let mut chains = setup.world.lock();
        chains.reorg(97);
        chains.send(claim, 99);
        chains.mine(30);
    }
    until_state(&setup.store, claim, State::Committed).await;
    running.stop().await;
    assert_eq!(setup.executed(), 1);
}

#[tokio::test]
async fn a_packet_that_a_reorg_removes_stays_unsigned() {
    let (setup, claim) = Setup::with_packet(98, |_| {}).await;
    let running = setup.start();
    until_state(&setup.store, claim, State::Waiting).await;
    {
        let mut chains = setup.world.lock();
        chains.reorg(97);
        chains.mine(30);
    }
    until_state(&setup.store, claim, State::Orphaned).await;
    running.stop().await;
    assert_eq!((setup.signer.calls(), setup.executed()), (0, 0));
}

#[tokio::test]
async fn a_packet_that_a_reorg_moves_is_attested_once() {
    let (setup, claim) = Setup::with_packet(98, |_| {}).await;
    let running = setup.start();
    until_state(&setup.store, claim, State::Waiting).await;
    let moved_to = {
        let mut chains = setup.world.lock();
        chains.reorg(97);
        let location = chains.send(claim, 99);
        chains.mine(30);
        location
    };
    let job = until_state(&setup.store, claim, State::Committed).await;
    running.stop().await;
    assert_eq!(job.location, moved_to);
    assert_eq!((setup.signer.calls(), setup.executed()), (1, 1));
}

#[tokio::test]
async fn one_seats_hint_does_not_lead_away_from_where_the_packet_is() {
    let setup = Setup::new().await;
    let claim = Chains::packet(1, b"hello");
    let genuine = setup.world.lock().send(claim, 98);
    let running = setup.start();
    until_state(&setup.store, claim, State::Waiting).await;
    {
        let mut chains = setup.world.lock();
        let mut location = genuine;
        location.block.number = BlockNumber(101);
        location.block.hash.0[0] ^= 1;
        chains.hinted_elsewhere.push(Assignment { location, claim, agreed: false });
        chains.mine(30);
    }
    let job = until_state(&setup.store, claim, State::Committed).await;
    running.stop().await;
    assert_eq!(job.location, genuine);
}

#[tokio::test]
async fn a_hint_that_puts_a_forged_packet_in_a_genuine_ones_place_is_refused() {
    let setup = Setup::new().await;
    let (genuine, forged) = (Chains::packet(1, b"hello"), Chains::packet(1, b"drain everything"));
    {
        let mut chains = setup.world.lock();
        let location = chains.send(genuine, 80);
        chains.hinted_elsewhere.push(Assignment { location, claim: forged, agreed: true });
    }
    let running = setup.start();
    until_state(&setup.store, forged, State::Refused(Refusal::NotGenuine)).await;
    until_state(&setup.store, genuine, State::Committed).await;
    running.stop().await;
    let executed: Vec<_> = setup.world.lock().executed.iter().map(|item| item.attestation.claim).collect();
    assert_eq!((setup.signer.calls(), executed), (1, vec![genuine]));
}

/// Signs one packet that cannot be sent, changes the world, and lets it be sent.
async fn sent_after(change: impl FnOnce(&mut Chains)) -> SignedAttestation {
    let (setup, claim) = Setup::with_packet(80, |chains| chains.submit_fails = true).await;
    let running = setup.start();
    until_state(&setup.store, claim, State::Signed).await;
    change(&mut setup.world.lock());
    // What the lane looked at before the change ends in a failure still.
    for_a_while().await;
    setup.world.lock().submit_fails = false;
    until_state(&setup.store, claim, State::Committed).await;
    running.stop().await;
    let executed = setup.world.lock().executed.clone();
    assert_eq!(executed.len(), 1);
    executed[0].clone()
}

#[tokio::test]
async fn what_the_sender_asked_at_first_sight_counts_when_it_asks_less_later() {
    let (setup, claim) = Setup::with_packet(98, |chains| chains.send_confirmations = 9).await;
    let running = setup.start();
    until_state(&setup.store, claim, State::Waiting).await;
    {
        let mut chains = setup.world.lock();
        chains.send_confirmations = 1;
        chains.mine(20);
    }
    until_state(&setup.store, claim, State::Committed).await;
    running.stop().await;
    let stated = setup.world.lock().executed[0].attestation.confirmations;
    assert_eq!(stated, Confirmations(9));
}

#[tokio::test]
async fn one_packet_that_cannot_be_looked_at_does_not_hold_up_the_others() {
    let (setup, poison) = Setup::with_packet(80, |chains| chains.submit_fails = true).await;
    let other = Chains::packet(2, b"hello");
    setup.world.lock().send(other, 81);
    let running = setup.start();
    until_state(&setup.store, poison, State::Signed).await;
    until_state(&setup.store, other, State::Signed).await;
    {
        let mut chains = setup.world.lock();
        chains.unreadable = Some(poison.job_id());
        chains.submit_fails = false;
    }
    until_state(&setup.store, other, State::Committed).await;
    setup.world.lock().unreadable = None;
    until_state(&setup.store, poison, State::Committed).await;
    running.stop().await;
}

#[tokio::test]
async fn expired_signatures_are_made_anew_and_not_sent() {
    let sent = sent_after(|chains| chains.time += 2_000).await;
    assert!(sent.attestation.expiration.0 > 1_700_002_000);
}

#[tokio::test]
async fn signatures_for_a_library_that_the_receiver_left_are_not_sent() {
    let other = Address::repeat_byte(0x17);
    let sent = sent_after(|chains| chains.receive_lib = other).await;
    assert_eq!(sent.attestation.target, other);
}

#[tokio::test]
async fn what_is_signed_when_a_halt_comes_stays_unsent_until_it_is_cleared() {
    let (setup, claim) = Setup::with_packet(80, |chains| chains.submit_fails = true).await;
    let running = setup.start();
    until_state(&setup.store, claim, State::Signed).await;
    let halt =
        Halt { scope: HaltScope::Chain(SRC), reason: "test".to_owned(), evidence: None, since: std::time::UNIX_EPOCH };
    setup.store.halts.raise(halt).await.unwrap();
    setup.world.lock().submit_fails = false;
    until_state(&setup.store, claim, State::Verified).await;
    for_a_while().await;
    assert_eq!(setup.executed(), 0);
    running.stop().await;
}

#[tokio::test]
async fn a_contradiction_halts_the_chain_until_an_operator_clears_it() {
    let (setup, claim) =
        Setup::with_packet(80, |chains| chains.verifier_fails = Some(VerifyErrorKind::Contradiction)).await;
    let running = setup.start();
    until(&setup.store, claim, |job| job.last_error.is_some()).await;
    let halts = setup.store.halts.standing().await.unwrap();
    assert_eq!(halts.iter().map(|halt| halt.scope).collect::<Vec<_>>(), [HaltScope::Chain(SRC)]);
    running.crash().await;

    // Healthy answers and a restart do not lift it.
    setup.world.lock().verifier_fails = None;
    let running = setup.start();
    for_a_while().await;
    assert_eq!(setup.signer.calls(), 0);
    running.stop().await;
}

#[tokio::test]
async fn too_few_seats_only_delay() {
    let (setup, claim) = Setup::with_packet(80, |chains| chains.verifier_fails = Some(VerifyErrorKind::Missing)).await;
    let running = setup.start();
    until(&setup.store, claim, |job| job.last_error.is_some()).await;
    assert_eq!((setup.signer.calls(), setup.store.halts.standing().await.unwrap().len()), (0, 0));
    setup.world.lock().verifier_fails = None;
    until_state(&setup.store, claim, State::Committed).await;
    running.stop().await;
    assert_eq!(setup.executed(), 1);
}

#[tokio::test]
async fn a_second_payload_for_a_signed_slot_is_held() {
    let setup = Setup::new().await;
    let first = Chains::packet(1, b"first");
    let second = Chains::packet(1, b"second");
    {
        let mut chains = setup.world.lock();
        chains.commits = false;
        chains.send(first, 80);
    }
    let running = setup.start();
    until_state(&setup.store, first, State::Attested).await;
    {
        let mut chains = setup.world.lock();
        chains.reorg(80);
        chains.send(second, 95);
        chains.mine(40);
    }
    until_state(&setup.store, second, State::Held(Hold::Equivocation)).await;
    for_a_while().await;
    running.stop().await;
    assert_eq!((setup.signer.calls(), setup.executed()), (1, 1));
}

#[tokio::test]
async fn a_signature_of_another_key_never_leaves() {
    let mut signer = CountingSigner::new(key(1));
    signer.impostor = Some(key(2));
    let setup = Setup::with(signer).await;
    // The impostor is a member too, so that only the comparison with the expected address stands in the way.
    setup.world.lock().members.push(key(2).address());
    let claim = Chains::packet(1, b"hello");
    setup.world.lock().send(claim, 80);
    let running = setup.start();
    let job = until(&setup.store, claim, |job| job.last_error.is_some()).await;
    running.stop().await;
    assert_eq!((job.state, setup.executed()), (State::Verified, 0));
    let journal = setup.store.journal.slot(claim.header.guid()).await.unwrap();
    assert!(journal.iter().all(|row| row.signature.is_none()));
}

#[tokio::test]
async fn a_transaction_without_effect_is_tried_again_and_then_held() {
    let (setup, claim) = Setup::with_packet(80, |chains| chains.ineffective = true).await;
    let running = setup.start();
    until(&setup.store, claim, |_| setup.executed() >= 2).await;
    setup.world.lock().ineffective = false;
    until_state(&setup.store, claim, State::Committed).await;
    running.stop().await;
}

/// A transaction that carried this job before and is done with.
fn earlier(setup: &Setup, claim: Claim, nonce: u64) -> NewTransaction {
    let attestation = Attestation {
        claim,
        confirmations: Confirmations(5),
        expiration: ChainTime(1_700_000_900),
        vid: VID,
        target: LIB,
    };
    NewTransaction {
        lane: LaneId { dst_eid: DST, sender: setup.signer.address() },
        nonce,
        items: vec![OutboxItem { job: claim.job_id(), attestation }],
        attempt: Attempt {
            tx_hash: B256::with_last_byte(u8::try_from(nonce).unwrap()),
            raw: Bytes::from_static(b"raw"),
            max_fee: 1,
            priority_fee: 1,
            at: std::time::UNIX_EPOCH,
        },
    }
}

#[tokio::test]
async fn gas_is_not_burnt_for_ever_on_transactions_without_effect() {
    let setup = Setup::new().await;
    let claim = Chains::packet(1, b"hello");
    for nonce in 0..5 {
        let id = setup.store.outbox.put(earlier(&setup, claim, nonce), None).await.unwrap();
        setup.store.outbox.close(id).await.unwrap();
    }
    {
        let mut chains = setup.world.lock();
        chains.send(claim, 80);
        chains.ineffective = true;
    }
    let running = setup.start();
    until_state(&setup.store, claim, State::Held(Hold::Failed)).await;
    running.stop().await;
    assert_eq!(setup.executed(), 1);
}

/// A member of the committee that answers every proposal with a signature over something else.
#[derive(Debug)]
struct Liar(Arc<dyn Signer>);

#[async_trait]
impl Cosigner for Liar {
    fn name(&self) -> &'static str {
        "liar"
    }

    fn address(&self, _: Eid) -> Option<Address> {
        Some(self.0.address())
    }

    async fn cosign(&self, _: &Proposal) -> Result<Signature, CosignError> {
        Ok(self.0.sign_digest(B256::repeat_byte(7)).await.unwrap())
    }

    async fn take_back(&self, _: &Retraction) -> Result<Signature, CosignError> {
        Ok(self.0.sign_digest(B256::repeat_byte(7)).await.unwrap())
    }
}

#[tokio::test]
async fn a_lying_cosigner_does_not_spoil_the_quorum_of_the_others() {
    let (setup, claim) = Setup::with_packet(80, |chains| {
        chains.quorum = 2;
        chains.members = vec![key(1).address(), key(2).address(), key(3).address()];
    })
    .await;
    let other_store = Sqlite::in_memory().await.unwrap().store();
    note(&other_store, claim).await;
    let other = setup.world.builder(&other_store, key(2)).build().unwrap();
    other.reconcile().await.unwrap();
    let honest = other.attestor();
    let signer: Arc<dyn Signer> = setup.signer.clone();
    let builder = setup.world.builder(&setup.store, signer).peer(Arc::new(Liar(key(3)))).peer(honest);
    let running = Running::start(builder.build().unwrap());
    until_state(&setup.store, claim, State::Committed).await;
    running.stop().await;
    let executed = setup.world.lock().executed.clone();
    let mut expected = vec![key(1).address(), key(2).address()];
    expected.sort_unstable();
    assert_eq!(executed[0].signatures.signers().collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn what_is_signed_but_not_sent_stays_unsent_under_a_halt() {
    let setup = Setup::new().await;
    let claim = Chains::packet(1, b"hello");
    let running = setup.start();
    let halt =
        Halt { scope: HaltScope::Chain(DST), reason: "test".to_owned(), evidence: None, since: std::time::UNIX_EPOCH };
    setup.store.halts.raise(halt).await.unwrap();
    setup.world.lock().send(claim, 95);
    setup.world.lock().mine(20);
    until(&setup.store, claim, |_| true).await;
    for_a_while().await;
    assert_eq!((setup.signer.calls(), setup.executed()), (0, 0));
    running.stop().await;
}

#[tokio::test]
async fn a_lost_record_is_attested_again() {
    let (setup, claim) = Setup::with_packet(80, |chains| chains.commits = false).await;
    let running = setup.start();
    until_state(&setup.store, claim, State::Attested).await;
    {
        let mut chains = setup.world.lock();
        chains.records.clear();
        chains.commits = true;
    }
    until_state(&setup.store, claim, State::Committed).await;
    running.stop().await;
    assert_eq!(setup.executed(), 2);
}

#[tokio::test]
async fn crashes_at_any_time_lose_nothing() {
    let setup = Setup::new().await;
    let claims: Vec<_> = (1..=20).map(|nonce| Chains::packet(nonce, b"hello")).collect();
    // Two in each block, in their order, as a path's nonces are.
    for (claim, number) in claims.iter().zip(0..) {
        setup.world.lock().send(*claim, 91 + number / 2);
    }
    for crash in 0..12_u64 {
        let running = setup.start();
        setup.world.lock().mine(3);
        tokio::time::sleep(std::time::Duration::from_millis(3 + 7 * crash)).await;
        running.crash().await;
    }
    let running = setup.start();
    for claim in &claims {
        until_state(&setup.store, *claim, State::Committed).await;
    }
    running.stop().await;
    // Each at least once; that a real lane sends none twice is tested on real chains.
    let mut executed: Vec<_> = setup.world.lock().executed.iter().map(|item| item.job).collect();
    executed.sort_unstable();
    executed.dedup();
    assert_eq!(executed.len(), 20);
}
