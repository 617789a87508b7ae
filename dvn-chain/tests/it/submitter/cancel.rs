//! T42: a halt comes while a transaction is in the pool.

use super::*;

#[tokio::test]
async fn t42_a_transaction_in_flight_is_replaced_by_one_that_does_nothing() {
    let setup = setup(&destination()).await;
    setup.submitter.submit(vec![signed(1), signed(2)]).await.unwrap();
    setup.submitter.submit(vec![signed(3)]).await.unwrap();
    setup.submitter.cancel(&[job(2)]).await.unwrap();
    let sent = setup.sent(0);
    assert_eq!(sent.len(), 3, "the other transaction stays");
    let sender = sent[2].recover_signer().unwrap();
    assert_eq!((sent[2].nonce(), sent[2].to(), sent[2].value()), (5, Some(sender), U256::ZERO));
    assert!(sent[2].input().is_empty());
    // Pools ask for a tenth more on both.
    assert!(sent[2].max_fee_per_gas() * 10 >= sent[0].max_fee_per_gas() * 11);
    assert!(sent[2].max_priority_fee_per_gas().unwrap() * 10 >= sent[0].max_priority_fee_per_gas().unwrap() * 11);
    let hashes: Vec<B256> = setup.outbox.all.lock().unwrap()[0].attempts.iter().map(|it| it.tx_hash).collect();
    assert_eq!(hashes, [*sent[0].tx_hash(), *sent[2].tx_hash()], "either may be mined");

    setup.submitter.cancel(&[job(1), job(2)]).await.unwrap();
    assert_eq!(setup.sent(0).len(), 3, "what is cancelled already is left alone");

    setup.mine(101, 1, &[]);
    setup.each(|world| world.head = 102);
    assert_eq!(setup.outcomes().await, [Outcome::Cancelled, Outcome::Cancelled]);
}

#[tokio::test]
async fn t42_what_was_mined_before_it_could_be_cancelled_is_told_as_it_is() {
    let setup = setup(&destination()).await;
    setup.submitter.submit(vec![signed(1)]).await.unwrap();
    let first = setup.outbox.all.lock().unwrap()[0].attempts[0].tx_hash;
    setup.submitter.cancel(&[job(1)]).await.unwrap();
    setup.each(|world| {
        world.blocks.insert(101, vec![Tx { hash: first, status: 1, logs: vec![verified(1)] }]);
        (world.nonce, world.head) = (6, 102);
    });
    assert!(matches!(setup.outcomes().await[..], [Outcome::Attested { .. }]));
}

#[tokio::test]
async fn a_cancellation_may_cost_more_than_a_submission() {
    let fees = FeeCaps { max_fee: 2_100, max_priority_fee: 100 };
    let setup = setup_with(&destination(), SubmitterConfig { fees, ..config() }).await;
    setup.submitter.submit(vec![signed(1)]).await.unwrap();
    setup.clock.advance(Duration::from_secs(61));
    setup.outcomes().await;
    let attempts = || setup.outbox.all.lock().unwrap()[0].attempts.len();
    assert_eq!(attempts(), 1, "the cap leaves no better price for the call itself");
    setup.submitter.cancel(&[job(1)]).await.unwrap();
    assert_eq!(attempts(), 2);
}

#[tokio::test]
async fn a_cancellation_that_is_not_durable_is_not_sent() {
    let setup = setup(&destination()).await;
    setup.submitter.submit(vec![signed(1)]).await.unwrap();
    *setup.outbox.fails.lock().unwrap() = true;
    assert_eq!(setup.submitter.cancel(&[job(1)]).await.unwrap_err().kind(), SubmitErrorKind::Store);
    assert_eq!(setup.sent(0).len(), 1);
}
