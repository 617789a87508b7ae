//! What every key service does to us while we run, beyond what the suite of all devices asks: how often it is asked, and
//! what is told. Each service brings its codes.

use std::time::{Duration, Instant};

use alloy_primitives::B256;
use dvn_core::{
    error::{SignError, SignErrorKind},
    ports::Signer,
};
use dvn_testkit::aws_kms::Fault;

use crate::{errors::story, service_stand::StandIn};

pub(crate) const DIGEST: B256 = B256::repeat_byte(0x5a);

pub(crate) async fn sign(signer: &dyn Signer) -> Result<(), SignErrorKind> {
    signer.sign_digest(DIGEST).await.map(drop).map_err(|error| error.kind())
}

/// Signs, and how often the service was asked for it.
async fn counted(kms: &dyn StandIn, signer: &dyn Signer) -> (Result<(), SignErrorKind>, usize) {
    let before = kms.signatures_asked();
    let outcome = sign(signer).await;
    (outcome, kms.signatures_asked().checked_sub(before).unwrap())
}

/// The error, which came at the first attempt.
async fn told_at_once(kms: &dyn StandIn, signer: &dyn Signer) -> SignError {
    let before = kms.signatures_asked();
    let error = signer.sign_digest(DIGEST).await.unwrap_err();
    assert_eq!(kms.signatures_asked().checked_sub(before), Some(1), "{error:?}");
    error
}

/// Twice each of these, and the third attempt signs.
pub(crate) async fn heals_within_the_call(kms: &dyn StandIn, signer: &dyn Signer, faults: &[Fault]) {
    let common = [Fault::throttling(), Fault::Html(502), Fault::Html(403), Fault::Truncated, Fault::Empty];
    for fault in common.iter().chain(faults) {
        kms.fail(2, fault.clone());
        assert_eq!(counted(kms, signer).await, (Ok(()), 3), "{fault:?}");
    }
}

/// After the attempt's own deadline, and before the call's.
pub(crate) async fn asks_again_for_a_lost_answer(kms: &dyn StandIn, signer: &dyn Signer) {
    kms.fail(1, Fault::Hang);
    let started = Instant::now();
    assert_eq!(counted(kms, signer).await, (Ok(()), 2));
    assert!(started.elapsed() >= Duration::from_secs(1), "{:?}", started.elapsed());
}

pub(crate) async fn keeps_the_pause_that_is_asked_for(kms: &dyn StandIn, signer: &dyn Signer, code: &str) {
    kms.fail(u32::MAX, Fault::throttling());
    assert_eq!(counted(kms, signer).await, (Err(SignErrorKind::Throttled), 3), "no attempts but the service's own");
    kms.heal();
    kms.fail(u32::MAX, Fault::Error { status: 400, code: code.to_owned(), retry_after_ms: Some(60_000) });
    assert_eq!(counted(kms, signer).await, (Err(SignErrorKind::Throttled), 1), "not asked again before it is time");
    kms.heal();
    assert_eq!(sign(signer).await, Ok(()));
}

/// Each refusal is told with its code and tried once.
pub(crate) async fn gives_up_at_refusals(kms: &dyn StandIn, signer: &dyn Signer, cases: &[(u16, &str, SignErrorKind)]) {
    for (status, code, expected) in cases {
        kms.fail(1, Fault::error(*status, code));
        let error = told_at_once(kms, signer).await;
        assert_eq!(error.kind(), *expected, "{code}");
        assert!(story(&error).contains(code), "{error:?}");
    }
    assert_eq!(sign(signer).await, Ok(()), "given back, a right is used at once");
}

/// Each is told in these words, and not asked for again: people must see it.
pub(crate) async fn lets_nothing_wrong_out(kms: &dyn StandIn, signer: &dyn Signer, further: &[(Fault, &str)]) {
    let common = [(Fault::OtherKey, "does not recover"), (Fault::OtherDigest, "does not recover")];
    for (fault, words) in common.iter().chain(further) {
        kms.fail(1, fault.clone());
        let error = told_at_once(kms, signer).await;
        assert_eq!(error.kind(), SignErrorKind::Integrity, "{fault:?}");
        assert!(story(&error).contains(words), "{fault:?}: {}", story(&error));
    }
    assert_eq!(sign(signer).await, Ok(()));
}

pub(crate) async fn does_not_ask_with_a_stopped_key(kms: &dyn StandIn, signer: &dyn Signer) {
    kms.fail(u32::MAX, Fault::OneNonce);
    assert_eq!(sign(signer).await, Ok(()), "one signature gives nothing away");
    assert!(signer.sign_digest(!DIGEST).await.is_err());
    kms.heal();
    assert_eq!(counted(kms, signer).await, (Err(SignErrorKind::Integrity), 0));
}

pub(crate) async fn leaves_a_dead_service_alone(kms: &mut dyn StandIn, signer: &dyn Signer) {
    kms.stop();
    for _ in 0..3 {
        assert_eq!(sign(signer).await, Err(SignErrorKind::Unavailable));
    }
    let error = signer.sign_digest(DIGEST).await.unwrap_err();
    assert!(story(&error).contains("failed too often"), "the breaker is open: {error:?}");
}

/// The kind of an error that has this in its story.
pub(crate) fn kind_of(error: SignError, part: &str) -> SignErrorKind {
    assert!(story(&error).contains(part), "{part} is not in {}", story(&error));
    error.kind()
}
