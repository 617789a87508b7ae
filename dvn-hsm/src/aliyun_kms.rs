//! A key in Alibaba Cloud's Key Management Service (KMS), interface version 2016-01-20, over its shared or dedicated
//! gateway.
//!
//! Requests are signed here (`ACS3-HMAC-SHA256`); no SDK is used. The service signs with a fresh nonce each time, so that
//! an attempt that was lost on the way is simply made again.

mod client;
mod config;
mod credentials;
mod key;
mod refusal;
mod role;
mod v3;
mod wire;

use std::{fmt, sync::Arc};

use alloy_primitives::{Address, B256, Signature};
use async_trait::async_trait;
use base64::{Engine, engine::general_purpose::STANDARD};
use dvn_core::{
    error::{SignError, SignErrorKind},
    ports::Signer,
    signature::test_digest,
};
use serde::Deserialize;

use self::{client::Client, key::Key, role::Role};
pub use self::{
    config::{AliyunConfigError, AliyunKmsConfig},
    credentials::AliyunCredentials,
};
use crate::{
    ecdsa::Release,
    service::{Failure, Service, key::scalars},
};

/// Signs with a key that never leaves Alibaba Cloud's KMS.
///
/// A signature has one deadline, within which what passes by itself is tried again: no answer, an answer of something in
/// between, throttling. Requests stay below a quota of our own, and a service that fails is left alone for a moment.
pub struct AliyunKmsSigner {
    client: Client,
    service: Service,
    key: Key,
    release: Release,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Signed {
    value: String,
}

impl AliyunKmsSigner {
    /// Looks the key up, checks it and its address, asks whether we may sign, and signs one digest of no protocol as a
    /// test. That takes five or six requests.
    ///
    /// # Errors
    /// * `Key`: the key does not exist, is not enabled, of another kind or of another address than expected, or has
    ///   several versions of which none is chosen;
    /// * `Auth`: the access key, its rights or the time of its requests are refused, or there is no such RAM role;
    /// * `Unavailable`, `Timeout`, `Throttled`: opening again later may help;
    /// * `Integrity`: the test signature is wrong.
    ///
    /// # Cancel safety
    /// Dropping the future leaves nothing behind.
    pub async fn open(config: AliyunKmsConfig) -> Result<Self, SignError> {
        let service = Service::new(&config.key_id, config.limits);
        let client = Role::wallet(&config.credentials, Arc::clone(&config.clock))
            .and_then(|wallet| Client::new(config.endpoint, config.trusted, wallet, config.clock))
            .map_err(|failure| failure.into_error(service.key()))?;
        let key = match (config.describes, config.key_version_id) {
            (false, Some(version)) => Key { id: config.key_id, version },
            (_, version) => key::find(&service, &client, &config.key_id, version.as_deref()).await?,
        };
        let address = key::address(&service, &client, &key, config.address).await?;
        let release = Release::new(address, service.key());
        let signer = Self { client, service, key, release };
        signer.self_test().await?;
        tracing::debug!(key = signer.service.key(), %address, version = %signer.key.version, "key service opened");
        Ok(signer)
    }

    /// The dry run tells a missing right from a key that fails before the key is used; a signature tells the rest.
    async fn self_test(&self) -> Result<(), SignError> {
        let digest = test_digest(self.address());
        self.service.call(|| self.rehearse(digest)).await?;
        self.sign_digest(digest).await.map(drop)
    }

    /// The service answers a rehearsal with an error always; which one says how the real thing would end.
    async fn rehearse(&self, digest: B256) -> Result<(), Failure> {
        match self.ask(digest, &[("DryRun", "true")]).await {
            // A gateway that knows no rehearsals signs, or refuses the word. Then the signature tells it all.
            Ok(_) => Ok(()),
            Err(refusal) if refusal.code == "DryRunOperationError" => Ok(()),
            Err(refusal) if refusal.failure.kind() == SignErrorKind::Key => Ok(()),
            Err(refusal) => Err(refusal.failure),
        }
    }

    async fn ask(&self, digest: B256, further: &[(&str, &str)]) -> Result<Signed, refusal::Refusal> {
        let digest = STANDARD.encode(digest);
        let mut parameters = vec![
            ("KeyId", self.key.id.as_str()),
            ("KeyVersionId", self.key.version.as_str()),
            // Names the length: whatever 32 bytes are given are signed as they are.
            ("Algorithm", "ECDSA_SHA_256"),
            ("Digest", digest.as_str()),
        ];
        parameters.extend_from_slice(further);
        self.client.ask("AsymmetricSign", &parameters).await
    }

    async fn signed(&self, digest: B256) -> Result<Vec<u8>, Failure> {
        let signed = self.ask(digest, &[]).await.map_err(|refusal| refusal.failure)?;
        decode(&signed.value)
    }
}

#[async_trait]
impl Signer for AliyunKmsSigner {
    fn address(&self) -> Address {
        self.release.address()
    }

    async fn sign_digest(&self, digest: B256) -> Result<Signature, SignError> {
        self.release.ensure_running()?;
        let raw = self.service.call(|| self.signed(digest)).await?;
        self.release.finish(&raw, digest)
    }
}

impl fmt::Debug for AliyunKmsSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AliyunKmsSigner")
            .field("key", &self.key)
            .field("address", &self.address())
            .finish_non_exhaustive()
    }
}

/// r ‖ s of a signature in base64. The documentation does not say how it is encoded: its examples check it with OpenSSL,
/// which takes DER. The bare 64 bytes are taken too; whether they are a signature is found out by recovery.
fn decode(value: &str) -> Result<Vec<u8>, Failure> {
    let wrong = |cause| Failure::new(SignErrorKind::Integrity, cause);
    let bytes = STANDARD.decode(value).map_err(|_| wrong("it is not base64"))?;
    match scalars(&bytes) {
        Some(scalars) => Ok(scalars),
        None if bytes.len() == 64 => Ok(bytes),
        None => Err(wrong("it is neither DER nor 64 bytes")),
    }
}
