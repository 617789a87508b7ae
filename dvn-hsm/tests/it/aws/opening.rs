//! What must be true before a key is used.

use std::{sync::Arc, time::Duration};

use alloy_primitives::{Address, hex};
use dvn_core::{
    error::{SignError, SignErrorKind},
    ports::Signer,
};
use dvn_hsm::{AwsCredentials, AwsKmsConfig, AwsKmsSigner};
use dvn_testkit::aws_kms::{ACCESS_KEY_ID, Fault, KeyState, REGION, SECRET_ACCESS_KEY};

use super::{SIGN, World, access_key, address};
use crate::{
    clock::Slow,
    errors::story,
    redirector::redirector,
    service_suite::{kind_of, sign},
};

/// The generator of P-256, as SPKI.
const P256_KEY: [u8; 91] = hex!(
    "3059301306072a8648ce3d020106082a8648ce3d03010703420004"
    "6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296"
    "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5"
);

async fn refused(config: AwsKmsConfig) -> SignError {
    AwsKmsSigner::open(config).await.unwrap_err()
}

/// The kind, if the story has this in it.
async fn kind(config: AwsKmsConfig, part: &str) -> SignErrorKind {
    kind_of(refused(config).await, part)
}

#[tokio::test]
async fn a_key_of_another_kind_or_state_is_refused_unused() {
    let world = World::new();
    let absent = world.config_of("1234abcd-12ab-34cd-56ef-1234567890ab", access_key());
    assert_eq!(kind(absent, "NotFoundException").await, SignErrorKind::Key);
    for state in [KeyState::Disabled, KeyState::PendingDeletion, KeyState::PendingImport] {
        world.kms.set_state(&world.key, state);
        assert_eq!(kind(world.config(), "must be Enabled").await, SignErrorKind::Key);
    }
    world.kms.set_state(&world.key, KeyState::Enabled);
    world.kms.set_usage(&world.key, "KEY_AGREEMENT");
    assert_eq!(kind(world.config(), "must be SIGN_VERIFY").await, SignErrorKind::Key);
    world.kms.set_usage(&world.key, "SIGN_VERIFY");
    world.kms.set_spec(&world.key, "ECC_NIST_P256");
    assert_eq!(kind(world.config(), "must be ECC_SECG_P256K1").await, SignErrorKind::Key);
    assert_eq!(world.kms.asked(SIGN), 0);
}

#[tokio::test]
async fn the_public_key_is_looked_at_and_not_only_described() {
    let world = World::new();
    for wrong in [P256_KEY.as_slice(), b"nonsense"] {
        world.kms.set_public_key(&world.key, wrong);
        assert_eq!(kind(world.config(), "not a point of secp256k1").await, SignErrorKind::Key);
    }
    assert_eq!(world.kms.asked(SIGN), 0);
}

#[tokio::test]
async fn a_public_key_of_another_key_is_refused_unused() {
    let world = World::new();
    world.kms.fail_action("GetPublicKey", 1, Fault::OtherName);
    assert_eq!(kind(world.config(), "answered for another key").await, SignErrorKind::Integrity);
    assert_eq!(world.kms.asked(SIGN), 0);
}

#[tokio::test]
async fn answers_without_what_was_asked_for_are_asked_for_again() {
    let world = World::new();
    for action in ["DescribeKey", "GetPublicKey"] {
        world.kms.fail_action(action, 2, Fault::Empty);
        let before = world.kms.asked(action);
        world.signer().await;
        assert_eq!(world.kms.asked(action).checked_sub(before), Some(3), "{action}");
    }
}

#[tokio::test]
async fn another_address_than_expected_is_refused_unused() {
    let world = World::new();
    let other = Address::repeat_byte(0xa1);
    let error = kind(world.config().with_expected_address(other), &address().to_string()).await;
    assert_eq!((error, world.kms.asked(SIGN)), (SignErrorKind::Key, 0));
    AwsKmsSigner::open(world.config().with_expected_address(address())).await.unwrap();
}

#[tokio::test]
async fn any_name_of_the_key_will_do_and_its_arn_is_used() {
    let world = World::new();
    world.kms.set_alias("alias/dvn", &world.key);
    let alias_arn = format!("arn:aws:kms:{REGION}:111122223333:alias/dvn");
    for name in [world.key.id.as_str(), &world.key.arn, "alias/dvn", &alias_arn] {
        let signer = AwsKmsSigner::open(world.config_of(name, access_key())).await.unwrap();
        assert_eq!((signer.address(), sign(&signer).await), (address(), Ok(())), "{name}");
        assert!(format!("{signer:?}").contains(&world.key.arn));
    }
}

