//! The way to one endpoint with one account, through AWS's SDK.

use std::{fmt, pin::Pin, sync::Arc, time::SystemTime};

use aws_config::provider_config::ProviderConfig;
use aws_credential_types::provider::{error::CredentialsError, future};
use aws_sdk_kms::{
    Config,
    config::{
        Credentials, IdentityCache, ProvideCredentials, Region, SharedHttpClient, retry::RetryConfig,
        timeout::TimeoutConfig,
    },
    error::{ProvideErrorMetadata, SdkError},
};
use aws_smithy_async::time::TimeSource;
use aws_smithy_http_client::{
    Builder,
    tls::{Provider, TlsContext, TrustStore, rustls_provider::CryptoMode},
};
use dvn_core::ports::Clock;

use super::{
    config::AwsKmsConfig,
    credentials::{Chain, Source},
    refusal::{Raw, Refusal},
};
use crate::service::{Failure, key::unfit, wallet::Wallet};

/// Sends requests with the access key of the moment.
#[derive(Debug)]
pub(super) struct Client {
    kms: aws_sdk_kms::Client,
    purse: Purse,
    clock: Arc<dyn Clock>,
}

impl Client {
    /// Gets credentials; nothing is asked of the service yet.
    ///
    /// # Errors
    /// When there are none, or the certificates cannot be used.
    pub(super) async fn new(config: &AwsKmsConfig) -> Result<Self, Failure> {
        let region = Region::new(config.region.clone());
        let purse = Purse::new(config, &region).await?;
        // Here, since an attempt has not the time that some lenders take.
        purse.0.current().await?;
        let mut sdk = Config::builder()
            .region(region)
            .use_fips(config.is_fips)
            .http_client(http(config)?)
            .time_source(Time(Arc::clone(&config.clock)))
            // Attempts, deadlines and the age of credentials are looked after here.
            .retry_config(RetryConfig::disabled())
            .timeout_config(TimeoutConfig::disabled())
            .identity_cache(IdentityCache::no_cache())
            // It would hide a wrong clock until the next start.
            .disable_clock_skew_correction(true)
            .credentials_provider(purse.clone());
        if let Some(endpoint) = &config.endpoint {
            sdk = sdk.endpoint_url(endpoint.as_str().trim_end_matches('/'));
        }
        let kms = aws_sdk_kms::Client::from_conf(sdk.build());
        Ok(Self { kms, purse, clock: Arc::clone(&config.clock) })
    }

    /// Asks the service to do this. A lent access key that is refused is replaced once.
    ///
    /// # Errors
    /// The refusal with its code, or the failure on the way with an empty one.
    pub(super) async fn ask<T, E, F>(
        &self,
        action: &'static str,
        send: impl Fn(&aws_sdk_kms::Client) -> F,
    ) -> Result<T, Refusal>
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
        F: Future<Output = Result<T, SdkError<E, Raw>>> + Send,
    {
        let send = || -> Sent<'_, T, E> { Box::pin(send(&self.kms)) };
        let key = self.purse.0.current().await?;
        let read = |error| Refusal::read(action, &error, self.clock.now());
        match send().await.map_err(read) {
            Err(refusal) if refusal.is_about_the_key() => match self.purse.0.instead_of(&key).await? {
                Some(_) => send().await.map_err(read),
                None => Err(refusal),
            },
            other => other,
        }
    }
}

/// A request of the SDK on its way, without its type, which is so deep that compilers of other crates give up on it.
type Sent<'f, T, E> = Pin<Box<dyn Future<Output = Result<T, SdkError<E, Raw>>> + Send + 'f>>;

/// Gives the SDK the access key of the moment.
#[derive(Clone)]
struct Purse(Arc<Wallet<Chain>>);

impl Purse {
    async fn new(config: &AwsKmsConfig, region: &Region) -> Result<Self, Failure> {
        let wallet = match &config.credentials.0 {
            Source::Fixed(key) => Wallet::Fixed(Arc::new(key.to_sdk()?)),
            Source::Chain => {
                // Whoever answers in the lender's place chooses our account, so no proxy may.
                let lenders = ProviderConfig::default()
                    .with_http_client(https(TrustStore::default())?)
                    .with_time_source(Time(Arc::clone(&config.clock)))
                    .with_use_fips(Some(config.is_fips));
                Wallet::lent(Chain::new(region.clone(), lenders).await, Arc::clone(&config.clock))
            }
        };
        Ok(Self(Arc::new(wallet)))
    }

    async fn current(&self) -> Result<Credentials, CredentialsError> {
        let key = self.0.current().await.map_err(|failure| CredentialsError::provider_error(failure.to_string()))?;
        Ok(key.as_ref().clone())
    }
}

impl ProvideCredentials for Purse {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.current())
    }
}

impl fmt::Debug for Purse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// Our clock, as the SDK asks for one.
#[derive(Debug)]
struct Time(Arc<dyn Clock>);

impl TimeSource for Time {
    fn now(&self) -> SystemTime {
        self.0.now()
    }
}

/// No client of ours takes a proxy from the environment, or follows a redirect.
fn http(config: &AwsKmsConfig) -> Result<SharedHttpClient, Failure> {
    match (&config.endpoint, &config.trusted) {
        // Without TLS, certificates need not be there.
        (Some(endpoint), _) if endpoint.scheme() == "http" => Ok(Builder::new().build_http()),
        (_, Some(pem)) => https(TrustStore::empty().with_pem_certificate(pem.clone())),
        (_, None) => https(TrustStore::default()),
    }
}

fn https(trusted: TrustStore) -> Result<SharedHttpClient, Failure> {
    let context = TlsContext::builder().with_trust_store(trusted).build();
    let context = context.map_err(|_| unfit("the certificate authorities cannot be used"))?;
    let builder = Builder::new().tls_provider(Provider::Rustls(CryptoMode::AwsLc));
    Ok(builder.tls_context(context).build_https())
}
