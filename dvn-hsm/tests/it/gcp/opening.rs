//! What must be true before a key is used.

use std::time::{Duration, Instant};

use alloy_primitives::Address;
use dvn_core::{error::SignErrorKind, ports::Signer};
use dvn_hsm::{GcpCredentials, GcpKmsConfig, GcpKmsSigner};
use dvn_testkit::gcp_kms::{Fault, KeyName, KeyState};

use super::{SIGN, World, address, kind};
use crate::service_suite::sign;

/// This version and no other.
fn chosen(world: &World, key: &KeyName) -> GcpKmsConfig {
    world.config().with_key_version(&key.version).unwrap()
}

#[tokio::test]
async fn a_version_of_another_state_or_kind_is_refused_unused() {
    let world = World::new();
    let chosen = || chosen(&world, &world.key);
    for (state, word) in [
        (KeyState::Disabled, "DISABLED"),
        (KeyState::DestroyScheduled, "DESTROY_SCHEDULED"),
        (KeyState::Destroyed, "DESTROYED"),
    ] {
        world.kms.set_state(&world.key, state);
        let told = format!("its state is \"{word}\" and must be ENABLED");
        assert_eq!(kind(chosen(), &told).await, SignErrorKind::Key);
        let told = format!("none of its versions is enabled: 1 {word}");
        assert_eq!(kind(world.config(), &told).await, SignErrorKind::Key);
    }
    world.kms.set_state(&world.key, KeyState::Enabled);
    world.kms.set_algorithm(&world.key, "EC_SIGN_P256_SHA256");
    assert_eq!(kind(chosen(), "must be EC_SIGN_SECP256K1_SHA256").await, SignErrorKind::Key);
    world.kms.set_algorithm(&world.key, "EC_SIGN_SECP256K1_SHA256");
    for level in ["SOFTWARE", "EXTERNAL", "EXTERNAL_VPC"] {
        world.kms.set_level(&world.key, level);
        let told = format!("its protection level is \"{level}\" and must be HSM");
        assert_eq!(kind(chosen(), &told).await, SignErrorKind::Key);
    }
    assert_eq!(world.kms.asked(SIGN), 0);
    for level in ["HSM", "HSM_SINGLE_TENANT"] {
        world.kms.set_level(&world.key, level);
        assert_eq!(sign(&world.signer().await).await, Ok(()), "{level}");
    }
}

#[tokio::test]
async fn what_is_not_there_is_a_key_error() {
    let world = World::new();
    let mut absent = world.key.clone();
    absent.key_name = "elsewhere".to_owned();
    let other = world.config_of(&absent, GcpCredentials::nobody());
    assert_eq!(kind(other, "ListCryptoKeyVersions was answered with NotFound").await, SignErrorKind::Key);
    let version = world.config().with_key_version("7").unwrap();
    assert_eq!(kind(version, "GetCryptoKeyVersion was answered with NotFound").await, SignErrorKind::Key);
}

#[tokio::test]
async fn another_address_than_expected_is_refused_unused() {
    let world = World::new();
    let other = Address::repeat_byte(0xa1);
    let error = kind(world.config().with_expected_address(other), &address().to_string()).await;
    assert_eq!((error, world.kms.asked(SIGN)), (SignErrorKind::Key, 0));
    let signer = GcpKmsSigner::open(world.config().with_expected_address(address())).await.unwrap();
    assert_eq!((signer.address(), world.kms.asked(SIGN)), (address(), 1), "the test signature");
}

#[tokio::test]
async fn the_only_enabled_version_is_found_among_many() {
    let world = World::new();
    // Several pages of them.
    let versions = (8..18).map(|secret| world.kms.add_version(&world.key, [secret; 32])).collect::<Vec<_>>();
    let several = "several versions are enabled, of which key_version must choose one: 1 ENABLED, 2 ENABLED";
    assert_eq!(kind(world.config(), several).await, SignErrorKind::Key);
    assert_eq!(kind(world.config(), "11 ENABLED").await, SignErrorKind::Key, "all pages are read");
    for version in versions.iter().filter(|version| version.version != "10") {
        world.kms.set_state(version, KeyState::Destroyed);
    }
    assert_eq!(kind(world.config(), "3 DESTROYED").await, SignErrorKind::Key, "two are left");
    world.kms.set_state(&world.key, KeyState::Disabled);
    let signer = world.signer().await;
    assert_ne!(signer.address(), address());
    assert!(format!("{signer:?}").contains("cryptoKeyVersions/10"), "{signer:?}");
    world.kms.set_state(&world.key, KeyState::Enabled);
    let first = GcpKmsSigner::open(chosen(&world, &world.key)).await.unwrap();
    assert_eq!(first.address(), address());
}

