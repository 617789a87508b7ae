//! Opens a key in AWS's Key Management Service.

use dvn_hsm::{AwsConfigError, AwsKmsConfig, AwsKmsSigner};

use super::KeyError;
use crate::config::{AwsCredentials, AwsKms};

pub(super) async fn open(key: &AwsKms, path: &str) -> Result<AwsKmsSigner, KeyError> {
    let settings = settings(key).map_err(|source| KeyError::AwsKms { path: path.to_owned(), source })?;
    let opened = AwsKmsSigner::open(settings).await;
    opened.map_err(|source| KeyError::Device { path: path.to_owned(), source })
}

fn settings(key: &AwsKms) -> Result<AwsKmsConfig, AwsConfigError> {
    let mut settings = AwsKmsConfig::in_region(&key.region, &key.key_id, credentials(&key.credentials))?;
    if let Some(url) = &key.endpoint {
        settings = settings.with_endpoint(url.expose().clone())?;
    }
    if key.is_fips {
        settings = settings.with_fips()?;
    }
    match &key.ca {
        Some(pem) => settings.with_ca(pem.as_bytes()),
        None => Ok(settings),
    }
}

fn credentials(configured: &AwsCredentials) -> dvn_hsm::AwsCredentials {
    match configured {
        AwsCredentials::AccessKey { id, secret, token: None } => {
            dvn_hsm::AwsCredentials::access_key(id.clone(), secret.clone())
        }
        AwsCredentials::AccessKey { id, secret, token: Some(token) } => {
            dvn_hsm::AwsCredentials::lent_key(id.clone(), secret.clone(), token.clone())
        }
        AwsCredentials::DefaultChain => dvn_hsm::AwsCredentials::default_chain(),
    }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::{Address, B256};
    use dvn_core::error::SignErrorKind;
    use dvn_testkit::aws_kms::{ACCESS_KEY_ID, AwsKms as StandIn, REGION, SECRET_ACCESS_KEY};

    use super::*;
    use crate::{
        build::open_key,
        config::{Device, Key},
    };

    fn configured(kms: &StandIn, key_id: &str) -> AwsKms {
        AwsKms {
            region: REGION.to_owned(),
            key_id: key_id.to_owned(),
            endpoint: crate::config::SecretUrl::parse(kms.url().as_str(), &["http"]).ok(),
            is_fips: false,
            ca: None,
            credentials: AwsCredentials::AccessKey {
                id: ACCESS_KEY_ID.into(),
                secret: SECRET_ACCESS_KEY.into(),
                token: None,
            },
        }
    }

    fn key(aws: AwsKms, address: Option<Address>) -> Key {
        Key { device: Device::AwsKms(Box::new(aws)), address }
    }

    #[tokio::test]
    async fn a_configured_key_signs_and_its_address_is_compared() {
        let kms = StandIn::start().unwrap();
        let aws = configured(&kms, &kms.create_key([7; 32]).arn);
        let signer = open_key(&key(aws.clone(), None), "hsm".to_owned()).await.unwrap();
        signer.sign_digest(B256::ZERO).await.unwrap();
        open_key(&key(aws.clone(), Some(signer.address())), "hsm".to_owned()).await.unwrap();
        let error = open_key(&key(aws, Some(Address::repeat_byte(0xa1))), "hsm".to_owned()).await.unwrap_err();
        assert!(matches!(error, KeyError::Address { .. }) && error.is_mismatch(), "{error}");
    }

    #[tokio::test]
    async fn a_key_that_is_not_there_is_a_mismatch() {
        let kms = StandIn::start().unwrap();
        let absent = key(configured(&kms, "alias/elsewhere"), None);
        let error = open_key(&absent, "hsm".to_owned()).await.unwrap_err();
        assert!(error.is_mismatch(), "{error}");
        assert!(matches!(error, KeyError::Device { source, .. } if source.kind() == SignErrorKind::Key));
    }

    #[test]
    fn every_setting_reaches_the_signer() {
        let kms = StandIn::start().unwrap();
        let aws = configured(&kms, "alias/dvn");
        let pem = include_str!("../../../../dvn-hsm/testdata/ca.pem").to_owned();
        let shown = |aws: &AwsKms| settings(aws).map(|settings| format!("{settings:?}"));
        assert!(shown(&aws).unwrap().contains("127.0.0.1"));
        let fips = AwsKms { endpoint: None, is_fips: true, ca: Some(pem), ..aws.clone() };
        assert!(shown(&fips).unwrap().contains("is_fips: true"));
        let broken = AwsKms { ca: Some("-----BEGIN CERTIFICATE-----".to_owned()), ..aws.clone() };
        assert_eq!(shown(&broken), Err(AwsConfigError::Ca));
        let both = AwsKms { is_fips: true, ..aws };
        assert_eq!(shown(&both), Err(AwsConfigError::FipsElsewhere));
    }
}
