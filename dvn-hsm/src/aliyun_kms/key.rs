//! What the service says about the key before it is used, and what it must say.

use alloy_primitives::Address;
use dvn_core::error::SignError;
use k256::{ecdsa::VerifyingKey, pkcs8::DecodePublicKey};
use serde::Deserialize;

use super::client::Client;
use crate::service::{Service, key};

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
    let facts = [
        ("KeySpec", metadata.key_spec.as_str(), "EC_P256K"),
        ("KeyUsage", &metadata.key_usage, "SIGN/VERIFY"),
        ("KeyState", &metadata.key_state, "Enabled"),
    ];
    key::ensure(&facts).map_err(|failure| failure.into_error(service.key()))?;
    warn_of_weakness(service, &metadata);
    let version = match version {
        Some(version) => version.to_owned(),
        None => only_version(service, client, &metadata.key_id).await?,
    };
    Ok(Key { id: metadata.key_id, version })
}

/// Computes the key's address. Another curve than ours is seen here at the latest.
pub(super) async fn address(
    service: &Service,
    client: &Client,
    key: &Key,
    expected: Option<Address>,
) -> Result<Address, SignError> {
    let names = [("KeyId", key.id.as_str()), ("KeyVersionId", key.version.as_str())];
    let answer: PublicKey = call(service, client, "GetPublicKey", &names).await?;
    let public = VerifyingKey::from_public_key_pem(answer.public_key.trim()).ok();
    key::address(public, "PEM", expected).map_err(|failure| failure.into_error(service.key()))
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
            let cause = format!("it has {count} versions, of which key_version_id must choose one");
            Err(key::unfit(cause).into_error(service.key()))
        }
    }
}

/// It signs as well, and people should know.
fn warn_of_weakness(service: &Service, metadata: &Metadata) {
    if metadata.protection_level != "HSM" {
        tracing::warn!(key = service.key(), level = %metadata.protection_level, "the key is not kept in an HSM");
    }
    key::warn_if_imported(service.key(), &metadata.origin);
}
