//! SoftHSM behind a shim that fails as real devices do: PINs are tried once, failures heal, and nothing wrong comes out.

use std::{error::Error, sync::Arc, thread, time::Duration};

use alloy_primitives::B256;
use dvn_core::{
    error::{SignError, SignErrorKind},
    ports::Signer,
};
use dvn_hsm::{Pkcs11Config, Pkcs11Signer, Sessions};
use dvn_testkit::pkcs11_shim::{Function, rv};
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
        let before = world.shim().calls(Function::Login);
        let error =
            Pkcs11Signer::open(Pkcs11Config::new(world.module(), TOKEN, KEY, secret("wrong-161803"))).unwrap_err();
        assert_eq!(error.kind(), SignErrorKind::Auth);
        assert_eq!(world.shim().calls(Function::Login), before + 1);
    });
}

#[test]
fn a_pin_refused_while_running_stops_the_key() {
    with_shim("faults::a_pin_refused_while_running_stops_the_key", |world| {
        world.provision();
        let signer = Pkcs11Signer::open(patient(world).with_sessions(Sessions::try_new(4).unwrap())).unwrap();
        let before = world.shim().calls(Function::Login);
        world.shim().answer(Function::SignInit, rv::USER_NOT_LOGGED_IN);
        world.shim().answer(Function::Login, rv::PIN_INCORRECT);
        world.shim().hang(Function::SignInit);
        let auth = Err(SignErrorKind::Auth);
        let inside = world.shim().calls(Function::SignInit);
        thread::scope(|scope| {
            let waiting = [(); 4].map(|()| scope.spawn(|| sign(&signer)));
            wait_until(|| world.shim().calls(Function::SignInit) == inside + 4);
            world.shim().release(Function::SignInit);
            assert_eq!(waiting.map(|thread| thread.join().ok()), [Some(auth); 4]);
        });
        assert_eq!(world.shim().calls(Function::Login), before + 1, "four sessions, one attempt");
        world.shim().heal();
        let signed = world.shim().calls(Function::SignInit);
        assert_eq!(sign(&signer), auth, "stays stopped");
        assert_eq!((world.shim().calls(Function::Login), world.shim().calls(Function::SignInit)), (before + 1, signed));
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
        let finalized = world.shim().calls(Function::Finalize);
        // A failed C_Sign leaves the session with an active operation for ever, so these need a new session.
        for rv in [
            rv::GENERAL_ERROR,
            rv::FUNCTION_FAILED,
            rv::DEVICE_ERROR,
            rv::DEVICE_MEMORY,
            rv::FUNCTION_CANCELED,
            rv::OPERATION_ACTIVE,
            rv::SESSION_CLOSED,
            rv::SESSION_HANDLE_INVALID,
            rv::VENDOR_DEFINED + 1,
        ] {
            for function in [Function::Sign, Function::SignInit] {
                world.shim().answer_times(function, 1, rv);
                assert_eq!(sign(&signer), Ok(()), "{function:?} {rv:x}");
                assert_eq!(sign(&signer), Ok(()), "after {function:?} {rv:x}");
            }
        }
        assert_eq!(world.shim().calls(Function::Finalize), finalized, "a new session is enough");
    });
}

#[test]
fn a_lost_login_heals_within_the_call() {
    with_shim("faults::a_lost_login_heals_within_the_call", |world| {
        let signer = open(world);
        let finalized = world.shim().calls(Function::Finalize);
        for rv in [rv::KEY_HANDLE_INVALID, rv::OBJECT_HANDLE_INVALID, rv::USER_NOT_LOGGED_IN] {
            let before = world.shim().calls(Function::Login);
            world.shim().answer_times(Function::SignInit, 1, rv);
            assert_eq!(sign(&signer), Ok(()), "{rv:x}");
            assert_eq!(world.shim().calls(Function::Login), before + 1, "{rv:x}");
        }
        assert_eq!(world.shim().calls(Function::Finalize), finalized);
    });
}

#[test]
fn a_lost_token_heals_within_the_call() {
    with_shim("faults::a_lost_token_heals_within_the_call", |world| {
        let signer = open(world);
        let other = Pkcs11Signer::open(patient(world)).unwrap();
        world.shim().answer_times(Function::SignInit, 1, rv::TOKEN_NOT_PRESENT);
        assert_eq!(sign(&signer), Ok(()));
        assert_eq!(world.shim().calls(Function::Finalize), 1);
        assert_eq!(sign(&other), Ok(()), "the other key of the library finds its way back by itself");
        world.shim().answer_times(Function::SignInit, 1, rv::TOKEN_NOT_PRESENT);
        assert_eq!(sign(&signer), Err(SignErrorKind::Unavailable), "not again at once");
        assert_eq!(world.shim().calls(Function::Finalize), 1);
        assert_eq!(sign(&signer), Ok(()));
    });
}

