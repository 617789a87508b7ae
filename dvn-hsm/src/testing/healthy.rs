//! What a device does while nothing is wrong with it.

use std::{collections::HashSet, time::Duration};

use alloy_primitives::{Address, B256};
use dvn_core::{ports::Signer, signature};
use futures::future::join_all;
use tokio::time::timeout;

use super::{digest, signed};

const DIGESTS: u64 = 100;

/// Fewer than any device of this crate lets wait.
const AT_ONCE: u64 = 32;

const LEAVING: u64 = 16;

/// Checks that the signer keeps its address, and that what it signs, alone and eight at a time, is low-s and recovers to
/// that address over the digest that was asked for and no other, with a nonce for each.
///
/// It needs the runtime that the signer needs, and signs about a hundred digests which belong to no protocol.
///
/// # Panics
/// At the first promise of [`Signer`] that the signer breaks.
///
/// # Cancel safety
/// As [`Signer::sign_digest`].
pub async fn run(signer: &dyn Signer) {
    let address = signer.address();
    assert_ne!(address, Address::ZERO, "the address is that of a key");
    let mut seen = HashSet::new();
    for number in 0..DIGESTS {
        let signature = signed(signer, digest("one by one", number)).await;
        assert!(seen.insert(signature.r()), "two digests were signed with one nonce");
    }
    together(signer, 8).await;
    signed(signer, B256::ZERO).await;
    signed(signer, B256::repeat_byte(0xff)).await;
    assert_eq!(signer.address(), address, "the address changed");
}

/// More than the device does at a time.
pub(super) async fn many_at_once(signer: &dyn Signer) {
    together(signer, AT_ONCE).await;
}

/// Answers must not be mixed up between callers.
async fn together(signer: &dyn Signer, count: u64) {
    let digests = (0..count).map(|number| digest("at once", number)).collect::<Vec<_>>();
    let signatures = join_all(digests.iter().map(|digest| signed(signer, *digest))).await;
    for (asked, signature) in digests.iter().zip(&signatures) {
        for other in digests.iter().filter(|other| *other != asked) {
            let recovered = signature::recover(*other, signature);
            assert_ne!(recovered, Ok(signer.address()), "one signature fits two digests");
        }
    }
}

/// Some are done before they can leave; the others leave at the first moment, and then at a later one.
pub(super) async fn left_callers(signer: &dyn Signer) {
    for pause in [Duration::ZERO, Duration::from_millis(1)] {
        let leave = |number| timeout(pause, signer.sign_digest(digest("leaving", number)));
        join_all((0..LEAVING).map(leave)).await;
        together(signer, 8).await;
    }
}
