//! Opens the keys that the configuration names.

#[cfg(feature = "aliyun")]
mod aliyun;
#[cfg(feature = "aws-kms")]
mod aws_kms;
#[cfg(feature = "gcp-kms")]
mod gcp;

use std::sync::Arc;

use alloy_primitives::Address;
use dvn_core::{
    error::{SignError, SignErrorKind},
    ports::Signer,
};
#[cfg(feature = "aliyun")]
use dvn_hsm::AliyunConfigError;
#[cfg(feature = "aws-kms")]
use dvn_hsm::AwsConfigError;
#[cfg(feature = "gcp-kms")]
use dvn_hsm::GcpConfigError;
use dvn_hsm::{LocalKeyError, LocalSigner, Pkcs11Config, Pkcs11Signer, Sessions, SessionsOutOfRange};
use thiserror::Error;

use crate::config::{self, Config, Device, Key};

/// The keys of every target, in the configuration's order.
#[derive(Debug)]
pub(crate) struct Keys {
    /// The key of `hsm`, which peers know this node by.
    pub(crate) common: Arc<dyn Signer>,
    pub(crate) targets: Vec<TargetKeys>,
}

/// The keys of one target.
#[derive(Debug)]
pub(crate) struct TargetKeys {
    /// Attests.
    pub(crate) signer: Arc<dyn Signer>,
    /// Pay gas, at least one.
    pub(crate) senders: Vec<Arc<dyn Signer>>,
}

/// Why a key cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The device refused or is not there.
    #[error("{path}: key cannot be opened")]
    Device {
        /// Where it is configured.
        path: String,
        /// Why.
        source: SignError,
    },
    /// The key from the environment is no key.
    #[error("{path}: key cannot be read")]
    Local {
        /// Where it is configured.
        path: String,
        /// Why.
        source: LocalKeyError,
    },
    /// The way to Alibaba Cloud.
    #[cfg(feature = "aliyun")]
    #[error("{path}.aliyun cannot be used")]
    Aliyun {
        /// Where it is configured.
        path: String,
        /// Why.
        source: AliyunConfigError,
    },
    /// The way to AWS.
    #[cfg(feature = "aws-kms")]
    #[error("{path}.aws-kms cannot be used")]
    AwsKms {
        /// Where it is configured.
        path: String,
        /// Why.
        source: AwsConfigError,
    },
    /// The way to Google Cloud.
    #[cfg(feature = "gcp-kms")]
    #[error("{path}.gcp cannot be used")]
    Gcp {
        /// Where it is configured.
        path: String,
        /// Why.
        source: GcpConfigError,
    },
    /// The number of sessions.
    #[error("{path}.sessions")]
    Sessions {
        /// Where it is configured.
        path: String,
        /// Why.
        source: SessionsOutOfRange,
    },
    /// It is another key than the configuration promises.
    #[error("{path}.address is {expected}, but the key is {found}")]
    Address {
        /// Where it is configured.
        path: String,
        /// The configured address.
        expected: Address,
        /// The key's address.
        found: Address,
    },
    /// One account twice among the senders of one target.
    #[error("{path}: {address} is listed twice: give each sender a key of its own")]
    Repeated {
        /// Where it is configured.
        path: String,
        /// The account.
        address: Address,
    },
    /// The thread that opened it died.
    #[error("{path}: opening the key panicked")]
    Panicked {
        /// Where it is configured.
        path: String,
    },
}

impl KeyError {
    /// Whether it is refused for safety rather than failed.
    pub(crate) const fn is_mismatch(&self) -> bool {
        match self {
            Self::Address { .. } => true,
            Self::Device { source, .. } => matches!(source.kind(), SignErrorKind::Key),
            #[cfg(feature = "aliyun")]
            Self::Aliyun { .. } => false,
            #[cfg(feature = "aws-kms")]
            Self::AwsKms { .. } => false,
            #[cfg(feature = "gcp-kms")]
            Self::Gcp { .. } => false,
            Self::Local { .. } | Self::Sessions { .. } | Self::Repeated { .. } | Self::Panicked { .. } => false,
        }
    }
}

impl Keys {
    /// Opens every key; `hsm` is opened once and shared by the targets that have no key of their own.
    pub(crate) async fn open(config: &Config) -> Result<Self, KeyError> {
        let common = open(&config.hsm, "hsm".to_owned()).await?;
        let mut targets = Vec::new();
        for target in &config.targets {
            let path = format!("target_chains.{}", target.network.name);
            let signer = match &target.signer {
                Some(key) => open(key, format!("{path}.signer")).await?,
                None => Arc::clone(&common),
            };
            let mut senders: Vec<Arc<dyn Signer>> = Vec::new();
            for (path, key) in target.senders() {
                let sender = open(key, path.clone()).await?;
                if senders.iter().any(|before| before.address() == sender.address()) {
                    return Err(KeyError::Repeated { path, address: sender.address() });
                }
                senders.push(sender);
            }
            targets.push(TargetKeys { signer, senders });
        }
        Ok(Self { common, targets })
    }
}

/// Opens one key and compares its address.
pub(crate) async fn open(key: &Key, path: String) -> Result<Arc<dyn Signer>, KeyError> {
    let signer: Arc<dyn Signer> = match &key.device {
        Device::Local { private_key } => {
            let signer = LocalSigner::from_hex_secret(private_key.clone());
            Arc::new(signer.map_err(|source| KeyError::Local { path: path.clone(), source })?)
        }
        Device::Pkcs11(token) => Arc::new(open_token(token.clone(), &path).await?),
        #[cfg(feature = "aliyun")]
        Device::Aliyun(key) => Arc::new(aliyun::open(key, &path).await?),
        #[cfg(feature = "aws-kms")]
        Device::AwsKms(key) => Arc::new(aws_kms::open(key, &path).await?),
        #[cfg(feature = "gcp-kms")]
        Device::Gcp(key) => Arc::new(gcp::open(key, &path).await?),
    };
    match key.address {
        Some(expected) if expected != signer.address() => {
            Err(KeyError::Address { path, expected, found: signer.address() })
        }
        _ => Ok(signer),
    }
}

async fn open_token(token: config::Pkcs11, path: &str) -> Result<Pkcs11Signer, KeyError> {
    let sessions = Sessions::try_new(token.sessions);
    let sessions = sessions.map_err(|source| KeyError::Sessions { path: path.to_owned(), source })?;
    let settings = match token.token_label {
        Some(label) => Pkcs11Config::new(token.library, label, token.key_label, token.pin),
        None => Pkcs11Config::only_token(token.library, token.key_label, token.pin),
    };
    // A network HSM may hang in there, which must not stop the status page.
    let opened = tokio::task::spawn_blocking(move || Pkcs11Signer::open(settings.with_sessions(sessions))).await;
    let opened = opened.map_err(|_| KeyError::Panicked { path: path.to_owned() })?;
    opened.map_err(|source| KeyError::Device { path: path.to_owned(), source })
}
