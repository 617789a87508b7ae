//! A client's side: a request that the stand-in takes, to see how fast it is by itself.

use std::sync::atomic::{AtomicU64, Ordering};

use axum::http::{HeaderMap, HeaderValue, Uri, header::HOST};
use base64::{Engine, engine::general_purpose::STANDARD};
use sha2::{Digest, Sha256};
use url::{Url, form_urlencoded};

use super::{ACCESS_KEY_ID, ACCESS_KEY_SECRET, AliyunKms, KeyName, auth};
use crate::key_service::now;

const SIGNED: &str = "host;x-acs-action;x-acs-content-sha256;x-acs-date;x-acs-signature-nonce;x-acs-version";

/// A POST without a body.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Request {
    /// Where it goes, with all parameters.
    pub url: Url,
    /// With the signature, and without the host, which every client writes by itself.
    pub headers: HeaderMap,
}

impl AliyunKms {
    /// A request for a signature over this digest, in the name of [`ACCESS_KEY_ID`]. The stand-in takes it once.
    #[must_use]
    pub fn signing_request(&self, key: &KeyName, digest: [u8; 32]) -> Request {
        let mut url = self.url().clone();
        let query = form_urlencoded::Serializer::new(String::new())
            .append_pair("KeyId", &key.id)
            .append_pair("KeyVersionId", &key.version)
            .append_pair("Algorithm", "ECDSA_SHA_256")
            .append_pair("Digest", &STANDARD.encode(digest))
            .finish();
        url.set_query(Some(&query));
        let headers = headers(&url).unwrap_or_default();
        Request { url, headers }
    }
}

/// `None` where something is no text of a header, which nothing here is.
fn headers(url: &Url) -> Option<HeaderMap> {
    static NONCE: AtomicU64 = AtomicU64::new(0);
    let nonce = format!("raw-{}", NONCE.fetch_add(1, Ordering::Relaxed));
    let value = |text: &str| HeaderValue::from_str(text).ok();
    let mut headers = HeaderMap::new();
    headers.insert(HOST, value(&format!("{}:{}", url.host_str()?, url.port()?))?);
    headers.insert("accept", value("application/json")?);
    headers.insert("content-length", value("0")?);
    headers.insert("x-acs-action", value("AsymmetricSign")?);
    headers.insert("x-acs-content-sha256", value(&alloy_primitives::hex::encode(Sha256::digest([])))?);
    headers.insert("x-acs-date", value(&humantime::format_rfc3339_seconds(now()).to_string())?);
    headers.insert("x-acs-signature-nonce", value(&nonce)?);
    headers.insert("x-acs-version", value("2016-01-20")?);
    let uri = format!("/?{}", url.query()?).parse::<Uri>().ok()?;
    let signature = auth::expected(ACCESS_KEY_SECRET, &auth::canonical(&uri, &headers, SIGNED)?)?;
    let parts = format!("Credential={ACCESS_KEY_ID},SignedHeaders={SIGNED},Signature={signature}");
    headers.insert("authorization", value(&format!("ACS3-HMAC-SHA256 {parts}"))?);
    headers.remove(HOST);
    Some(headers)
}
