use std::{fmt, num::NonZeroU32, sync::Arc, time::Duration};

use alloy_primitives::Address;
use dvn_core::ports::{Clock, SystemClock};
use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};
use thiserror::Error;
use url::Url;

use super::credentials::AwsCredentials;
use crate::service::{Limits, key::is_region};

/// Below the 1,000 a second that an account has in a region for all of its elliptic keys.
const PER_SECOND: u32 = 500;

/// Which key of which region, who asks, and how it is used. `Debug` shows no secret.
#[derive(Clone)]
pub struct AwsKmsConfig {
    pub(super) region: String,
    pub(super) key_id: String,
    pub(super) endpoint: Option<Url>,
    pub(super) is_fips: bool,
    pub(super) credentials: AwsCredentials,
    /// PEM that was looked at.
    pub(super) trusted: Option<Vec<u8>>,
    pub(super) limits: Limits,
    pub(super) address: Option<Address>,
    pub(super) clock: Arc<dyn Clock>,
}

impl AwsKmsConfig {
    /// The key of this id or ARN in this region, through the region's public endpoint. What the environment says about
    /// regions and endpoints of KMS is not looked at.
    ///
    /// An alias (`alias/…` or its ARN) is taken too and looked up once, when the signer is opened: whoever moves it later
    /// does not move the signer.
    ///
    /// # Errors
    /// [`AwsConfigError::Region`] if this is no region's name, [`AwsConfigError::OtherRegion`] if the ARN names another.
    pub fn in_region(
        region: &str,
        key_id: impl Into<String>,
        credentials: AwsCredentials,
    ) -> Result<Self, AwsConfigError> {
        if !is_region(region) {
            return Err(AwsConfigError::Region);
        }
        let key_id = key_id.into();
        if region_of(&key_id).is_some_and(|named| named != region) {
            return Err(AwsConfigError::OtherRegion);
        }
        Ok(Self {
            region: region.to_owned(),
            key_id,
            endpoint: None,
            is_fips: false,
            credentials,
            trusted: None,
            limits: Limits::cloud(PER_SECOND),
            address: None,
            clock: Arc::new(SystemClock::new()),
        })
    }

    /// Asks at this endpoint in place of the region's public one, as an interface endpoint of a VPC has
    /// (`https://vpce-….kms.<region>.vpce.amazonaws.com`).
    ///
    /// # Errors
    /// [`AwsConfigError::FipsElsewhere`] after [`AwsKmsConfig::with_fips`].
    pub fn with_endpoint(mut self, endpoint: Url) -> Result<Self, AwsConfigError> {
        if self.is_fips {
            return Err(AwsConfigError::FipsElsewhere);
        }
        self.endpoint = Some(endpoint);
        Ok(self)
    }

    /// Asks at the region's FIPS endpoint. The TLS module at this end is the ordinary one.
    ///
    /// # Errors
    /// [`AwsConfigError::FipsElsewhere`] after [`AwsKmsConfig::with_endpoint`].
    pub fn with_fips(mut self) -> Result<Self, AwsConfigError> {
        if self.endpoint.is_some() {
            return Err(AwsConfigError::FipsElsewhere);
        }
        self.is_fips = true;
        Ok(self)
    }

    /// Trusts the authorities of this PEM text and no others, when the service is asked. Those who lend credentials are
    /// believed by the system's.
    ///
    /// # Errors
    /// [`AwsConfigError::Ca`] if there is no certificate in it, or one that cannot be used.
    pub fn with_ca(mut self, pem: &[u8]) -> Result<Self, AwsConfigError> {
        // The SDK would panic over what it cannot read.
        let certificates = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>();
        let certificates = certificates.map_err(|_| AwsConfigError::Ca)?;
        let mut roots = RootCertStore::empty();
        if certificates.is_empty() || !certificates.into_iter().all(|certificate| roots.add(certificate).is_ok()) {
            return Err(AwsConfigError::Ca);
        }
        self.trusted = Some(pem.to_vec());
        Ok(self)
    }

