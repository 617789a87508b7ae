//! One endpoint of a chain. It is asked, it is never believed alone, and its URL is never printed.

mod error;
mod limits;
pub(crate) mod push;
mod url;
mod wire;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use alloy::primitives::U64;
use dvn_core::{ids::BlockNumber, ports::Clock};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde::de::DeserializeOwned;
use serde_json::Value;
use thiserror::Error;

use self::limits::Meter;
pub(crate) use self::wire::Told;
pub use self::{
    error::SeatError,
    limits::SeatLimits,
    url::{RedactedUrl, UrlError},
};
use crate::call::Call;

/// How a seat is reached.
#[derive(Clone)]
#[expect(clippy::exhaustive_structs, reason = "a plain record of settings")]
pub struct SeatConfig {
    /// Where it listens; may hold a key.
    pub url: RedactedUrl,
    /// Where it pushes new heads, if it does; may hold a key. What is pushed says when to ask and nothing else.
    pub ws: Option<RedactedUrl>,
    /// Who runs it.
    pub operator: String,
    /// The client software's family, such as `geth`.
    pub client: String,
    /// Longest wait for one answer, body included.
    pub timeout: Duration,
    /// Longest wait for the connection.
    pub connect_timeout: Duration,
    /// Extra headers of every request; values may be secret.
    pub headers: Vec<(String, String)>,
    /// How much it may be asked.
    pub limits: SeatLimits,
}

impl SeatConfig {
    /// A seat with the usual timeouts, without pushed heads, extra headers or limits.
    #[must_use]
    pub const fn new(url: RedactedUrl, operator: String, client: String) -> Self {
        let (timeout, connect_timeout) = (Duration::from_secs(10), Duration::from_secs(3));
        Self {
            url,
            ws: None,
            operator,
            client,
            timeout,
            connect_timeout,
            headers: Vec::new(),
            limits: SeatLimits { rate: None, burst: None, daily_budget: None },
        }
    }
}

impl fmt::Debug for SeatConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headers: Vec<&str> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("SeatConfig")
            .field("url", &self.url)
            .field("ws", &self.ws)
            .field("operator", &self.operator)
            .field("client", &self.client)
            .field("timeout", &self.timeout)
            .field("connect_timeout", &self.connect_timeout)
            .field("headers", &headers)
            .field("limits", &self.limits)
            .finish()
    }
}

/// Why a seat cannot be set up.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SeatSetupError {
    /// The name or the value of an extra header has characters that HTTP does not allow. The value is not shown.
    #[error("header {name:?} of the seat at {url} is not a valid HTTP header")]
    Header {
        /// The header's name.
        name: String,
        /// The seat, redacted.
        url: RedactedUrl,
    },
    /// The HTTP client, most likely its TLS part, does not start.
    #[error("HTTP client does not start: {0}")]
    Client(String),
}

/// One endpoint of a chain, over HTTP.
pub struct Seat {
    config: SeatConfig,
    chain: String,
    label: String,
    headers: HeaderMap,
    http: reqwest::Client,
    meter: Meter,
    next_id: AtomicU64,
    takes_batches: AtomicBool,
    head: AtomicU64,
    /// Counts the times that the way to the node broke.
    breaks: AtomicU64,
    /// Whether it let somebody wait, and has answered nothing since.
    is_slow: AtomicBool,
}

impl Seat {
    /// A seat of the chain with this name; nothing is connected yet.
    ///
    /// # Errors
    /// [`SeatSetupError`].
    pub fn try_new(chain: &str, config: SeatConfig) -> Result<Self, SeatSetupError> {
        let headers = headers(&config)?;
        let http = reqwest::Client::builder()
            .timeout(config.timeout)
            .connect_timeout(config.connect_timeout)
            .default_headers(headers.clone())
            // Neither a redirect nor the environment may choose who answers in a seat's place.
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .map_err(|error| SeatSetupError::Client(config.url.scrub(&error.without_url().to_string())))?;
        let label = config.url.host();
        let (takes_batches, is_slow) = (AtomicBool::new(true), AtomicBool::new(false));
        let (next_id, head, breaks) = (AtomicU64::new(1), AtomicU64::new(0), AtomicU64::new(0));
        let (chain, meter) = (chain.to_owned(), Meter::new(config.limits));
        Ok(Self { config, chain, label, headers, http, meter, next_id, takes_batches, head, breaks, is_slow })
    }

