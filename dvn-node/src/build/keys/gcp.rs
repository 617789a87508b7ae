//! Opens a key in Google Cloud's Key Management Service.

use dvn_hsm::{GcpConfigError, GcpKmsConfig, GcpKmsSigner};

use super::KeyError;
use crate::config::Gcp;

pub(super) async fn open(key: &Gcp, path: &str) -> Result<GcpKmsSigner, KeyError> {
    let settings = settings(key).map_err(|source| KeyError::Gcp { path: path.to_owned(), source })?;
    let opened = GcpKmsSigner::open(settings).await;
    opened.map_err(|source| KeyError::Device { path: path.to_owned(), source })
}

fn settings(key: &Gcp) -> Result<GcpKmsConfig, GcpConfigError> {
    let Gcp { project, location, key_ring, key_name, key_version, endpoint, credentials } = key;
    let mut settings = GcpKmsConfig::new(project, location, key_ring, key_name, credentials.clone())?;
    if let Some(version) = key_version {
        settings = settings.with_key_version(version)?;
    }
    match endpoint {
        Some(url) => settings.with_endpoint(url.expose()),
        None => Ok(settings),
    }
}

#[cfg(test)]
mod tests {
    use dvn_core::error::SignErrorKind;
    use dvn_hsm::GcpCredentials;
    use dvn_testkit::gcp_kms::{GcpKms, KeyName};

    use super::*;
    use crate::{
        build::open_key,
        config::{Device, Key, SecretUrl},
    };

    fn configured(kms: &GcpKms, key: &KeyName) -> Key {
        let gcp = Gcp {
            project: key.project.clone(),
            location: key.location.clone(),
            key_ring: key.key_ring.clone(),
            key_name: key.key_name.clone(),
            key_version: Some(key.version.clone()),
            endpoint: SecretUrl::parse(kms.url().as_str(), &["http"]).ok(),
            credentials: GcpCredentials::nobody(),
        };
        Key { device: Device::Gcp(Box::new(gcp)), address: None }
    }

    #[tokio::test]
    async fn a_configured_version_is_opened_and_its_address_compared() {
        let kms = GcpKms::start().unwrap();
        let name = kms.create_key([7; 32]);
        let other = kms.add_version(&name, [8; 32]);
        let mut key = configured(&kms, &name);
        let signer = open_key(&key, "hsm".to_owned()).await.unwrap();
        key.address = Some(signer.address());
        open_key(&key, "hsm".to_owned()).await.unwrap();
        let other = Key { address: key.address, ..configured(&kms, &other) };
        let error = open_key(&other, "hsm".to_owned()).await.unwrap_err();
        assert!(matches!(error, KeyError::Address { .. }) && error.is_mismatch(), "{error}");
    }

    #[tokio::test]
    async fn a_key_that_is_not_there_is_a_mismatch() {
        let kms = GcpKms::start().unwrap();
        let mut absent = kms.create_key([7; 32]);
        absent.version = "2".to_owned();
        let error = open_key(&configured(&kms, &absent), "hsm".to_owned()).await.unwrap_err();
        assert!(error.is_mismatch(), "{error}");
        assert!(matches!(error, KeyError::Device { source, .. } if source.kind() == SignErrorKind::Key));
    }

    #[tokio::test]
    async fn no_token_is_sent_in_the_clear() {
        let kms = GcpKms::start().unwrap();
        let mut key = configured(&kms, &kms.create_key([7; 32]));
        let Device::Gcp(gcp) = &mut key.device else { unreachable!() };
        gcp.credentials = GcpCredentials::application_default();
        gcp.endpoint = SecretUrl::parse("http://kms.example", &["http"]).ok();
        let error = open_key(&key, "hsm".to_owned()).await.unwrap_err();
        assert!(matches!(error, KeyError::Gcp { source: GcpConfigError::Endpoint, .. }), "{error}");
    }
}
