//! What the service does to us while we run.

use std::time::{Duration, Instant};

use dvn_core::{error::SignErrorKind, ports::Signer};
use dvn_testkit::aws_kms::{Fault, KeyState};

use super::{DIGEST, SIGN, World, sign};
use crate::errors::story;

#[tokio::test]
async fn what_passes_heals_within_the_call() {
    let world = World::new();
    let signer = world.signer().await;
    for fault in [
        Fault::throttling(),
        Fault::error(400, "LimitExceededException"),
        Fault::error(500, "KMSInternalException"),
        Fault::error(500, "KeyUnavailableException"),
        Fault::error(500, "DependencyTimeoutException"),
        Fault::Html(502),
        Fault::Html(403),
        Fault::Truncated,
        Fault::Empty,
    ] {
        let before = world.kms.asked(SIGN);
        world.kms.fail_times(2, fault.clone());
        assert_eq!(sign(&signer).await, Ok(()), "{fault:?}");
        assert_eq!(world.asked_since(before), 3, "{fault:?}");
    }
}

#[tokio::test]
async fn a_lost_answer_is_asked_for_again() {
    let world = World::new();
    let signer = world.signer().await;
    world.kms.fail_times(1, Fault::Hang);
    let started = Instant::now();
    assert_eq!(sign(&signer).await, Ok(()));
    assert!(started.elapsed() >= Duration::from_secs(1), "after the attempt's own deadline");
}

#[tokio::test]
async fn a_slow_service_is_waited_for() {
    let world = World::new();
    let signer = world.signer().await;
    world.kms.set_latency(Duration::from_millis(300));
    let before = world.kms.asked(SIGN);
    assert_eq!((sign(&signer).await, world.asked_since(before)), (Ok(()), 1));
}

#[tokio::test]
async fn throttling_that_lasts_is_told_as_such() {
    let world = World::new();
    let signer = world.signer().await;
    let before = world.kms.asked(SIGN);
    world.kms.fail(Fault::throttling());
    assert_eq!(sign(&signer).await, Err(SignErrorKind::Throttled));
    assert_eq!(world.asked_since(before), 3, "the SDK makes no attempts of its own");
    world.kms.heal();
    let patience = Fault::Error { status: 400, code: "ThrottlingException".to_owned(), retry_after_ms: Some(60_000) };
    world.kms.fail(patience);
    assert_eq!(sign(&signer).await, Err(SignErrorKind::Throttled));
    assert_eq!(world.asked_since(before), 4, "not asked again before it is time");
    world.kms.heal();
    assert_eq!(sign(&signer).await, Ok(()));
}

#[tokio::test]
async fn refusals_are_not_tried_again() {
    use SignErrorKind::{Auth, Key};
    let world = World::new();
    let signer = world.signer().await;
    for (code, expected) in [
        ("AccessDeniedException", Auth),
        ("UnrecognizedClientException", Auth),
        ("ExpiredTokenException", Auth),
        ("InvalidSignatureException", Auth),
        ("IncompleteSignatureException", Auth),
        ("NotFoundException", Key),
        ("InvalidKeyUsageException", Key),
        ("ValidationException", Key),
    ] {
        let before = world.kms.asked(SIGN);
        world.kms.fail_times(1, Fault::error(400, code));
        let error = signer.sign_digest(DIGEST).await.unwrap_err();
        assert_eq!((error.kind(), world.asked_since(before)), (expected, 1), "{code}");
        assert!(story(&error).contains(code), "{error:?}");
    }
    assert_eq!(sign(&signer).await, Ok(()), "given back, a right is used at once");
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
async fn nothing_wrong_comes_out() {
    let world = World::new();
    let signer = world.signer().await;
    for (fault, told) in [
        (Fault::OtherKey, "does not recover"),
        (Fault::OtherDigest, "does not recover"),
        (Fault::Noise, "not a signature in DER"),
        (Fault::Bare, "not a signature in DER"),
        (Fault::OtherName, "answered for another key"),
    ] {
        let before = world.kms.asked(SIGN);
        world.kms.fail_times(1, fault.clone());
        let error = signer.sign_digest(DIGEST).await.unwrap_err();
        assert_eq!(error.kind(), SignErrorKind::Integrity, "{fault:?}");
        assert!(story(&error).contains(told), "{fault:?}: {}", story(&error));
        assert_eq!(world.asked_since(before), 1, "people must see it");
    }
    assert_eq!(sign(&signer).await, Ok(()));
}

#[tokio::test]
async fn a_stopped_key_is_not_asked() {
    let world = World::new();
    let signer = world.signer().await;
    world.kms.fail(Fault::OneNonce);
    assert_eq!(sign(&signer).await, Ok(()), "one signature gives nothing away");
    assert!(signer.sign_digest(!DIGEST).await.is_err());
    world.kms.heal();
    let before = world.kms.asked(SIGN);
    assert_eq!(sign(&signer).await, Err(SignErrorKind::Integrity));
    assert_eq!(world.asked_since(before), 0);
}

#[tokio::test]
async fn a_service_that_is_gone_is_left_alone() {
    let mut world = World::new();
    let signer = world.signer().await;
    world.kms.stop();
    for _ in 0..3 {
        assert_eq!(sign(&signer).await, Err(SignErrorKind::Unavailable));
    }
    let error = signer.sign_digest(DIGEST).await.unwrap_err();
    assert!(story(&error).contains("failed too often"), "the breaker is open: {error:?}");
}
