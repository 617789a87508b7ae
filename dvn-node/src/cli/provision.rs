//! Makes the attesting key where it will stay, or says how that is done there.

use std::{fmt::Write as _, io::Write};

use alloy_primitives::{Address, keccak256};
use dvn_hsm::provision::{KeyAttributes, ProvisionError, Provisioner};

use super::CliError;
#[cfg(feature = "aliyun")]
use crate::config::Aliyun;
#[cfg(feature = "aws-kms")]
use crate::config::AwsKms;
#[cfg(feature = "gcp-kms")]
use crate::config::Gcp;
use crate::config::{Device, Key, Pkcs11};

pub(super) async fn obey(key: &Key, out: &mut dyn Write) -> Result<(), CliError> {
    match &key.device {
        Device::Pkcs11(token) if token.is_cloudhsm => Ok(out.write_all(cloudhsm(token).as_bytes())?),
        Device::Pkcs11(token) => on_token(token, out).await,
        #[cfg(feature = "aws-kms")]
        Device::AwsKms(key) => Ok(out.write_all(aws_kms(key).as_bytes())?),
        #[cfg(feature = "gcp-kms")]
        Device::Gcp(key) => Ok(out.write_all(gcp(key).as_bytes())?),
        #[cfg(feature = "aliyun")]
        Device::Aliyun(key) => Ok(out.write_all(aliyun(key).as_bytes())?),
        Device::Local { .. } => Err(CliError::NoDevice),
    }
}

async fn on_token(token: &Pkcs11, out: &mut dyn Write) -> Result<(), CliError> {
    let label = token.token_label.clone().unwrap_or_default();
    let (wanted, named) = (token.clone(), label.clone());
    // The vendor's library blocks.
    let made = tokio::task::spawn_blocking(move || make(&wanted, &named)).await.map_err(std::io::Error::other)?;
    let (address, attributes) = made?;
    writeln!(out, "hsm {address} was made in token {label:?} as {:?}", token.key_label)?;
    for (name, is) in attributes.iter() {
        writeln!(out, "  {name} {is}")?;
    }
    writeln!(out, "Write `address: \"{address}\"` into the block hsm, so that no other key is ever taken.")?;
    Ok(())
}

fn make(token: &Pkcs11, label: &str) -> Result<(Address, KeyAttributes), ProvisionError> {
    let provisioner = Provisioner::load(&token.library)?;
    let address = provisioner.generate_key(label, &token.pin, &token.key_label, &id(&token.key_label))?;
    Ok((address, provisioner.attributes(label, &token.pin, &token.key_label)?))
}

/// Tools tell pairs apart by their ids, so that keys of different labels should not share one.
fn id(label: &str) -> [u8; 8] {
    let mut id = [0; 8];
    id.iter_mut().zip(keccak256(label)).for_each(|(byte, hashed)| *byte = hashed);
    id
}

fn cloudhsm(token: &Pkcs11) -> String {
    let label = quoted(&token.key_label);
    format!(
        "AWS CloudHSM makes keys with its own command line, as the crypto user of the node:\n\n\
         key generate-asymmetric-pair ec --curve secp256k1 \\\n    \
             --public-label {label} --private-label {label} \\\n    \
             --public-attributes verify=true \\\n    \
             --private-attributes sign=true extractable=false\n\n\
         Then ask `signer address`.\n"
    )
}

#[cfg(feature = "aws-kms")]
fn aws_kms(key: &AwsKms) -> String {
    let region = quoted(&key.region);
    let mut text = format!(
        "AWS KMS makes keys with AWS's command line:\n\n\
         aws kms create-key --region {region} --key-spec ECC_SECG_P256K1 --key-usage SIGN_VERIFY\n"
    );
    if let Some(alias) = key.key_id.strip_prefix("alias/") {
        let alias = quoted(&format!("alias/{alias}"));
        let _ = writeln!(text, "aws kms create-alias --region {region} --alias-name {alias} --target-key-id KEY-ID");
    }
    text.push_str("\nThen write the Arn that it answers into hsm.aws-kms.key_id, and ask `signer address`.\n");
    text
}

#[cfg(feature = "gcp-kms")]
fn gcp(key: &Gcp) -> String {
    let [project, location, ring, name] =
        [&key.project, &key.location, &key.key_ring, &key.key_name].map(|text| quoted(text));
    let place = format!("--project {project} --location {location}");
    format!(
        "Google Cloud KMS makes keys with Google's command line; a key ring is made once:\n\n\
         gcloud kms keyrings create {ring} {place}\n\
         gcloud kms keys create {name} {place} --keyring {ring} \\\n    \
             --purpose asymmetric-signing --default-algorithm ec-sign-secp256k1-sha256 --protection-level hsm\n\n\
         Then ask `signer address`.\n"
    )
}

