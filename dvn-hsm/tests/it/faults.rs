//! SoftHSM behind a shim that fails as real devices do: PINs are tried once, failures heal, and nothing wrong comes out.

use std::{error::Error, sync::Arc, thread, time::Duration};

use alloy_primitives::B256;
use dvn_core::{
    error::{SignError, SignErrorKind},
    ports::Signer,
};
use dvn_hsm::{Pkcs11Config, Pkcs11Signer, Sessions};
use tokio::task::JoinSet;

use crate::child::{KEY, TOKEN, World, block_on, secret, with_shim};

const DIGEST: B256 = B256::repeat_byte(0x5a);

/// One session, so that what happens first and next is certain, and a deadline that no slow machine reaches.
fn patient(world: &World) -> Pkcs11Config {
    world.config().with_sessions(Sessions::try_new(1).unwrap()).with_deadline(Duration::from_secs(120))
}

fn open(world: &World) -> Pkcs11Signer {
    world.provision();
    Pkcs11Signer::open(patient(world)).unwrap()
}

fn try_sign(signer: &Pkcs11Signer) -> Result<(), SignError> {
    block_on(signer.sign_digest(DIGEST)).map(drop)
}

fn sign(signer: &Pkcs11Signer) -> Result<(), SignErrorKind> {
    try_sign(signer).map_err(|error| error.kind())
}

#[test]
fn a_wrong_pin_is_tried_once() {
    with_shim("faults::a_wrong_pin_is_tried_once", |world| {
        world.provision();
        let before = world.shim().calls("Login");
        let error =
            Pkcs11Signer::open(Pkcs11Config::new(world.module(), TOKEN, KEY, secret("wrong-161803"))).unwrap_err();
        assert_eq!(error.kind(), SignErrorKind::Auth);
        assert_eq!(world.shim().calls("Login"), before + 1);
    });
}

#[test]
fn a_pin_refused_while_running_stops_the_key() {
    with_shim("faults::a_pin_refused_while_running_stops_the_key", |world| {
        world.provision();
        let signer = Pkcs11Signer::open(patient(world).with_sessions(Sessions::try_new(4).unwrap())).unwrap();
        let before = world.shim().calls("Login");
        world.shim().switch("SignInit.rv", "101"); // CKR_USER_NOT_LOGGED_IN
        world.shim().switch("Login.rv", "a0"); // CKR_PIN_INCORRECT
        world.shim().switch("SignInit.hang", "");
        let auth = Err(SignErrorKind::Auth);
        let inside = world.shim().calls("SignInit");
        thread::scope(|scope| {
            let waiting = [(); 4].map(|()| scope.spawn(|| sign(&signer)));
            wait_until(|| world.shim().calls("SignInit") == inside + 4);
            world.shim().switch_off("SignInit.hang");
            assert_eq!(waiting.map(|thread| thread.join().ok()), [Some(auth); 4]);
        });
        assert_eq!(world.shim().calls("Login"), before + 1, "four sessions, one attempt");
        world.shim().switch_off("SignInit.rv");
        world.shim().switch_off("Login.rv");
        let signed = world.shim().calls("SignInit");
        assert_eq!(sign(&signer), auth, "stays stopped");
        assert_eq!((world.shim().calls("Login"), world.shim().calls("SignInit")), (before + 1, signed));
        drop(signer);
        assert_eq!(sign(&Pkcs11Signer::open(patient(world)).unwrap()), Ok(()), "made anew it works");
    });
}

fn wait_until(condition: impl Fn() -> bool) {
    while !condition() {
        thread::sleep(Duration::from_millis(5));
    }
}

async fn one(signer: &Pkcs11Signer) -> Result<(), SignErrorKind> {
    signer.sign_digest(DIGEST).await.map(drop).map_err(|error| error.kind())
}

