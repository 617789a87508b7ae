use std::{fmt, sync::Arc};

use reqwest::Url;
use secrecy::SecretString;

/// Where an Alibaba Cloud access key comes from. `Debug` shows no secret.
#[derive(Clone)]
pub struct AliyunCredentials(pub(super) Source);

#[derive(Clone)]
pub(super) enum Source {
    Fixed(Arc<AccessKey>),
    Role { name: String, server: Option<Url> },
}

/// An access key, with the security token if it is a lent one.
#[derive(Debug)]
pub(super) struct AccessKey {
    pub(super) id: SecretString,
    pub(super) secret: SecretString,
    pub(super) token: Option<SecretString>,
}

impl AliyunCredentials {
    /// An access key of a RAM user.
    #[must_use]
    pub fn access_key(id: SecretString, secret: SecretString) -> Self {
        Self(Source::Fixed(Arc::new(AccessKey { id, secret, token: None })))
    }

    /// An access key that STS lent, with its security token. It is not renewed: the service refuses it once it expired.
    #[must_use]
    pub fn lent_key(id: SecretString, secret: SecretString, token: SecretString) -> Self {
        Self(Source::Fixed(Arc::new(AccessKey { id, secret, token: Some(token) })))
    }

    /// What the metadata server of an ECS instance lends for the instance's RAM role of this name. It is renewed by
    /// itself.
    #[must_use]
    pub fn ecs_ram_role(name: impl Into<String>) -> Self {
        Self(Source::Role { name: name.into(), server: None })
    }

    /// Asks this server in place of the instance's own; without effect on keys that are not lent by one.
    #[must_use]
    pub fn with_metadata_server(self, url: Url) -> Self {
        match self.0 {
            Source::Role { name, .. } => Self(Source::Role { name, server: Some(url) }),
            fixed @ Source::Fixed(_) => Self(fixed),
        }
    }
}

impl fmt::Debug for AliyunCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Source::Fixed(key) if key.token.is_some() => f.write_str("AliyunCredentials(lent access key)"),
            Source::Fixed(_) => f.write_str("AliyunCredentials(access key)"),
            Source::Role { name, .. } => write!(f, "AliyunCredentials(RAM role {name:?})"),
        }
    }
}
