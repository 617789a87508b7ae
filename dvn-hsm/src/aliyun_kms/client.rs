//! One signed request to the service, and its answer.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use alloy_primitives::hex;
use dvn_core::{error::SignErrorKind, ports::Clock};
use k256::elliptic_curve::rand_core::{OsRng, RngCore};
use reqwest::{
    Client as Http, Method, RequestBuilder, Url,
    header::{ACCEPT, AUTHORIZATION, CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue},
    redirect::Policy,
    tls::Certificate,
};
use secrecy::ExposeSecret;
use serde::de::DeserializeOwned;

use super::{
    credentials::AccessKey,
    refusal::Refusal,
    role::Role,
    v3::{Canonical, EMPTY_BODY, query},
    wire,
};
use crate::service::{Failure, wallet::Wallet};

/// The version of the interface, which is the date when it was published.
const VERSION: &str = "2016-01-20";

/// The way to one endpoint with one account.
#[derive(Debug)]
pub(super) struct Client {
    http: Http,
    endpoint: Url,
    host: String,
    wallet: Wallet<Role>,
    clock: Arc<dyn Clock>,
}

impl Client {
    /// Nothing is connected yet. Given certificates are trusted in place of the system's.
    pub(super) fn new(
        endpoint: Url,
        trusted: Option<Vec<Certificate>>,
        wallet: Wallet<Role>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Failure> {
        let name = endpoint.host_str().ok_or_else(|| unusable("the endpoint has no host"))?;
        // As the HTTP client will write it, since it is signed.
        let host = endpoint.port().map_or_else(|| name.to_owned(), |port| format!("{name}:{port}"));
        let mut http = Http::builder().no_proxy().redirect(Policy::none());
        if let Some(trusted) = trusted {
            http = http.tls_certs_only(trusted);
        }
        let http = http.build().map_err(|error| unusable(&wire::innermost(&error.without_url())))?;
        Ok(Self { http, endpoint, host, wallet, clock })
    }

    /// Asks the service to do this. A lent access key that is refused is replaced once.
    ///
    /// # Errors
    /// The refusal with its code, or the failure on the way with an empty one.
    pub(super) async fn ask<T: DeserializeOwned>(
        &self,
        action: &'static str,
        parameters: &[(&str, &str)],
    ) -> Result<T, Refusal> {
        let key = self.wallet.current().await?;
        match self.ask_as(&key, action, parameters).await {
            Err(refusal) if refusal.is_about_the_key() => match self.wallet.instead_of(&key).await? {
                Some(other) => self.ask_as(&other, action, parameters).await,
                None => Err(refusal),
            },
            other => other,
        }
    }

    async fn ask_as<T: DeserializeOwned>(
        &self,
        key: &AccessKey,
        action: &'static str,
        parameters: &[(&str, &str)],
    ) -> Result<T, Refusal> {
        let reply = wire::read(self.request(key, action, &query(parameters))?).await?;
        if !reply.status.is_success() {
            return Err(Refusal::read(action, &reply));
        }
        serde_json::from_slice(&reply.body).map_err(|error| {
            let at = (error.line(), error.column());
            Failure::unavailable(format!("{action} was answered with something else, from {at:?} on")).into()
        })
    }

    /// The least that must be signed is signed: something in between may rewrite the rest.
    fn request(&self, key: &AccessKey, action: &str, query: &str) -> Result<RequestBuilder, Failure> {
        let (date, nonce) = (date(self.clock.now()), nonce()?);
        let mut signed = vec![
            ("host", self.host.as_str()),
            ("x-acs-action", action),
            ("x-acs-content-sha256", EMPTY_BODY),
            ("x-acs-date", &date),
            ("x-acs-signature-nonce", &nonce),
            ("x-acs-version", VERSION),
        ];
        let id = key.id.expose_secret();
        if let Some(token) = &key.token {
            signed.extend([("x-acs-accesskey-id", id), ("x-acs-security-token", token.expose_secret())]);
        }
        let canonical = Canonical::new("POST", "/", query, &signed, EMPTY_BODY);
        let authorization = canonical.authorization(id, key.secret.expose_secret());
        let authorization = authorization.map_err(|error| Failure::new(SignErrorKind::Bug, error.to_string()))?;
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, value(&authorization)?);
        // The client writes the host by itself.
        for (name, text) in signed.into_iter().filter(|(name, _)| *name != "host") {
            let name = HeaderName::try_from(name).map_err(|_| Failure::new(SignErrorKind::Bug, "no header's name"))?;
            headers.insert(name, value(text)?);
        }
        // Without the one the service may answer in XML, without the other something in between may refuse an empty POST.
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(CONTENT_LENGTH, HeaderValue::from(0));
        let mut url = self.endpoint.clone();
        url.set_path("/");
        url.set_query(Some(query));
        Ok(self.http.request(Method::POST, url).headers(headers).body(Vec::new()))
    }
}

/// No logger of headers may print what is in them.
fn value(text: &str) -> Result<HeaderValue, Failure> {
    let value = HeaderValue::try_from(text);
    let mut value = value.map_err(|_| {
        Failure::new(SignErrorKind::Auth, "the access key or its token has characters that no such key has")
    })?;
    value.set_sensitive(true);
    Ok(value)
}

/// UTC to the second.
fn date(now: SystemTime) -> String {
    // The formatter fails outside these years, where no clock of a machine in use can be.
    let now = now.clamp(UNIX_EPOCH, UNIX_EPOCH.checked_add(LAST).unwrap_or(UNIX_EPOCH));
    humantime::format_rfc3339_seconds(now).to_string()
}

/// The end of the year 9999.
const LAST: Duration = Duration::from_secs(253_402_300_799);

/// The service takes each one once.
fn nonce() -> Result<String, Failure> {
    let mut bytes = [0; 16];
    OsRng.try_fill_bytes(&mut bytes).map_err(|_| Failure::unavailable("the system gives no randomness"))?;
    Ok(hex::encode(bytes))
}

fn unusable(cause: &str) -> Failure {
    Failure::new(SignErrorKind::Key, cause)
}
