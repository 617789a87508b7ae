//! A key in AWS's Key Management Service (KMS).
//!
//! AWS's own SDK signs and sends the requests; it is told to make one attempt and to have no deadlines, since both are
//! [`Service`]'s business. The service signs with a fresh nonce each time, so that an attempt that was lost on the way is
//! simply made again.

mod client;
mod config;
mod credentials;
mod key;
mod refusal;

use std::fmt;

use alloy_primitives::{Address, B256, Signature};
use async_trait::async_trait;
use aws_sdk_kms::{
    operation::sign::SignOutput,
    primitives::Blob,
    types::{MessageType, SigningAlgorithmSpec},
};
use dvn_core::{
    error::{SignError, SignErrorKind},
    ports::Signer,
    signature::test_digest,
};

use self::{client::Client, refusal::Refusal};
pub use self::{
    config::{AwsConfigError, AwsKmsConfig},
    credentials::AwsCredentials,
};
use crate::{
    ecdsa::Release,
    service::{Failure, Service, key::scalars},
};

/// Signs with a key that never leaves AWS KMS.
///
/// A signature has one deadline, within which what passes by itself is tried again: no answer, an answer of something in
/// between, throttling. Requests stay below a quota of our own, and a service that fails is left alone for a moment.
pub struct AwsKmsSigner {
    client: Client,
    service: Service,
    /// The key's ARN, whichever name it was configured by.
    arn: String,
    release: Release,
}

impl AwsKmsSigner {
    /// Looks the key up, checks it and its address, asks whether we may sign, and signs one digest of no protocol as a
    /// test. That takes four requests, and those that credentials need.
    ///
    /// # Errors
    /// * `Key`: the key does not exist, is not enabled, of another kind or of another address than expected;
    /// * `Auth`: there are no credentials, or they, their rights or the time of the requests are refused;
    /// * `Unavailable`, `Timeout`, `Throttled`: opening again later may help;
    /// * `Integrity`: the test signature is wrong, or the service answers for another key.
    ///
    /// # Cancel safety
    /// Dropping the future leaves nothing behind.
    pub async fn open(config: AwsKmsConfig) -> Result<Self, SignError> {
        let service = Service::new(&config.key_id, config.limits);
        let client = Client::new(&config).await.map_err(|failure| failure.into_error(service.key()))?;
        let arn = key::find(&service, &client, &config.key_id).await?;
        let address = key::address(&service, &client, &arn, config.address).await?;
        let release = Release::new(address, service.key());
        let signer = Self { client, service, arn, release };
        signer.self_test().await?;
        tracing::debug!(key = signer.service.key(), %address, arn = %signer.arn, "key service opened");
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
        match self.ask(digest, Some(true)).await {
            // Whoever stands in for the service and knows no rehearsals signs. Then the signature tells it all.
            Ok(_) => Ok(()),
            Err(refusal) if refusal.code == "DryRunOperationException" => Ok(()),
            Err(refusal) => Err(refusal.failure),
        }
    }

    async fn ask(&self, digest: B256, rehearsal: Option<bool>) -> Result<SignOutput, Refusal> {
        let send = |kms: &aws_sdk_kms::Client| {
            kms.sign()
                .key_id(&self.arn)
                // Without this word the service would hash once more.
                .message_type(MessageType::Digest)
                // Names the length: whatever 32 bytes are given are signed as they are.
                .signing_algorithm(SigningAlgorithmSpec::EcdsaSha256)
                .message(Blob::new(digest.as_slice()))
                .set_dry_run(rehearsal)
                .send()
        };
        self.client.ask("Sign", send).await
    }

    async fn signed(&self, digest: B256) -> Result<Vec<u8>, Failure> {
        let answer = self.ask(digest, None).await.map_err(|refusal| refusal.failure)?;
        key::ensure_named("Sign", answer.key_id(), &self.arn)?;
        let der = answer.signature().ok_or_else(|| Failure::unavailable("Sign was answered without a signature"))?;
        scalars(der.as_ref()).ok_or_else(|| Failure::new(SignErrorKind::Integrity, "it is not a signature in DER"))
    }
}

#[async_trait]
impl Signer for AwsKmsSigner {
    fn address(&self) -> Address {
        self.release.address()
    }

    async fn sign_digest(&self, digest: B256) -> Result<Signature, SignError> {
        self.release.ensure_running()?;
        let raw = self.service.call(|| self.signed(digest)).await?;
        self.release.finish(&raw, digest)
    }
}

impl fmt::Debug for AwsKmsSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AwsKmsSigner").field("arn", &self.arn).field("address", &self.address()).finish_non_exhaustive()
    }
}