#[test]
fn handles_from_before_a_restart_are_neither_used_nor_closed() {
    with_shim("faults::handles_from_before_a_restart_are_neither_used_nor_closed", |world| {
        let signer = open(world);
        let [busy, idle] = [(); 2].map(|()| Pkcs11Signer::open(patient(world)).unwrap());
        world.shim().answer_times(Function::SignInit, 1, rv::TOKEN_NOT_PRESENT);
        assert_eq!(sign(&signer), Ok(()));
        // The library numbers its sessions from the start again, so an old number is now somebody else's session.
        let watched = [Function::OpenSession, Function::SignInit, Function::CloseSession];
        let calls = || watched.map(|function| world.shim().calls(function));
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
        world.shim().answer(Function::SignInit, rv::FUNCTION_FAILED);
        for _ in 0..3 {
            assert_eq!(sign(&signer), Err(SignErrorKind::Unavailable));
            assert_eq!(world.shim().calls(Function::Finalize), 0);
        }
        assert_eq!(sign(&signer), Err(SignErrorKind::Unavailable));
        assert_eq!(world.shim().calls(Function::Finalize), 1, "the strongest remedy in the end");
        world.shim().heal();
        assert_eq!(sign(&signer), Ok(()));
    });
}

#[test]
fn what_cannot_heal_is_not_tried_again() {
    with_shim("faults::what_cannot_heal_is_not_tried_again", |world| {
        let signer = open(world);
        for rv in [
            rv::KEY_FUNCTION_NOT_PERMITTED,
            rv::MECHANISM_INVALID,
            rv::MECHANISM_PARAM_INVALID,
            rv::KEY_TYPE_INCONSISTENT,
            rv::KEY_SIZE_RANGE,
            rv::CURVE_NOT_SUPPORTED,
        ] {
            let before = world.shim().calls(Function::SignInit);
            world.shim().answer(Function::SignInit, rv);
            assert_eq!(sign(&signer), Err(SignErrorKind::Key), "{rv:x}");
            assert_eq!(world.shim().calls(Function::SignInit), before + 1, "{rv:x}");
            world.shim().heal();
        }
        assert_eq!(sign(&signer), Ok(()));
    });
}

#[test]
fn a_wrong_signature_is_withheld() {
    with_shim("faults::a_wrong_signature_is_withheld", |world| {
        let signer = open(world);
        let before = world.shim().calls(Function::Sign);
        world.shim().flip();
        assert_eq!(sign(&signer), Err(SignErrorKind::Integrity));
        assert_eq!(world.shim().calls(Function::Sign), before + 1, "not tried again by itself");
        world.shim().heal();
        assert_eq!(sign(&signer), Ok(()));
        let sessions = world.shim().calls(Function::OpenSession);
        assert_eq!(sign(&signer), Ok(()));
        assert_eq!(world.shim().calls(Function::OpenSession), sessions, "a good session is kept");
    });
}

#[test]
fn the_deadline_holds_and_the_queue_is_bounded() {
    with_shim("faults::the_deadline_holds_and_the_queue_is_bounded", |world| {
        world.provision();
        let signer = Pkcs11Signer::open(patient(world).with_deadline(Duration::from_millis(300))).unwrap();
        let before = world.shim().calls(Function::Sign);
        world.shim().hang(Function::Sign);
        let signer = Arc::new(signer);
        let kinds = block_on(async {
            let calls = (0..100).map(|_| Arc::clone(&signer)).map(|signer| async move { one(&signer).await });
            calls.collect::<JoinSet<_>>().join_all().await
        });
        let count = |kind| kinds.iter().filter(|result| **result == Err(kind)).count();
        assert_eq!(count(SignErrorKind::Timeout) + count(SignErrorKind::Throttled), 100, "{kinds:?}");
        assert!(count(SignErrorKind::Throttled) >= 35, "64 wait and one is at the device");
        world.shim().release(Function::Sign);
        let mut attempts = 1;
        while let Err(kind) = sign(&signer) {
            assert!(matches!(kind, SignErrorKind::Timeout | SignErrorKind::Throttled), "{kind:?}");
            attempts += 1;
        }
        let signed = world.shim().calls(Function::Sign) - before;
        assert!(signed <= 1 + attempts, "{signed} signatures: those whose callers left were not skipped");
    });
}

#[test]
fn the_library_is_not_finalised_under_a_call() {
    with_shim("faults::the_library_is_not_finalised_under_a_call", |world| {
        let stuck = open(world);
        let other = Pkcs11Signer::open(patient(world)).unwrap();
        world.shim().hang(Function::Sign);
        let before = world.shim().calls(Function::Sign);
        thread::scope(|scope| {
            let waiting = scope.spawn(|| sign(&stuck));
            wait_until(|| world.shim().calls(Function::Sign) > before);
            world.shim().answer(Function::SignInit, rv::TOKEN_NOT_PRESENT);
            let error = try_sign(&other).unwrap_err();
            assert_eq!(error.kind(), SignErrorKind::Unavailable);
            let reason = error.source().map(ToString::to_string).unwrap_or_default();
            assert!(reason.contains("another call has not returned"), "{reason}");
            assert_eq!(world.shim().calls(Function::Finalize), 0);
            world.shim().heal();
            assert_eq!(waiting.join().ok(), Some(Ok(())));
        });
        assert_eq!(sign(&other), Ok(()));
    });
}
