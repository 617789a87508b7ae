//! What the service does to us while we run.

use dvn_core::{error::SignErrorKind, ports::Signer};
use dvn_testkit::{
    aws_kms,
    gcp_kms::{Code, Fault, KeyState},
};

use super::{SIGN, World};
use crate::{
    errors::story,
    service_suite::{self as suite, DIGEST, sign},
};

#[tokio::test]
async fn what_passes_heals_within_the_call() {
    let world = World::new();
    let signer = world.signer().await;
    let codes =
        [Code::Unavailable, Code::Aborted, Code::Internal, Code::Unknown, Code::Cancelled, Code::DeadlineExceeded];
    let errors = codes.map(|code| Fault::error(code, "scripted"));
    let pages = [502, 403, 401, 404, 200].map(Fault::Html);
    for fault in errors.into_iter().chain(pages).chain([Fault::throttling()]) {
        let before = world.kms.asked(SIGN);
        world.kms.fail_times(2, fault.clone());
        assert_eq!(sign(&signer).await, Ok(()), "{fault:?}");
        assert_eq!(world.asked_since(before), 3, "{fault:?}");
    }
}

#[tokio::test]
async fn a_lost_answer_is_asked_for_again() {
    let world = World::new();
    suite::asks_again_for_a_lost_answer(&world.kms, &world.signer().await).await;
}

#[tokio::test]
async fn what_was_changed_on_the_way_is_asked_for_once_more() {
    let world = World::new();
    let signer = world.signer().await;
    for fault in [Fault::BadChecksum, Fault::NoChecksum, Fault::Unverified, Fault::changed_digest()] {
        let before = world.kms.asked(SIGN);
        world.kms.fail_times(1, fault.clone());
        assert_eq!(sign(&signer).await, Ok(()), "{fault:?}");
        assert_eq!(world.asked_since(before), 2, "{fault:?}");
        world.kms.fail(fault.clone());
        assert_eq!(sign(&signer).await, Err(SignErrorKind::Integrity), "{fault:?}");
        assert_eq!(world.asked_since(before), 4, "{fault:?}");
        world.kms.heal();
    }
    assert_eq!(sign(&signer).await, Ok(()));
}

#[tokio::test]
async fn refusals_are_not_tried_again() {
    use SignErrorKind::{Auth, Key};
    let world = World::new();
    let cases = [
        (403, "PermissionDenied", Auth),
        (404, "NotFound", Key),
        (400, "FailedPrecondition", Key),
        (400, "InvalidArgument", Key),
        (501, "Unimplemented", Key),
    ];
    suite::gives_up_at_refusals(&world.kms, &world.signer().await, &cases).await;
}

#[tokio::test]
async fn a_key_that_is_disabled_or_condemned_is_a_key_error_that_names_its_state() {
    let world = World::new();
    let signer = world.signer().await;
    for (state, word) in [(KeyState::Disabled, "DISABLED"), (KeyState::DestroyScheduled, "DESTROY_SCHEDULED")] {
        world.kms.set_state(&world.key, state);
        let error = signer.sign_digest(DIGEST).await.unwrap_err();
        assert_eq!(error.kind(), SignErrorKind::Key);
        assert!(story(&error).contains(&format!("state {word}")), "{error:?}");
    }
    world.kms.set_state(&world.key, KeyState::Enabled);
    assert_eq!(sign(&signer).await, Ok(()));
}

#[tokio::test]
async fn nothing_wrong_comes_out() {
    let world = World::new();
    let signer = world.signer().await;
    let further = [(aws_kms::Fault::Noise, "not DER"), (aws_kms::Fault::OtherName, "about another key")];
    suite::lets_nothing_wrong_out(&world.kms, &signer, &further).await;
    world.kms.fail_times(1, Fault::Software);
    let error = signer.sign_digest(DIGEST).await.unwrap_err();
    assert_eq!(error.kind(), SignErrorKind::Integrity);
    assert!(story(&error).contains("at the protection level SOFTWARE, but the key's is HSM"), "{error:?}");
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
