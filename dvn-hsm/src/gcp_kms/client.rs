//! Requests to the service, each with a token and over one connection, both of which are made anew when they may be why
//! something failed.

use std::{sync::Arc, time::Duration};

use alloy_primitives::B256;
use dvn_core::error::SignErrorKind;
use gcloud_sdk::{
    GoogleAuthHeaders, HeaderMap,
    google::cloud::kms::v1::{
        AsymmetricSignRequest, AsymmetricSignResponse, CryptoKeyVersion, Digest, GetCryptoKeyVersionRequest,
        GetPublicKeyRequest, ListCryptoKeyVersionsRequest, ListCryptoKeyVersionsResponse, PublicKey, digest,
        key_management_service_client::KeyManagementServiceClient,
    },
};
use tonic::{
    Request, Response, Status,
    metadata::{Ascii, MetadataMap, MetadataValue},
    transport::{Channel, ClientTlsConfig, Endpoint},
};

use super::{
    checksum::crc32c,
    config::GcpKmsConfig,
    credentials::GcpCredentials,
    name::{KeyName, VersionName},
    refusal::{Refusal, no_credentials, no_token},
    renewable::Renewable,
};
use crate::service::Failure;

type Stub = KeyManagementServiceClient<Channel>;

/// Longest answer that is read. A signature takes some hundred bytes, a page of versions some ten thousand.
const MOST: usize = 1 << 20;
/// Versions of one page.
const PAGE: i32 = 100;
/// How often an idle connection is asked whether it is there, and how long it may take to say so.
const KEEP_ALIVE: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(10));

/// The way to one endpoint with one account.
#[derive(Debug)]
pub(super) struct Client {
    endpoint: Endpoint,
    /// For one attempt, which the service is told as well.
    attempt: Duration,
    credentials: GcpCredentials,
    channel: Renewable<Channel>,
    token: Renewable<GoogleAuthHeaders>,
}

impl Client {
    /// Nothing is connected yet, and no token asked for.
    pub(super) fn new(config: &GcpKmsConfig) -> Result<Self, Failure> {
        let attempt = config.limits.attempt;
        let unusable = |_| Failure::new(SignErrorKind::Key, "the endpoint cannot be used");
        let mut endpoint = Endpoint::from_shared(config.endpoint.clone()).map_err(unusable)?;
        if config.endpoint.starts_with("https://") {
            endpoint = endpoint.tls_config(ClientTlsConfig::new().with_webpki_roots()).map_err(unusable)?;
        }
        let (interval, patience) = KEEP_ALIVE;
        let endpoint = endpoint
            .connect_timeout(attempt)
            .http2_keep_alive_interval(interval)
            .keep_alive_timeout(patience)
            .keep_alive_while_idle(true);
        Ok(Self {
            endpoint,
            attempt,
            credentials: config.credentials.clone(),
            channel: Renewable::new(),
            token: Renewable::new(),
        })
    }

    /// One page of the key's versions; the first has an empty token.
    pub(super) async fn versions(&self, key: &KeyName, page: &str) -> Result<ListCryptoKeyVersionsResponse, Refusal> {
        let message = ListCryptoKeyVersionsRequest {
            parent: key.as_str().to_owned(),
            page_size: PAGE,
            page_token: page.to_owned(),
            ..Default::default()
        };
        let call = |mut stub: Stub, request| async move { stub.list_crypto_key_versions(request).await };
        self.ask("ListCryptoKeyVersions", ("parent", key.as_str()), message, call).await
    }

    /// What the service says about a version.
    pub(super) async fn version(&self, name: &VersionName) -> Result<CryptoKeyVersion, Refusal> {
        let message = GetCryptoKeyVersionRequest { name: name.as_str().to_owned() };
        let call = |mut stub: Stub, request| async move { stub.get_crypto_key_version(request).await };
        self.ask("GetCryptoKeyVersion", ("name", name.as_str()), message, call).await
    }

