//! A key in AWS KMS, or rather in a stand-in that checks every request and fails as it is told to.

mod credentials;
mod faults;
mod logs;
mod moto;
mod opening;
pub(crate) mod stand;

use std::num::NonZeroU32;

use alloy_primitives::Address;
use dvn_core::error::SignErrorKind;
use dvn_hsm::{AwsCredentials, AwsKmsConfig, AwsKmsSigner};
use dvn_testkit::aws_kms::{ACCESS_KEY_ID, AwsKms, KeyName, REGION, SECRET_ACCESS_KEY};
use k256::ecdsa::SigningKey;
use secrecy::SecretString;

use crate::errors::{assert_silent, story};

const SIGN: &str = "Sign";

/// The service with one key.
struct World {
    kms: AwsKms,
    key: KeyName,
}

impl World {
    fn new() -> Self {
        let kms = AwsKms::start().unwrap();
        let key = kms.create_key([7; 32]);
        Self { kms, key }
    }

    fn config_of(&self, key_id: &str, credentials: AwsCredentials) -> AwsKmsConfig {
        AwsKmsConfig::in_region(REGION, key_id, credentials)
            .and_then(|config| config.with_endpoint(self.kms.url().clone()))
            .unwrap()
            .with_requests_per_second(NonZeroU32::new(10_000).unwrap())
    }

    fn config(&self) -> AwsKmsConfig {
        self.config_of(&self.key.id, access_key())
    }

    async fn signer(&self) -> AwsKmsSigner {
        AwsKmsSigner::open(self.config()).await.unwrap()
    }
}

/// The service with one key, for whoever has a lent key that the service does not know.
pub(crate) fn service_with_lent_key([secret, token]: [&str; 2]) -> (AwsKms, AwsKmsConfig) {
    let world = World::new();
    let credentials = AwsCredentials::lent_key(ACCESS_KEY_ID.into(), secret.into(), token.into());
    let config = world.config_of(&world.key.id, credentials);
    (world.kms, config)
}

fn access_key() -> AwsCredentials {
    AwsCredentials::access_key(ACCESS_KEY_ID.into(), SECRET_ACCESS_KEY.into())
}

fn address() -> Address {
    Address::from_private_key(&SigningKey::from_slice(&[7; 32]).unwrap())
}

#[tokio::test]
async fn debug_and_errors_show_no_secret() {
    let world = World::new();
    let secrets = ["id-161803", "secret-271828", "token-314159"];
    let [id, secret, token] = secrets.map(SecretString::from);
    let credentials = AwsCredentials::lent_key(ACCESS_KEY_ID.into(), secret.clone(), token.clone());
    let mut told = vec![format!("{credentials:?}"), format!("{:?}", world.signer().await)];
    // The service repeats the token in its message.
    for credentials in [
        credentials,
        AwsCredentials::lent_key(ACCESS_KEY_ID.into(), SECRET_ACCESS_KEY.into(), token),
        AwsCredentials::access_key(id, secret),
    ] {
        let config = world.config_of(&world.key.id, credentials);
        told.push(format!("{config:?}"));
        let error = AwsKmsSigner::open(config).await.unwrap_err();
        assert_eq!(error.kind(), SignErrorKind::Auth);
        told.push(story(&error));
    }
    let known = [ACCESS_KEY_ID, SECRET_ACCESS_KEY];
    assert_silent(&told, &[secrets.as_slice(), &known].concat());
}
