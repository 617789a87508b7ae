//! The devices, each with what it does without us.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use alloy_primitives::{Address, B256};
use cryptoki::{
    context::{CInitializeArgs, CInitializeFlags, Pkcs11},
    mechanism::Mechanism,
    object::{Attribute, ObjectClass},
    session::UserType,
};
use dvn_hsm::{LocalSigner, Pkcs11Config, Pkcs11Signer, Sessions};
use dvn_testkit::{
    keys,
    pkcs11_shim::{Function, Pkcs11Shim},
    softhsm::{SoftHsm, TOKEN_LABEL},
};
use k256::ecdsa::SigningKey;
use secp256k1::{
    Message,
    ecdsa::{RecoverableSignature, RecoveryId},
};

use crate::measure::{Pair, Raw};

pub(crate) const KEY: &str = "dvn-signing-key";
pub(crate) const PIN: &str = "user-314159";

pub(crate) struct Device {
    pub(crate) name: &'static str,
    /// What is measured beside it.
    pub(crate) raw_is: &'static str,
    /// How much of the raw rate it should reach, in percent. A stand-in answers in less than a hundredth of the time that
    /// a service takes, so that what is ours weighs a hundred times as much: no aim there.
    pub(crate) aim: Option<u32>,
    /// The signer and the raw device for so many in flight, within a runtime.
    pub(crate) open: Box<dyn Fn(usize) -> Pair>,
}

pub(crate) fn local() -> Device {
    let open = |in_flight| -> Pair {
        let key = keys::signer(0);
        let signer = LocalSigner::from_hex_secret(key.secret().to_string().into()).unwrap();
        let secret = SigningKey::from_slice(key.secret().as_slice()).unwrap();
        let one = |_| {
            let (secret, address) = (secret.clone(), key.address());
            Box::new(move |digest| sign_and_recover(&secret, digest, address)) as Box<dyn FnMut(B256) + Send>
        };
        (Arc::new(signer), Raw::Threads((0..in_flight).map(one).collect()))
    };
    Device { name: "local", raw_is: "a loop that signs and recovers", aim: Some(95), open: Box::new(open) }
}

fn sign_and_recover(secret: &SigningKey, digest: B256, address: Address) {
    let (scalars, _) = secret.sign_prehash_recoverable(digest.as_slice()).unwrap();
    let is_ours = |id| {
        let signature = RecoverableSignature::from_compact(&scalars.to_bytes(), id).unwrap();
        let point = signature.recover(Message::from_digest(digest.0)).unwrap().serialize_uncompressed();
        Address::from_raw_public_key(&point[1..]) == address
    };
    assert!(is_ours(RecoveryId::Zero) || is_ours(RecoveryId::One));
}

pub(crate) fn pkcs11() -> Device {
    pkcs11_at("pkcs11 (SoftHSM)", SoftHsm::library().unwrap())
}

/// As far away as a device in the same region: what is ours weighs as much as it does there.
pub(crate) fn pkcs11_over_a_network(folder: &Path) -> Device {
    let shim = Pkcs11Shim::compile(folder, &SoftHsm::library().unwrap()).unwrap();
    shim.delay(Function::Sign, Duration::from_millis(2));
    pkcs11_at("pkcs11 (SoftHSM, each C_Sign 2 ms later)", shim.library())
}

fn pkcs11_at(name: &'static str, library: PathBuf) -> Device {
    let open = move |in_flight| -> Pair {
        let config = Pkcs11Config::new(&library, TOKEN_LABEL, KEY, PIN.into());
        let signer = Pkcs11Signer::open(config.with_sessions(Sessions::try_new(in_flight).unwrap())).unwrap();
        let pkcs11 = Pkcs11::new(&library).unwrap();
        // The signer has initialised it, and is logged in.
        drop(pkcs11.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)));
        (Arc::new(signer), Raw::Threads((0..in_flight).map(|_| raw_session(&pkcs11)).collect()))
    };
    Device { name, raw_is: "C_Sign in as many sessions", aim: Some(90), open: Box::new(open) }
}

fn raw_session(pkcs11: &Pkcs11) -> Box<dyn FnMut(B256) + Send> {
    let is_ours = |slot: &_| pkcs11.get_token_info(*slot).is_ok_and(|info| info.label() == TOKEN_LABEL);
    let slot = pkcs11.get_slots_with_token().unwrap().into_iter().find(is_ours).unwrap();
    let session = pkcs11.open_rw_session(slot).unwrap();
    drop(session.login(UserType::User, Some(&PIN.into())));
    let named = [Attribute::Class(ObjectClass::PRIVATE_KEY), Attribute::Label(KEY.into())];
    let key = session.find_objects(&named).unwrap()[0];
    Box::new(move |digest| drop(session.sign(&Mechanism::Ecdsa, key, digest.as_slice()).unwrap()))
}
