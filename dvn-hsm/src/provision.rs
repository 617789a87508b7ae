//! Makes tokens and keys where they are used: both for SoftHSM in development, tests and the demo, keys on any token that
//! makes them with `C_GenerateKeyPair`.
//!
//! A production HSM is initialised with its vendor's tools and ceremony instead. For SoftHSM the caller's process must have
//! been started with `SOFTHSM2_CONF`, see [`softhsm`](crate::softhsm).

use std::{path::Path, sync::Arc};

use alloy_primitives::Address;
use cryptoki::{
    error::{Error as CallError, RvError},
    mechanism::Mechanism,
    object::{Attribute, AttributeType, ObjectClass, ObjectHandle},
    session::{Session, UserType},
    slot::Slot,
};
use dvn_core::error::Source;
use secrecy::SecretString;
use thiserror::Error;

use crate::pkcs11::{
    fault::Fault,
    library::{Inside, Library},
    token::{KeyName, SECP256K1, count, find_key, find_slot},
};

/// The width of `CK_TOKEN_INFO.label` (PKCS#11 2.40, section 3.2).
const LABEL_LEN: usize = 32;

/// Why a token or a key was not made.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ProvisionError {
    /// Token labels have 1 to 32 bytes.
    #[error("token label {0:?} is not 1 to 32 bytes long")]
    Label(String),
    /// Nothing is overwritten.
    #[error("token {0:?} exists already, choose another label or delete it with the vendor's tool")]
    TokenExists(String),
    /// No slot has an uninitialised token.
    #[error("no slot has an uninitialised token")]
    NoFreeSlot,
    /// Nothing is overwritten.
    #[error("the token has a key labelled {0:?} already, choose another label")]
    KeyExists(String),
    /// The token failed.
    #[error("token failed")]
    Token(#[source] Source),
}

/// Initialises tokens and generates keys in them. All calls block.
#[derive(Debug)]
pub struct Provisioner {
    library: Arc<Library>,
}

impl Provisioner {
    /// Loads and initialises the library; signers of this process share it.
    ///
    /// # Errors
    /// [`ProvisionError::Token`] if the library cannot be loaded or initialised.
    pub fn load(library: impl AsRef<Path>) -> Result<Self, ProvisionError> {
        Ok(Self { library: Library::load(library.as_ref())? })
    }

    /// Makes a token in the first free slot. The security officer's PIN resets the user's; the user's signs.
    ///
    /// # Errors
    /// [`ProvisionError`]; an existing token of this label is left as it is.
    pub fn init_token(
        &self,
        label: &str,
        so_pin: &SecretString,
        user_pin: &SecretString,
    ) -> Result<(), ProvisionError> {
        if label.is_empty() || label.len() > LABEL_LEN {
            return Err(ProvisionError::Label(label.to_owned()));
        }
        let inside = self.library.enter();
        match find_slot(inside.pkcs11(), Some(label)) {
            Err(Fault::TokenAbsent { .. }) => {}
            Ok(_) | Err(Fault::TokenAmbiguous { .. }) => return Err(ProvisionError::TokenExists(label.to_owned())),
            Err(fault) => return Err(fault.into()),
        }
        let slot = free_slot(&inside)?;
        inside.pkcs11().init_token(slot, so_pin, label).map_err(Fault::from)?;
        let session = inside.pkcs11().open_rw_session(slot).map_err(Fault::from)?;
        session.login(UserType::So, Some(so_pin)).map_err(Fault::from)?;
        session.init_pin(user_pin).map_err(Fault::from)?;
        session.logout().map_err(Fault::from)?;
        Ok(())
    }

    /// Generates a secp256k1 key pair that can sign and nothing else, and whose private part never leaves the token.
    ///
    /// # Errors
    /// [`ProvisionError`]; an existing key of this label is left as it is.
    pub fn generate_key(
        &self,
        token_label: &str,
        user_pin: &SecretString,
        key_label: &str,
        id: &[u8],
    ) -> Result<Address, ProvisionError> {
        let inside = self.library.enter();
        let session = log_in(&inside, token_label, user_pin)?;
        let any = KeyName { label: key_label, id: None };
        for class in [ObjectClass::PRIVATE_KEY, ObjectClass::PUBLIC_KEY] {
            if count(&session, any, class)? > 0 {
                return Err(ProvisionError::KeyExists(key_label.to_owned()));
            }
        }
        generate(&session, key_label, id)?;
        Ok(find_key(&session, KeyName { label: key_label, id: Some(id) })?.address)
    }