#[test]
fn passing_failures_heal_within_the_call() {
    with_shim("faults::passing_failures_heal_within_the_call", |world| {
        let signer = open(world);
        let finalized = world.shim().calls("Finalize");
        // A failed C_Sign leaves the session with an active operation for ever, so these need a new session.
        for rv in ["05", "06", "30", "31", "50", "90", "b0", "b3", "80000001"] {
            for function in ["Sign", "SignInit"] {
                world.shim().switch(&format!("{function}.once"), rv);
                assert_eq!(sign(&signer), Ok(()), "{function} {rv}");
                assert_eq!(sign(&signer), Ok(()), "after {function} {rv}");
            }
        }
        assert_eq!(world.shim().calls("Finalize"), finalized, "a new session is enough");
    });
}

#[test]
fn a_lost_login_heals_within_the_call() {
    with_shim("faults::a_lost_login_heals_within_the_call", |world| {
        let signer = open(world);
        let finalized = world.shim().calls("Finalize");
        for rv in ["60", "82", "101"] {
            let before = world.shim().calls("Login");
            world.shim().switch("SignInit.once", rv);
            assert_eq!(sign(&signer), Ok(()), "{rv}");
            assert_eq!(world.shim().calls("Login"), before + 1, "{rv}");
        }
        assert_eq!(world.shim().calls("Finalize"), finalized);
    });
}

#[test]
fn a_lost_token_heals_within_the_call() {
    with_shim("faults::a_lost_token_heals_within_the_call", |world| {
        let signer = open(world);
        let other = Pkcs11Signer::open(patient(world)).unwrap();
        world.shim().switch("SignInit.once", "e0"); // CKR_TOKEN_NOT_PRESENT
        assert_eq!(sign(&signer), Ok(()));
        assert_eq!(world.shim().calls("Finalize"), 1);
        assert_eq!(sign(&other), Ok(()), "the other key of the library finds its way back by itself");
        world.shim().switch("SignInit.once", "e0");
        assert_eq!(sign(&signer), Err(SignErrorKind::Unavailable), "not again at once");
        assert_eq!(world.shim().calls("Finalize"), 1);
        assert_eq!(sign(&signer), Ok(()));
    });
}

#[test]
fn handles_from_before_a_restart_are_neither_used_nor_closed() {
    with_shim("faults::handles_from_before_a_restart_are_neither_used_nor_closed", |world| {
        let signer = open(world);
        let [busy, idle] = [(); 2].map(|()| Pkcs11Signer::open(patient(world)).unwrap());
        world.shim().switch("SignInit.once", "e0"); // CKR_TOKEN_NOT_PRESENT
        assert_eq!(sign(&signer), Ok(()));
        // The library numbers its sessions from the start again, so an old number is now somebody else's session.
        let calls = || ["OpenSession", "SignInit", "CloseSession"].map(|function| world.shim().calls(function));
        let [opened, signed, closed] = calls();
        assert_eq!(sign(&busy), Ok(()));
        assert_eq!(calls(), [opened + 1, signed + 1, closed]);
        drop(idle);
        assert_eq!(calls()[2], closed, "it has no session of this generation");
        drop(busy);
        assert_eq!(calls()[2], closed + 1, "it has one, and its anchor is of the last generation");
        assert_eq!(sign(&signer), Ok(()));
    });
}

#[test]
fn a_lasting_failure_is_taken_for_load_at_first() {
    with_shim("faults::a_lasting_failure_is_taken_for_load_at_first", |world| {
        let signer = open(world);
        world.shim().switch("SignInit.rv", "06"); // CKR_FUNCTION_FAILED, which AWS CloudHSM answers when it is busy
        for _ in 0..3 {
            assert_eq!(sign(&signer), Err(SignErrorKind::Unavailable));
            assert_eq!(world.shim().calls("Finalize"), 0);
        }
        assert_eq!(sign(&signer), Err(SignErrorKind::Unavailable));
        assert_eq!(world.shim().calls("Finalize"), 1, "the strongest remedy in the end");
        world.shim().switch_off("SignInit.rv");
        assert_eq!(sign(&signer), Ok(()));
    });
}

