//! What the workers of one signer share: the library, the login, and the only way out for signatures.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use alloy_primitives::Address;
use cryptoki::{
    error::{Error as CallError, RvError},
    object::ObjectHandle,
    session::{Session, UserType},
};
use dvn_core::error::{SignError, SignErrorKind};

use super::{
    config::Pkcs11Config,
    fault::{Fault, Remedy},
    library::{Inside, Library},
    token::{FoundKey, KeyName, find_key, find_slot},
};
use crate::ecdsa::Release;

/// A session of its own, open only to keep the login: a token logs out when its last session closes.
#[derive(Debug)]
struct Anchor {
    session: Session,
    generation: u64,
}

/// One key of one token.
#[derive(Debug)]
pub(super) struct Connection {
    library: Arc<Library>,
    config: Pkcs11Config,
    release: Release,
    anchor: Mutex<Option<Anchor>>,
    /// Set for good when the token refused the PIN.
    refused: AtomicBool,
}

impl Connection {
    /// Logs in, finds the key and checks it.
    pub(super) fn open(config: Pkcs11Config) -> Result<Self, SignError> {
        let label = config.key_label.clone();
        Self::try_open(config).map_err(|fault| match &fault {
            // At the start other tokens prove that the device answers, so that the label must be wrong.
            Fault::TokenAbsent { present, .. } if !present.is_empty() => {
                SignError::new(SignErrorKind::Key).key(label.as_str()).caused_by(fault)
            }
            _ => fault.into_error(&label),
        })
    }

    fn try_open(config: Pkcs11Config) -> Result<Self, Fault> {
        let library = Library::load(&config.library)?;
        let seen = library.enter().generation();
        let opened = log_in_and_find(&library, &config).or_else(|fault| match fault.remedy() {
            // A library that was loaded before may not show a token that came later.
            Some(Remedy::Library) if library.restart(seen).is_ok() => log_in_and_find(&library, &config),
            _ => Err(fault),
        });
        let (anchor, key) = opened?;
        if key.extractable {
            tracing::warn!(key = %config.key_label, "the token lets this private key out: CKA_EXTRACTABLE is true");
        }
        let release = Release::new(key.address, config.key_label.as_str());
        let (anchor, refused) = (Mutex::new(Some(anchor)), AtomicBool::new(false));
        Ok(Self { library, config, release, anchor, refused })
    }

    pub(super) const fn address(&self) -> Address {
        self.release.address()
    }

    pub(super) fn key_label(&self) -> &str {
        &self.config.key_label
    }

    pub(super) fn library(&self) -> &Library {
        &self.library
    }

    pub(super) const fn release(&self) -> &Release {
        &self.release
    }

    /// Whether the key may still be asked: not after a refused PIN, not after it was stopped.
    pub(super) fn ensure_usable(&self) -> Result<(), SignError> {
        self.ensure_admitted().map_err(|fault| fault.into_error(self.key_label()))?;
        self.release.ensure_running()
    }

    /// A new session with the key found in it, after a new login if that is asked for.
    pub(super) fn open_seat(&self, inside: &Inside<'_>, log_in: bool) -> Result<Seat, Fault> {
        let slot = find_slot(inside.pkcs11(), self.config.token_label.as_deref())?;
        let session = inside.pkcs11().open_rw_session_no_drop(slot)?;
        match self.find_again(&session, log_in, inside) {
            Ok(key) => Ok(Seat { session, key, generation: inside.generation() }),
            Err(fault) => {
                close(session);
                Err(fault)
            }
        }
    }

    fn find_again(&self, session: &Session, log_in: bool, inside: &Inside<'_>) -> Result<ObjectHandle, Fault> {
        if log_in {
            self.log_in(inside)?;
        }
        let key = find(session, &self.config)?;
        if key.address != self.address() {
            return Err(Fault::KeyUnfit(format!("the key was replaced by that of {}", key.address)));
        }
        Ok(key.private)
    }

    /// One login at a time, and none after a refusal, whatever the other workers are about to do.
    fn log_in(&self, inside: &Inside<'_>) -> Result<(), Fault> {
        let mut anchor = self.anchor.lock().unwrap_or_else(PoisonError::into_inner);
        self.ensure_admitted()?;
        let fresh = open_anchor(inside, &self.config).inspect_err(|fault| self.note(fault))?;
        // The old one is closed last, so that the login always has a session.
        if let Some(old) = anchor.replace(fresh) {
            old.close(inside);
        }
        Ok(())
    }

    /// Stops the key for good if the token refused the PIN or the user.
    pub(super) fn note(&self, fault: &Fault) {
        if fault.kind() == SignErrorKind::Auth && !self.refused.swap(true, Ordering::SeqCst) {
            tracing::warn!(key = %self.key_label(), error = %fault, "PIN refused, key stopped");
        }
    }

    fn ensure_admitted(&self) -> Result<(), Fault> {
        if self.refused.load(Ordering::SeqCst) { Err(Fault::PinRefusedBefore) } else { Ok(()) }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let anchor = self.anchor.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(anchor) = anchor {
            anchor.close(&self.library.enter());
        }
    }
}

impl Anchor {
    fn close(self, inside: &Inside<'_>) {
        if self.generation == inside.generation() {
            close(self.session);
        }
    }
}

/// A worker's session and the key as that session knows it.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) session: Session,
    pub(super) key: ObjectHandle,
    pub(super) generation: u64,
}

impl Seat {
    /// Closes the session, unless its handle is of an older generation and may now be somebody else's.
    pub(super) fn close(self, inside: &Inside<'_>) {
        if self.generation == inside.generation() {
            close(self.session);
        }
    }
}

fn log_in_and_find(library: &Library, config: &Pkcs11Config) -> Result<(Anchor, FoundKey), Fault> {
    let inside = library.enter();
    let anchor = open_anchor(&inside, config)?;
    match find(&anchor.session, config).and_then(|key| check_address(config, key)) {
        Ok(key) => Ok((anchor, key)),
        Err(fault) => {
            anchor.close(&inside);
            Err(fault)
        }
    }
}

/// Read-write although signing only reads, since AWS CloudHSM refuses read-only sessions.
fn open_anchor(inside: &Inside<'_>, config: &Pkcs11Config) -> Result<Anchor, Fault> {
    let slot = find_slot(inside.pkcs11(), config.token_label.as_deref())?;
    let session = inside.pkcs11().open_rw_session_no_drop(slot)?;
    match session.login(UserType::User, Some(&config.pin)) {
        Ok(()) | Err(CallError::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => {
            Ok(Anchor { session, generation: inside.generation() })
        }
        Err(error) => {
            close(session);
            Err(error.into())
        }
    }
}

fn find(session: &Session, config: &Pkcs11Config) -> Result<FoundKey, Fault> {
    find_key(session, KeyName { label: &config.key_label, id: config.key_id.as_deref() })
}

fn check_address(config: &Pkcs11Config, key: FoundKey) -> Result<FoundKey, Fault> {
    match config.address {
        Some(expected) if expected != key.address => {
            Err(Fault::KeyUnfit(format!("the key's address is {}, the configuration expects {expected}", key.address)))
        }
        _ => Ok(key),
    }
}

/// A session that does not close is lost to this process only; the token reclaims it.
fn close(session: Session) {
    if let Err(error) = session.close() {
        tracing::debug!(%error, "session did not close");
    }
}
