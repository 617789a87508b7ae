//! Lent credentials, as programs on AWS get them. The SDK looks for them in the environment, so each case has a process
//! of its own that opens and signs as it is told.

mod child;

use std::{fs, time::Duration};

use dvn_core::error::SignErrorKind;
use dvn_hsm::{AwsCredentials, AwsKmsSigner};
use dvn_testkit::aws_kms::{ACCESS_KEY_ID, SECRET_ACCESS_KEY};

use self::child::Child;
use super::World;
use crate::service_suite::sign;

const ROLE: &str = "dvn-node";
const HOUR: Duration = Duration::from_secs(3_600);

fn with_role(lifetime: Duration) -> World {
    let world = World::new();
    world.kms.set_role(ROLE, lifetime);
    world
}

/// The environment of an EC2 instance.
fn instance(world: &World) -> Child {
    Child::start(world, &[("AWS_EC2_METADATA_SERVICE_ENDPOINT", world.kms.url().as_str())])
}

#[test]
fn an_access_key_in_the_environment_is_taken() {
    let world = World::new();
    let key = [("AWS_ACCESS_KEY_ID", ACCESS_KEY_ID), ("AWS_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY)];
    // What else the environment says about the service must not matter.
    let elsewhere =
        [("AWS_ENDPOINT_URL", "http://127.0.0.1:1"), ("AWS_REGION", "us-west-2"), ("HTTP_PROXY", "http://127.0.0.1:1")];
    let mut child = Child::start(&world, &[key.as_slice(), &elsewhere].concat());
    assert_eq!((child.tell("open"), child.tell("sign")), ("ok".to_owned(), "ok".to_owned()));
}

#[test]
fn a_profile_of_the_shared_files_is_taken_with_the_process_that_it_names() {
    let world = World::new();
    let folder = tempfile::tempdir().unwrap();
    let (file, answer) = (folder.path().join("config"), folder.path().join("answer"));
    let key = format!(r#"{{"Version":1,"AccessKeyId":"{ACCESS_KEY_ID}","SecretAccessKey":"{SECRET_ACCESS_KEY}"}}"#);
    fs::write(&answer, key).unwrap();
    // Slower than all attempts of a call together.
    fs::write(&file, format!("[profile dvn]\ncredential_process = sleep 4; cat {}\n", answer.display())).unwrap();
    let variables = [("AWS_CONFIG_FILE", file.to_str().unwrap()), ("AWS_PROFILE", "dvn")];
    let mut child = Child::start(&world, &variables);
    assert_eq!((child.tell("open"), child.tell("sign")), ("ok".to_owned(), "ok".to_owned()));
}

#[test]
fn an_instances_role_lends_one_key_for_many_signatures() {
    let world = with_role(HOUR);
    let mut child = instance(&world);
    assert_eq!(child.tell("open"), "ok");
    for _ in 0..5 {
        assert_eq!(child.tell("sign"), "ok");
    }
    assert_eq!(world.kms.lent(), 1);
}

#[test]
fn a_container_asks_its_endpoint() {
    let world = with_role(HOUR);
    let url = world.kms.url().join("container").unwrap();
    let variables = [
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", url.as_str()),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "container-token"),
    ];
    let mut child = Child::start(&world, &variables);
    assert_eq!((child.tell("open"), child.tell("sign"), world.kms.lent()), ("ok".to_owned(), "ok".to_owned(), 1));
}

#[test]
fn a_pod_with_a_web_identity_asks_sts() {
    let world = with_role(HOUR);
    let file = tempfile::NamedTempFile::new().unwrap();
    let variables = [
        ("AWS_WEB_IDENTITY_TOKEN_FILE", file.path().to_str().unwrap()),
        ("AWS_ROLE_ARN", "arn:aws:iam::111122223333:role/dvn-node"),
        ("AWS_ENDPOINT_URL_STS", world.kms.url().as_str()),
    ];
    fs::write(file.path(), "web-token").unwrap();
    let mut child = Child::start(&world, &variables);
    assert_eq!((child.tell("open"), child.tell("sign"), world.kms.lent()), ("ok".to_owned(), "ok".to_owned(), 1));
    fs::write(file.path(), "s3cret").unwrap();
    let refused = Child::start(&world, &variables).tell("open");
    assert!(refused.starts_with("Unavailable: ") && !refused.contains("s3cret"), "{refused}");
}

#[test]
fn a_key_near_its_end_is_renewed_beside_the_signatures() {
    let world = with_role(Duration::from_secs(6 * 60));
    let mut child = instance(&world);
    assert_eq!(child.tell("open"), "ok");
    world.kms.set_role(ROLE, HOUR);
    assert_eq!(child.tell("later 120"), "ok");
    while world.kms.lent() < 2 {
        assert_eq!(child.tell("sign"), "ok");
    }
    assert_eq!((child.tell("sign"), world.kms.lent()), ("ok".to_owned(), 2));
}

#[test]
fn while_it_cannot_be_renewed_the_present_key_is_used() {
    let world = with_role(Duration::from_secs(4 * 60));
    let mut child = instance(&world);
    assert_eq!(child.tell("open"), "ok");
    world.kms.set_lending_broken(true);
    let lent = world.kms.lent();
    for _ in 0..3 {
        assert_eq!(child.tell("sign"), "ok");
    }
    assert_eq!(world.kms.lent(), lent);
}

#[test]
fn a_key_that_the_service_calls_expired_is_replaced_within_the_call() {
    let world = with_role(HOUR);
    let mut child = instance(&world);
    assert_eq!((child.tell("open"), child.tell("pass 60")), ("ok".to_owned(), "ok".to_owned()));
    world.kms.expire_lent_keys();
    assert_eq!(child.tell("sign"), "ok");
    assert_eq!(world.kms.lent(), 2);
    world.kms.expire_lent_keys();
    let refused = child.tell("sign");
    assert!(refused.contains("ExpiredTokenException"), "a fresh one would be refused as well: {refused}");
    assert_eq!(world.kms.lent(), 2);
}

#[test]
fn where_there_are_none_it_says_where_it_looked() {
    let world = World::new();
    let mut child = Child::start(&world, &[("AWS_EC2_METADATA_DISABLED", "true")]);
    let refused = child.tell("open");
    assert!(refused.starts_with("Auth: ") && refused.contains("no credentials are found"), "{refused}");
}

#[tokio::test]
async fn a_key_of_sts_that_expired_is_refused() {
    let world = with_role(HOUR);
    assert_eq!(instance(&world).tell("open"), "ok");
    // One that a role lent serves as one that STS lent.
    let (id, secret, token) = ("ASIASTANDIN000000001", "lentSecret000000001", "IQoJstandIn/lent+token=0001==");
    let credentials = AwsCredentials::lent_key(id.into(), secret.into(), token.into());
    let signer = AwsKmsSigner::open(world.config_of(&world.key.id, credentials)).await.unwrap();
    assert_eq!(sign(&signer).await, Ok(()));
    world.kms.expire_lent_keys();
    assert_eq!(sign(&signer).await, Err(SignErrorKind::Auth));
}
