//! The conformance suite that every signing device passes, for this crate's and for those of embedders.
//!
//! A [`Stand`] is a device under test and the way to put it into trouble. [`conformance`] runs every case that the stand can
//! bring about, and says which it could not; [`run`] is the part for a signer alone.
//!
//! ```
//! use alloy_primitives::Address;
//! use async_trait::async_trait;
//! use dvn_core::{error::SignError, ports::Signer};
//! use dvn_hsm::{LocalSigner, testing::{Stand, Trouble, conformance}};
//!
//! struct InMemory;
//!
//! impl InMemory {
//!     fn signer(&self) -> LocalSigner {
//!         LocalSigner::from_hex_secret("07".repeat(32).into()).expect("a key")
//!     }
//! }
//!
//! #[async_trait]
//! impl Stand for InMemory {
//!     fn address(&self) -> Address {
//!         self.signer().address()
//!     }
//!     async fn open(&self) -> Result<Box<dyn Signer>, SignError> {
//!         Ok(Box::new(self.signer()))
//!     }
//!     fn trouble(&self, _: Trouble) -> bool {
//!         false // nothing goes wrong with a key in memory
//!     }
//!     fn heal(&self) {}
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! assert_eq!(conformance(&InMemory).await, Trouble::all(), "none of them can be brought about");
//! # }
//! ```

mod healthy;
mod troubled;

use std::time::Duration;

use alloy_primitives::{Address, B256, Signature, keccak256};
use async_trait::async_trait;
use dvn_core::{
    error::{SignError, SignErrorKind},
    ports::Signer,
    signature,
};

pub use self::healthy::run;

/// A device under test: a fake service, a token behind a shim, or a key in memory.
#[async_trait]
pub trait Stand: Send + Sync {
    /// The key's address, as known from elsewhere than the device.
    fn address(&self) -> Address;

    /// A signer of this key, as a process makes one that was just started.
    ///
    /// # Errors
    /// [`SignError`], as the device has them at the start.
    ///
    /// # Cancel safety
    /// The suite does not drop this future.
    async fn open(&self) -> Result<Box<dyn Signer>, SignError>;

    /// The longest that a signature takes, if need be by ending in `Timeout`; 5 s unless the stand says otherwise.
    fn deadline(&self) -> Duration {
        Duration::from_secs(5)
    }

    /// Puts the device into this trouble, from now on and until [`Stand::heal`]; signers that are open are in it too.
    ///
    /// False, and nothing happened, if this device cannot be brought into it. A variant that the stand does not know is
    /// such a one.
    fn trouble(&self, trouble: Trouble) -> bool;

    /// Ends all trouble.
    fn heal(&self);
}

/// What can go wrong with a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Trouble {
    /// Requests for a signature are not answered, ever.
    Hangs,
    /// So many requests for a signature are refused because there are too many, or the device is busy; later ones are not.
    Throttled {
        /// How many; `u32::MAX` is for ever.
        times: u32,
    },
    /// PIN, credentials or rights are refused, when a signature is asked for at the latest. A device that locks itself after
    /// a few refusals should do so here, also beyond [`Stand::heal`]: the suite asks more often than that.
    Refused,
    /// Signatures are well-formed and of another key, or over another digest.
    WrongSignature,
    /// Each signature has an s in the upper half of the order.
    HighS,
    /// All signatures are good ones made with one nonce.
    OneNonce,
    /// The device cannot be reached.
    Gone,
}

impl Trouble {
    /// Those that the suite brings about, in its order.
    #[must_use]
    pub const fn all() -> [Self; 8] {
        [
            Self::Hangs,
            Self::Throttled { times: 2 },
            Self::Throttled { times: u32::MAX },
            Self::Refused,
            Self::WrongSignature,
            Self::HighS,
            Self::OneNonce,
            Self::Gone,
        ]
    }
}

/// Checks everything that is expected of a signing device, and returns the troubles that the stand could not bring about,
/// so that a case which was left out is seen: compare it with what is expected.
///
/// * It signs as [`run`] asks, many at once each get their own signature, and opened anew it has the same address.
/// * A caller who leaves leaves nothing behind.
/// * A device that hangs, throttles or is gone is told as `Timeout`, `Throttled` or `Unavailable`, within
///   [`Stand::deadline`] where it hangs, and the same signer signs again when that is over.
/// * A refusal is `Auth`, also when the device is opened then; it does not lock the device: after it the same signer, or at
///   least one opened anew, signs.
/// * A wrong signature is `Integrity`, also when the device is opened then, and never comes out.
/// * A high s comes out low.
/// * The second signature of a nonce is `Integrity`, and so is every later one until the device is opened anew.
///
/// It needs the runtime that the device needs, with time and several threads where the device blocks, signs some hundred
/// digests which belong to no protocol, and takes as long as the device's deadlines and pauses.
///
/// # Panics
/// At the first promise that the device breaks.
///
/// # Cancel safety
/// The device may stay in trouble.
#[must_use = "the troubles that were left out should be the expected ones"]
pub async fn conformance(stand: &dyn Stand) -> Vec<Trouble> {
    let signer = opened(stand).await;
    run(signer.as_ref()).await;
    healthy::many_at_once(signer.as_ref()).await;
    healthy::left_callers(signer.as_ref()).await;
    drop(signer);
    let mut left_out = Vec::new();
    for trouble in Trouble::all() {
        let signer = opened(stand).await;
        if stand.trouble(trouble) {
            troubled::face(stand, signer, trouble).await;
        } else {
            left_out.push(trouble);
        }
    }
    signed(opened(stand).await.as_ref(), digest("last", 0)).await;
    left_out
}

/// Opens it where nothing is wrong.
#[expect(clippy::panic, reason = "a conformance suite fails by panicking")]
async fn opened(stand: &dyn Stand) -> Box<dyn Signer> {
    match stand.open().await {
        Ok(signer) => {
            assert_eq!(signer.address(), stand.address(), "the device has another key than it should");
            signer
        }
        Err(error) => panic!("the device could not be opened: {error:?}"),
    }
}

/// Signs where nothing is wrong.
#[expect(clippy::panic, reason = "a conformance suite fails by panicking")]
async fn signed(signer: &dyn Signer, digest: B256) -> Signature {
    match try_sign(signer, digest).await {
        Ok(signature) => signature,
        Err(error) => panic!("{digest} was not signed: {error:?}"),
    }
}

/// Whatever else happens, what comes out is right.
async fn try_sign(signer: &dyn Signer, digest: B256) -> Result<Signature, SignError> {
    let signature = signer.sign_digest(digest).await?;
    assert_eq!(signature::check(digest, &signature, signer.address()), Ok(()), "{digest}");
    Ok(signature)
}

/// The class of the failure, where there must be one.
#[expect(clippy::panic, reason = "a conformance suite fails by panicking")]
async fn failed(signer: &dyn Signer, digest: B256) -> SignErrorKind {
    match try_sign(signer, digest).await {
        Ok(_) => panic!("{digest} was signed"),
        Err(error) => error.kind(),
    }
}

/// A digest of no protocol.
fn digest(case: &str, number: u64) -> B256 {
    keccak256([b"dvn signer suite v1 ".as_slice(), case.as_bytes(), &number.to_be_bytes()].concat())
}
