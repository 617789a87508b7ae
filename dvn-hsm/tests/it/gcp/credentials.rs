//! Tokens: of the metadata server, and of a service account's key.

use std::time::Duration;

use dvn_core::{error::SignErrorKind, ports::Signer};
use dvn_hsm::{GcpCredentials, GcpKmsConfig, GcpKmsSigner};
use dvn_testkit::gcp_kms::{Code, Fault};
use secrecy::SecretString;
use serde_json::Value;

use super::{SIGN, World, kind};
use crate::{
    errors::{assert_silent, story},
    service_suite::{DIGEST, sign},
};

const HOUR: Duration = Duration::from_secs(3_600);

/// A service that takes tokens alone, and whoever gets them from the metadata server.
fn lent() -> (World, GcpKmsConfig) {
    let world = World::new();
    world.kms.require_tokens();
    world.kms.lend(Some(HOUR));
    let credentials = GcpCredentials::application_default().with_metadata_server(world.kms.url().clone());
    let config = world.config_of(&world.key, credentials);
    (world, config)
}

fn account(json: impl Into<String>) -> GcpCredentials {
    GcpCredentials::service_account(SecretString::from(json.into())).unwrap()
}

#[tokio::test]
async fn a_lent_token_is_good_for_many_requests() {
    let (world, config) = lent();
    let signer = GcpKmsSigner::open(config).await.unwrap();
    for _ in 0..5 {
        assert_eq!(sign(&signer).await, Ok(()));
    }
    assert_eq!(world.kms.lent(), 1);
}

#[tokio::test]
async fn a_token_that_ends_early_is_replaced_within_the_call() {
    let (world, config) = lent();
    let signer = GcpKmsSigner::open(config).await.unwrap();
    world.kms.revoke_lent_tokens();
    let before = world.kms.asked(SIGN);
    assert_eq!(sign(&signer).await, Ok(()));
    assert_eq!((world.kms.lent(), world.asked_since(before)), (2, 1));
}

#[tokio::test]
async fn two_refused_tokens_end_a_call_and_a_later_one_is_asked_for_anew() {
    let (world, config) = lent();
    let signer = GcpKmsSigner::open(config).await.unwrap();
    let before = world.kms.asked(SIGN);
    world.kms.fail(Fault::error(Code::Unauthenticated, "no"));
    assert_eq!(sign(&signer).await, Err(SignErrorKind::Auth));
    assert_eq!((world.kms.lent(), world.asked_since(before)), (2, 2));
    world.kms.heal();
    assert_eq!(sign(&signer).await, Ok(()));
}

#[tokio::test]
async fn who_brings_no_token_is_refused_once() {
    let (world, _) = lent();
    assert_eq!(kind(world.config(), "Unauthenticated").await, SignErrorKind::Auth);
}

#[tokio::test]
async fn a_metadata_server_that_fails_or_is_silent_passes() {
    let (world, config) = lent();
    world.kms.set_metadata_broken(true);
    let error = kind(config.clone(), "the credentials gave no token").await;
    assert_eq!(error, SignErrorKind::Unavailable);
    world.kms.set_metadata_broken(false);
    let signer = GcpKmsSigner::open(config.clone()).await.unwrap();
    world.kms.set_metadata_silent(true);
    assert_eq!(sign(&signer).await, Ok(()), "the token is good for another hour");
    let silent = config.with_deadline(Duration::from_millis(500));
    assert_eq!(kind(silent.clone(), "no answer").await, SignErrorKind::Timeout);
    world.kms.revoke_lent_tokens();
    assert_eq!(sign(&signer).await, Err(SignErrorKind::Timeout));
    world.kms.set_metadata_silent(false);
    assert_eq!(sign(&signer).await, Ok(()), "it is asked anew, not waited for");
}

#[tokio::test]
async fn an_account_that_is_taken_away_and_given_back_needs_no_new_start() {
    let (world, config) = lent();
    let signer = GcpKmsSigner::open(config).await.unwrap();
    world.kms.lend(None);
    world.kms.revoke_lent_tokens();
    for _ in 0..2 {
        assert_eq!(sign(&signer).await, Err(SignErrorKind::Auth));
    }
    world.kms.lend(Some(HOUR));
    assert_eq!(sign(&signer).await, Ok(()));
}

#[tokio::test]
async fn a_service_account_signs_its_own_tokens() {
    let world = World::new();
    world.kms.require_tokens();
    let json = world.kms.create_service_account().unwrap();
    let signer = GcpKmsSigner::open(world.config_of(&world.key, account(json))).await.unwrap();
    assert_eq!(sign(&signer).await, Ok(()));
    // The service knows nothing of this one's key.
    let stranger = World::new().kms.create_service_account().unwrap();
    let stranger = world.config_of(&world.key, account(stranger));
    assert_eq!(kind(stranger, "Unauthenticated").await, SignErrorKind::Auth);
}

#[tokio::test]
async fn a_broken_private_key_is_told_as_such_and_not_shown() {
    let world = World::new();
    let mut json: Value = serde_json::from_str(&world.kms.create_service_account().unwrap()).unwrap();
    json["private_key"] = "-----BEGIN PRIVATE KEY-----\ns3cret\n-----END PRIVATE KEY-----\n".into();
    let error = GcpKmsSigner::open(world.config_of(&world.key, account(json.to_string()))).await.unwrap_err();
    assert_eq!(error.kind(), SignErrorKind::Auth);
    assert!(story(&error).contains("gave no token") && !story(&error).contains("s3cret"), "{error:?}");
}

#[tokio::test]
async fn debug_and_errors_show_no_secret() {
    let (world, config) = lent();
    let json = world.kms.create_service_account().unwrap();
    let parsed: Value = serde_json::from_str(&json).unwrap();
    let private = parsed["private_key"].as_str().unwrap().lines().nth(1).unwrap().to_owned();
    let mut told = vec![format!("{:?}", account(json.clone())), format!("{config:?}")];
    let signer = GcpKmsSigner::open(config).await.unwrap();
    told.push(format!("{signer:?}"));
    // Whatever the service says of the token that it read.
    let repeated = "Bearer ya29.stand-in-lent-token-0001 eyJhbGciOi.s3cret";
    world.kms.fail(Fault::error(Code::Unauthenticated, repeated));
    told.push(story(&signer.sign_digest(DIGEST).await.unwrap_err()));
    world.kms.fail_action("GetPublicKey", 9, Fault::error(Code::PermissionDenied, repeated));
    let config = world.config_of(&world.key, account(json));
    told.push(format!("{config:?}"));
    told.push(story(&GcpKmsSigner::open(config).await.unwrap_err()));
    assert_silent(&told, &["ya29", "eyJ", "s3cret", "Bearer", "BEGIN", private.as_str()]);
}
