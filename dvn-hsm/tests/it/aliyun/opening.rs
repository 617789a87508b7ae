//! What must be true before a key is used.

use std::sync::Arc;

use alloy_primitives::Address;
use dvn_core::{
    error::{SignError, SignErrorKind},
    ports::Signer,
};
use dvn_hsm::{AliyunCredentials, AliyunKmsConfig, AliyunKmsSigner};
use dvn_testkit::aliyun_kms::{ACCESS_KEY_ID, Fault, KeyName, KeyState};

use super::{SIGN, World, access_key, address};
use crate::{
    clock::Slow,
    service_suite::{kind_of, sign},
};

async fn refused(config: AliyunKmsConfig) -> SignError {
    AliyunKmsSigner::open(config).await.unwrap_err()
}

/// The kind, if the story has this in it.
async fn kind(config: AliyunKmsConfig, part: &str) -> SignErrorKind {
    kind_of(refused(config).await, part)
}

#[tokio::test]
async fn a_key_of_another_kind_or_state_is_refused_unused() {
    let world = World::new();
    let absent = world.config_of("key-elsewhere", access_key());
    assert_eq!(kind(absent, "Forbidden.KeyNotFound").await, SignErrorKind::Key);
    for state in [KeyState::Disabled, KeyState::PendingDeletion] {
        world.kms.set_state(&world.key, state);
        assert_eq!(kind(world.config(), "must be Enabled").await, SignErrorKind::Key);
    }
    world.kms.set_state(&world.key, KeyState::Enabled);
    world.kms.set_spec(&world.key, "EC_P256");
    assert_eq!(kind(world.config(), "must be EC_P256K").await, SignErrorKind::Key);
    assert_eq!(world.kms.asked(SIGN), 0);
}

#[tokio::test]
async fn another_address_than_expected_is_refused_unused() {
    let world = World::new();
    let other = Address::repeat_byte(0xa1);
    let error = kind(world.config().with_expected_address(other), &address().to_string()).await;
    assert_eq!((error, world.kms.asked(SIGN)), (SignErrorKind::Key, 0));
    AliyunKmsSigner::open(world.config().with_expected_address(address())).await.unwrap();
}

#[tokio::test]
async fn several_versions_must_be_chosen_from() {
    let world = World::new();
    let second = world.kms.add_version(&world.key, [8; 32]);
    let ambiguous = kind(world.config(), "it has 2 versions, of which key_version_id must choose one").await;
    assert_eq!(ambiguous, SignErrorKind::Key);
    let first = world.config().with_key_version_id(&world.key.version);
    assert_eq!(AliyunKmsSigner::open(first).await.unwrap().address(), address());
    let second = AliyunKmsSigner::open(world.config().with_key_version_id(second.version)).await.unwrap();
    assert_ne!(second.address(), address());
    assert_eq!(sign(&second).await, Ok(()));
    let absent = world.config().with_key_version_id("nowhere");
    assert_eq!(kind(absent, "InvalidParameter").await, SignErrorKind::Key);
}

#[tokio::test]
async fn an_alias_that_moves_does_not_move_the_signer() {
    let world = World::new();
    world.kms.set_alias("alias/dvn signer*~", &world.key);
    let config = world.config_of("alias/dvn signer*~", access_key());
    let signer = AliyunKmsSigner::open(config).await.unwrap();
    assert_eq!(signer.address(), address());
    let other = world.kms.create_key([9; 32]);
    world.kms.set_alias("alias/dvn signer*~", &other);
    assert_eq!(sign(&signer).await, Ok(()));
    let absent = world.config_of("alias/none", access_key());
    assert_eq!(kind(absent, "Forbidden.AliasNotFound").await, SignErrorKind::Key);
}

#[tokio::test]
async fn the_gateway_of_an_instance_is_asked_for_signatures_alone() {
    let world = World::new();
    world.kms.set_instance(true);
    assert_eq!(kind(world.config(), "UnsupportedOperation").await, SignErrorKind::Key);
    let (url, KeyName { id, version, .. }) = (world.kms.url().clone(), world.key.clone());
    let signer = AliyunKmsSigner::open(AliyunKmsConfig::at_instance(url, id, version, access_key())).await.unwrap();
    assert_eq!((signer.address(), sign(&signer).await), (address(), Ok(())));
}

#[tokio::test]
async fn without_the_right_to_sign_nothing_is_signed() {
    let world = World::new();
    world.kms.allow_signing(false);
    assert_eq!(kind(world.config(), "AccessDeniedError").await, SignErrorKind::Auth);
    assert_eq!(world.kms.asked(SIGN), 1, "the rehearsal alone");
}

#[tokio::test]
async fn wrong_credentials_are_tried_once() {
    let world = World::new();
    let wrong = AliyunCredentials::access_key(ACCESS_KEY_ID.into(), "wrong".into());
    let config = world.config_of(&world.key.id, wrong);
    assert_eq!(kind(config, "SignatureDoesNotMatch").await, SignErrorKind::Auth);
    let nobody = AliyunCredentials::access_key("nobody".into(), "wrong".into());
    let config = world.config_of(&world.key.id, nobody);
    assert_eq!(kind(config, "InvalidAccessKeyId.NotFound").await, SignErrorKind::Auth);
    let broken = AliyunCredentials::access_key("two\nlines".into(), "wrong".into());
    let config = world.config_of(&world.key.id, broken);
    assert_eq!(kind(config, "characters").await, SignErrorKind::Auth);
}

#[tokio::test]
async fn a_wrong_clock_is_called_by_its_name() {
    let world = World::new();
    let config = world.config().with_clock(Arc::new(Slow));
    assert_eq!(kind(config, "this machine's clock is wrong").await, SignErrorKind::Auth);
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
