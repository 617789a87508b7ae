//! What the service says about the key before it is used, and what it must say.

use alloy_primitives::Address;
use dvn_core::error::{SignError, SignErrorKind};
use gcloud_sdk::google::cloud::kms::v1::{
    CryptoKeyVersion, ProtectionLevel,
    crypto_key_version::{CryptoKeyVersionAlgorithm, CryptoKeyVersionState},
};
use k256::{ecdsa::VerifyingKey, pkcs8::DecodePublicKey};

use super::{
    checksum,
    client::Client,
    name::{KeyName, VersionName, number},
};
use crate::service::{
    Failure, Service,
    key::{address, ensure, unfit, warn_if_imported},
};

/// Pages of versions that are read. Who has more must choose.
const PAGES: usize = 10;

/// A version that can sign for us.
#[derive(Debug)]
pub(super) struct Version {
    pub(super) name: VersionName,
    /// Where it said to be when it was opened, and says so with each signature.
    pub(super) level: ProtectionLevel,
}

/// The one version that is enabled.
pub(super) async fn only_version(service: &Service, client: &Client, key: &KeyName) -> Result<VersionName, SignError> {
    let versions = versions(service, client, key).await?;
    let mut enabled = versions.iter().filter(|version| version.state() == CryptoKeyVersionState::Enabled);
    let chosen = match (enabled.next(), enabled.next()) {
        (Some(only), None) => key.version(number(&only.name)).map_err(|_| unfit("its version has no number")),
        (None, _) => Err(unfit(format!("none of its versions is enabled: {}", list(&versions)))),
        (Some(_), Some(_)) => Err(unfit(format!(
            "several versions are enabled, of which key_version must choose one: {}",
            list(&versions)
        ))),
    };
    chosen.map_err(|failure| failure.into_error(service.key()))
}

/// Checks what the service says about a version. Whoever may only sign may not ask; what is then left unchecked is whether
/// the key was imported, since a signature tells the rest.
pub(super) async fn inspect(service: &Service, client: &Client, name: &VersionName) -> Result<(), SignError> {
    let version = service.call(|| async {
        match client.version(name).await {
            Ok(version) => check(&version, name).map(|()| Some(version)),
            Err(refusal) if refusal.is_forbidden() => Ok(None),
            Err(refusal) => Err(refusal.failure),
        }
    });
    match version.await? {
        None => {
            tracing::warn!(key = service.key(), "no right to look at the key: whether it was imported is not known")
        }
        Some(version) if !version.import_job.is_empty() || version.reimport_eligible => {
            warn_if_imported(service.key(), "EXTERNAL");
        }
        Some(_) => {}
    }
    Ok(())
}

/// Computes the key's address. Another curve than ours is seen here at the latest.
pub(super) async fn open(
    service: &Service,
    client: &Client,
    name: VersionName,
    expected: Option<Address>,
) -> Result<(Version, Address), SignError> {
    let answer = service.call(|| async {
        let answer = client.public_key(&name).await.map_err(|refusal| refusal.failure)?;
        checksum::check("public key", answer.pem.as_bytes(), answer.pem_crc32c)?;
        same_name(&answer.name, &name)?;
        fits(answer.algorithm(), answer.protection_level())?;
        let public = VerifyingKey::from_public_key_pem(answer.pem.trim()).ok();
        Ok((address(public, "PEM", expected)?, answer.protection_level()))
    });
    let (address, level) = answer.await?;
    Ok((Version { name, level }, address))
}

/// An answer about another version than the one that was asked for is worth nothing.
pub(super) fn same_name(found: &str, asked: &VersionName) -> Result<(), Failure> {
    if found == asked.as_str() {
        return Ok(());
    }
    Err(Failure::new(SignErrorKind::Integrity, "the answer is about another key than the one that was asked for"))
}

async fn versions(service: &Service, client: &Client, key: &KeyName) -> Result<Vec<CryptoKeyVersion>, SignError> {
    let (mut versions, mut page) = (Vec::new(), String::new());
    for _ in 0..PAGES {
        let answer = service.call(|| async { client.versions(key, &page).await.map_err(|refusal| refusal.failure) });
        let answer = answer.await?;
        versions.extend(answer.crypto_key_versions);
        if answer.next_page_token.is_empty() {
            return Ok(versions);
        }
        page = answer.next_page_token;
    }
    Err(unfit("it has a thousand versions or more, of which key_version must choose one").into_error(service.key()))
}

fn check(version: &CryptoKeyVersion, name: &VersionName) -> Result<(), Failure> {
    same_name(&version.name, name)?;
    ensure(&[("state", version.state().as_str_name(), CryptoKeyVersionState::Enabled.as_str_name())])?;
    fits(version.algorithm(), version.protection_level())
}

/// The service offers this algorithm in HSMs alone, so another level is another service, or a key that is elsewhere.
fn fits(algorithm: CryptoKeyVersionAlgorithm, level: ProtectionLevel) -> Result<(), Failure> {
    let hsm = ProtectionLevel::Hsm;
    // One that nobody else shares.
    let level = if level == ProtectionLevel::HsmSingleTenant { hsm } else { level };
    let wanted = CryptoKeyVersionAlgorithm::EcSignSecp256k1Sha256;
    ensure(&[
        ("algorithm", algorithm.as_str_name(), wanted.as_str_name()),
        ("protection level", level.as_str_name(), hsm.as_str_name()),
    ])
}

/// As `1 ENABLED, 2 DESTROYED`.
fn list(versions: &[CryptoKeyVersion]) -> String {
    if versions.is_empty() {
        return "there are none".to_owned();
    }
    let told = versions.iter().map(|version| format!("{} {}", number(&version.name), version.state().as_str_name()));
    told.collect::<Vec<_>>().join(", ")
}
