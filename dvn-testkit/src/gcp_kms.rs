//! A stand-in for Google Cloud's Key Management Service, which fails and lies when it is told to.
//!
//! It speaks interface version 1 over gRPC without TLS and answers `GetCryptoKey`, `ListCryptoKeyVersions`,
//! `GetCryptoKeyVersion`, `GetPublicKey` and `AsymmetricSign` as the service is documented to: tokens, permissions, the
//! routing header, states and checksums are checked, signatures are DER with a low or a high s by chance, and errors come
//! with the service's code and words. At the same address it answers as the metadata server of a virtual machine, which
//! lends tokens; those of a service account's key are checked by their signature.
//!
//! ```no_run
//! use dvn_testkit::gcp_kms::{Fault, GcpKms};
//!
//! # fn example() -> std::io::Result<()> {
//! let kms = GcpKms::start()?;
//! let key = kms.create_key([7; 32]);
//! // Point the program under test to `kms.url()`, without a token, with the parts of `key` as the key's name.
//! kms.fail_times(2, Fault::throttling());
//! assert_eq!(kms.asked("AsymmetricSign"), 0);
//! # Ok(())
//! # }
//! ```

mod actions;
mod auth;
mod fault;
mod keys;
mod metadata;
mod wire;

use std::{collections::BTreeSet, io, time::Duration};

use axum::{
    Router,
    routing::{get, post},
};
pub use tonic::Code;
use url::Url;

use self::{auth::Tokens, keys::Keys};
pub use self::{
    fault::Fault,
    keys::{KeyName, KeyState},
};
use crate::key_service::{self, Rule, Rules, Server};

/// A running stand-in. Dropping it ends it with all its connections.
#[derive(Debug)]
pub struct GcpKms {
    shared: Shared,
    server: Server,
}

type Shared = key_service::Shared<State>;

/// What the stand-in knows.
#[derive(Debug, Default)]
struct State {
    keys: Keys,
    tokens: Tokens,
    rules: Rules<Fault>,
    asked: Vec<String>,
    /// Permissions that nobody has.
    denied: BTreeSet<String>,
    latency: Duration,
}

impl GcpKms {
    /// Starts on a free port of the loopback interface, without keys. Whoever brings no token may do everything, until
    /// [`GcpKms::require_tokens`].
    ///
    /// # Errors
    /// When no port or no thread is to be had.
    pub fn start() -> io::Result<Self> {
        let shared = Shared::default();
        let router = Router::new()
            .route("/google.cloud.kms.v1.KeyManagementService/{action}", post(wire::answer))
            .route("/computeMetadata/v1/instance/service-accounts/default/token", get(metadata::lend))
            .with_state(shared.clone());
        Ok(Self { shared, server: Server::start(router)? })
    }

    /// Where it listens, as service and as metadata server.
    #[must_use]
    pub const fn url(&self) -> &Url {
        self.server.url()
    }

    /// Ends it: connections are cut, new ones refused. What it knows is kept.
    pub fn stop(&mut self) {
        self.server.stop();
    }

    /// Starts it again at the same address.
    ///
    /// # Errors
    /// When somebody took the port meanwhile.
    pub fn start_again(&mut self) -> io::Result<()> {
        self.server.start_again()
    }

    /// Makes a secp256k1 key of this secret, in an HSM, with one version, which is enabled.
    #[must_use]
    pub fn create_key(&self, secret: [u8; 32]) -> KeyName {
        self.shared.state().keys.create(secret)
    }

    /// Adds an enabled version with this secret to a key, and returns its name.
    #[must_use]
    pub fn add_version(&self, key: &KeyName, secret: [u8; 32]) -> KeyName {
        self.shared.state().keys.add_version(key, secret)
    }

    /// Enables, disables or condemns a version.
    pub fn set_state(&self, key: &KeyName, state: KeyState) {
        self.shared.state().keys.edit(key, |version| version.state = state);
    }

    /// Says something else about a version: its algorithm, as in `EC_SIGN_P256_SHA256`.
    pub fn set_algorithm(&self, key: &KeyName, algorithm: &str) {
        self.shared.state().keys.edit(key, |version| algorithm.clone_into(&mut version.algorithm));
    }

    /// Says something else about a version: its protection level, as in `SOFTWARE`.
    pub fn set_level(&self, key: &KeyName, level: &str) {
        self.shared.state().keys.edit(key, |version| level.clone_into(&mut version.level));
    }

    /// Takes a permission, as `cloudkms.cryptoKeyVersions.useToSign`, from everybody, or gives it back.
    pub fn allow(&self, permission: &str, allowed: bool) {
        let denied = &mut self.shared.state().denied;
        if allowed {
            denied.remove(permission);
        } else {
            denied.insert(permission.to_owned());
        }
    }

    /// Answers nobody without a token from now on.
    pub fn require_tokens(&self) {
        self.shared.state().tokens.are_required = true;
    }

    /// Makes a service account, and returns its key as the JSON that `gcloud` writes. It takes a moment.
    ///
    /// # Errors
    /// When no key can be made.
    pub fn create_service_account(&self) -> io::Result<String> {
        self.shared.state().tokens.create_service_account()
    }

    /// Lends tokens that last so long, as the metadata server, from now on; `None` is a machine without a service account.
    pub fn lend(&self, lifetime: Option<Duration>) {
        self.shared.state().tokens.lifetime = lifetime;
    }

    /// How many tokens were lent.
    #[must_use]
    pub fn lent(&self) -> usize {
        self.shared.state().tokens.lent
    }

    /// Ends all tokens that were lent so far.
    pub fn revoke_lent_tokens(&self) {
        self.shared.state().tokens.known.clear();
    }

    /// Makes the metadata server fail, or work again.
    pub fn set_metadata_broken(&self, broken: bool) {
        self.shared.state().tokens.is_broken = broken;
    }

    /// Makes the metadata server keep silent, or speak again.
    pub fn set_metadata_silent(&self, silent: bool) {
        self.shared.state().tokens.is_silent = silent;
    }

    /// Answers each request so much later.
    pub fn set_latency(&self, latency: Duration) {
        self.shared.state().latency = latency;
    }

    /// Answers every signing request in this way until [`GcpKms::heal`].
    pub fn fail(&self, fault: Fault) {
        self.fail_times(u32::MAX, fault);
    }

    /// Answers the next so many signing requests in this way.
    pub fn fail_times(&self, times: u32, fault: Fault) {
        self.fail_action("AsymmetricSign", times, fault);
    }

    /// The same for any action.
    pub fn fail_action(&self, action: &str, times: u32, fault: Fault) {
        self.shared.state().rules.push(Rule::new(action, times, fault));
    }

    /// Forgets all faults.
    pub fn heal(&self) {
        self.shared.state().rules.clear();
    }

    /// How often this action was asked for with a good token, or with none where none is needed, also where it then failed.
    #[must_use]
    pub fn asked(&self, action: &str) -> usize {
        self.shared.state().asked.iter().filter(|asked| *asked == action).count()
    }
}
