//! A stand-in for AWS's Key Management Service, which fails and lies when it is told to.
//!
//! It speaks AWS JSON 1.1 over HTTP and answers `DescribeKey`, `GetPublicKey` and `Sign` as the service is documented to,
//! and `CreateKey`, `CreateAlias`, `EnableKey`, `DisableKey` and `ScheduleKeyDeletion` as far as tests need them. The
//! SigV4 signature, the date, the region and the session token of each request are checked, signatures are DER with a low
//! or a high s by chance, and errors come with the service's status and code. At the same address it lends access keys in
//! the three ways in which programs on AWS get theirs: as the metadata service of an EC2 instance (version 2), as the
//! credentials endpoint of a container at `/container`, and as STS for a web identity.
//!
//! ```no_run
//! use dvn_testkit::aws_kms::{AwsKms, Fault};
//!
//! # fn example() -> std::io::Result<()> {
//! let kms = AwsKms::start()?;
//! let key = kms.create_key([7; 32]);
//! // Point the program under test to `kms.url()` and `REGION`, with the access key below and `key.arn`.
//! kms.fail_times(2, Fault::throttling());
//! assert_eq!(kms.asked("Sign"), 0);
//! # Ok(())
//! # }
//! ```

mod actions;
mod auth;
mod keys;
mod lending;
mod manage;
mod state;

use std::{io, time::Duration};

use axum::{
    Router,
    routing::{get, post, put},
};

pub use self::keys::{KeyName, KeyState};
use self::state::State;
pub use crate::key_service::Fault;
use crate::key_service::{self, Account, Server, controls};

/// The access key that is known from the start and may do everything.
pub const ACCESS_KEY_ID: &str = "AKIASTANDINACCESSKEY";
/// Its secret.
pub const SECRET_ACCESS_KEY: &str = "standIn/Secret+0123456789abcdefghijklmno";
/// The region that it answers for.
pub const REGION: &str = "eu-central-1";

/// A running stand-in. Dropping it ends it with all its connections.
#[derive(Debug)]
pub struct AwsKms {
    shared: Shared,
    server: Server,
}

type Shared = key_service::Shared<State>;

controls!(AwsKms, "Sign");

impl AwsKms {
    /// Starts on a free port of the loopback interface, with one access key and no keys.
    ///
    /// # Errors
    /// When no port or no thread is to be had.
    pub fn start() -> io::Result<Self> {
        let shared = Shared::default();
        shared.state().ledger.accounts.insert(ACCESS_KEY_ID.to_owned(), Account::lasting(SECRET_ACCESS_KEY));
        let router = Router::new()
            .route("/", post(actions::answer))
            .route("/container", get(lending::for_container))
            .route("/latest/api/token", put(lending::open_session))
            .route("/latest/meta-data/iam/security-credentials/", get(lending::name_role))
            .route("/latest/meta-data/iam/security-credentials/{role}", get(lending::for_instance))
            .with_state(shared.clone());
        Ok(Self { shared, server: Server::start(router)? })
    }

    /// Makes an enabled secp256k1 key of this secret, made in the service.
    #[must_use]
    pub fn create_key(&self, secret: [u8; 32]) -> KeyName {
        self.shared.state().keys.create(secret)
    }

    /// Points an alias, such as `alias/dvn`, to a key.
    pub fn set_alias(&self, alias: &str, key: &KeyName) {
        self.shared.state().keys.aliases.insert(alias.to_owned(), key.id.clone());
    }

    /// Enables, disables or condemns a key.
    pub fn set_state(&self, key: &KeyName, state: KeyState) {
        self.shared.state().keys.edit(&key.id, |key| key.state = state);
    }

    /// Says something else about a key: its `KeySpec`, as in `ECC_NIST_P256`.
    pub fn set_spec(&self, key: &KeyName, spec: &str) {
        self.shared.state().keys.edit(&key.id, |key| spec.clone_into(&mut key.spec));
    }

    /// Says something else about a key: its `KeyUsage`, as in `ENCRYPT_DECRYPT`.
    pub fn set_usage(&self, key: &KeyName, usage: &str) {
        self.shared.state().keys.edit(&key.id, |key| usage.clone_into(&mut key.usage));
    }

    /// Says something else about a key: its `Origin`, as in `EXTERNAL`.
    pub fn set_origin(&self, key: &KeyName, origin: &str) {
        self.shared.state().keys.edit(&key.id, |key| origin.clone_into(&mut key.origin));
    }

    /// Gives these bytes out as a key's public key.
    pub fn set_public_key(&self, key: &KeyName, der: &[u8]) {
        self.shared.state().keys.edit(&key.id, |key| key.shown = Some(der.to_vec()));
    }

    /// Takes from every access key the right to an action, as in `Sign`, or gives it back.
    pub fn allow(&self, action: &str, allowed: bool) {
        let mut state = self.shared.state();
        if allowed {
            state.denied.remove(action);
        } else {
            state.denied.insert(action.to_owned());
        }
    }

    /// Answers everything so much later from now on.
    pub fn set_latency(&self, latency: Duration) {
        self.shared.state().latency = latency;
    }
}