#[tokio::test]
async fn missing_rights_are_named() {
    let world = World::new();
    let right = |name: &str| format!("cloudkms.cryptoKeyVersions.{name}");
    for name in ["list", "viewPublicKey", "useToSign"] {
        world.kms.allow(&right(name), false);
        let told = format!("PermissionDenied, permission {}", right(name));
        assert_eq!(kind(world.config(), &told).await, SignErrorKind::Auth);
        world.kms.allow(&right(name), true);
    }
    assert_eq!(world.kms.asked(SIGN), 1, "the test signature, which was refused");
}

#[tokio::test]
async fn the_right_to_sign_and_to_see_the_public_key_is_enough() {
    let world = World::new();
    for name in ["list", "get"] {
        world.kms.allow(&format!("cloudkms.cryptoKeyVersions.{name}"), false);
    }
    let signer = GcpKmsSigner::open(chosen(&world, &world.key)).await.unwrap();
    assert_eq!(sign(&signer).await, Ok(()));
    // What the key is like is in the answer with the public key as well.
    world.kms.set_level(&world.key, "SOFTWARE");
    assert_eq!(kind(chosen(&world, &world.key), "must be HSM").await, SignErrorKind::Key);
    world.kms.set_algorithm(&world.key, "EC_SIGN_P256_SHA256");
    assert_eq!(kind(chosen(&world, &world.key), "must be EC_SIGN_SECP256K1").await, SignErrorKind::Key);
}

#[tokio::test]
async fn a_public_key_that_was_changed_on_the_way_is_asked_for_once_more() {
    let world = World::new();
    for fault in [Fault::BadChecksum, Fault::NoChecksum] {
        let before = world.kms.asked("GetPublicKey");
        world.kms.fail_action("GetPublicKey", 1, fault.clone());
        assert_eq!(world.signer().await.address(), address());
        world.kms.fail_action("GetPublicKey", 9, fault);
        assert_eq!(kind(world.config(), "checksum").await, SignErrorKind::Integrity);
        assert_eq!(world.kms.asked("GetPublicKey"), before + 4);
        world.kms.heal();
    }
}

#[tokio::test]
async fn answers_about_another_key_are_worth_nothing() {
    let world = World::new();
    for action in ["GetCryptoKeyVersion", "GetPublicKey", SIGN] {
        world.kms.fail_action(action, 1, Fault::OtherName);
        assert_eq!(kind(world.config(), "about another key").await, SignErrorKind::Integrity, "{action}");
        world.kms.heal();
    }
}

#[tokio::test]
async fn a_test_signature_of_another_key_is_seen_at_the_start() {
    let world = World::new();
    world.kms.fail(Fault::OtherKey);
    assert_eq!(kind(world.config(), "does not recover").await, SignErrorKind::Integrity);
}

#[tokio::test]
async fn no_service_at_the_start_is_no_key_error_and_waited_for() {
    let mut world = World::new();
    let config = world.config();
    world.kms.stop();
    assert_eq!(kind(config.clone(), "refused").await, SignErrorKind::Unavailable);
    // It comes while the first request is tried again.
    let opening = tokio::spawn(GcpKmsSigner::open(config));
    tokio::time::sleep(Duration::from_millis(20)).await;
    world.kms.start_again().unwrap();
    assert_eq!(opening.await.unwrap().unwrap().address(), address());
}

#[tokio::test]
async fn a_slow_service_opens_as_well() {
    let world = World::new();
    world.kms.set_latency(Duration::from_millis(100));
    let started = Instant::now();
    assert_eq!(sign(&world.signer().await).await, Ok(()));
    assert!(started.elapsed() >= Duration::from_millis(500), "four requests and a signature");
}