    /// Counts days by this clock and not by the operating system's.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.meter.with_clock(clock);
        self
    }

    /// Host and port: the seat's name in logs, errors and metrics.
    #[must_use]
    pub fn label(&self) -> &str {
        &self.label
    }

    /// Who runs it.
    #[must_use]
    pub fn operator(&self) -> &str {
        &self.config.operator
    }

    /// Its client software's family.
    #[must_use]
    pub fn client(&self) -> &str {
        &self.config.client
    }

    pub(crate) fn same_endpoint(&self, other: &Self) -> bool {
        self.config.url == other.config.url
    }

    /// One call. A result of `null` is an error unless `T` takes it.
    pub(crate) async fn call<T: DeserializeOwned>(&self, call: Call) -> Result<T, SeatError> {
        let method = call.method;
        let answer = self.single(call).await;
        self.count(method, answer.as_ref().err());
        answer
    }

    /// One call whose answer is kept as it came, for the record of a vote.
    pub(crate) async fn told<T: DeserializeOwned>(&self, call: Call) -> Result<Told<T>, SeatError> {
        let (method, id) = (call.method, self.ids(1));
        let most = wire::cap(std::slice::from_ref(&call));
        let answer = match self.post(wire::single(id, &call), 1, most).await {
            Ok(reply) => wire::read_told(id, reply).map_err(|it| it.scrubbed(&self.config.url)),
            Err(error) => Err(error),
        };
        self.count(method, answer.as_ref().err());
        answer
    }

    /// Where it pushes new heads.
    pub(crate) const fn ws(&self) -> Option<&RedactedUrl> {
        self.config.ws.as_ref()
    }

    /// The chain's name, for labels.
    pub(crate) fn chain(&self) -> &str {
        &self.chain
    }

    /// Whether it let somebody wait, and has answered nothing since: then others are asked first.
    pub(crate) fn is_slow(&self) -> bool {
        self.is_slow.load(Ordering::Relaxed)
    }

    pub(crate) fn note_slow(&self, is_slow: bool) {
        self.is_slow.store(is_slow, Ordering::Relaxed);
    }

    /// How often the way to the node broke so far.
    pub(crate) fn breaks(&self) -> u64 {
        self.breaks.load(Ordering::Relaxed)
    }

    /// What it said of its newest block, without asking again.
    pub(crate) fn note_head(&self, number: BlockNumber) {
        self.head.store(number.0, Ordering::Relaxed);
    }

    /// Several calls in one request, answered in their order. Where the node takes no batches, one by one.
    pub(crate) async fn batch(&self, calls: Vec<Call>) -> Result<Vec<Result<Value, SeatError>>, SeatError> {
        if !self.takes_batches.load(Ordering::Relaxed) {
            return Ok(self.one_by_one(calls).await);
        }
        let methods: Vec<&'static str> = calls.iter().map(|call| call.method).collect();
        let id = self.ids(calls.len());
        let (body, most) = (wire::batch(id, &calls), wire::cap(&calls));
        let reply = self.post(body, methods.len(), most).await;
        let answers = match reply.and_then(|reply| wire::read_batch(id, methods.len(), reply)) {
            Ok(Some(answers)) => answers,
            Ok(None) => {
                let answers = self.one_by_one(calls).await;
                if answers.iter().all(Result::is_ok) {
                    self.takes_batches.store(false, Ordering::Relaxed);
                }
                return Ok(answers);
            }
            Err(error) => {
                methods.iter().for_each(|method| self.count(method, Some(&error)));
                return Err(error);
            }
        };
        let answers: Vec<_> =
            answers.into_iter().map(|answer| answer.map_err(|it| it.scrubbed(&self.config.url))).collect();
        for (method, answer) in methods.iter().zip(&answers) {
            self.count(method, answer.as_ref().err());
        }
        Ok(answers)
    }

    /// The newest block that the seat has.
    pub(crate) async fn block_number(&self) -> Result<BlockNumber, SeatError> {
        let number: U64 = self.call(Call::block_number()).await?;
        self.note_head(BlockNumber(number.to()));
        Ok(BlockNumber(number.to()))
    }

    /// Whether the seat has this height, as it said before now.
    pub(crate) async fn covers(&self, height: BlockNumber) -> Result<bool, SeatError> {
        if self.head.load(Ordering::Relaxed) >= height.0 {
            return Ok(true);
        }
        Ok(self.block_number().await? >= height)
    }

    async fn one_by_one(&self, calls: Vec<Call>) -> Vec<Result<Value, SeatError>> {
        futures::future::join_all(calls.into_iter().map(|call| self.call::<Value>(call))).await
    }

    async fn single<T: DeserializeOwned>(&self, call: Call) -> Result<T, SeatError> {
        let id = self.ids(1);
        let most = wire::cap(std::slice::from_ref(&call));
        let reply = self.post(wire::single(id, &call), 1, most).await?;
        wire::read_single(id, reply).map_err(|it| it.scrubbed(&self.config.url))
    }

    async fn post(&self, body: Value, calls: usize, most: usize) -> Result<wire::Reply, SeatError> {
        let admitted = self.meter.admit(calls).await;
        if let Some(left) = self.meter.left() {
            gauge_left(&self.chain, &self.label, left);
        }
        admitted?;
        let request = self.http.post(self.config.url.expose().clone()).json(&body);
        wire::send(request, most).await.map_err(|it| it.scrubbed(&self.config.url))
    }

    fn ids(&self, count: usize) -> u64 {
        self.next_id.fetch_add(u64::try_from(count).unwrap_or(u64::MAX), Ordering::Relaxed)
    }

    fn count(&self, method: &'static str, error: Option<&SeatError>) {
        if error.is_some_and(SeatError::breaks_session) {
            self.breaks.fetch_add(1, Ordering::Relaxed);
        }
        let status = error.map_or("ok", SeatError::name);
        let (chain, seat) = (self.chain.clone(), self.label.clone());
        metrics::counter!("dvn_rpc_requests_total", "chain" => chain, "seat" => seat, "method" => method, "status" => status)
            .increment(1);
    }
}

impl fmt::Debug for Seat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seat").field("chain", &self.chain).field("config", &self.config).finish_non_exhaustive()
    }
}

#[expect(clippy::cast_precision_loss, reason = "a gauge of a number of calls below 2^53")]
fn gauge_left(chain: &str, label: &str, left: u64) {
    let labels = [("chain", chain.to_owned()), ("seat", label.to_owned())];
    metrics::gauge!("dvn_rpc_budget_left", &labels).set(left as f64);
}

fn headers(config: &SeatConfig) -> Result<HeaderMap, SeatSetupError> {
    let mut map = HeaderMap::new();
    for (name, value) in &config.headers {
        let wrong = || SeatSetupError::Header { name: name.clone(), url: config.url.clone() };
        let key = HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong())?;
        let mut value = HeaderValue::from_str(value).map_err(|_| wrong())?;
        value.set_sensitive(true);
        map.insert(key, value);
    }
    Ok(map)
}
