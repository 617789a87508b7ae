use std::{fmt, num::NonZeroU32, sync::Arc, time::Duration};

use alloy_primitives::Address;
use dvn_core::ports::{Clock, SystemClock};
use reqwest::{Url, tls::Certificate};
use thiserror::Error;

use super::credentials::AliyunCredentials;
use crate::service::{Limits, key::is_region};

/// Below the 200 a second that an account has at the shared gateway for all of its keys.
const PER_SECOND: u32 = 100;

/// Which key of which endpoint, who asks, and how it is used. `Debug` shows no secret.
#[derive(Clone)]
pub struct AliyunKmsConfig {
    pub(super) endpoint: Url,
    pub(super) key_id: String,
    pub(super) key_version_id: Option<String>,
    /// Whether the endpoint answers questions about keys, and not only with them.
    pub(super) describes: bool,
    pub(super) credentials: AliyunCredentials,
    pub(super) trusted: Option<Vec<Certificate>>,
    pub(super) limits: Limits,
    pub(super) address: Option<Address>,
    pub(super) clock: Arc<dyn Clock>,
}

impl AliyunKmsConfig {
    /// The key of this id in this region, through the region's public endpoint.
    ///
    /// An alias (`alias/…`) is taken too and looked up once, when the signer is opened: whoever moves it later does not
    /// move the signer.
    ///
    /// # Errors
    /// [`AliyunConfigError::Region`] if this is no region's name.
    pub fn in_region(
        region: &str,
        key_id: impl Into<String>,
        credentials: AliyunCredentials,
    ) -> Result<Self, AliyunConfigError> {
        if !is_region(region) {
            return Err(AliyunConfigError::Region);
        }
        let endpoint = Url::parse(&format!("https://kms.{region}.aliyuncs.com"));
        Ok(Self::at(endpoint.map_err(|_| AliyunConfigError::Region)?, key_id, credentials))
    }

    /// The key of this id at this endpoint, as `https://kms-vpc.<region>.aliyuncs.com` from within a VPC. Path and query
    /// are not used.
    #[must_use]
    pub fn at(endpoint: Url, key_id: impl Into<String>, credentials: AliyunCredentials) -> Self {
        Self {
            endpoint,
            key_id: key_id.into(),
            key_version_id: None,
            describes: true,
            credentials,
            trusted: None,
            limits: Limits::cloud(PER_SECOND),
            address: None,
            clock: Arc::new(SystemClock::new()),
        }
    }

    /// This version of a key in a KMS instance, through the instance's own gateway,
    /// `https://<instance>.cryptoservice.kms.aliyuncs.com`, which needs [`AliyunKmsConfig::with_ca`].
    ///
    /// Such a gateway signs and gives public keys, and does not say what kind of key it is or where it is kept. That
    /// remains unchecked; an alias is looked up by the gateway for each signature.
    #[must_use]
    pub fn at_instance(
        endpoint: Url,
        key_id: impl Into<String>,
        key_version_id: impl Into<String>,
        credentials: AliyunCredentials,
    ) -> Self {
        let described = Self::at(endpoint, key_id, credentials).with_key_version_id(key_version_id);
        Self { describes: false, ..described }
    }

    /// This version of the key. It may be left out where the key has one, as asymmetric keys have.
    #[must_use]
    pub fn with_key_version_id(mut self, id: impl Into<String>) -> Self {
        self.key_version_id = Some(id.into());
        self
    }

    /// Trusts the authorities of this PEM text and no others. KMS instances have one of their own, which the console
    /// offers for download.
    ///
    /// # Errors
    /// [`AliyunConfigError::Ca`] if there is no certificate in it.
    pub fn with_ca(mut self, pem: &[u8]) -> Result<Self, AliyunConfigError> {
        let certificates = Certificate::from_pem_bundle(pem).ok().filter(|certificates| !certificates.is_empty());
        self.trusted = Some(certificates.ok_or(AliyunConfigError::Ca)?);
        Ok(self)
    }

    /// How long one signature may take, with all its attempts; 4 s by default. An attempt has a second at most.
    #[must_use]
    pub const fn with_deadline(mut self, deadline: Duration) -> Self {
        self.limits.deadline = deadline;
        self
    }

    /// How many requests are sent a second; 100 by default, of which 20 may come at once.
    #[must_use]
    pub const fn with_requests_per_second(mut self, most: NonZeroU32) -> Self {
        self.limits.per_second = most.get();
        self
    }

    /// Refuses to open if the key has another address.
    #[must_use]
    pub const fn with_expected_address(mut self, address: Address) -> Self {
        self.address = Some(address);
        self
    }

    /// Takes the time from this clock, for the dates of requests and the ends of lent access keys.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }
}

impl fmt::Debug for AliyunKmsConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AliyunKmsConfig")
            // A user and a password do not belong into it, but may stand there.
            .field("endpoint", &self.endpoint.host_str())
            .field("key_id", &self.key_id)
            .field("key_version_id", &self.key_version_id)
            .field("credentials", &self.credentials)
            .field("address", &self.address)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// Why a configuration cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AliyunConfigError {
    /// Not a region's name.
    #[error("not the name of a region: write it like cn-hangzhou")]
    Region,
    /// Not a certificate.
    #[error("there is no certificate in it: PEM with the line BEGIN CERTIFICATE is expected")]
    Ca,
}

#[cfg(test)]
mod tests {
    use secrecy::SecretString;

    use super::*;

    fn config(region: &str) -> Result<AliyunKmsConfig, AliyunConfigError> {
        let [id, secret, token] = ["id-1234", "secret-5678", "token-9012"].map(SecretString::from);
        AliyunKmsConfig::in_region(region, "key-1", AliyunCredentials::lent_key(id, secret, token))
    }

    #[test]
    fn a_region_has_its_endpoint() {
        assert_eq!(config("cn-hangzhou").unwrap().endpoint.as_str(), "https://kms.cn-hangzhou.aliyuncs.com/");
        for wrong in ["", "cn hangzhou", "evil.example/", "CN", "cn.hangzhou", "…"] {
            assert_eq!(config(wrong).unwrap_err(), AliyunConfigError::Region, "{wrong}");
        }
    }

    #[test]
    fn a_certificate_is_taken() {
        let config = config("cn-hangzhou").unwrap().with_ca(include_bytes!("../../testdata/ca.pem")).unwrap();
        assert_eq!(config.trusted.map(|certificates| certificates.len()), Some(1));
    }

    #[test]
    fn a_file_without_a_certificate_is_refused() {
        let broken = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".as_slice();
        for pem in [b"".as_slice(), b"certificate", &broken[..40]] {
            assert_eq!(config("cn-hangzhou").unwrap().with_ca(pem).unwrap_err(), AliyunConfigError::Ca);
        }
    }

    #[test]
    fn debug_shows_no_secret() {
        let shown = format!("{:?}", config("cn-hangzhou").unwrap());
        assert!(shown.contains("lent access key") && shown.contains("key-1"), "{shown}");
        assert!(!["1234", "5678", "9012"].iter().any(|secret| shown.contains(secret)), "{shown}");
    }
}
