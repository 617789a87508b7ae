//! What the service does to us while we run.

use dvn_core::{error::SignErrorKind, ports::Signer};
use dvn_testkit::aliyun_kms::{Fault, KeyState};

use super::{World, address};
use crate::service_suite::{self as suite, DIGEST, sign};

#[tokio::test]
async fn what_passes_heals_within_the_call() {
    let world = World::new();
    let faults = [
        Fault::error(400, "SignatureNonceUsed"),
        Fault::error(500, "InternalFailure"),
        Fault::error(503, "ServiceUnavailableTemporary"),
    ];
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
    suite::keeps_the_pause_that_is_asked_for(&world.kms, &world.signer().await, "Throttling.User").await;
}

#[tokio::test]
async fn refusals_are_not_tried_again() {
    use SignErrorKind::{Auth, Key};
    let world = World::new();
    let cases = [
        (403, "Forbidden.NoPermission", Auth),
        (404, "InvalidAccessKeyId.NotFound", Auth),
        (400, "SignatureDoesNotMatch", Auth),
        (400, "InvalidTimeStamp.Expired", Auth),
        (404, "Forbidden.KeyNotFound", Key),
        (409, "Rejected.Unavailable", Key),
        (400, "InvalidParameter", Key),
    ];
    suite::gives_up_at_refusals(&world.kms, &world.signer().await, &cases).await;
}

#[tokio::test]
async fn nothing_wrong_comes_out() {
    let world = World::new();
    let further = [(Fault::Noise, "neither DER nor 64 bytes")];
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
async fn a_key_that_is_disabled_or_condemned_is_a_key_error() {
    let world = World::new();
    let signer = world.signer().await;
    for state in [KeyState::Disabled, KeyState::PendingDeletion] {
        world.kms.set_state(&world.key, state);
        assert_eq!(sign(&signer).await, Err(SignErrorKind::Key), "{state:?}");
    }
    world.kms.set_state(&world.key, KeyState::Enabled);
    assert_eq!(sign(&signer).await, Ok(()));
}

#[tokio::test]
async fn bare_bytes_are_understood() {
    let world = World::new();
    let signer = world.signer().await;
    world.kms.fail_times(1, Fault::Bare);
    let signature = signer.sign_digest(DIGEST).await.unwrap();
    assert_eq!(dvn_core::signature::check(DIGEST, &signature, address()), Ok(()));
}
