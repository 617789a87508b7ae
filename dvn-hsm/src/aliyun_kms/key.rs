//! What the service says about the key before it is used, and what it must say.

use alloy_primitives::Address;
use dvn_core::error::{SignError, SignErrorKind};
use k256::{ecdsa::VerifyingKey, pkcs8::DecodePublicKey};
use serde::Deserialize;

use super::client::Client;
use crate::service::{Failure, Service};

/// A key by its own id, whichever name it was configured by.
#[derive(Clone, Debug)]
pub(super) struct Key {
    pub(super) id: String,
    pub(super) version: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Described {
    key_metadata: Metadata,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Metadata {
    key_id: String,
    key_spec: String,
    key_usage: String,
    key_state: String,
    #[serde(default)]
    protection_level: String,
    #[serde(default)]
    origin: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Versions {
    total_count: u64,
    key_versions: VersionList,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct VersionList {
    key_version: Vec<Version>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Version {
    key_version_id: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PublicKey {
    public_key: String,
}

/// Looks the key up and checks that it is one that can sign for us.
pub(super) async fn find(
    service: &Service,
    client: &Client,
    name: &str,
    version: Option<&str>,
) -> Result<Key, SignError> {
    let described: Described = call(service, client, "DescribeKey", &[("KeyId", name)]).await?;
    let metadata = described.key_metadata;
    check(&metadata).map_err(|cause| unfit(service, cause))?;
    warn_of_weakness(service, &metadata);
    let version = match version {
        Some(version) => version.to_owned(),
        None => only_version(service, client, &metadata.key_id).await?,
    };
    Ok(Key { id: metadata.key_id, version })
}

/// Computes the key's address. Another curve than ours is seen here at the latest.
pub(super) async fn address(service: &Service, client: &Client, key: &Key) -> Result<Address, SignError> {
    let names = [("KeyId", key.id.as_str()), ("KeyVersionId", key.version.as_str())];
    let answer: PublicKey = call(service, client, "GetPublicKey", &names).await?;
    let public = VerifyingKey::from_public_key_pem(answer.public_key.trim());
    let public = public.map_err(|_| unfit(service, "its public key is not a point of secp256k1 in PEM"))?;
    Ok(Address::from_public_key(&public))
}

async fn call<T: serde::de::DeserializeOwned>(
    service: &Service,
    client: &Client,
    action: &'static str,
    parameters: &[(&str, &str)],
) -> Result<T, SignError> {
    service.call(|| async { client.ask(action, parameters).await.map_err(|refusal| refusal.failure) }).await
}

/// Versions have no state of their own. There is one, since the service makes further ones of symmetric keys alone; if
/// that changes, people must choose.
async fn only_version(service: &Service, client: &Client, id: &str) -> Result<String, SignError> {
    let page = [("KeyId", id), ("PageNumber", "1"), ("PageSize", "10")];
    let versions: Versions = call(service, client, "ListKeyVersions", &page).await?;
    match versions.key_versions.key_version.as_slice() {
        [only] if versions.total_count == 1 => Ok(only.key_version_id.clone()),
        _ => {
            let count = versions.total_count;
            Err(unfit(service, format!("it has {count} versions, of which key_version_id must choose one")))
        }
    }
}

fn check(metadata: &Metadata) -> Result<(), String> {
    let expected = [
        ("KeySpec", &metadata.key_spec, "EC_P256K"),
        ("KeyUsage", &metadata.key_usage, "SIGN/VERIFY"),
        ("KeyState", &metadata.key_state, "Enabled"),
    ];
    let wrong = expected.into_iter().find(|(_, found, wanted)| found != wanted);
    wrong.map_or(Ok(()), |(name, found, wanted)| Err(format!("its {name} is {found:?} and must be {wanted}")))
}

/// It signs as well, and people should know.
fn warn_of_weakness(service: &Service, metadata: &Metadata) {
    if metadata.protection_level != "HSM" {
        tracing::warn!(key = service.key(), level = %metadata.protection_level, "the key is not kept in an HSM");
    }
    if metadata.origin == "EXTERNAL" {
        tracing::warn!(key = service.key(), "the key was imported, so that others may have it");
    }
}

fn unfit(service: &Service, cause: impl Into<String>) -> SignError {
    Failure::new(SignErrorKind::Key, cause).into_error(service.key())
}
