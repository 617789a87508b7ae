//! A proxy in front of any node that makes it fail or lie, for all clients or for one.
//!
//! It speaks JSON-RPC over HTTP and WebSocket on one port, passes on what no [`Rule`] is for, and remembers every
//! [`Exchange`]. Rules are added from a test, or from outside at `/_proxy/rules`:
//!
//! | request | does |
//! |---|---|
//! | `GET /_proxy/rules` | lists the rules with how often they matched and fired |
//! | `POST /_proxy/rules` | adds the rule in the body and answers `{"id": 0}` |
//! | `DELETE /_proxy/rules/0`, `DELETE /_proxy/rules` | removes one, or all |
//! | `GET /_proxy/traffic`, `DELETE /_proxy/traffic` | shows or forgets the exchanges |
//!
//! Calls are matched one by one, also within a batch and over WebSocket. Each WebSocket has one of its own to the node;
//! what a subscription tells is matched as the method `eth_subscription`: `hang`, `null` and `empty` keep it back, and
//! `delay`, `mutate`, `remove`, `drop_logs`, `stale_head`, `forge`, `status` and `reset` do what they say. The requests
//! that make a fault, to read the node's head or to forge a block, go to the node over HTTP and are not remembered.

use std::{io, net::SocketAddr, sync::Arc};

use tokio::{
    net::TcpListener,
    task::{AbortHandle, JoinSet},
};
use url::Url;

mod answer;
mod block;
mod body;
mod call;
mod control;
mod edit;
mod fault;
mod forge;
mod hostile;
mod http;
mod lag;
mod request;
mod rule;
mod rules;
mod server;
mod traffic;
mod upstream;
mod websocket;

pub use fault::{Fault, Hostile};
pub use forge::{ForgedBranch, ForgedLog, ForgedSlot};
pub use rule::{Client, Rule, RuleId};
pub use traffic::Exchange;

use rules::Rules;
use traffic::Traffic;
use upstream::Upstream;

/// A running proxy. Dropping it closes its port and all its connections.
#[derive(Debug)]
pub struct FaultProxy {
    shared: Arc<Shared>,
    url: Url,
    server: AbortHandle,
}

/// What all connections work with.
#[derive(Debug)]
struct Shared {
    upstream: Upstream,
    rules: Rules,
    traffic: Traffic,
}

impl FaultProxy {
    /// Starts in front of `upstream` on a free port of the loopback interface, without rules.
    ///
    /// # Errors
    /// When no port can be opened, and when the address is not an HTTP one.
    ///
    /// # Cancel safety
    /// Dropping the future leaves nothing behind.
    pub async fn start(upstream: Url) -> Result<Self, ProxyError> {
        Self::listen(upstream, SocketAddr::from(([127, 0, 0, 1], 0))).await
    }

    /// The same on an address of your choice.
    ///
    /// # Errors
    /// As for [`FaultProxy::start`].
    ///
    /// # Cancel safety
    /// Dropping the future leaves nothing behind.
    pub async fn listen(upstream: Url, address: SocketAddr) -> Result<Self, ProxyError> {
        if !matches!(upstream.scheme(), "http" | "https") {
            return Err(ProxyError::Upstream);
        }
        let failed = |source| ProxyError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let url = Url::parse(&format!("http://{address}")).map_err(|e| failed(io::Error::other(e)))?;
        let shared =
            Arc::new(Shared { upstream: Upstream::new(upstream), rules: Rules::default(), traffic: Traffic::new() });
        // The connections belong to the server's task and end with it.
        let server = tokio::spawn(server::serve(listener, shared.clone(), JoinSet::new())).abort_handle();
        Ok(Self { shared, url, server })
    }

    /// Where it listens, for HTTP.
    pub const fn url(&self) -> &Url {
        &self.url
    }

    /// The same port for WebSocket.
    pub fn ws_url(&self) -> Url {
        let mut url = self.url.clone();
        // Both are special schemes of the URL standard, between which it may be changed.
        let _ = url.set_scheme("ws");
        url
    }

    /// Adds a rule behind those that are there.
    pub fn add(&self, rule: Rule) -> RuleId {
        self.shared.rules.add(rule, &self.shared.upstream)
    }

    /// Removes a rule; false when there is none with this id. Requests that hang already go on hanging.
    pub fn remove(&self, id: RuleId) -> bool {
        self.shared.rules.remove(id)
    }

    /// Removes all rules.
    pub fn clear(&self) {
        self.shared.rules.clear();
    }

    /// How often a rule fired; `None` when it is gone.
    pub fn fired(&self, id: RuleId) -> Option<u64> {
        self.shared.rules.fired(id)
    }

    /// Every call so far, in order; of more than a hundred thousand the newest ones.
    pub fn traffic(&self) -> Vec<Exchange> {
        self.shared.traffic.all()
    }

    /// Forgets the calls so far. Their numbers are not used again.
    pub fn forget_traffic(&self) {
        self.shared.traffic.forget();
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// Why a proxy did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProxyError {
    /// The node's address is no HTTP address.
    #[error("the address of the node must begin with http:// or https://")]
    Upstream,
    /// The port cannot be opened.
    #[error("cannot listen on {address}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
}
