//! The metadata server of an ECS instance, which lends access keys for the instance's RAM role.

use std::{sync::Arc, time::Duration};

use dvn_core::{error::SignErrorKind, ports::Clock};
use reqwest::{Client, Method, StatusCode, Url, header::CONTENT_LENGTH, redirect::Policy};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::{
    credentials::{AccessKey, AliyunCredentials, Source},
    wire::{self, Reply},
};
use crate::service::{
    Failure,
    wallet::{Lender, Lent, Wallet},
};

/// The same on every instance.
const SERVER: &str = "http://100.100.100.200";
/// How long the session with the server lasts, in seconds. A new one is opened for every key.
const SESSION: &str = "60";
/// The server is on the machine's own network.
const TIMEOUT: Duration = Duration::from_millis(500);

/// A RAM role of this instance.
#[derive(Debug)]
pub(super) struct Role {
    name: String,
    server: Url,
    http: Client,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Answer {
    code: String,
    access_key_id: String,
    access_key_secret: String,
    security_token: String,
    expiration: String,
}

impl Lender for Role {
    type Key = AccessKey;

    /// As Alibaba Cloud's own clients do.
    const RENEW_BEFORE: Duration = Duration::from_secs(15 * 60);

    fn name(&self) -> &str {
        &self.name
    }

    async fn lend(&self) -> Result<Lent<AccessKey>, Failure> {
        let open = self.request(Method::PUT, "latest/api/token")?;
        let session =
            wire::read(open.header(CONTENT_LENGTH, 0).header("x-aliyun-ecs-metadata-token-ttl-seconds", SESSION))
                .await?;
        let session = SecretString::from(session.success("the metadata server")?.trim());
        let ask = self.request(Method::GET, &format!("latest/meta-data/ram/security-credentials/{}", self.name))?;
        let reply = wire::read(ask.header("x-aliyun-ecs-metadata-token", session.expose_secret())).await?;
        self.lent(&reply)
    }
}

impl Role {
    /// The wallet of whoever asks.
    pub(super) fn wallet(credentials: &AliyunCredentials, clock: Arc<dyn Clock>) -> Result<Wallet<Self>, Failure> {
        Ok(match &credentials.0 {
            Source::Fixed(key) => Wallet::Fixed(Arc::clone(key)),
            Source::Role { name, server } => Wallet::lent(Self::new(name, server.clone())?, clock),
        })
    }

    fn new(name: &str, server: Option<Url>) -> Result<Self, Failure> {
        let bug = || Failure::new(SignErrorKind::Bug, "the metadata server's address is no URL");
        let server = server.or_else(|| Url::parse(SERVER).ok()).ok_or_else(bug)?;
        // Whoever answers in the server's place chooses our account, so neither a proxy nor a redirect may.
        let http = Client::builder().no_proxy().redirect(Policy::none()).timeout(TIMEOUT).build();
        let http = http.map_err(|error| Failure::new(SignErrorKind::Bug, wire::innermost(&error.without_url())))?;
        Ok(Self { name: name.to_owned(), server, http })
    }

    fn request(&self, method: Method, path: &str) -> Result<reqwest::RequestBuilder, Failure> {
        let url = self.server.join(path);
        let url = url.map_err(|_| Failure::new(SignErrorKind::Key, "the RAM role's name does not fit into a URL"))?;
        Ok(self.http.request(method, url))
    }

    fn lent(&self, reply: &Reply) -> Result<Lent<AccessKey>, Failure> {
        if reply.status == StatusCode::NOT_FOUND {
            let cause = format!("this instance has no RAM role {:?}", self.name);
            return Err(Failure::new(SignErrorKind::Auth, cause));
        }
        let text = reply.success("the metadata server")?;
        let strange = || Failure::unavailable("the metadata server answered without an access key");
        let answer: Answer = serde_json::from_str(text).map_err(|_| strange())?;
        let until = humantime::parse_rfc3339(&answer.expiration).map_err(|_| strange())?;
        if answer.code != "Success" || answer.access_key_id.is_empty() || answer.access_key_secret.is_empty() {
            return Err(strange());
        }
        let [id, secret, token] =
            [answer.access_key_id, answer.access_key_secret, answer.security_token].map(SecretString::from);
        Ok(Lent::new(AccessKey { id, secret, token: Some(token) }, Some(until)))
    }
}
