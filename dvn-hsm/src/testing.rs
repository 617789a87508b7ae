//! The conformance suite that every [`Signer`] passes, for this crate's signers and for those of embedders.

use std::collections::HashSet;

use alloy_primitives::{Address, B256, Signature, keccak256};
use dvn_core::{ports::Signer, signature};
use futures::future::join_all;

const DIGESTS: u64 = 100;
const AT_ONCE: u64 = 8;

/// Checks that the signer keeps its address, and that what it signs, alone and eight at a time, is low-s and recovers to
/// that address over the digest that was asked for and no other.
///
/// It needs the runtime that the signer needs, and signs about a hundred digests which belong to no protocol.
///
/// # Panics
/// At the first promise of [`Signer`] that the signer breaks.
pub async fn run(signer: &dyn Signer) {
    let address = signer.address();
    assert_ne!(address, Address::ZERO, "the address is that of a key");
    let mut seen = HashSet::new();
    for number in 0..DIGESTS {
        let signature = signed(signer, digest(number)).await;
        assert!(seen.insert(signature.r()), "two digests were signed with one nonce");
    }
    together(signer).await;
    signed(signer, B256::ZERO).await;
    signed(signer, B256::repeat_byte(0xff)).await;
    assert_eq!(signer.address(), address, "the address changed");
}

/// Answers must not be mixed up between callers.
async fn together(signer: &dyn Signer) {
    let digests = (DIGESTS..DIGESTS.saturating_add(AT_ONCE)).map(digest).collect::<Vec<_>>();
    let signatures = join_all(digests.iter().map(|digest| signed(signer, *digest))).await;
    for (asked, signature) in digests.iter().zip(&signatures) {
        for other in digests.iter().filter(|other| *other != asked) {
            let recovered = signature::recover(*other, signature);
            assert_ne!(recovered, Ok(signer.address()), "one signature fits two digests");
        }
    }
}

#[expect(clippy::panic, reason = "a conformance suite fails by panicking")]
async fn signed(signer: &dyn Signer, digest: B256) -> Signature {
    let signature = match signer.sign_digest(digest).await {
        Ok(signature) => signature,
        Err(error) => panic!("{digest} was not signed: {error:?}"),
    };
    assert_eq!(signature::check(digest, &signature, signer.address()), Ok(()), "{digest}");
    signature
}

fn digest(number: u64) -> B256 {
    keccak256([b"dvn signer suite v1".as_slice(), &number.to_be_bytes()].concat())
}
