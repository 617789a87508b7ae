//! What the service does to us while we run.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use dvn_core::{error::SignErrorKind, ports::Signer};
use dvn_hsm::AwsKmsSigner;
use dvn_testkit::aws_kms::{Fault, KeyState};

use super::{SIGN, World};
use crate::{
    clock::Later,
    errors::story,
    service_suite::{self as suite, DIGEST, sign},
};

#[tokio::test]
async fn what_passes_heals_within_the_call() {
    let world = World::new();
    let codes = ["KMSInternalException", "KeyUnavailableException", "DependencyTimeoutException"];
    let mut faults = codes.map(|code| Fault::error(500, code)).to_vec();
    faults.push(Fault::error(400, "LimitExceededException"));
    suite::heals_within_the_call(&world.kms, &world.signer().await, &faults).await;
}

#[tokio::test]
async fn a_lost_answer_is_asked_for_again() {
    let world = World::new();
    suite::asks_again_for_a_lost_answer(&world.kms, &world.signer().await).await;
}

#[tokio::test]
async fn throttling_that_lasts_is_told_as_such() {
    let world = World::new();
    suite::keeps_the_pause_that_is_asked_for(&world.kms, &world.signer().await, "ThrottlingException").await;
}

#[tokio::test]
async fn refusals_are_not_tried_again() {
    use SignErrorKind::{Auth, Key};
    let world = World::new();
    let cases = [
        (400, "AccessDeniedException", Auth),
        (400, "UnrecognizedClientException", Auth),
        (400, "ExpiredTokenException", Auth),
        (400, "InvalidSignatureException", Auth),
        (400, "IncompleteSignatureException", Auth),
        (400, "NotFoundException", Key),
        (400, "InvalidKeyUsageException", Key),
        (400, "ValidationException", Key),
    ];
    suite::gives_up_at_refusals(&world.kms, &world.signer().await, &cases).await;
}

#[tokio::test]
async fn nothing_wrong_comes_out() {
    let world = World::new();
    let further = [
        (Fault::Noise, "not a signature in DER"),
        (Fault::Bare, "not a signature in DER"),
        (Fault::OtherName, "answered for another key"),
    ];
    suite::lets_nothing_wrong_out(&world.kms, &world.signer().await, &further).await;
}

#[tokio::test]
async fn a_stopped_key_is_not_asked() {
    let world = World::new();
    suite::does_not_ask_with_a_stopped_key(&world.kms, &world.signer().await).await;
}

#[tokio::test]
async fn a_service_that_is_gone_is_left_alone() {
    let mut world = World::new();
    let signer = world.signer().await;
    suite::leaves_a_dead_service_alone(&mut world.kms, &signer).await;
}

#[tokio::test]
async fn a_slow_service_is_waited_for() {
    let world = World::new();
    let signer = world.signer().await;
    world.kms.set_latency(Duration::from_millis(300));
    let before = world.kms.asked(SIGN);
    assert_eq!((sign(&signer).await, world.kms.asked(SIGN)), (Ok(()), before.saturating_add(1)));
}

#[tokio::test]
async fn a_key_that_is_disabled_or_condemned_is_a_key_error() {
    let world = World::new();
    let signer = world.signer().await;
    for state in [KeyState::Disabled, KeyState::PendingDeletion, KeyState::PendingImport] {
        world.kms.set_state(&world.key, state);
        assert_eq!(sign(&signer).await, Err(SignErrorKind::Key), "{state:?}");
    }
    world.kms.set_state(&world.key, KeyState::Enabled);
    assert_eq!(sign(&signer).await, Ok(()));
}

#[tokio::test]
async fn a_clock_that_goes_wrong_is_told_each_time() {
    let world = World::new();
    let clock = Arc::new(Later::default());
    let signer = AwsKmsSigner::open(world.config().with_clock(clock.clone())).await.unwrap();
    clock.0.store(3_600, Ordering::SeqCst);
    for _ in 0..2 {
        let error = signer.sign_digest(DIGEST).await.unwrap_err();
        assert_eq!(error.kind(), SignErrorKind::Auth);
        assert!(story(&error).contains("this machine's clock is wrong"), "{error:?}");
    }
    clock.0.store(0, Ordering::SeqCst);
    assert_eq!(sign(&signer).await, Ok(()));
}