#[test]
fn what_cannot_heal_is_not_tried_again() {
    with_shim("faults::what_cannot_heal_is_not_tried_again", |world| {
        let signer = open(world);
        for rv in ["68", "70", "71", "63", "62", "140"] {
            let before = world.shim().calls("SignInit");
            world.shim().switch("SignInit.rv", rv);
            assert_eq!(sign(&signer), Err(SignErrorKind::Key), "{rv}");
            assert_eq!(world.shim().calls("SignInit"), before + 1, "{rv}");
            world.shim().switch_off("SignInit.rv");
        }
        assert_eq!(sign(&signer), Ok(()));
    });
}

#[test]
fn a_wrong_signature_is_withheld() {
    with_shim("faults::a_wrong_signature_is_withheld", |world| {
        let signer = open(world);
        let before = world.shim().calls("Sign");
        world.shim().switch("Sign.flip", "");
        assert_eq!(sign(&signer), Err(SignErrorKind::Integrity));
        assert_eq!(world.shim().calls("Sign"), before + 1, "not tried again by itself");
        world.shim().switch_off("Sign.flip");
        assert_eq!(sign(&signer), Ok(()));
        let sessions = world.shim().calls("OpenSession");
        assert_eq!(sign(&signer), Ok(()));
        assert_eq!(world.shim().calls("OpenSession"), sessions, "a good session is kept");
    });
}

#[test]
fn the_deadline_holds_and_the_queue_is_bounded() {
    with_shim("faults::the_deadline_holds_and_the_queue_is_bounded", |world| {
        world.provision();
        let signer = Pkcs11Signer::open(patient(world).with_deadline(Duration::from_millis(300))).unwrap();
        let before = world.shim().calls("Sign");
        world.shim().switch("Sign.hang", "");
        let signer = Arc::new(signer);
        let kinds = block_on(async {
            let calls = (0..100).map(|_| Arc::clone(&signer)).map(|signer| async move { one(&signer).await });
            calls.collect::<JoinSet<_>>().join_all().await
        });
        let count = |kind| kinds.iter().filter(|result| **result == Err(kind)).count();
        assert_eq!(count(SignErrorKind::Timeout) + count(SignErrorKind::Throttled), 100, "{kinds:?}");
        assert!(count(SignErrorKind::Throttled) >= 35, "64 wait and one is at the device");
        world.shim().switch_off("Sign.hang");
        let mut attempts = 1;
        while let Err(kind) = sign(&signer) {
            assert!(matches!(kind, SignErrorKind::Timeout | SignErrorKind::Throttled), "{kind:?}");
            attempts += 1;
        }
        let signed = world.shim().calls("Sign") - before;
        assert!(signed <= 1 + attempts, "{signed} signatures: those whose callers left were not skipped");
    });
}

#[test]
fn the_library_is_not_finalised_under_a_call() {
    with_shim("faults::the_library_is_not_finalised_under_a_call", |world| {
        let stuck = open(world);
        let other = Pkcs11Signer::open(patient(world)).unwrap();
        world.shim().switch("Sign.hang", "");
        let before = world.shim().calls("Sign");
        thread::scope(|scope| {
            let waiting = scope.spawn(|| sign(&stuck));
            wait_until(|| world.shim().calls("Sign") > before);
            world.shim().switch("SignInit.rv", "e0"); // CKR_TOKEN_NOT_PRESENT
            let error = try_sign(&other).unwrap_err();
            assert_eq!(error.kind(), SignErrorKind::Unavailable);
            let reason = error.source().map(ToString::to_string).unwrap_or_default();
            assert!(reason.contains("another call has not returned"), "{reason}");
            assert_eq!(world.shim().calls("Finalize"), 0);
            world.shim().switch_off("SignInit.rv");
            world.shim().switch_off("Sign.hang");
            assert_eq!(waiting.join().ok(), Some(Ok(())));
        });
        assert_eq!(sign(&other), Ok(()));
    });
}
