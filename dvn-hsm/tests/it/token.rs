//! SoftHSM as it is: opening, labels, keys that must be refused, and tokens that change behind the signer's back.

use std::time::Duration;

use alloy_primitives::{Address, B256};
use cryptoki::{
    context::{CInitializeArgs, CInitializeFlags, Pkcs11},
    mechanism::Mechanism,
    object::{Attribute, ObjectClass, ObjectHandle},
    session::{Session, UserType},
};
use dvn_core::{
    error::{SignError, SignErrorKind},
    ports::Signer,
};
use dvn_hsm::{Pkcs11Config, Pkcs11Signer, provision::ProvisionError};

use crate::child::{KEY, PIN, TOKEN, World, block_on, plain, secret};

const SECP256K1: [u8; 7] = [0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x0a];
const P256: [u8; 10] = [0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const DIGEST: B256 = B256::repeat_byte(0x5a);

/// Another user of the token in this process, who can do what the crate does not offer.
fn somebody(world: &World) -> Session {
    let pkcs11 = Pkcs11::new(world.module()).unwrap();
    // Whoever comes second is told that the library is initialised.
    drop(pkcs11.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)));
    let is_ours = |slot: &_| pkcs11.get_token_info(*slot).is_ok_and(|info| info.label() == TOKEN);
    let slot = pkcs11.get_slots_with_token().unwrap().into_iter().find(is_ours).unwrap();
    let session = pkcs11.open_rw_session(slot).unwrap();
    drop(session.login(UserType::User, Some(&secret(PIN))));
    session
}

fn generate(session: &Session, label: &str, id: u8, params: &[u8], sign: bool) {
    let common = [Attribute::Token(true), Attribute::Label(label.into()), Attribute::Id(vec![id])];
    let public = [common.as_slice(), &[Attribute::Private(false), Attribute::EcParams(params.to_vec())]].concat();
    let private = [common.as_slice(), &[Attribute::Private(true), Attribute::Sign(sign)]].concat();
    session.generate_key_pair(&Mechanism::EccKeyPairGen, &public, &private).unwrap();
}

fn find(session: &Session, class: ObjectClass, label: &str) -> ObjectHandle {
    session.find_objects(&[Attribute::Class(class), Attribute::Label(label.into())]).unwrap()[0]
}

fn refused(config: Pkcs11Config) -> SignError {
    Pkcs11Signer::open(config).unwrap_err()
}

fn cause(error: &SignError) -> String {
    std::error::Error::source(error).map(ToString::to_string).unwrap_or_default()
}

fn refusal(config: Pkcs11Config) -> (SignErrorKind, String) {
    let error = refused(config);
    (error.kind(), cause(&error))
}

fn sign(signer: &Pkcs11Signer) -> Result<(), SignErrorKind> {
    block_on(signer.sign_digest(DIGEST)).map(drop).map_err(|error| error.kind())
}

#[test]
fn debug_shows_no_pin() {
    plain("token::debug_shows_no_pin", |world| {
        world.provision();
        let shown = format!("{:?}", world.signer());
        assert!(shown.contains(KEY) && !shown.contains(PIN), "{shown}");
    });
}

#[test]
fn provisioning_overwrites_nothing() {
    plain("token::provisioning_overwrites_nothing", |world| {
        let provisioner = world.provisioner();
        let init = |label: &str| provisioner.init_token(label, &secret("officer-271828"), &secret(PIN)).unwrap_err();
        assert!(matches!(init(TOKEN), ProvisionError::TokenExists(_)));
        assert!(matches!(init(&"x".repeat(33)), ProvisionError::Label(_)));
        let generate = || provisioner.generate_key(TOKEN, &secret(PIN), KEY, &[1]);
        let address = generate().unwrap();
        assert!(matches!(generate().unwrap_err(), ProvisionError::KeyExists(_)));
        let attributes = provisioner.attributes(TOKEN, &secret(PIN), KEY).unwrap();
        let no = ["CKA_EXTRACTABLE"];
        assert!(attributes.iter().all(|(name, is)| is != no.contains(&name)), "{attributes:?}");
        assert_eq!(attributes.iter().count(), 6);
        assert_eq!(world.signer().address(), address);
    });
}

#[test]
fn a_wrong_pin_is_an_auth_error_without_the_pin() {
    plain("token::a_wrong_pin_is_an_auth_error_without_the_pin", |world| {
        world.provision();
        let error = refused(Pkcs11Config::new(world.module(), TOKEN, KEY, secret("wrong-161803")));
        assert_eq!(error.kind(), SignErrorKind::Auth);
        assert_eq!(cause(&error), "C_Login returned PinIncorrect");
        assert!(!format!("{error} {error:?}").contains("161803"));
        assert_eq!(sign(&world.signer()), Ok(()), "the right one still works");
    });
}