    /// What the token says about the only key of this label.
    ///
    /// # Errors
    /// [`ProvisionError::Token`], also where there is no such key or more than one.
    pub fn attributes(
        &self,
        token_label: &str,
        user_pin: &SecretString,
        key_label: &str,
    ) -> Result<KeyAttributes, ProvisionError> {
        let inside = self.library.enter();
        let session = log_in(&inside, token_label, user_pin)?;
        let key = find_key(&session, KeyName { label: key_label, id: None })?;
        Ok(KeyAttributes::read(&session, key.private)?)
    }
}

/// What a token says about a private key: the attributes that tell whether anybody else may have it. Those that the token
/// does not show are left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyAttributes(Vec<(&'static str, bool)>);

impl KeyAttributes {
    fn read(session: &Session, key: ObjectHandle) -> Result<Self, Fault> {
        let wanted = [
            AttributeType::Sign,
            AttributeType::Sensitive,
            AttributeType::AlwaysSensitive,
            AttributeType::Extractable,
            AttributeType::NeverExtractable,
            AttributeType::Local,
        ];
        let named = |attribute| match attribute {
            Attribute::Sign(is) => Some(("CKA_SIGN", is)),
            Attribute::Sensitive(is) => Some(("CKA_SENSITIVE", is)),
            Attribute::AlwaysSensitive(is) => Some(("CKA_ALWAYS_SENSITIVE", is)),
            Attribute::Extractable(is) => Some(("CKA_EXTRACTABLE", is)),
            Attribute::NeverExtractable(is) => Some(("CKA_NEVER_EXTRACTABLE", is)),
            Attribute::Local(is) => Some(("CKA_LOCAL", is)),
            _ => None,
        };
        Ok(Self(session.get_attributes(key, &wanted)?.into_iter().filter_map(named).collect()))
    }

    /// Each by its name in the standard.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, bool)> + '_ {
        self.0.iter().copied()
    }
}

fn log_in(inside: &Inside<'_>, token_label: &str, user_pin: &SecretString) -> Result<Session, Fault> {
    let slot = find_slot(inside.pkcs11(), Some(token_label))?;
    let session = inside.pkcs11().open_rw_session(slot)?;
    match session.login(UserType::User, Some(user_pin)) {
        Ok(()) | Err(CallError::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => Ok(session),
        Err(error) => Err(error.into()),
    }
}

impl From<Fault> for ProvisionError {
    fn from(fault: Fault) -> Self {
        Self::Token(Box::new(fault))
    }
}

fn free_slot(inside: &Inside<'_>) -> Result<Slot, ProvisionError> {
    let slots = inside.pkcs11().get_slots_with_token().map_err(Fault::from)?;
    let free = |slot: &Slot| inside.pkcs11().get_token_info(*slot).is_ok_and(|info| !info.token_initialized());
    slots.into_iter().find(free).ok_or(ProvisionError::NoFreeSlot)
}

fn generate(session: &Session, label: &str, id: &[u8]) -> Result<(), Fault> {
    let shared = [Attribute::Token(true), Attribute::Label(label.as_bytes().to_vec()), Attribute::Id(id.to_vec())];
    let public = [
        Attribute::Private(false),
        Attribute::Verify(true),
        Attribute::Encrypt(false),
        Attribute::Wrap(false),
        Attribute::EcParams(SECP256K1.to_vec()),
    ];
    let private = [
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Sign(true),
        Attribute::Decrypt(false),
        Attribute::Unwrap(false),
        Attribute::Derive(false),
    ];
    let [public, private] = [public.as_slice(), &private].map(|own| [shared.as_slice(), own].concat());
    session.generate_key_pair(&Mechanism::EccKeyPairGen, &public, &private)?;
    Ok(())
}
