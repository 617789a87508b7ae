//! What may be spent, and what an account can pay.

use dvn_chain::Purse;

use super::*;

/// What one attestation may take on these nodes: 115,000 gas at 2,100 wei.
const ONE: u128 = 115_000 * 2_100;

fn bounded(setup: Setup, budget: u128) -> Setup {
    let purse = Purse { daily_budget: Some(budget), low_balance: None };
    Setup { submitter: setup.submitter.with_purse(purse), ..setup }
}

async fn kind(setup: &Setup, item: SignedAttestation) -> Option<SubmitErrorKind> {
    setup.submitter.submit(vec![item]).await.err().map(|error| error.kind())
}

fn retraction(nonce: u64) -> SignedAttestation {
    let item = signed(nonce);
    let attestation = Attestation { confirmations: Confirmations(0), ..item.attestation };
    let key = Key::new(1);
    let committee = Committee { vid: Vid(212), quorum: 1, members: vec![key.address()] };
    let signatures = SignatureSet::try_new(attestation.digest(), &committee, [key.sign(attestation.digest())]).unwrap();
    SignedAttestation { attestation, signatures, ..item }
}

#[tokio::test]
async fn a_used_up_budget_keeps_work_queued_until_a_day_is_over() {
    let setup = bounded(setup(&destination()).await, 2 * ONE);
    assert_eq!(kind(&setup, signed(1)).await, None);
    assert_eq!(kind(&setup, signed(2)).await, None);
    assert_eq!(kind(&setup, signed(3)).await, Some(SubmitErrorKind::Budget));
    assert_eq!((setup.sent(0).len(), setup.outbox.all.lock().unwrap().len()), (2, 2), "nothing is kept or sent");
    setup.clock.advance(Duration::from_secs(24 * 3_600 - 1));
    assert_eq!(kind(&setup, signed(3)).await, Some(SubmitErrorKind::Budget));
    setup.clock.advance(Duration::from_secs(2));
    assert_eq!(kind(&setup, signed(3)).await, None);
}

#[tokio::test]
async fn a_restart_does_not_reset_the_budget() {
    let world = destination();
    let first = bounded(setup(&world).await, ONE);
    assert_eq!(kind(&first, signed(1)).await, None);
    let (nodes, panel) = node::panel(&world, world::DST, 3, 2).await;
    let sender = Arc::new(Key::new(2));
    let submitter = EvmSubmitter::new(panel, config(), sender, first.outbox.clone(), first.clock.clone());
    let second = bounded(Setup { nodes, submitter, outbox: first.outbox, clock: first.clock }, ONE);
    assert_eq!(kind(&second, signed(2)).await, Some(SubmitErrorKind::Budget));
}

#[tokio::test]
async fn what_was_really_paid_counts_once_it_is_known() {
    let setup = bounded(setup(&destination()).await, ONE + ONE / 2);
    setup.submitter.submit(vec![signed(1)]).await.unwrap();
    assert_eq!(kind(&setup, signed(2)).await, Some(SubmitErrorKind::Budget));
    setup.mine(98, 1, &[verified(1)]);
    setup.outcomes().await;
    let paid: Vec<u128> = setup.outbox.costs.lock().unwrap().values().map(|(wei, _)| *wei).collect();
    assert_eq!(paid, [77_433 * 1_100]);
    assert_eq!(kind(&setup, signed(2)).await, None);
}

#[tokio::test]
async fn taking_back_and_cancelling_are_not_held_up_by_a_budget() {
    let setup = bounded(setup(&destination()).await, ONE);
    setup.submitter.submit(vec![signed(1)]).await.unwrap();
    assert_eq!(kind(&setup, signed(2)).await, Some(SubmitErrorKind::Budget));
    assert_eq!(kind(&setup, retraction(2)).await, None);
    setup.submitter.cancel(&[job(1)]).await.unwrap();
    assert_eq!(setup.sent(0).len(), 3);
}

#[tokio::test]
async fn a_price_is_not_raised_beyond_the_budget() {
    let setup = bounded(setup(&destination()).await, ONE + 1);
    setup.submitter.submit(vec![signed(1)]).await.unwrap();
    setup.clock.advance(Duration::from_secs(61));
    setup.outcomes().await;
    let prices: Vec<u128> = setup.sent(0).iter().map(Transaction::max_fee_per_gas).collect();
    assert_eq!(prices, [2_100, 2_100], "it is sent again as it is");
}

#[tokio::test]
async fn a_cost_that_an_earlier_process_did_not_note_is_noted() {
    let setup = bounded(setup(&destination()).await, 3 * ONE);
    setup.submitter.submit(vec![signed(1)]).await.unwrap();
    let noted = std::mem::take(&mut *setup.outbox.costs.lock().unwrap());
    let (nodes, panel) = node::panel(&destination(), world::DST, 3, 2).await;
    let sender = Arc::new(Key::new(2));
    let again = EvmSubmitter::new(panel, config(), sender, setup.outbox.clone(), setup.clock.clone());
    again.settle().await.unwrap();
    assert_eq!(*setup.outbox.costs.lock().unwrap(), noted);
    drop(nodes);
}

#[tokio::test]
async fn what_is_open_is_paid_for_before_anything_new() {
    let setup = setup(&World { balance: U256::from(2 * ONE - 1), ..destination() }).await;
    assert_eq!(kind(&setup, signed(1)).await, None);
    assert_eq!(kind(&setup, signed(2)).await, Some(SubmitErrorKind::Underfunded));
    setup.clock.advance(Duration::from_secs(61));
    setup.each(|world| world.balance = U256::from(ONE));
    setup.outcomes().await;
    let prices: Vec<u128> = setup.sent(0).iter().map(Transaction::max_fee_per_gas).collect();
    assert_eq!(prices, [2_100, 2_100], "no price is raised beyond what the account can pay");
}

#[tokio::test]
async fn t40_a_gap_that_nothing_fills_is_filled_by_a_transaction_to_ourselves() {
    let setup = setup(&destination()).await;
    setup.submitter.submit(vec![signed(1)]).await.unwrap();
    // A reorg took a closed transaction's nonce away: the chain waits for 4, the open transaction has 5.
    setup.each(|world| world.nonce = 4);
    setup.outcomes().await;
    assert_eq!(setup.sent(0).len(), 1, "a seat may only lag");
    setup.each(|world| world.head = 108);
    setup.outcomes().await;
    let sent = setup.sent(0);
    let sender = sent[1].recover_signer().unwrap();
    assert_eq!((sent[1].nonce(), sent[1].to(), sent[1].input().len()), (4, Some(sender), 0));
    assert_eq!(setup.outcomes().await, [], "and it is not filled twice");
    assert_eq!(setup.sent(0).len(), 2);
    // It is nobody's job: once it is mined it is done with.
    let hash = *sent[1].tx_hash();
    setup.each(|world| {
        world.blocks.insert(109, vec![Tx { hash, status: 1, logs: vec![] }]);
        (world.nonce, world.head) = (5, 109);
    });
    assert_eq!(setup.outcomes().await, []);
    let open: Vec<bool> = setup.outbox.all.lock().unwrap().iter().map(|it| it.open).collect();
    assert_eq!(open, [true, false]);
}
