//! Everything that any crate logs, down to its last trace, while each device works and fails: no PIN, secret or token is in it.

use std::{
    io,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use dvn_hsm::{AliyunKmsSigner, AwsKmsSigner, GcpCredentials, GcpKmsSigner, testing};
use dvn_testkit::{aliyun_kms, aws_kms, keys};
use secrecy::SecretString;
use serde_json::Value;
use tracing_subscriber::EnvFilter;

use crate::{
    aliyun, aws,
    child::{PIN, block_on, with_shim},
    gcp,
    local::LocalStand,
    service_suite::sign,
    stand::TokenStand,
};

/// What was logged.
static OUTPUT: Mutex<Vec<u8>> = Mutex::new(Vec::new());

struct Output;

impl io::Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        OUTPUT.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// In a process of its own, since it listens to all of it.
#[test]
fn nothing_that_is_logged_holds_a_secret() {
    with_shim("secrets::nothing_that_is_logged_holds_a_secret", |world| {
        // AWS's SDK prints answers, in which the service may repeat a token; docs/keys.md says so.
        let filter = EnvFilter::new("trace,aws_smithy_runtime=debug");
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(|| Output).init();
        let mut secrets = vec![PIN.to_owned(), keys::signer(0).secret().to_string()[2..].to_owned()];
        secrets.extend([aliyun_kms::ACCESS_KEY_SECRET, aws_kms::SECRET_ACCESS_KEY].map(str::to_owned));
        block_on(async {
            // Every trouble that each device knows.
            drop(testing::conformance(&LocalStand).await);
            drop(testing::conformance(&TokenStand::new(world)).await);
            drop(testing::conformance(&aliyun::stand::stand()).await);
            drop(testing::conformance(&aws::stand::stand()).await);
            drop(testing::conformance(&gcp::stand::stand()).await);
            refuse_lent_keys(&mut secrets).await;
            lend_to_google(&mut secrets).await;
        });
        let told = String::from_utf8_lossy(&OUTPUT.lock().unwrap()).into_owned();
        for part in ["hyper", "h2", "aws_", "tonic", "dvn_hsm"] {
            assert!(told.contains(part), "nothing was heard of {part}");
        }
        for secret in &secrets {
            let at = told.find(secret.as_str());
            let around = at.map(|at| told[..at].lines().last().unwrap_or_default().to_owned());
            assert_eq!(around, None, "{secret}");
        }
    });
}

/// Lent keys, which the services refuse.
async fn refuse_lent_keys(secrets: &mut Vec<String>) {
    let lent = ["secret-271828", "token-314159"];
    let (_aliyun, config) = aliyun::service_with_lent_key(lent);
    assert!(AliyunKmsSigner::open(config).await.is_err());
    let (_aws, config) = aws::service_with_lent_key(lent);
    assert!(AwsKmsSigner::open(config).await.is_err());
    secrets.extend(lent.map(str::to_owned));
}

/// The key of a service account, and the tokens that it and the metadata server give.
async fn lend_to_google(secrets: &mut Vec<String>) {
    let world = gcp::World::new();
    world.kms.require_tokens();
    world.kms.lend(Some(Duration::from_secs(3_600)));
    let json = world.kms.create_service_account().unwrap();
    let metadata = GcpCredentials::application_default().with_metadata_server(world.kms.url().clone());
    let account = GcpCredentials::service_account(SecretString::from(json.clone())).unwrap();
    for credentials in [metadata, account] {
        let signer = GcpKmsSigner::open(world.config_of(&world.key, credentials)).await.unwrap();
        assert_eq!(sign(&signer).await, Ok(()));
    }
    let pem: Value = serde_json::from_str(&json).unwrap();
    let line = pem["private_key"].as_str().unwrap().lines().nth(1).unwrap().to_owned();
    secrets.push(line);
    // What the metadata server lends, and what an account's key signs.
    secrets.extend(["ya29.", "Bearer ey"].map(str::to_owned));
}