#[tokio::test]
async fn an_alias_that_moves_does_not_move_the_signer() {
    let world = World::new();
    world.kms.set_alias("alias/dvn", &world.key);
    let signer = AwsKmsSigner::open(world.config_of("alias/dvn", access_key())).await.unwrap();
    let other = world.kms.create_key([9; 32]);
    world.kms.set_alias("alias/dvn", &other);
    assert_eq!(sign(&signer).await, Ok(()));
    let absent = world.config_of("alias/none", access_key());
    assert_eq!(kind(absent, "NotFoundException").await, SignErrorKind::Key);
}

#[tokio::test]
async fn without_the_right_to_sign_nothing_is_signed() {
    let world = World::new();
    world.kms.allow(SIGN, false);
    assert_eq!(kind(world.config(), "AccessDeniedException").await, SignErrorKind::Auth);
    assert_eq!((world.kms.asked("DryRun"), world.kms.asked(SIGN)), (1, 0), "the rehearsal alone");
    world.kms.allow(SIGN, true);
    for action in ["DescribeKey", "GetPublicKey"] {
        world.kms.allow(action, false);
        assert_eq!(kind(world.config(), action).await, SignErrorKind::Auth);
        world.kms.allow(action, true);
    }
    world.signer().await;
}

#[tokio::test]
async fn wrong_credentials_are_tried_once() {
    let world = World::new();
    for (id, secret, told) in [
        (ACCESS_KEY_ID, "wrong", "InvalidSignatureException"),
        ("AKIANOBODY", "wrong", "UnrecognizedClientException"),
        ("two\nlines", "wrong", "characters"),
        ("", "wrong", "characters"),
        (ACCESS_KEY_ID, "not all ascii: é", "characters"),
    ] {
        let config = world.config_of(&world.key.id, AwsCredentials::access_key(id.into(), secret.into()));
        assert_eq!(kind(config, told).await, SignErrorKind::Auth, "{id:?}");
    }
    assert_eq!(world.kms.asked("DescribeKey"), 0, "never with a good signature");
}

#[tokio::test]
async fn another_region_than_the_services_is_refused() {
    let world = World::new();
    let config = AwsKmsConfig::in_region("us-west-2", &world.key.id, access_key())
        .and_then(|config| config.with_endpoint(world.kms.url().clone()));
    assert_eq!(kind(config.unwrap(), "InvalidSignatureException").await, SignErrorKind::Auth);
}

#[tokio::test]
async fn a_wrong_clock_is_called_by_its_name() {
    let world = World::new();
    let config = world.config().with_clock(Arc::new(Slow));
    assert_eq!(kind(config, "this machine's clock is wrong").await, SignErrorKind::Auth);
    let mistaken = AwsCredentials::access_key(ACCESS_KEY_ID.into(), SECRET_ACCESS_KEY.to_lowercase().into());
    let error = refused(world.config_of(&world.key.id, mistaken)).await;
    assert!(!story(&error).contains("clock"), "{error:?}");
}

#[tokio::test]
async fn a_test_signature_of_another_key_is_seen_at_the_start() {
    let world = World::new();
    world.kms.fail(Fault::OtherKey);
    assert_eq!(refused(world.config()).await.kind(), SignErrorKind::Integrity);
}

#[tokio::test]
async fn no_service_at_the_start_is_no_key_error() {
    let mut world = World::new();
    let config = world.config();
    world.kms.stop();
    assert_eq!(refused(config).await.kind(), SignErrorKind::Unavailable);
}

#[tokio::test]
async fn a_service_that_hangs_at_the_start_ends_it() {
    let world = World::new();
    world.kms.set_latency(Duration::from_secs(60));
    let config = world.config().with_deadline(Duration::from_millis(300));
    assert_eq!(refused(config).await.kind(), SignErrorKind::Timeout);
}

#[tokio::test]
async fn the_service_cannot_send_a_request_elsewhere() {
    let world = World::new();
    let config = AwsKmsConfig::in_region(REGION, &world.key.id, access_key())
        .and_then(|config| config.with_endpoint(redirector(world.kms.url())));
    assert_eq!(refused(config.unwrap()).await.kind(), SignErrorKind::Unavailable);
    assert_eq!(world.kms.asked("DescribeKey"), 0);
}
