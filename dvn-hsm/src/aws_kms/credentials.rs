use std::{fmt, sync::Arc, time::Duration};

use aws_config::{Region, default_provider::credentials::DefaultCredentialsChain, provider_config::ProviderConfig};
use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_kms::config::{Credentials, ProvideCredentials};
use dvn_core::error::SignErrorKind;
use secrecy::{ExposeSecret, SecretString};

use crate::service::{
    Failure,
    wallet::{Lender, Lent},
};

/// Where AWS credentials come from. `Debug` shows no secret.
#[derive(Clone)]
pub struct AwsCredentials(pub(super) Source);

#[derive(Clone)]
pub(super) enum Source {
    Fixed(Arc<AccessKey>),
    Chain,
}

/// An access key, with the session token if it is a temporary one.
pub(super) struct AccessKey {
    id: SecretString,
    secret: SecretString,
    token: Option<SecretString>,
}

impl AwsCredentials {
    /// What AWS's own programs would take, in their order: the environment's access key, the profile of the shared files
    /// (a role to assume or a process to ask included), the web identity of a pod (IRSA), the credentials endpoint of a
    /// container (ECS, EKS Pod Identity), the role of the EC2 instance. What is lent is renewed by itself.
    #[must_use]
    pub const fn default_chain() -> Self {
        Self(Source::Chain)
    }

    /// An access key of an IAM user.
    #[must_use]
    pub fn access_key(id: SecretString, secret: SecretString) -> Self {
        Self(Source::Fixed(Arc::new(AccessKey { id, secret, token: None })))
    }

    /// An access key that STS lent, with its session token. It is not renewed: the service refuses it once it expired.
    #[must_use]
    pub fn lent_key(id: SecretString, secret: SecretString, token: SecretString) -> Self {
        Self(Source::Fixed(Arc::new(AccessKey { id, secret, token: Some(token) })))
    }
}

impl fmt::Debug for AwsCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.0 {
            Source::Fixed(key) if key.token.is_some() => "AwsCredentials(lent access key)",
            Source::Fixed(_) => "AwsCredentials(access key)",
            Source::Chain => "AwsCredentials(default chain)",
        })
    }
}

impl AccessKey {
    /// As the SDK takes them.
    ///
    /// # Errors
    /// `Auth` where it has characters that do not fit into a header, which the SDK would call something else.
    pub(super) fn to_sdk(&self) -> Result<Credentials, Failure> {
        let fits = |text: &SecretString| {
            let text = text.expose_secret();
            !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
        };
        if !fits(&self.id) || !fits(&self.secret) || !self.token.iter().all(fits) {
            let cause = "the access key or its token has characters that no such key has";
            return Err(Failure::new(SignErrorKind::Auth, cause));
        }
        let token = self.token.as_ref().map(|token| token.expose_secret().to_owned());
        Ok(Credentials::new(self.id.expose_secret(), self.secret.expose_secret(), token, None, "dvn"))
    }
}

/// The SDK's default chain.
pub(super) struct Chain(DefaultCredentialsChain);

impl Chain {
    /// For whoever asks in this region.
    pub(super) async fn new(region: Region, config: ProviderConfig) -> Self {
        Self(DefaultCredentialsChain::builder().configure(config).region(region).build().await)
    }
}

impl Lender for Chain {
    type Key = Credentials;

    /// An EC2 instance has new ones five minutes before the end of the old ones.
    const RENEW_BEFORE: Duration = Duration::from_secs(5 * 60);

    fn name(&self) -> &str {
        "the default credentials chain"
    }

    async fn lend(&self) -> Result<Lent<Credentials>, Failure> {
        let credentials = self.0.provide_credentials().await.map_err(|error| refused(&error))?;
        let until = credentials.expiry();
        Ok(Lent::new(credentials, until))
    }
}

/// What went wrong stands in the SDK's own log line; its words may repeat what a program printed or a server said.
fn refused(error: &CredentialsError) -> Failure {
    match error {
        CredentialsError::CredentialsNotLoaded(_) => {
            let cause = "no credentials are found: not in the environment, a profile, a web identity, a container's \
                         endpoint or an instance's metadata";
            Failure::new(SignErrorKind::Auth, cause)
        }
        CredentialsError::InvalidConfiguration(_) => {
            Failure::new(SignErrorKind::Auth, "the environment or the profile describes credentials wrongly")
        }
        CredentialsError::ProviderTimedOut(_) => {
            Failure::new(SignErrorKind::Timeout, "whoever lends credentials did not answer in time")
        }
        _ => Failure::unavailable("whoever lends credentials failed"),
    }
}
