//! A key in Alibaba Cloud's KMS, or rather in a stand-in that checks every request and fails as it is told to.

mod credentials;
mod faults;
mod opening;
mod redirects;
pub(crate) mod stand;

use std::num::NonZeroU32;

use alloy_primitives::Address;
use dvn_core::error::SignErrorKind;
use dvn_hsm::{AliyunCredentials, AliyunKmsConfig, AliyunKmsSigner};
use dvn_testkit::aliyun_kms::{ACCESS_KEY_ID, ACCESS_KEY_SECRET, AliyunKms, KeyName};
use k256::ecdsa::SigningKey;
use secrecy::SecretString;

use crate::errors::{assert_silent, story};

const SIGN: &str = "AsymmetricSign";

/// The service with one key.
struct World {
    kms: AliyunKms,
    key: KeyName,
}

impl World {
    fn new() -> Self {
        let kms = AliyunKms::start().unwrap();
        let key = kms.create_key([7; 32]);
        Self { kms, key }
    }

    fn config_of(&self, key_id: &str, credentials: AliyunCredentials) -> AliyunKmsConfig {
        AliyunKmsConfig::at(self.kms.url().clone(), key_id, credentials)
            .with_requests_per_second(NonZeroU32::new(10_000).unwrap())
    }

    fn config(&self) -> AliyunKmsConfig {
        self.config_of(&self.key.id, access_key())
    }

    async fn signer(&self) -> AliyunKmsSigner {
        AliyunKmsSigner::open(self.config()).await.unwrap()
    }
}

/// The service with one key, for the tests of all devices.
pub(crate) fn service() -> (AliyunKms, AliyunKmsConfig) {
    let world = World::new();
    let config = world.config();
    (world.kms, config)
}

/// The same, for whoever has a lent key that the service does not know.
pub(crate) fn service_with_lent_key([secret, token]: [&str; 2]) -> (AliyunKms, AliyunKmsConfig) {
    let world = World::new();
    let credentials = AliyunCredentials::lent_key(ACCESS_KEY_ID.into(), secret.into(), token.into());
    let config = world.config_of(&world.key.id, credentials);
    (world.kms, config)
}

fn access_key() -> AliyunCredentials {
    AliyunCredentials::access_key(ACCESS_KEY_ID.into(), ACCESS_KEY_SECRET.into())
}

pub(crate) fn address() -> Address {
    Address::from_private_key(&SigningKey::from_slice(&[7; 32]).unwrap())
}

#[tokio::test]
async fn debug_and_errors_show_no_secret() {
    let world = World::new();
    let secrets = ["id-161803", "secret-271828", "token-314159"];
    let [id, secret, token] = secrets.map(SecretString::from);
    let credentials = AliyunCredentials::lent_key(ACCESS_KEY_ID.into(), secret.clone(), token.clone());
    let mut told = vec![format!("{credentials:?}"), format!("{:?}", world.signer().await)];
    // The service repeats the token in its message.
    for credentials in [
        credentials,
        AliyunCredentials::lent_key(ACCESS_KEY_ID.into(), ACCESS_KEY_SECRET.into(), token),
        AliyunCredentials::access_key(id, secret),
    ] {
        let config = world.config_of(&world.key.id, credentials);
        told.push(format!("{config:?}"));
        let error = AliyunKmsSigner::open(config).await.unwrap_err();
        assert_eq!(error.kind(), SignErrorKind::Auth);
        told.push(story(&error));
    }
    let known = [ACCESS_KEY_ID, ACCESS_KEY_SECRET];
    assert_silent(&told, &[secrets.as_slice(), &known].concat());
}
