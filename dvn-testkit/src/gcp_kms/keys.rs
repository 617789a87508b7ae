//! The keys that the stand-in holds.

use std::collections::BTreeMap;

use k256::{
    ecdsa::{SigningKey, VerifyingKey},
    pkcs8::{EncodePublicKey, LineEnding},
};

use crate::key_service::key_of;

/// A version of a key, by the parts of its name.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyName {
    /// The project's id.
    pub project: String,
    /// As `asia-northeast1`.
    pub location: String,
    /// The key ring.
    pub key_ring: String,
    /// The key.
    pub key_name: String,
    /// The version's number, from `1`.
    pub version: String,
}

/// What a version may be used for at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyState {
    /// Everything.
    Enabled,
    /// Nothing, until it is enabled.
    Disabled,
    /// Nothing, and it will be destroyed.
    DestroyScheduled,
    /// Nothing, ever again.
    Destroyed,
}

impl KeyState {
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Enabled => "ENABLED",
            Self::Disabled => "DISABLED",
            Self::DestroyScheduled => "DESTROY_SCHEDULED",
            Self::Destroyed => "DESTROYED",
        }
    }
}

impl KeyName {
    /// The whole name, `projects/…/cryptoKeyVersions/1`.
    #[must_use]
    pub fn resource(&self) -> String {
        format!("{}/cryptoKeyVersions/{}", self.key(), self.version)
    }

    fn key(&self) -> String {
        let Self { project, location, key_ring, key_name, .. } = self;
        format!("projects/{project}/locations/{location}/keyRings/{key_ring}/cryptoKeys/{key_name}")
    }
}

/// Versions by the names of their keys.
#[derive(Debug, Default)]
pub(super) struct Keys(BTreeMap<String, Vec<Version>>);

/// The secret is one that a test gave, so that nothing here is worth hiding.
#[derive(Debug)]
pub(super) struct Version {
    pub(super) name: String,
    pub(super) state: KeyState,
    pub(super) algorithm: String,
    pub(super) level: String,
    pub(super) key: SigningKey,
}

impl Keys {
    pub(super) fn create(&mut self, secret: [u8; 32]) -> KeyName {
        let name = KeyName {
            project: "stand-in-project".to_owned(),
            location: "asia-northeast1".to_owned(),
            key_ring: "dvn-keyring".to_owned(),
            key_name: format!("signing-key-{}", self.0.len()),
            version: String::new(),
        };
        self.add_version(&name, secret)
    }

    pub(super) fn add_version(&mut self, name: &KeyName, secret: [u8; 32]) -> KeyName {
        let versions = self.0.entry(name.key()).or_default();
        let number = versions.len().saturating_add(1);
        let name = KeyName { version: number.to_string(), ..name.clone() };
        versions.push(Version {
            name: name.resource(),
            state: KeyState::Enabled,
            algorithm: "EC_SIGN_SECP256K1_SHA256".to_owned(),
            level: "HSM".to_owned(),
            key: key_of(secret),
        });
        name
    }

    pub(super) fn edit(&mut self, name: &KeyName, with: impl FnOnce(&mut Version)) {
        let mut versions = self.0.values_mut().flatten();
        versions.find(|version| version.name == name.resource()).map(with);
    }

    /// The versions of a key.
    pub(super) fn versions(&self, key: &str) -> Option<&[Version]> {
        self.0.get(key).map(Vec::as_slice)
    }

    pub(super) fn version(&self, name: &str) -> Option<&Version> {
        self.0.values().flatten().find(|version| version.name == name)
    }
}

impl Version {
    /// SPKI in PEM, as `GetPublicKey` gives it.
    pub(super) fn public_key(&self) -> Option<String> {
        VerifyingKey::from(&self.key).to_public_key_pem(LineEnding::LF).ok()
    }
}
