//! What a device does in trouble, and after it.

use std::time::{Duration, Instant};

use alloy_primitives::B256;
use dvn_core::{
    error::{Disposition, SignErrorKind},
    ports::Signer,
};
use futures::future::join_all;
use tokio::time::{sleep, timeout};

use super::{Stand, Trouble, digest, failed, opened, signed, try_sign};

/// Beyond the promised time, for a machine that has other things to do.
const SLACK: Duration = Duration::from_secs(5);

/// Breakers and pauses between two attempts to heal are shorter.
const HEALING: Duration = Duration::from_secs(120);

/// More refusals than a token takes before it locks itself.
const REFUSALS: u64 = 6;

const LEAVING: u64 = 16;

/// The stand is in this trouble already, and is out of it afterwards.
pub(super) async fn face(stand: &dyn Stand, signer: Box<dyn Signer>, trouble: Trouble) {
    match trouble {
        Trouble::Hangs => hangs(stand, signer.as_ref()).await,
        Trouble::Throttled { times: u32::MAX } => throttled_for_ever(stand, signer.as_ref()).await,
        Trouble::Throttled { times } => throttled(stand, signer.as_ref(), times).await,
        Trouble::Refused => refused(stand, signer).await,
        Trouble::WrongSignature => wrong_signature(stand, signer).await,
        Trouble::HighS => high_s(stand, signer.as_ref()).await,
        Trouble::OneNonce => one_nonce(stand, signer).await,
        Trouble::Gone => gone(stand, signer.as_ref()).await,
    }
}

/// Nobody waits for a device that does not answer, nor for those who left before.
async fn hangs(stand: &dyn Stand, signer: &dyn Signer) {
    let leave = |number| timeout(Duration::from_millis(50), signer.sign_digest(digest("leaving", number)));
    for left in join_all((0..LEAVING).map(leave)).await {
        assert!(!matches!(left, Ok(Ok(_))), "a device that hangs has signed");
    }
    let promised = stand.deadline();
    let kind = timeout(promised.saturating_add(SLACK), failed(signer, digest("hangs", 0))).await;
    assert_eq!(kind, Ok(SignErrorKind::Timeout), "the device hangs, and {promised:?} were promised");
    stand.heal();
    healed(signer, "hangs").await;
}

/// In the same call or a later one, but with no more calls than refusals.
async fn throttled(stand: &dyn Stand, signer: &dyn Signer, times: u32) {
    let mut calls = 0;
    while let Err(error) = try_sign(signer, digest("throttled", 0)).await {
        assert!(is_busy(error.kind()), "throttled twice: {error:?}");
        assert!(calls < times, "it was throttled {times} times, and fails still: {error:?}");
        calls = calls.saturating_add(1);
    }
    stand.heal();
    signed(signer, digest("throttled", 1)).await;
}

async fn throttled_for_ever(stand: &dyn Stand, signer: &dyn Signer) {
    let kind = failed(signer, digest("throttled", 2)).await;
    assert!(is_busy(kind), "throttled for ever: {kind:?}");
    stand.heal();
    healed(signer, "throttled").await;
}

async fn refused(stand: &dyn Stand, signer: Box<dyn Signer>) {
    for number in 0..REFUSALS {
        let kind = failed(signer.as_ref(), digest("refused", number)).await;
        assert_eq!(kind, SignErrorKind::Auth, "the device refuses us");
    }
    not_opened(stand, SignErrorKind::Auth).await;
    stand.heal();
    signs_or_is_opened_anew(stand, signer, "refused").await;
}

async fn wrong_signature(stand: &dyn Stand, signer: Box<dyn Signer>) {
    for number in 0..8 {
        let kind = failed(signer.as_ref(), digest("wrong", number)).await;
        assert_eq!(kind, SignErrorKind::Integrity, "the device returns wrong signatures");
    }
    not_opened(stand, SignErrorKind::Integrity).await;
    stand.heal();
    signs_or_is_opened_anew(stand, signer, "wrong").await;
}

/// That it is low and fits is looked at for each signature.
async fn high_s(stand: &dyn Stand, signer: &dyn Signer) {
    for number in 0..32 {
        signed(signer, digest("high s", number)).await;
    }
    stand.heal();
}

/// One signature gives nothing away, two give the key away.
async fn one_nonce(stand: &dyn Stand, signer: Box<dyn Signer>) {
    let [first, second, third] = [0, 1, 2].map(|number| digest("one nonce", number));
    signed(signer.as_ref(), first).await;
    for (digest, when) in [(second, "the second one"), (first, "stopped"), (third, "stopped")] {
        assert_eq!(
            failed(signer.as_ref(), digest).await,
            SignErrorKind::Integrity,
            "one nonce for two digests: {when}"
        );
    }
    stand.heal();
    assert_eq!(failed(signer.as_ref(), third).await, SignErrorKind::Integrity, "a stopped key has come to life");
    drop(signer);
    signed(opened(stand).await.as_ref(), third).await;
}

async fn gone(stand: &dyn Stand, signer: &dyn Signer) {
    for number in 0..3 {
        let kind = failed(signer, digest("gone", number)).await;
        let fits = matches!(kind, SignErrorKind::Unavailable | SignErrorKind::Timeout);
        assert!(fits, "the device is gone, which is not {kind:?}");
    }
    stand.heal();
    healed(signer, "gone").await;
}

const fn is_busy(kind: SignErrorKind) -> bool {
    matches!(kind, SignErrorKind::Throttled | SignErrorKind::Unavailable)
}

async fn not_opened(stand: &dyn Stand, expected: SignErrorKind) {
    let kind = stand.open().await.map(drop).map_err(|error| error.kind());
    assert_eq!(kind, Err(expected), "opened while nothing can be signed");
}

/// What passes by itself needs nobody: the same signer signs, at the latest when its breaker lets it.
#[expect(clippy::panic, reason = "a conformance suite fails by panicking")]
async fn healed(signer: &dyn Signer, case: &str) {
    let started = Instant::now();
    while let Err(error) = try_sign(signer, healing(case)).await {
        let passes = matches!(error.kind().disposition(), Disposition::Retry { .. });
        if !passes || started.elapsed() > HEALING {
            panic!("{case}: it is over, but the device does not sign: {error:?}");
        }
        sleep(Duration::from_millis(50)).await;
    }
}

async fn signs_or_is_opened_anew(stand: &dyn Stand, signer: Box<dyn Signer>, case: &str) {
    if try_sign(signer.as_ref(), healing(case)).await.is_err() {
        drop(signer);
        signed(opened(stand).await.as_ref(), healing(case)).await;
    }
}

fn healing(case: &str) -> B256 {
    digest(case, u64::MAX)
}
