//! The node behind the proxy.

use hyper::{
    HeaderMap, StatusCode,
    body::Bytes,
    header::{self, HeaderName, HeaderValue},
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use url::Url;

use super::call::{self, Failure, Outcome};

/// What belongs to the connection between client and proxy and not to the request.
const HOP_BY_HOP: [HeaderName; 13] = [
    header::HOST,
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::ACCEPT_ENCODING,
    header::UPGRADE,
    header::TE,
    header::TRAILER,
    header::EXPECT,
    header::SEC_WEBSOCKET_KEY,
    header::SEC_WEBSOCKET_VERSION,
    header::SEC_WEBSOCKET_EXTENSIONS,
    header::SEC_WEBSOCKET_PROTOCOL,
];

/// A node that answers over HTTP. Clones share their connections.
#[derive(Debug, Clone)]
pub(super) struct Upstream {
    http: reqwest::Client,
    url: Url,
}

/// An HTTP answer as it came.
#[derive(Debug)]
pub(super) struct Forwarded {
    pub(super) status: StatusCode,
    pub(super) content_type: Option<HeaderValue>,
    pub(super) body: Bytes,
}

impl Upstream {
    pub(super) fn new(url: Url) -> Self {
        let http = reqwest::Client::builder().no_proxy().build().unwrap_or_default();
        Self { http, url }
    }

    /// Another node, reached by the same client.
    pub(super) fn at(&self, url: &Url) -> Self {
        Self { http: self.http.clone(), url: url.clone() }
    }

    pub(super) const fn url(&self) -> &Url {
        &self.url
    }

    /// Passes a request on as it is.
    pub(super) async fn forward(&self, body: Bytes, headers: &HeaderMap) -> Result<Forwarded, Failure> {
        let mut headers = headers.clone();
        for name in HOP_BY_HOP {
            headers.remove(name);
        }
        headers.entry(header::CONTENT_TYPE).or_insert(HeaderValue::from_static("application/json"));
        let sent = self.http.post(self.url.clone()).headers(headers).body(body).send();
        let answer = sent.await.map_err(Failure::Unreachable)?;
        Ok(Forwarded {
            status: answer.status(),
            content_type: answer.headers().get(header::CONTENT_TYPE).cloned(),
            body: answer.bytes().await.map_err(Failure::Unreachable)?,
        })
    }

    pub(super) async fn call(&self, method: &str, params: &Value) -> Outcome {
        let request = call::request(&json!(1), method, params);
        call::outcome(self.post(&request).await?)
    }

    /// A call whose result has a known shape.
    pub(super) async fn ask<T: DeserializeOwned>(&self, method: &str, params: &Value) -> Result<T, Failure> {
        let result = self.call(method, params).await?;
        serde_json::from_value(result).map_err(|e| Failure::strange(format!("{method}: {e}")))
    }

    /// The same method with each of the parameters, in one request; the outcomes in the same order.
    pub(super) async fn batch(&self, method: &str, params: &[Value]) -> Result<Vec<Outcome>, Failure> {
        let requests: Vec<_> =
            params.iter().zip(0_u64..).map(|(it, id)| call::request(&json!(id), method, it)).collect();
        if requests.is_empty() {
            return Ok(Vec::new());
        }
        let Value::Array(mut answers) = self.post(&Value::Array(requests)).await? else {
            return Err(Failure::strange("no array in answer to a batch"));
        };
        answers.sort_by_key(|answer| answer.get("id").and_then(Value::as_u64));
        if answers.len() != params.len() {
            return Err(Failure::strange("a batch with another number of answers"));
        }
        Ok(answers.into_iter().map(call::outcome).collect())
    }

    /// Posts any message and reads the answer.
    pub(super) async fn post(&self, message: &Value) -> Result<Value, Failure> {
        let answer = self.http.post(self.url.clone()).json(message).send().await.map_err(Failure::Unreachable)?;
        answer.json().await.map_err(Failure::Unreachable)
    }
}
