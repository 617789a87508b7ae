//! Opens a key in Alibaba Cloud's Key Management Service.

use dvn_hsm::{AliyunConfigError, AliyunKmsConfig, AliyunKmsSigner};

use super::KeyError;
use crate::config::{Aliyun, AliyunCredentials};

pub(super) async fn open(key: &Aliyun, path: &str) -> Result<AliyunKmsSigner, KeyError> {
    let settings = settings(key).map_err(|source| KeyError::Aliyun { path: path.to_owned(), source })?;
    let opened = AliyunKmsSigner::open(settings).await;
    opened.map_err(|source| KeyError::Device { path: path.to_owned(), source })
}

fn settings(key: &Aliyun) -> Result<AliyunKmsConfig, AliyunConfigError> {
    let credentials = credentials(&key.credentials);
    let settings = match (&key.endpoint, &key.key_version_id) {
        (Some(url), Some(version)) if key.is_in_instance() => {
            AliyunKmsConfig::at_instance(url.expose().clone(), &key.key_id, version, credentials)
        }
        (Some(url), _) => AliyunKmsConfig::at(url.expose().clone(), &key.key_id, credentials),
        (None, _) => AliyunKmsConfig::in_region(&key.region, &key.key_id, credentials)?,
    };
    let settings = match &key.key_version_id {
        Some(version) => settings.with_key_version_id(version),
        None => settings,
    };
    match &key.ca {
        Some(pem) => settings.with_ca(pem.as_bytes()),
        None => Ok(settings),
    }
}

fn credentials(configured: &AliyunCredentials) -> dvn_hsm::AliyunCredentials {
    match configured {
        AliyunCredentials::AccessKey { id, secret, token: None } => {
            dvn_hsm::AliyunCredentials::access_key(id.clone(), secret.clone())
        }
        AliyunCredentials::AccessKey { id, secret, token: Some(token) } => {
            dvn_hsm::AliyunCredentials::lent_key(id.clone(), secret.clone(), token.clone())
        }
        AliyunCredentials::RamRole(role) => dvn_hsm::AliyunCredentials::ecs_ram_role(role),
    }
}

#[cfg(test)]
mod tests {
    use dvn_core::error::SignErrorKind;
    use dvn_testkit::aliyun_kms::{ACCESS_KEY_ID, ACCESS_KEY_SECRET, AliyunKms};

    use super::*;
    use crate::{
        build::open_key,
        config::{Device, Key},
    };

    fn configured(kms: &AliyunKms, key_id: &str) -> Key {
        let credentials =
            AliyunCredentials::AccessKey { id: ACCESS_KEY_ID.into(), secret: ACCESS_KEY_SECRET.into(), token: None };
        let aliyun = Aliyun {
            region: "cn-hangzhou".to_owned(),
            key_id: key_id.to_owned(),
            key_version_id: None,
            endpoint: crate::config::SecretUrl::parse(kms.url().as_str(), &["http"]).ok(),
            ca: None,
            credentials,
        };
        Key { device: Device::Aliyun(Box::new(aliyun)), address: None }
    }

    #[tokio::test]
    async fn a_configured_key_is_opened_and_its_address_compared() {
        let kms = AliyunKms::start().unwrap();
        let name = kms.create_key([7; 32]);
        let mut key = configured(&kms, &name.id);
        let signer = open_key(&key, "hsm".to_owned()).await.unwrap();
        key.address = Some(signer.address());
        open_key(&key, "hsm".to_owned()).await.unwrap();
        key.address = Some(alloy_primitives::Address::repeat_byte(0xa1));
        let error = open_key(&key, "hsm".to_owned()).await.unwrap_err();
        assert!(matches!(error, KeyError::Address { .. }) && error.is_mismatch(), "{error}");
    }

    #[tokio::test]
    async fn a_key_that_is_not_there_is_a_mismatch() {
        let kms = AliyunKms::start().unwrap();
        let error = open_key(&configured(&kms, "key-elsewhere"), "hsm".to_owned()).await.unwrap_err();
        assert!(error.is_mismatch(), "{error}");
        assert!(matches!(error, KeyError::Device { source, .. } if source.kind() == SignErrorKind::Key));
    }
}