    /// A version's public key.
    pub(super) async fn public_key(&self, name: &VersionName) -> Result<PublicKey, Refusal> {
        let message = GetPublicKeyRequest { name: name.as_str().to_owned(), ..Default::default() };
        let call = |mut stub: Stub, request| async move { stub.get_public_key(request).await };
        self.ask("GetPublicKey", ("name", name.as_str()), message, call).await
    }

    /// A signature over this digest, with its checksum.
    pub(super) async fn sign(&self, name: &VersionName, digest: B256) -> Result<AsymmetricSignResponse, Refusal> {
        let message = AsymmetricSignRequest {
            name: name.as_str().to_owned(),
            // The field names the length: whatever 32 bytes are given are signed as they are.
            digest: Some(Digest { digest: Some(digest::Digest::Sha256(digest.to_vec())) }),
            digest_crc32c: Some(crc32c(digest.as_slice())),
            ..Default::default()
        };
        let call = |mut stub: Stub, request| async move { stub.asymmetric_sign(request).await };
        self.ask("AsymmetricSign", ("name", name.as_str()), message, call).await
    }

    /// Asks with the token of the moment, and once more with another one where that is refused.
    async fn ask<M, R, F, A>(
        &self,
        action: &'static str,
        resource: (&str, &str),
        message: M,
        call: F,
    ) -> Result<R, Refusal>
    where
        M: Clone,
        F: Fn(Stub, Request<M>) -> A,
        A: Future<Output = Result<Response<R>, Status>>,
    {
        let (token, is_new, headers) = self.token().await?;
        let refusal = match self.ask_as(&headers, action, resource, message.clone(), &call).await {
            Err(refusal) if refusal.is_about_the_token() => refusal,
            other => return other,
        };
        self.token.discard(&token);
        if is_new {
            return Err(refusal);
        }
        // Its end may have come early, as after a machine was suspended.
        let (_, _, headers) = self.token().await?;
        self.ask_as(&headers, action, resource, message, &call).await
    }

    /// The token's keeper, whether it is new, and what it adds to a request. One that does not answer is replaced.
    async fn token(&self) -> Result<(Arc<GoogleAuthHeaders>, bool, Arc<HeaderMap>), Failure> {
        let lease = self.token.lease(|| self.credentials.headers().map_err(|error| no_credentials(&error)))?;
        let headers = lease.headers().await.map_err(|error| no_token(&error))?;
        let is_new = lease.is_new();
        Ok((lease.worked(), is_new, headers))
    }

    async fn ask_as<M, R, F, A>(
        &self,
        headers: &HeaderMap,
        action: &'static str,
        resource: (&str, &str),
        message: M,
        call: &F,
    ) -> Result<R, Refusal>
    where
        F: Fn(Stub, Request<M>) -> A,
        A: Future<Output = Result<Response<R>, Status>>,
    {
        let mut request = Request::new(message);
        *request.metadata_mut() = MetadataMap::from_headers(headers.clone());
        request.metadata_mut().insert("x-goog-request-params", parameters(resource)?);
        request.set_timeout(self.attempt);
        let channel = self.channel.lease(|| Ok::<_, Failure>(self.endpoint.connect_lazy()))?;
        let stub = Stub::new(Channel::clone(&channel)).max_decoding_message_size(MOST);
        let answer = call(stub, request).await.map_err(|status| Refusal::read(action, &status));
        if answer.as_ref().err().is_none_or(Refusal::is_answer) {
            channel.worked();
        }
        answer.map(Response::into_inner)
    }
}

/// Where the service's front sends the request, as in a query.
fn parameters((name, value): (&str, &str)) -> Result<MetadataValue<Ascii>, Failure> {
    let value = value.replace('/', "%2F").replace(':', "%3A");
    let parameters = format!("{name}={value}").parse();
    parameters.map_err(|_| Failure::new(SignErrorKind::Bug, "the name of a key does not fit into a header"))
}