    /// How long one signature may take, with all its attempts; 4 s by default. An attempt has a second at most.
    #[must_use]
    pub const fn with_deadline(mut self, deadline: Duration) -> Self {
        self.limits.deadline = deadline;
        self
    }

    /// How many requests are sent a second; 500 by default, of which 20 may come at once.
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

    /// Takes the time from this clock, for the dates of requests and the ends of lent credentials.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }
}

/// The region in an ARN, `arn:<partition>:kms:<region>:<account>:<name>`.
fn region_of(key_id: &str) -> Option<&str> {
    let mut parts = key_id.split(':');
    parts.next().filter(|part| *part == "arn")?;
    parts.nth(2)
}

impl fmt::Debug for AwsKmsConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AwsKmsConfig")
            .field("region", &self.region)
            .field("key_id", &self.key_id)
            // A user and a password do not belong into it, but may stand there.
            .field("endpoint", &self.endpoint.as_ref().and_then(Url::host_str))
            .field("is_fips", &self.is_fips)
            .field("credentials", &self.credentials)
            .field("address", &self.address)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// Why a configuration cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AwsConfigError {
    /// Not a region's name.
    #[error("not the name of a region: write it like eu-central-1")]
    Region,
    /// The key's ARN names another region.
    #[error("the key's ARN is of another region")]
    OtherRegion,
    /// A FIPS endpoint and one of one's own.
    #[error("the FIPS endpoint is the region's own: give no other endpoint")]
    FipsElsewhere,
    /// Not a certificate.
    #[error("there is no certificate in it that can be used: PEM with the line BEGIN CERTIFICATE is expected")]
    Ca,
}

#[cfg(test)]
mod tests {
    use secrecy::SecretString;

    use super::*;

    const KEY: &str = "1234abcd-12ab-34cd-56ef-1234567890ab";

    fn config(region: &str, key_id: &str) -> Result<AwsKmsConfig, AwsConfigError> {
        let [id, secret, token] = ["id-1234", "secret-5678", "token-9012"].map(SecretString::from);
        AwsKmsConfig::in_region(region, key_id, AwsCredentials::lent_key(id, secret, token))
    }

    fn good() -> AwsKmsConfig {
        config("eu-central-1", KEY).unwrap()
    }

    #[test]
    fn a_region_is_a_name_and_the_keys_own() {
        for wrong in ["", "eu central 1", "evil.example/", "EU", "eu.central", "…"] {
            assert_eq!(config(wrong, KEY).unwrap_err(), AwsConfigError::Region, "{wrong}");
        }
        for name in [format!("key/{KEY}"), "alias/dvn".to_owned()] {
            let arn = format!("arn:aws-us-gov:kms:us-gov-west-1:111122223333:{name}");
            config("us-gov-west-1", &arn).unwrap();
            assert_eq!(config("us-east-1", &arn).unwrap_err(), AwsConfigError::OtherRegion);
        }
    }

    #[test]
    fn fips_is_the_regions_own_endpoint() {
        let elsewhere = || Url::parse("https://vpce-1.kms.eu-central-1.vpce.amazonaws.com").unwrap();
        let refused = Err(AwsConfigError::FipsElsewhere);
        assert_eq!(good().with_fips().unwrap().with_endpoint(elsewhere()).map(drop), refused);
        assert_eq!(good().with_endpoint(elsewhere()).unwrap().with_fips().map(drop), refused);
    }

    #[test]
    fn a_certificate_is_taken() {
        assert!(good().with_ca(include_bytes!("../../testdata/ca.pem")).unwrap().trusted.is_some());
    }

    #[test]
    fn a_file_without_a_certificate_is_refused() {
        let broken = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".as_slice();
        for pem in [b"".as_slice(), b"certificate", broken, &broken[..40]] {
            assert_eq!(good().with_ca(pem).unwrap_err(), AwsConfigError::Ca);
        }
    }

    #[test]
    fn debug_shows_no_secret() {
        let shown = format!("{:?}", good());
        assert!(shown.contains("lent access key") && shown.contains(KEY), "{shown}");
        assert!(!["id-1234", "secret-5678", "token-9012"].iter().any(|secret| shown.contains(secret)), "{shown}");
    }
}