#[test]
fn what_does_not_exist_is_named() {
    plain("token::what_does_not_exist_is_named", |world| {
        world.provision();
        let config = |module: &str, token: &str, key: &str| refusal(Pkcs11Config::new(module, token, key, secret(PIN)));
        let module = world.module().to_str().unwrap();
        let (kind, cause) = config(module, TOKEN, "nobody");
        assert_eq!(
            (kind, cause.as_str()),
            (SignErrorKind::Key, "the token has no private EC key of this label and id")
        );
        let (kind, cause) = config(module, "elsewhere", KEY);
        assert_eq!(
            (kind, cause.as_str()),
            (SignErrorKind::Key, r#"no token is labelled "elsewhere", present are ["dvn"]"#)
        );
        let (kind, cause) = config("/nonexistent/library.so", TOKEN, KEY);
        assert_eq!((kind, cause.as_str()), (SignErrorKind::Key, "the PKCS#11 library cannot be used"));
    });
}

#[test]
fn another_address_than_expected_is_refused() {
    plain("token::another_address_than_expected_is_refused", |world| {
        world.provision();
        let (kind, cause) = refusal(world.config().with_expected_address(Address::repeat_byte(1)));
        assert_eq!(kind, SignErrorKind::Key);
        assert!(cause.contains("the configuration expects 0x0101"), "{cause}");
    });
}

#[test]
fn two_keys_of_one_label_need_the_id() {
    plain("token::two_keys_of_one_label_need_the_id", |world| {
        let address = world.provision();
        generate(&somebody(world), KEY, 2, &SECP256K1, true);
        let (kind, cause) = refusal(world.config());
        assert_eq!(kind, SignErrorKind::Key);
        assert!(cause.contains("2 private EC keys"), "{cause}");
        let first = Pkcs11Signer::open(world.config().with_key_id([1])).unwrap();
        assert_eq!((first.address(), sign(&first)), (address, Ok(())));
        let second = Pkcs11Signer::open(world.config().with_key_id([2])).unwrap();
        assert_ne!(second.address(), address);
    });
}

#[test]
fn two_tokens_of_one_label_are_refused() {
    plain("token::two_tokens_of_one_label_are_refused", |world| {
        world.provision();
        let pkcs11 = Pkcs11::new(world.module()).unwrap();
        let is_free = |slot: &_| pkcs11.get_token_info(*slot).is_ok_and(|info| !info.token_initialized());
        let slot = pkcs11.get_slots_with_token().unwrap().into_iter().find(is_free).unwrap();
        pkcs11.init_token(slot, &secret("officer-271828"), TOKEN).unwrap();
        let (kind, cause) = refusal(world.config());
        assert_eq!(kind, SignErrorKind::Key);
        assert!(cause.contains("2 tokens are labelled"), "{cause}");
    });
}

#[test]
fn a_key_on_another_curve_is_refused() {
    plain("token::a_key_on_another_curve_is_refused", |world| {
        drop(world.provisioner());
        generate(&somebody(world), KEY, 1, &P256, true);
        let (kind, cause) = refusal(world.config());
        assert_eq!(kind, SignErrorKind::Key);
        assert!(cause.contains("not on the curve secp256k1"), "{cause}");
    });
}

#[test]
fn a_key_that_may_not_sign_is_refused() {
    plain("token::a_key_that_may_not_sign_is_refused", |world| {
        drop(world.provisioner());
        generate(&somebody(world), KEY, 1, &SECP256K1, false);
        let (kind, cause) = refusal(world.config());
        assert_eq!(kind, SignErrorKind::Key);
        assert!(cause.contains("CKA_SIGN is false"), "{cause}");
    });
}

#[test]
fn a_public_key_of_another_pair_is_found_out_at_the_start() {
    plain("token::a_public_key_of_another_pair_is_found_out_at_the_start", |world| {
        world.provision();
        let session = somebody(world);
        generate(&session, "other", 1, &SECP256K1, true);
        session.destroy_object(find(&session, ObjectClass::PUBLIC_KEY, KEY)).unwrap();
        let other = find(&session, ObjectClass::PUBLIC_KEY, "other");
        session.update_attributes(other, &[Attribute::Label(KEY.into())]).unwrap();
        assert_eq!(refused(world.config()).kind(), SignErrorKind::Integrity);
    });
}

#[test]
fn a_logout_by_somebody_else_heals() {
    plain("token::a_logout_by_somebody_else_heals", |world| {
        world.provision();
        let signer = Pkcs11Signer::open(world.config().with_deadline(Duration::from_secs(60))).unwrap();
        somebody(world).logout().unwrap();
        for _ in 0..4 {
            assert_eq!(sign(&signer), Ok(()));
        }
    });
}

#[test]
fn a_deleted_key_is_a_key_error() {
    plain("token::a_deleted_key_is_a_key_error", |world| {
        world.provision();
        let signer = Pkcs11Signer::open(world.config().with_deadline(Duration::from_secs(60))).unwrap();
        let session = somebody(world);
        session.destroy_object(find(&session, ObjectClass::PRIVATE_KEY, KEY)).unwrap();
        assert_eq!(sign(&signer), Err(SignErrorKind::Key));
    });
}

#[test]
fn a_replaced_key_is_not_used() {
    plain("token::a_replaced_key_is_not_used", |world| {
        world.provision();
        let signer = Pkcs11Signer::open(world.config().with_deadline(Duration::from_secs(60))).unwrap();
        let session = somebody(world);
        for class in [ObjectClass::PRIVATE_KEY, ObjectClass::PUBLIC_KEY] {
            session.destroy_object(find(&session, class, KEY)).unwrap();
        }
        generate(&session, KEY, 1, &SECP256K1, true);
        let error = block_on(signer.sign_digest(DIGEST)).unwrap_err();
        assert_eq!(error.kind(), SignErrorKind::Key);
        assert!(cause(&error).contains("the key was replaced"), "{error:?}");
    });
}
