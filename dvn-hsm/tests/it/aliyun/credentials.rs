//! Lent access keys: by STS, and by the metadata server of an ECS instance.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use dvn_core::error::SignErrorKind;
use dvn_hsm::{AliyunCredentials, AliyunKmsConfig, AliyunKmsSigner};
use reqwest::Url;
use tokio::time;

use super::World;
use crate::{clock::Later, errors::story, service_suite::sign};

const ROLE: &str = "dvn-node";
const HOUR: Duration = Duration::from_secs(3_600);

fn with_role(lifetime: Duration) -> (World, AliyunKmsConfig) {
    let world = World::new();
    world.kms.set_role(ROLE, lifetime);
    let config = config(&world, ROLE);
    (world, config)
}

fn config(world: &World, role: &str) -> AliyunKmsConfig {
    let credentials = AliyunCredentials::ecs_ram_role(role).with_metadata_server(world.kms.url().clone());
    world.config_of(&world.key.id, credentials)
}

/// Moves the clock that pauses are measured by, and no other.
async fn pass(duration: Duration) {
    time::pause();
    time::advance(duration).await;
    time::resume();
}

#[tokio::test]
async fn a_role_lends_one_key_for_many_signatures() {
    let (world, config) = with_role(HOUR);
    let signer = AliyunKmsSigner::open(config).await.unwrap();
    for _ in 0..5 {
        assert_eq!(sign(&signer).await, Ok(()));
    }
    assert_eq!(world.kms.lent(), 1);
}

#[tokio::test]
async fn a_key_near_its_end_is_renewed() {
    let (world, config) = with_role(Duration::from_secs(20 * 60));
    let clock = Arc::new(Later::default());
    let signer = AliyunKmsSigner::open(config.with_clock(clock.clone())).await.unwrap();
    world.kms.set_role(ROLE, HOUR);
    clock.0.store(10 * 60, Ordering::SeqCst);
    assert_eq!(sign(&signer).await, Ok(()));
    // It comes beside the signatures, none of which waits for it.
    while world.kms.lent() < 2 {
        time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(sign(&signer).await, Ok(()));
    assert_eq!(world.kms.lent(), 2);
}

#[tokio::test]
async fn while_it_cannot_be_renewed_the_present_key_is_used_to_its_end() {
    let (world, config) = with_role(Duration::from_secs(12 * 60));
    let clock = Arc::new(Later::default());
    let signer = AliyunKmsSigner::open(config.with_clock(clock.clone())).await.unwrap();
    world.kms.set_lending_broken(true);
    pass(Duration::from_secs(11)).await;
    let lent = world.kms.lent();
    assert_eq!(sign(&signer).await, Ok(()));
    clock.0.store(13 * 60, Ordering::SeqCst);
    assert_eq!(sign(&signer).await, Err(SignErrorKind::Unavailable), "ended, and no refusal of ours");
    assert_eq!(world.kms.lent(), lent);
    world.kms.set_lending_broken(false);
    assert_eq!(sign(&signer).await, Ok(()));
}

#[tokio::test]
async fn a_key_that_the_service_calls_expired_is_replaced_within_the_call() {
    let (world, config) = with_role(HOUR);
    let signer = AliyunKmsSigner::open(config).await.unwrap();
    pass(Duration::from_secs(60)).await;
    world.kms.expire_lent_keys();
    assert_eq!(sign(&signer).await, Ok(()));
    assert_eq!(world.kms.lent(), 2);
    world.kms.expire_lent_keys();
    assert_eq!(sign(&signer).await, Err(SignErrorKind::Auth), "a fresh one would be refused as well");
    assert_eq!(world.kms.lent(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_at_once_borrow_one_key() {
    let (world, config) = with_role(HOUR);
    let clock = Arc::new(Later::default());
    let signer = AliyunKmsSigner::open(config.with_clock(clock.clone())).await.unwrap();
    clock.0.store(50 * 60, Ordering::SeqCst);
    // The service refuses dates that are so far off; by then the key was renewed.
    let all = futures::future::join_all((0..16).map(|_| sign(&signer))).await;
    assert!(all.iter().all(|result| *result == Err(SignErrorKind::Auth)), "{all:?}");
    assert_eq!(world.kms.lent(), 2);
}

#[tokio::test]
async fn a_role_that_is_not_there_is_called_by_its_name() {
    let (world, _) = with_role(HOUR);
    let error = AliyunKmsSigner::open(config(&world, "other")).await.unwrap_err();
    assert_eq!(error.kind(), SignErrorKind::Auth);
    assert!(story(&error).contains(r#"this instance has no RAM role "other""#), "{}", story(&error));
}

#[tokio::test]
async fn no_metadata_server_is_a_passing_failure() {
    let world = World::new();
    let nowhere = Url::parse("http://127.0.0.1:1").unwrap();
    let credentials = AliyunCredentials::ecs_ram_role(ROLE).with_metadata_server(nowhere);
    let error = AliyunKmsSigner::open(world.config_of(&world.key.id, credentials)).await.unwrap_err();
    assert_eq!(error.kind(), SignErrorKind::Unavailable);
}

#[tokio::test]
async fn a_key_of_sts_that_expired_is_refused() {
    let (world, _) = with_role(HOUR);
    let token = "CAISstandIn/lent+token=0001==";
    let credentials = AliyunCredentials::lent_key("STS.StandIn0001".into(), "lentSecret0001".into(), token.into());
    // One that a role lent serves as one that STS lent.
    AliyunKmsSigner::open(config(&world, ROLE)).await.unwrap();
    let signer = AliyunKmsSigner::open(world.config_of(&world.key.id, credentials)).await.unwrap();
    assert_eq!(sign(&signer).await, Ok(()));
    world.kms.expire_lent_keys();
    assert_eq!(sign(&signer).await, Err(SignErrorKind::Auth));
}
