//! Alibaba Cloud's V3 request signature, `ACS3-HMAC-SHA256`.
//!
//! The canonical request is method, path, sorted query, headers, the headers' names and the body's hash, one per line; the
//! secret is used as it is. Which headers are signed is the caller's choice: host and all `x-acs-*` must be, and nothing
//! that something in between may rewrite should be.

use hmac::{Hmac, Mac, digest::InvalidLength};
use k256::elliptic_curve::zeroize::Zeroizing;
use sha2::{Digest, Sha256};

/// Names the scheme in the header and in what is signed.
const ALGORITHM: &str = "ACS3-HMAC-SHA256";

/// SHA-256 of nothing: every request has its parameters in the query.
pub(super) const EMPTY_BODY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// A request as far as it is signed. It holds the security token and so has no `Debug`.
pub(super) struct Canonical {
    text: Zeroizing<String>,
    signed_headers: String,
}

impl Canonical {
    /// Of this method and path, a query of [`query`], headers in lower case in any order, and the body's hash in hex.
    pub(super) fn new(method: &str, path: &str, query: &str, headers: &[(&str, &str)], body_hash: &str) -> Self {
        let mut sorted = headers.to_vec();
        sorted.sort_unstable();
        let signed_headers = sorted.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";");
        let mut text = Zeroizing::new(format!("{method}\n{path}\n{query}\n"));
        for (name, value) in &sorted {
            for part in [name, ":", value.trim(), "\n"] {
                text.push_str(part);
            }
        }
        for part in ["\n", signed_headers.as_str(), "\n", body_hash] {
            text.push_str(part);
        }
        Self { text, signed_headers }
    }

    /// The value of the `authorization` header.
    ///
    /// # Errors
    /// Never: HMAC takes keys of any length.
    pub(super) fn authorization(&self, id: &str, secret: &str) -> Result<String, InvalidLength> {
        let signature = hex(&hmac(secret.as_bytes(), &self.string_to_sign(ALGORITHM))?);
        Ok(format!("{ALGORITHM} Credential={id},SignedHeaders={},Signature={signature}", self.signed_headers))
    }

    fn string_to_sign(&self, algorithm: &str) -> String {
        format!("{algorithm}\n{}", hex(&Sha256::digest(self.text.as_bytes())))
    }
}

/// The parameters as a query, sorted, for the wire and for the signature alike.
pub(super) fn query(parameters: &[(&str, &str)]) -> String {
    let mut sorted = parameters.to_vec();
    sorted.sort_unstable();
    let pair = |(name, value): &(&str, &str)| format!("{}={}", encode(name), encode(value));
    sorted.iter().map(pair).collect::<Vec<_>>().join("&")
}

/// Everything but RFC 3986's unreserved characters becomes `%XX`, a space too.
fn encode(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

fn hmac(key: &[u8], text: &str) -> Result<[u8; 32], InvalidLength> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key)?;
    mac.update(text.as_bytes());
    Ok(mac.finalize().into_bytes().into())
}

fn hex(bytes: &[u8]) -> String {
    alloy_primitives::hex::encode(bytes)
}

#[cfg(test)]
mod tests;
