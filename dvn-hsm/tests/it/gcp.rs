//! A key in Google Cloud's KMS, or rather in a stand-in that checks every request and fails as it is told to.

mod credentials;
mod faults;
mod opening;
mod silence;
pub(crate) mod stand;

use std::num::NonZeroU32;

use alloy_primitives::Address;
use dvn_core::error::SignErrorKind;
use dvn_hsm::{GcpCredentials, GcpKmsConfig, GcpKmsSigner};
use dvn_testkit::gcp_kms::{GcpKms, KeyName};

use k256::ecdsa::SigningKey;

use crate::service_suite::kind_of;

const SIGN: &str = "AsymmetricSign";

/// The service with one key.
pub(crate) struct World {
    pub(crate) kms: GcpKms,
    pub(crate) key: KeyName,
}

impl World {
    pub(crate) fn new() -> Self {
        let kms = GcpKms::start().unwrap();
        let key = kms.create_key([7; 32]);
        Self { kms, key }
    }

    /// The key, whichever its version.
    pub(crate) fn config_of(&self, key: &KeyName, credentials: GcpCredentials) -> GcpKmsConfig {
        let config = GcpKmsConfig::new(&key.project, &key.location, &key.key_ring, &key.key_name, credentials);
        let config = config.unwrap().with_requests_per_second(NonZeroU32::new(10_000).unwrap());
        config.with_endpoint(self.kms.url()).unwrap()
    }

    fn config(&self) -> GcpKmsConfig {
        self.config_of(&self.key, GcpCredentials::nobody())
    }

    async fn signer(&self) -> GcpKmsSigner {
        GcpKmsSigner::open(self.config()).await.unwrap()
    }

    /// How often a signature was asked for since `before`.
    fn asked_since(&self, before: usize) -> usize {
        self.kms.asked(SIGN).checked_sub(before).unwrap()
    }
}

fn address() -> Address {
    Address::from_private_key(&SigningKey::from_slice(&[7; 32]).unwrap())
}

/// The kind of the error with which it does not open, if the story has this in it.
async fn kind(config: GcpKmsConfig, part: &str) -> SignErrorKind {
    kind_of(GcpKmsSigner::open(config).await.unwrap_err(), part)
}
