//! A key in Google Cloud's Key Management Service (KMS), interface version 1, over gRPC.
//!
//! The service signs with a fresh nonce each time, so that an attempt that was lost on the way is simply made again.
//! Requests and answers carry checksums, since TLS ends before the service itself; both sides check them.

mod checksum;
mod client;
mod config;
mod credentials;
mod key;
mod name;
mod refusal;
mod renewable;

use std::fmt;

use alloy_primitives::{Address, B256, Signature};
use async_trait::async_trait;
use dvn_core::{
    error::{SignError, SignErrorKind},
    ports::Signer,
    signature::test_digest,
};
use gcloud_sdk::google::cloud::kms::v1::AsymmetricSignResponse;

use self::{client::Client, key::Version};
pub use self::{
    config::{GcpConfigError, GcpKmsConfig},
    credentials::GcpCredentials,
};
use crate::{
    ecdsa::Release,
    service::{Failure, Service, key::scalars},
};

/// Signs with a key that never leaves Google Cloud's KMS.
///
/// A signature has one deadline, within which what passes by itself is tried again: no answer, an answer of something in
/// between, throttling, and once where a checksum tells that something was changed on the way. Requests stay below a quota
/// of our own, and a service that fails is left alone for a moment. A connection that fell silent is replaced.
pub struct GcpKmsSigner {
    client: Client,
    service: Service,
    version: Version,
    release: Release,
}

impl GcpKmsSigner {
    /// Looks the key up, checks it and its address, and signs one digest of no protocol as a test. That takes three or four
    /// requests.
    ///
    /// It must be called on a Tokio runtime, and the signer be used while that lasts: connection and tokens live there.
    ///
    /// # Errors
    /// * `Key`: the key does not exist, is not enabled, of another kind or of another address than expected, is not in an
    ///   HSM, or has several enabled versions of which none is chosen;
    /// * `Auth`: there are no credentials, or their token or their rights are refused;
    /// * `Unavailable`, `Timeout`, `Throttled`: opening again later may help;
    /// * `Integrity`: checksums are wrong twice, an answer is about another key, or the test signature is wrong.
    ///
    /// # Cancel safety
    /// Dropping the future leaves nothing behind.
    pub async fn open(config: GcpKmsConfig) -> Result<Self, SignError> {
        let service = Service::new(config.key.as_str(), config.limits);
        let client = Client::new(&config).map_err(|failure| failure.into_error(service.key()))?;
        let name = match config.version {
            Some(name) => name,
            None => key::only_version(&service, &client, &config.key).await?,
        };
        key::inspect(&service, &client, &name).await?;
        let (version, address) = key::open(&service, &client, name, config.address).await?;
        let release = Release::new(address, service.key());
        let signer = Self { client, service, version, release };
        signer.sign_digest(test_digest(address)).await?;
        tracing::debug!(key = signer.version.name.as_str(), %address, "key service opened");
        Ok(signer)
    }

    async fn signed(&self, digest: B256) -> Result<Vec<u8>, Failure> {
        let answer = self.client.sign(&self.version.name, digest).await.map_err(|refusal| refusal.failure)?;
        self.accept(&answer)
    }

    /// r ‖ s, if the answer is whole and about our key.
    fn accept(&self, answer: &AsymmetricSignResponse) -> Result<Vec<u8>, Failure> {
        if !answer.verified_digest_crc32c {
            return Err(Failure::corrupted("the service does not say that the digest arrived as it was sent"));
        }
        checksum::check("signature", &answer.signature, answer.signature_crc32c)?;
        key::same_name(&answer.name, &self.version.name)?;
        if answer.protection_level() != self.version.level {
            let (found, known) = (answer.protection_level().as_str_name(), self.version.level.as_str_name());
            let cause = format!("it was signed at the protection level {found}, but the key's is {known}");
            return Err(Failure::new(SignErrorKind::Integrity, cause));
        }
        scalars(&answer.signature).ok_or_else(|| Failure::new(SignErrorKind::Integrity, "it is not DER"))
    }
}

#[async_trait]
impl Signer for GcpKmsSigner {
    fn address(&self) -> Address {
        self.release.address()
    }

    async fn sign_digest(&self, digest: B256) -> Result<Signature, SignError> {
        self.release.ensure_running()?;
        let raw = self.service.call(|| self.signed(digest)).await?;
        self.release.finish(&raw, digest)
    }
}

impl fmt::Debug for GcpKmsSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GcpKmsSigner")
            .field("key", &self.version.name.as_str())
            .field("address", &self.address())
            .finish_non_exhaustive()
    }
}
