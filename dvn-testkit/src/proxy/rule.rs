//! Which calls a fault is for.

use std::{fmt, net::IpAddr, net::SocketAddr};

use hyper::HeaderMap;
use serde::{Deserialize, Serialize};

use super::{Fault, call::Call};

/// The name of a rule at its proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RuleId(pub(super) u64);

impl fmt::Display for RuleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A fault, and the calls that it is for: by default all, for ever.
///
/// In JSON: `{ "fault": "hang", "methods": ["eth_getLogs"], "params": "0x1234", "from": { "query": "key=1" },
/// "after": 3, "times": 5 }`, of which only `fault` is needed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    fault: Fault,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    methods: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    params: Option<String>,
    #[serde(default)]
    from: Client,
    #[serde(default)]
    after: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    times: Option<u64>,
}

impl Rule {
    /// For every call of every client.
    pub const fn new(fault: Fault) -> Self {
        Self { fault, methods: Vec::new(), params: None, from: Client::Any, after: 0, times: None }
    }

    /// Only for calls of this method; said again, for that one too. What a subscription tells has the method
    /// `eth_subscription`.
    #[must_use]
    pub fn method(mut self, name: impl Into<String>) -> Self {
        self.methods.push(name.into());
        self
    }

    /// Only for calls whose parameters hold this text, when they are written as JSON without spaces.
    #[must_use]
    pub fn params(mut self, contain: impl Into<String>) -> Self {
        self.params = Some(contain.into());
        self
    }

    /// Only for calls of this client.
    #[must_use]
    pub fn from(mut self, client: Client) -> Self {
        self.from = client;
        self
    }

    /// Leaves the first `calls` that match alone.
    #[must_use]
    pub const fn after(mut self, calls: u64) -> Self {
        self.after = calls;
        self
    }

    /// Fires so many times and then never again.
    #[must_use]
    pub const fn times(mut self, calls: u64) -> Self {
        self.times = Some(calls);
        self
    }

    /// What happens.
    pub const fn fault(&self) -> &Fault {
        &self.fault
    }

    pub(super) fn matches(&self, call: &Call, caller: &Caller) -> bool {
        (self.methods.is_empty() || self.methods.contains(&call.method))
            && self.params.as_ref().is_none_or(|text| call.params.to_string().contains(text))
            && self.from.matches(caller)
    }

    /// Whether the rule fires for the call after `seen` others that matched.
    pub(super) fn fires(&self, seen: u64) -> bool {
        let turn = seen.checked_sub(self.after);
        turn.is_some_and(|turn| self.times.is_none_or(|times| turn < times))
    }
}

/// Whose calls a rule is for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Client {
    /// Everybody's.
    #[default]
    Any,
    /// Those from this address.
    Ip(IpAddr),
    /// Those of requests with this header, whose value holds this text.
    Header {
        /// The header's name, in any case.
        name: String,
        /// The text.
        contains: String,
    },
    /// Those of requests whose query string holds this text.
    Query(String),
}

impl Client {
    /// Everybody.
    pub const fn any() -> Self {
        Self::Any
    }

    /// Who comes from this address.
    pub const fn ip(address: IpAddr) -> Self {
        Self::Ip(address)
    }

    /// Who sends this header with a value that holds `contains`: a user agent, an API key.
    pub fn header(name: impl Into<String>, contains: impl Into<String>) -> Self {
        Self::Header { name: name.into(), contains: contains.into() }
    }

    /// Who has `contains` in the query string of the address: `http://127.0.0.1:8545/?client=one`.
    pub fn query(contains: impl Into<String>) -> Self {
        Self::Query(contains.into())
    }

    fn matches(&self, caller: &Caller) -> bool {
        match self {
            Self::Any => true,
            Self::Ip(address) => caller.address.ip() == *address,
            Self::Header { name, contains } => {
                let mut values = caller.headers.get_all(name.as_str()).iter();
                values.any(|value| String::from_utf8_lossy(value.as_bytes()).contains(contains))
            }
            Self::Query(contains) => caller.query.contains(contains),
        }
    }
}

/// Who asks, and how the request was addressed.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    pub(super) address: SocketAddr,
    pub(super) headers: HeaderMap,
    pub(super) query: String,
}
