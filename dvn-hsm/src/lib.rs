//! Signing devices of a LayerZero V2 DVN: implementations of [`dvn_core::ports::Signer`].
//!
//! | feature | type | key |
//! |---|---|---|
#![cfg_attr(feature = "local", doc = "| `local` (default) | [`LocalSigner`] | in memory, for development only |")]
#![cfg_attr(
    feature = "pkcs11",
    doc = "| `pkcs11` (default) | [`Pkcs11Signer`] | in a PKCS#11 token: AWS CloudHSM, SoftHSM, any other with secp256k1 |"
)]
#![cfg_attr(feature = "aws_kms", doc = "| `aws_kms` | [`AwsKmsSigner`] | in AWS's Key Management Service |")]
#![cfg_attr(
    feature = "aliyun_kms",
    doc = "| `aliyun_kms` | [`AliyunKmsSigner`] | in Alibaba Cloud's Key Management Service |"
)]
#![cfg_attr(feature = "gcp_kms", doc = "| `gcp_kms` | [`GcpKmsSigner`] | in Google Cloud's Key Management Service |")]
#![cfg_attr(
    feature = "test-util",
    doc = "| `test-util` | [`testing`] | none: the conformance suite for signing devices |"
)]
//!
//! Another cloud's key service is another module of the same shape: one feature, one client, one [`Signer`] that hands what
//! the service returned to the release path which all devices share and nothing goes around. Deadlines, retries, the quota
//! and the breaker are there already, in one place for all services.
//!
//! # What every signature passes
//!
//! Whatever a device returns is parsed as two non-zero scalars, brought to the low s that OpenZeppelin's `ECDSA` demands,
//! recovered, and compared with the key's address, before anybody sees it. The nonces of the last 65,536 signatures of a
//! signer are remembered (about 10 MiB when full): a device that uses one for two digests has given the key away to
//! whoever sees both, so the second signature is withheld and the key stops until the signer is made anew.
//!
//! # Making a key
//!
//! With SoftHSM 2.6 and OpenSC 0.23; leave the PINs out to be asked for them, since command lines can be read by others:
//!
//! ```text
//! export SOFTHSM2_CONF=$PWD/softhsm2.conf     # directories.tokendir = ..., objectstore.backend = file
//! softhsm2-util --init-token --free --label dvn
//! pkcs11-tool --module /usr/lib/softhsm/libsofthsm2.so --token-label dvn --login \
//!     --keypairgen --key-type EC:secp256k1 --label dvn-signing-key --id 01
//! ```
//!
//! `provision::Provisioner` does the same from Rust. AWS CloudHSM makes keys with its own command line; its PIN is
//! `user:password`. Private and public key must both be there under one label, and no other pair under that label unless
//! the id is configured. Do not put OpenSC's `pkcs11-spy.so` in between in production: it logs the PIN.
//!
//! # What each error means
//!
//! | [`SignErrorKind`] | meaning | what to do |
//! |---|---|---|
//! | `Unavailable` | the device or the way to it failed, and healing did not help yet | nothing at first; look at the device if it lasts |
//! | `Timeout` | no answer within the deadline; the call may still be inside the vendor's library | as above |
//! | `Throttled` | more digests wait than the queue or the quota lets through | more sessions, a faster device, a larger quota |
//! | `Auth` | the PIN or the user was refused, once, and is not tried again, since tokens lock themselves; or a service refused access key, rights or the time of the request | correct it, restart |
//! | `Key` | library, token or key is missing, ambiguous, disabled, on another curve, of another address, or may not sign | correct configuration, token or key |
//! | `Integrity` | what came back is no signature of this key over this digest, or a nonce was used twice | stop, replace the device or the key |
//! | `Bug` | cannot happen | report it |
//!
//! The cause names the PKCS#11 function and its return value, or the action, the service's code and the id of the request,
//! and never a PIN or a secret.
//!
//! [`Signer`]: dvn_core::ports::Signer
//! [`SignErrorKind`]: dvn_core::error::SignErrorKind

#[cfg(feature = "aliyun_kms")]
mod aliyun_kms;
#[cfg(feature = "aws_kms")]
mod aws_kms;
#[cfg(any(feature = "local", feature = "pkcs11", feature = "aliyun_kms", feature = "aws_kms", feature = "gcp_kms"))]
mod ecdsa;
#[cfg(feature = "gcp_kms")]
mod gcp_kms;
#[cfg(feature = "local")]
mod local;
#[cfg(feature = "pkcs11")]
mod pkcs11;
#[cfg(feature = "pkcs11")]
pub mod provision;
#[cfg(any(feature = "aliyun_kms", feature = "aws_kms", feature = "gcp_kms"))]
mod service;
#[cfg(feature = "pkcs11")]
pub mod softhsm;
#[cfg(feature = "test-util")]
pub mod testing;

#[cfg(feature = "aliyun_kms")]
pub use aliyun_kms::{AliyunConfigError, AliyunCredentials, AliyunKmsConfig, AliyunKmsSigner};
#[cfg(feature = "aws_kms")]
pub use aws_kms::{AwsConfigError, AwsCredentials, AwsKmsConfig, AwsKmsSigner};
#[cfg(feature = "gcp_kms")]
pub use gcp_kms::{GcpConfigError, GcpCredentials, GcpKmsConfig, GcpKmsSigner};
#[cfg(feature = "local")]
pub use local::{LocalKeyError, LocalSigner};
#[cfg(feature = "pkcs11")]
pub use pkcs11::{Pkcs11Config, Pkcs11Signer, Sessions, SessionsOutOfRange};
