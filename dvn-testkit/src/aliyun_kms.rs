//! A stand-in for Alibaba Cloud's Key Management Service, which fails and lies when it is told to.
//!
//! It speaks interface version 2016-01-20 over HTTP and answers `DescribeKey`, `ListKeyVersions`, `GetPublicKey` and
//! `AsymmetricSign` as the service is documented to: the V3 signature, the date and the nonce of each request are checked,
//! signatures are DER with a low or a high s by chance, and errors come with the service's status and code. At the same
//! address it answers as the metadata server of an ECS instance, which lends access keys for a RAM role.
//!
//! ```no_run
//! use dvn_testkit::aliyun_kms::{AliyunKms, Fault};
//!
//! # fn example() -> std::io::Result<()> {
//! let kms = AliyunKms::start()?;
//! let key = kms.create_key([7; 32]);
//! // Point the program under test to `kms.url()`, with the access key below and `key.id`.
//! kms.fail_times(2, Fault::throttling());
//! assert_eq!(kms.asked("AsymmetricSign"), 0);
//! # Ok(())
//! # }
//! ```

mod actions;
mod auth;
mod keys;
mod metadata;
mod request;
mod state;

use std::io;

use axum::{
    Router,
    routing::{get, post, put},
};

use self::state::State;
pub use self::{
    keys::{KeyName, KeyState},
    request::Request,
};
pub use crate::key_service::Fault;
use crate::key_service::{self, Account, Server, controls};

/// The access key that is known from the start and may do everything.
pub const ACCESS_KEY_ID: &str = "LTAI5tStandInAccessKey";
/// Its secret.
pub const ACCESS_KEY_SECRET: &str = "standInSecret0123456789abcdefgh";

/// A running stand-in. Dropping it ends it with all its connections.
#[derive(Debug)]
pub struct AliyunKms {
    shared: Shared,
    server: Server,
}

type Shared = key_service::Shared<State>;

controls!(AliyunKms, "AsymmetricSign");

impl AliyunKms {
    /// Starts on a free port of the loopback interface, with one access key and no keys.
    ///
    /// # Errors
    /// When no port or no thread is to be had.
    pub fn start() -> io::Result<Self> {
        let shared = Shared::default();
        shared.state().ledger.accounts.insert(ACCESS_KEY_ID.to_owned(), Account::lasting(ACCESS_KEY_SECRET));
        let router = Router::new()
            .route("/", post(actions::answer))
            .route("/latest/api/token", put(metadata::open_session))
            .route("/latest/meta-data/ram/security-credentials/{role}", get(metadata::lend))
            .with_state(shared.clone());
        Ok(Self { shared, server: Server::start(router)? })
    }

    /// Makes an enabled secp256k1 key of this secret, in an HSM, with one version.
    #[must_use]
    pub fn create_key(&self, secret: [u8; 32]) -> KeyName {
        self.shared.state().keys.create(secret)
    }

    /// Adds a version with this secret to a key, and returns its id.
    #[must_use]
    pub fn add_version(&self, key: &KeyName, secret: [u8; 32]) -> KeyName {
        self.shared.state().keys.add_version(key, secret)
    }

    /// Points an alias, such as `alias/dvn`, to a key.
    pub fn set_alias(&self, alias: &str, key: &KeyName) {
        self.shared.state().keys.aliases.insert(alias.to_owned(), key.id.clone());
    }

    /// Enables, disables or condemns a key.
    pub fn set_state(&self, key: &KeyName, state: KeyState) {
        self.shared.state().keys.edit(&key.id, |key| key.state = state);
    }

    /// Says something else about a key: its `KeySpec`, as in `EC_P256`.
    pub fn set_spec(&self, key: &KeyName, spec: &str) {
        self.shared.state().keys.edit(&key.id, |key| spec.clone_into(&mut key.spec));
    }

    /// Takes from every access key the right to sign, or gives it back.
    pub fn allow_signing(&self, allowed: bool) {
        self.shared.state().may_sign = allowed;
    }

    /// Answers as the gateway of a KMS instance, which signs and gives public keys and knows no other action.
    pub fn set_instance(&self, is_instance: bool) {
        self.shared.state().is_instance = is_instance;
    }
}