#[cfg(feature = "aliyun")]
fn aliyun(key: &Aliyun) -> String {
    let region = quoted(&key.region);
    let mut text = format!(
        "Aliyun KMS makes keys with Alibaba Cloud's command line:\n\n\
         aliyun kms CreateKey --RegionId {region} --KeySpec EC_P256K --KeyUsage SIGN/VERIFY --ProtectionLevel HSM"
    );
    if key.is_in_instance() {
        text.push_str(" --DKMSInstanceId kst-…");
    }
    text.push('\n');
    if let Some(alias) = key.key_id.strip_prefix("alias/") {
        let alias = quoted(&format!("alias/{alias}"));
        let _ = writeln!(text, "aliyun kms CreateAlias --RegionId {region} --AliasName {alias} --KeyId key-…");
    }
    text.push_str("\nThen write the KeyId that it answers into hsm.aliyun.key_id, and ask `signer address`.\n");
    text
}

/// One word for a shell, whatever is in it.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(key_label: &str) -> Pkcs11 {
        Pkcs11 {
            library: "lib.so".into(),
            token_label: None,
            key_label: key_label.to_owned(),
            pin: "user:s3cret".into(),
            sessions: 2,
            is_cloudhsm: true,
        }
    }

    #[test]
    fn cloudhsm_is_told_the_label_as_one_word_and_no_pin() {
        let told = cloudhsm(&token("dvn-signing-key"));
        assert!(told.contains("--public-label dvn-signing-key --private-label dvn-signing-key \\\n"), "{told}");
        assert!(told.contains("extractable=false") && !told.contains("s3cret"), "{told}");
        let told = cloudhsm(&token("it's $HOME"));
        assert!(told.contains(r"--private-label 'it'\''s $HOME' "), "{told}");
    }

    #[test]
    fn labels_have_ids_of_their_own() {
        assert_eq!(id("a"), keccak256("a").0[..8]);
        assert_ne!(id("a"), id("b"));
    }

    #[tokio::test]
    async fn a_development_key_is_not_made() {
        let device = Device::Local { private_key: "11".repeat(32).into() };
        let error = obey(&Key { device, address: None }, &mut Vec::new()).await.unwrap_err();
        assert!(matches!(error, CliError::NoDevice), "{error:?}");
        assert_eq!(error.exit(), super::super::Exit::Usage);
    }

    #[cfg(feature = "aliyun")]
    #[tokio::test]
    async fn aliyun_is_told_the_region_and_the_alias() {
        let credentials = crate::config::AliyunCredentials::RamRole("dvn".to_owned());
        let key = Aliyun {
            region: "cn-hangzhou".to_owned(),
            key_id: "alias/dvn".to_owned(),
            key_version_id: None,
            endpoint: None,
            ca: None,
            credentials,
        };
        let mut told = Vec::new();
        obey(&Key { device: Device::Aliyun(Box::new(key)), address: None }, &mut told).await.unwrap();
        let told = String::from_utf8(told).unwrap();
        assert!(told.contains("CreateKey --RegionId cn-hangzhou --KeySpec EC_P256K"), "{told}");
        assert!(told.contains("CreateAlias --RegionId cn-hangzhou --AliasName alias/dvn"), "{told}");
    }

    #[cfg(feature = "aws-kms")]
    #[tokio::test]
    async fn aws_is_told_the_region_and_the_alias() {
        let key = AwsKms {
            region: "eu-central-1".to_owned(),
            key_id: "alias/dvn".to_owned(),
            endpoint: None,
            is_fips: false,
            ca: None,
            credentials: crate::config::AwsCredentials::DefaultChain,
        };
        let mut told = Vec::new();
        obey(&Key { device: Device::AwsKms(Box::new(key)), address: None }, &mut told).await.unwrap();
        let told = String::from_utf8(told).unwrap();
        assert!(told.contains("create-key --region eu-central-1 --key-spec ECC_SECG_P256K1"), "{told}");
        assert!(told.contains("create-alias --region eu-central-1 --alias-name alias/dvn"), "{told}");
    }

    #[cfg(feature = "gcp-kms")]
    #[tokio::test]
    async fn google_is_told_the_key_s_whole_name() {
        let key = Gcp {
            project: "p-1".to_owned(),
            location: "asia-northeast1".to_owned(),
            key_ring: "dvn-keyring".to_owned(),
            key_name: "signing key".to_owned(),
            key_version: None,
            endpoint: None,
            credentials: dvn_hsm::GcpCredentials::application_default(),
        };
        let mut told = Vec::new();
        obey(&Key { device: Device::Gcp(Box::new(key)), address: None }, &mut told).await.unwrap();
        let told = String::from_utf8(told).unwrap();
        assert!(told.contains("keys create 'signing key' --project p-1 --location asia-northeast1"), "{told}");
        assert!(told.contains("--default-algorithm ec-sign-secp256k1-sha256 --protection-level hsm"), "{told}");
    }
}
