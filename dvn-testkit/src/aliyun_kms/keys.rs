//! The keys that the stand-in holds.

use std::collections::BTreeMap;

use k256::{
    ecdsa::{SigningKey, VerifyingKey},
    pkcs8::{EncodePublicKey, LineEnding},
};

use crate::key_service::{self, Fault};

/// A key and one of its versions, as the service names them.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyName {
    /// `KeyId`.
    pub id: String,
    /// `KeyVersionId`.
    pub version: String,
}

/// What a key may be used for at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyState {
    /// Everything.
    Enabled,
    /// Nothing, until it is enabled.
    Disabled,
    /// Nothing, and it will be deleted.
    PendingDeletion,
}

impl KeyState {
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Enabled => "Enabled",
            Self::Disabled => "Disabled",
            Self::PendingDeletion => "PendingDeletion",
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Keys {
    keys: BTreeMap<String, Key>,
    pub(super) aliases: BTreeMap<String, String>,
}

#[derive(Debug)]
pub(super) struct Key {
    pub(super) state: KeyState,
    pub(super) spec: String,
    pub(super) versions: Vec<Version>,
}

/// Secrets are derived from what the test gave, so nothing here is worth hiding.
#[derive(Debug)]
pub(super) struct Version {
    pub(super) id: String,
    secret: SigningKey,
}

impl Keys {
    pub(super) fn create(&mut self, secret: [u8; 32]) -> KeyName {
        let id = format!("key-hzz65205ff4{:04}", self.keys.len());
        let key = Key { state: KeyState::Enabled, spec: "EC_P256K".to_owned(), versions: Vec::new() };
        self.keys.insert(id.clone(), key);
        self.add_version(&KeyName { id, version: String::new() }, secret)
    }

    pub(super) fn add_version(&mut self, name: &KeyName, secret: [u8; 32]) -> KeyName {
        let number = self.keys.get(&name.id).map_or(0, |key| key.versions.len());
        let version = format!("{}-v{number:04}", name.id);
        let secret = key_service::key_of(secret);
        self.edit(&name.id, |key| key.versions.push(Version { id: version.clone(), secret }));
        KeyName { id: name.id.clone(), version }
    }

    pub(super) fn edit(&mut self, id: &str, with: impl FnOnce(&mut Key)) {
        self.keys.get_mut(id).map(with);
    }

    /// A key by id or alias, with its id.
    pub(super) fn find(&self, name: &str) -> Option<(&str, &Key)> {
        let id = self.aliases.get(name).map_or(name, String::as_str);
        self.keys.get_key_value(id).map(|(id, key)| (id.as_str(), key))
    }
}

impl Version {
    /// SPKI in PEM, as `GetPublicKey` gives it.
    pub(super) fn public_key(&self) -> Option<String> {
        VerifyingKey::from(&self.secret).to_public_key_pem(LineEnding::LF).ok()
    }

    pub(super) fn sign(&self, digest: [u8; 32], fault: Option<&Fault>) -> Option<Vec<u8>> {
        key_service::sign(&self.secret, digest, fault)
    }
}
