//! The keys that the stand-in holds.

use std::collections::BTreeMap;

use k256::{
    ecdsa::{SigningKey, VerifyingKey},
    pkcs8::EncodePublicKey,
};

use super::REGION;
use crate::key_service::{self, Fault};

/// A key as the service names it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyName {
    /// The key's id, a UUID.
    pub id: String,
    /// Its full name, with region and account.
    pub arn: String,
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
    /// Nothing, until its material is imported.
    PendingImport,
}

impl KeyState {
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Enabled => "Enabled",
            Self::Disabled => "Disabled",
            Self::PendingDeletion => "PendingDeletion",
            Self::PendingImport => "PendingImport",
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Keys {
    keys: BTreeMap<String, Key>,
    pub(super) aliases: BTreeMap<String, String>,
}

/// Secrets are what the test gave, so nothing here is worth hiding.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) arn: String,
    pub(super) state: KeyState,
    pub(super) spec: String,
    pub(super) usage: String,
    pub(super) origin: String,
    /// What is given out in place of its public key.
    pub(super) shown: Option<Vec<u8>>,
    secret: SigningKey,
}

impl Keys {
    pub(super) fn create(&mut self, secret: [u8; 32]) -> KeyName {
        let id = format!("1234abcd-12ab-34cd-56ef-{:012x}", self.keys.len());
        let arn = arn(&format!("key/{id}"));
        let key = Key {
            arn: arn.clone(),
            state: KeyState::Enabled,
            spec: "ECC_SECG_P256K1".to_owned(),
            usage: "SIGN_VERIFY".to_owned(),
            origin: "AWS_KMS".to_owned(),
            shown: None,
            secret: key_service::key_of(secret),
        };
        self.keys.insert(id.clone(), key);
        KeyName { id, arn }
    }

    pub(super) fn edit(&mut self, id: &str, with: impl FnOnce(&mut Key)) {
        self.keys.get_mut(id).map(with);
    }

    /// The id that a name stands for: an id, an alias, or the ARN of either.
    pub(super) fn id_of(&self, name: &str) -> Option<String> {
        let place = arn("");
        let bare = name.strip_prefix(&place).unwrap_or(name);
        let id = self.aliases.get(bare).map_or_else(|| bare.strip_prefix("key/").unwrap_or(bare), String::as_str);
        self.keys.contains_key(id).then(|| id.to_owned())
    }

    pub(super) fn get(&self, id: &str) -> Option<&Key> {
        self.keys.get(id)
    }
}

impl Key {
    /// SPKI in DER, as `GetPublicKey` gives it.
    pub(super) fn public_key(&self) -> Option<Vec<u8>> {
        let der = || VerifyingKey::from(&self.secret).to_public_key_der().ok().map(|der| der.as_bytes().to_vec());
        self.shown.clone().or_else(der)
    }

    pub(super) fn sign(&self, digest: [u8; 32], fault: Option<&Fault>) -> Option<Vec<u8>> {
        key_service::sign(&self.secret, digest, fault)
    }
}

/// The full name of something in the stand-in's region and account.
pub(super) fn arn(name: &str) -> String {
    format!("arn:aws:kms:{REGION}:111122223333:{name}")
}
