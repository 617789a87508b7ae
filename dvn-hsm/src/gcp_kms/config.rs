use std::{fmt, num::NonZeroU32, time::Duration};

use alloy_primitives::Address;
use thiserror::Error;
use url::{Host, Url};

use super::{
    credentials::GcpCredentials,
    name::{KeyName, VersionName},
};
use crate::service::Limits;

/// Below the 50 a second that a project has for asymmetric keys in HSMs of a region.
const PER_SECOND: u32 = 40;
/// Answers for keys of every location.
const ENDPOINT: &str = "https://cloudkms.googleapis.com";

/// Which key of which project, who asks, and how it is used. `Debug` shows no secret.
#[derive(Clone)]
pub struct GcpKmsConfig {
    pub(super) endpoint: String,
    pub(super) key: KeyName,
    pub(super) version: Option<VersionName>,
    pub(super) credentials: GcpCredentials,
    pub(super) limits: Limits,
    pub(super) address: Option<Address>,
}

impl GcpKmsConfig {
    /// The key of this name in this key ring, location (as `asia-northeast1`) and project, by id or by number.
    ///
    /// # Errors
    /// [`GcpConfigError`] if a part is empty or has characters that do not belong into it.
    pub fn new(
        project: &str,
        location: &str,
        key_ring: &str,
        key_name: &str,
        credentials: GcpCredentials,
    ) -> Result<Self, GcpConfigError> {
        Ok(Self {
            endpoint: ENDPOINT.to_owned(),
            key: KeyName::try_new(project, location, key_ring, key_name)?,
            version: None,
            credentials,
            limits: Limits::cloud(PER_SECOND),
            address: None,
        })
    }

    /// This version of the key, as `1`. It may be left out where exactly one is enabled.
    ///
    /// # Errors
    /// [`GcpConfigError::Version`] if this is no number.
    pub fn with_key_version(mut self, number: &str) -> Result<Self, GcpConfigError> {
        self.version = Some(self.key.version(number)?);
        Ok(self)
    }

    /// Asks there, as at `https://cloudkms.asia-northeast1.rep.googleapis.com` or at a private endpoint. Path and query are
    /// not used.
    ///
    /// # Errors
    /// [`GcpConfigError::Endpoint`] if it is not `https://` with a host; `http://` is taken for this machine itself, and
    /// for others where no token goes there.
    pub fn with_endpoint(mut self, url: &Url) -> Result<Self, GcpConfigError> {
        let host = url.host().ok_or(GcpConfigError::Endpoint)?;
        let may_be_plain = !self.credentials.is_somebody() || is_loopback(&host);
        match url.scheme() {
            "https" => {}
            "http" if may_be_plain => {}
            _ => return Err(GcpConfigError::Endpoint),
        }
        let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
        self.endpoint = format!("{}://{host}{port}", url.scheme());
        Ok(self)
    }

    /// How long one signature may take, with all its attempts; 4 s by default. An attempt has a second at most.
    #[must_use]
    pub const fn with_deadline(mut self, deadline: Duration) -> Self {
        self.limits.deadline = deadline;
        self
    }

    /// How many requests are sent a second; 40 by default, of which 20 may come at once.
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
}

fn is_loopback(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => *name == "localhost",
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    }
}

impl fmt::Debug for GcpKmsConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GcpKmsConfig")
            .field("endpoint", &self.endpoint)
            .field("key", &self.version.as_ref().map_or(self.key.as_str(), VersionName::as_str))
            .field("credentials", &self.credentials)
            .field("address", &self.address)
            .field("limits", &self.limits)
            .finish()
    }
}

/// Why a configuration cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum GcpConfigError {
    /// Not a project.
    #[error("not the id or the number of a project")]
    Project,
    /// Not a location.
    #[error("not the name of a location: write it like asia-northeast1")]
    Location,
    /// Not a key ring or a key.
    #[error("not the name of a key ring or a key: letters, digits, - and _ alone, without what stands before it")]
    Key,
    /// Not a version.
    #[error("not a version: it is a number, as 1")]
    Version,
    /// Not a safe way to the service.
    #[error("not an endpoint: https:// and a host, since whoever listens to http:// could take the token and use it")]
    Endpoint,
    /// Not the key of a service account.
    #[error("not the key of a service account: JSON with type, project_id, client_email and private_key is expected")]
    ServiceAccount,
}

#[cfg(test)]
mod tests {
    use secrecy::SecretString;

    use super::*;

    fn config(credentials: GcpCredentials) -> GcpKmsConfig {
        GcpKmsConfig::new("p", "l", "r", "k", credentials).unwrap()
    }

    fn endpoint(credentials: GcpCredentials, url: &str) -> Result<String, GcpConfigError> {
        config(credentials).with_endpoint(&url.parse().unwrap()).map(|config| config.endpoint)
    }

    #[test]
    fn no_token_goes_in_the_clear() {
        let somebody = GcpCredentials::application_default;
        for url in ["http://kms.example", "http://10.0.0.1:80/", "http://localhost.example", "ftp://localhost"] {
            assert_eq!(endpoint(somebody(), url).unwrap_err(), GcpConfigError::Endpoint, "{url}");
        }
        for (url, expected) in [
            ("https://cloudkms.example/v1?key=s3cret", "https://cloudkms.example"),
            ("https://user:s3cret@kms.example:8443", "https://kms.example:8443"),
            ("http://127.0.0.1:81", "http://127.0.0.1:81"),
            ("http://[::1]:81", "http://[::1]:81"),
            ("http://localhost:81", "http://localhost:81"),
        ] {
            assert_eq!(endpoint(somebody(), url).unwrap(), expected);
        }
        assert_eq!(endpoint(GcpCredentials::nobody(), "http://kms.example").unwrap(), "http://kms.example");
    }

    #[test]
    fn only_the_key_of_a_service_account_is_one() {
        for wrong in ["", "{}", "s3cret", r#"{"type":"authorized_user","client_email":"a","private_key":"s3cret"}"#] {
            let error = GcpCredentials::service_account(SecretString::from(wrong)).unwrap_err();
            assert_eq!(error, GcpConfigError::ServiceAccount);
        }
    }

    #[test]
    fn debug_shows_no_secret() {
        let json = r#"{"type":"service_account","client_email":"dvn@p","private_key":"s3cret","private_key_id":"i5ecret",
                       "project_id":"p"}"#;
        let credentials = GcpCredentials::service_account(SecretString::from(json)).unwrap();
        let shown = format!("{:?}", config(credentials));
        assert!(shown.contains("service account \"dvn@p\"") && !shown.contains("ecret"), "{shown}");
    }
}
