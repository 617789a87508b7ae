//! A token that signs wrongly, with the worst that it can do.

use std::error::Error;

use alloy_primitives::B256;
use dvn_core::{
    error::{SignError, SignErrorKind},
    ports::Signer,
};
use dvn_hsm::Pkcs11Signer;
use dvn_testkit::{
    keys,
    pkcs11_shim::{Function, Pkcs11Shim},
};

use crate::child::{KEY, World, block_on, with_shim};

const ONE: B256 = B256::repeat_byte(1);
const TWO: B256 = B256::repeat_byte(2);

fn sign(signer: &Pkcs11Signer, digest: B256) -> Result<(), SignError> {
    block_on(signer.sign_digest(digest)).map(drop)
}

fn assert_wrong(result: Result<(), SignError>, cause: &str) {
    let error = result.unwrap_err();
    assert_eq!(error.kind(), SignErrorKind::Integrity, "{error:?}");
    let told = format!("{error} {:?}", error.source());
    assert!(told.contains(cause), "{told}");
}

fn with_key(world: &World) -> Pkcs11Shim {
    world.import(&[(KEY, &keys::signer(0))]);
    world.shim()
}

#[test]
fn t35_a_nonce_that_is_used_twice_stops_the_key_before_the_second_signature_is_released() {
    let test = "lies::t35_a_nonce_that_is_used_twice_stops_the_key_before_the_second_signature_is_released";
    with_shim(test, |world| {
        let shim = with_key(world);
        let signer = world.signer();
        shim.one_nonce(&keys::signer(0));
        sign(&signer, ONE).unwrap();
        sign(&signer, ONE).unwrap();
        assert_wrong(sign(&signer, TWO), "one nonce for two digests");
        let asked = shim.calls(Function::Sign);
        shim.heal();
        assert_wrong(sign(&signer, ONE), "one nonce for two digests");
        assert_eq!(shim.calls(Function::Sign), asked, "a stopped key is not asked");
        sign(&Pkcs11Signer::open(world.config()).unwrap(), TWO).unwrap();
    });
}

#[test]
fn t35_the_nonce_of_the_test_at_the_start_counts() {
    with_shim("lies::t35_the_nonce_of_the_test_at_the_start_counts", |world| {
        let shim = with_key(world);
        shim.one_nonce(&keys::signer(0));
        let signer = world.signer();
        assert_wrong(sign(&signer, ONE), "one nonce for two digests");
    });
}

#[test]
fn t36_a_signature_of_another_key_of_the_token_is_withheld() {
    with_shim("lies::t36_a_signature_of_another_key_of_the_token_is_withheld", |world| {
        world.import(&[(KEY, &keys::signer(0)), ("other", &keys::signer(1))]);
        let shim = world.shim();
        let signer = world.signer();
        shim.swap_key("other");
        for digest in [ONE, TWO] {
            let asked = shim.calls(Function::Sign);
            assert_wrong(sign(&signer, digest), "it does not recover to the key's address");
            assert_eq!(shim.calls(Function::Sign), asked + 1, "people must see it");
        }
        assert_wrong(Pkcs11Signer::open(world.config()).map(drop), "it does not recover to the key's address");
        shim.heal();
        sign(&signer, ONE).unwrap();
    });
}
