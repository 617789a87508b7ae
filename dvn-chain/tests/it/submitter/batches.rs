//! What goes into a transaction: as much as fits, and nothing that would have no effect.

use super::*;

fn flood(count: u64) -> Vec<SignedAttestation> {
    (1..=count).map(signed).collect()
}

fn sizes(setup: &Setup) -> Vec<usize> {
    setup.outbox.all.lock().unwrap().iter().map(|it| it.items.len()).collect()
}

/// The nodes of these positions see this packet's call fail.
fn poison(setup: &Setup, nodes: std::ops::Range<usize>, nonce: u64) {
    let call = signed(nonce).attestation.call_data();
    for node in &setup.nodes[nodes] {
        let call = json!(call);
        node.answer("eth_call", move |params| {
            (params[0]["data"] == call).then(|| Err((3, "execution reverted: poison".to_owned())))
        });
    }
}

#[tokio::test]
async fn what_does_not_fit_is_left_for_the_next_transaction() {
    let setup = setup(&destination()).await;
    assert_eq!(setup.submitter.most_items(), usize::MAX);
    let mut waiting = flood(230);
    for expected in [215, 15] {
        let submitted = setup.submitter.submit(waiting.clone()).await.unwrap();
        assert_eq!((submitted.sent.len(), submitted.refused.len()), (expected, 0));
        let sent: Vec<JobId> = submitted.sent.iter().map(|(job, _)| *job).collect();
        assert_eq!(sent, waiting.iter().take(expected).map(|it| it.job).collect::<Vec<_>>(), "in their order");
        waiting.drain(..expected);
    }
    assert_eq!(sizes(&setup), [215, 15]);
    assert_eq!(setup.submitter.most_items(), 215);
    for transaction in setup.sent(0) {
        assert!(alloy::eips::eip2718::Encodable2718::encode_2718_len(&transaction) <= 131_072);
    }
}

#[tokio::test]
async fn a_batch_leaves_room_in_a_small_block() {
    let setup = setup(&World { block_gas: 2_000_000, ..destination() }).await;
    let submitted = setup.submitter.submit(flood(50)).await.unwrap();
    assert_eq!((submitted.sent.len(), submitted.refused.len()), (23, 0));
    assert!(setup.sent(0)[0].gas_limit() <= 1_000_000);
}

#[tokio::test]
async fn a_batch_is_smaller_where_items_take_more_gas_than_elsewhere() {
    let setup = setup(&destination()).await;
    for node in &setup.nodes {
        // As on a chain whose estimate holds the price of the data.
        node.answer("eth_estimateGas", |params| {
            let length = params[0]["data"].as_str().unwrap().len() as u64;
            Some(Ok(json!(U64::from(length * 200))))
        });
    }
    let submitted = setup.submitter.submit(flood(100)).await.unwrap();
    let gas = setup.sent(0)[0].gas_limit();
    assert!(submitted.sent.len() < 70 && gas <= 1 << 24, "{} {gas}", submitted.sent.len());
    assert!(gas > 1 << 23);
}

#[tokio::test]
async fn the_limit_is_what_a_batch_is_known_to_need_where_an_estimate_is_too_low() {
    let setup = setup(&destination()).await;
    setup.submitter.submit(flood(25)).await.unwrap();
    // The nodes estimate 100,000; 25 fresh records at quorum 1 took 1,004,929 gas on a real node.
    let gas = setup.sent(0)[0].gas_limit();
    assert!((1_004_929..1_075_000).contains(&gas), "{gas}");
}

#[tokio::test]
async fn one_poisonous_item_is_refused_and_the_rest_is_sent() {
    let setup = setup(&destination()).await;
    poison(&setup, 0..2, 2);
    let submitted = setup.submitter.submit(flood(3)).await.unwrap();
    assert_eq!(submitted.sent.iter().map(|(job, _)| *job).collect::<Vec<_>>(), [job(1), job(3)]);
    let [(refused, reason)] = &submitted.refused[..] else { panic!("one is refused") };
    assert!(*refused == job(2) && reason.contains("poison"), "{reason}");
    assert_eq!(sizes(&setup), [2]);
}

#[tokio::test]
async fn fewer_seats_than_the_threshold_refuse_nothing() {
    let setup = setup(&destination()).await;
    poison(&setup, 0..1, 2);
    let submitted = setup.submitter.submit(flood(3)).await.unwrap();
    assert_eq!((submitted.sent.len(), submitted.refused.len()), (3, 0));
}

#[tokio::test]
async fn a_batch_of_nothing_but_poison_is_no_error_and_sends_nothing() {
    let setup = setup(&destination()).await;
    poison(&setup, 0..3, 1);
    let submitted = setup.submitter.submit(flood(1)).await.unwrap();
    assert_eq!((submitted.sent.len(), submitted.refused.len()), (0, 1));
    assert!(setup.sent(0).is_empty());
}

#[tokio::test]
async fn signatures_and_a_vid_that_the_contract_would_not_take_are_refused() {
    let setup = setup(&destination()).await;
    let bad = world::verifySignaturesReturn { valid: false, error: 3 };
    setup.each(|world| world.returns::<world::verifySignaturesCall>(world::DVN, &bad));
    let refused = setup.submitter.submit(flood(1)).await.unwrap().refused;
    assert!(refused[0].1.contains("signatures"), "{refused:?}");
    setup.each(|world| world.returns::<world::vidCall>(world::DVN, &7));
    let refused = setup.submitter.submit(flood(1)).await.unwrap().refused;
    assert!(refused[0].1.contains("vid 212"), "{refused:?}");
}

#[tokio::test]
async fn an_item_that_fails_the_whole_is_found_by_trying_each_alone() {
    let setup = setup(&destination()).await;
    for node in &setup.nodes {
        let header = alloy::hex::encode(signed(2).attestation.claim.header.encode());
        node.answer("eth_estimateGas", move |params| {
            let is_in = params[0]["data"].as_str().unwrap().contains(&header);
            is_in.then(|| Err((-32_000, "out of gas".to_owned())))
        });
    }
    let submitted = setup.submitter.submit(flood(4)).await.unwrap();
    assert_eq!((submitted.sent.len(), submitted.refused.len()), (3, 1));
    assert_eq!(submitted.refused[0].0, job(2));
}

#[tokio::test]
async fn what_fails_for_all_is_about_the_sender_and_not_about_an_item() {
    let setup = setup(&destination()).await;
    for node in &setup.nodes {
        node.answer("eth_estimateGas", |_| Some(Err((3, "execution reverted: AccessControl".to_owned()))));
    }
    assert_eq!(setup.submitter.submit(flood(3)).await.unwrap_err().kind(), SubmitErrorKind::Rejected);
}

#[tokio::test]
async fn a_batch_asks_each_seat_once() {
    let setup = setup(&destination()).await;
    setup.submitter.submit(flood(25)).await.unwrap();
    for node in &setup.nodes {
        for method in ["eth_estimateGas", "eth_gasPrice", "eth_getTransactionCount", "eth_getBalance"] {
            assert_eq!(node.asked(method).len(), 1, "{method}");
        }
    }
}

#[tokio::test]
async fn one_account_has_no_more_in_flight_than_pools_keep() {
    let setup = setup(&destination()).await;
    for nonce in 1..=16 {
        assert!(setup.submitter.has_room().await.unwrap());
        setup.submitter.submit(vec![signed(nonce)]).await.unwrap();
    }
    assert!(!setup.submitter.has_room().await.unwrap());
}
