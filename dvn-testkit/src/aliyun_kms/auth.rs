//! Checks the V3 signature of a request, its date and its nonce. This is the stand-in's own reading of the
//! documentation, so that a test of a client compares two.

use std::time::{Duration, SystemTime};

use axum::http::{HeaderMap, StatusCode, Uri};
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};
use url::form_urlencoded;

use super::{actions::Answer, state::State};
use crate::key_service::now;

const SCHEME: &str = "ACS3-HMAC-SHA256 ";
/// How far a request's date may be from the service's time.
const MOST_SKEW: Duration = Duration::from_secs(15 * 60);

/// Whether this request may be answered; the refusal if not. A good one uses its nonce up.
pub(super) fn check(state: &mut State, uri: &Uri, headers: &HeaderMap, body: &[u8]) -> Result<(), Answer> {
    let incomplete = || refused(StatusCode::BAD_REQUEST, "IncompleteSignature", "a part of the signature is missing");
    let authorization = text(headers, "authorization").and_then(|value| value.strip_prefix(SCHEME));
    let authorization = authorization.ok_or_else(incomplete)?;
    let part = |name: &str| authorization.split(',').find_map(|part| part.strip_prefix(name)?.strip_prefix('='));
    let (Some(id), Some(signed), Some(signature)) = (part("Credential"), part("SignedHeaders"), part("Signature"))
    else {
        return Err(incomplete());
    };
    let Some(account) = state.ledger.accounts.get(id).cloned() else {
        let message = "Specified access key is not found.";
        return Err(refused(StatusCode::NOT_FOUND, "InvalidAccessKeyId.NotFound", message));
    };
    if !covers(signed, headers) || text(headers, "x-acs-content-sha256") != Some(hex(&Sha256::digest(body)).as_str()) {
        return Err(incomplete());
    }
    let canonical = canonical(uri, headers, signed).ok_or_else(incomplete)?;
    if expected(&account.secret, &canonical).as_deref() != Some(signature) {
        // The service repeats what it read, and so do we: a client must not pass it on.
        let message = format!("Specified signature is not matched with our calculation. server string is:{canonical}");
        return Err(refused(StatusCode::BAD_REQUEST, "SignatureDoesNotMatch", &message));
    }
    check_token(account.token.as_deref(), account.until, headers)?;
    check_date(headers)?;
    let nonce = text(headers, "x-acs-signature-nonce").ok_or_else(incomplete)?;
    if !state.nonces.insert(nonce.to_owned()) {
        let message = "Specified signature nonce was used already.";
        return Err(refused(StatusCode::BAD_REQUEST, "SignatureNonceUsed", message));
    }
    Ok(())
}

fn check_token(token: Option<&str>, until: Option<SystemTime>, headers: &HeaderMap) -> Result<(), Answer> {
    let given = text(headers, "x-acs-security-token");
    if given != token {
        let message = format!("The security token {given:?} does not belong to the access key.");
        return Err(refused(StatusCode::BAD_REQUEST, "InvalidSecurityToken.MismatchWithAccessKey", &message));
    }
    if until.is_some_and(|until| until <= now()) {
        let message = "Specified SecurityToken is expired.";
        return Err(refused(StatusCode::BAD_REQUEST, "InvalidSecurityToken.Expired", message));
    }
    Ok(())
}

fn check_date(headers: &HeaderMap) -> Result<(), Answer> {
    let date = text(headers, "x-acs-date").and_then(|date| humantime::parse_rfc3339(date).ok());
    let skew = date.map(|date| now().duration_since(date).unwrap_or_else(|ahead| ahead.duration()));
    if skew.is_none_or(|skew| skew > MOST_SKEW) {
        let message = "Specified time stamp or date value is expired.";
        return Err(refused(StatusCode::BAD_REQUEST, "InvalidTimeStamp.Expired", message));
    }
    Ok(())
}

/// Host and everything that is Alibaba Cloud's own must be signed.
fn covers(signed: &str, headers: &HeaderMap) -> bool {
    let is_signed = |name: &str| signed.split(';').any(|it| it == name);
    let ours = headers.keys().map(|name| name.as_str()).filter(|name| name.starts_with("x-acs-"));
    is_signed("host") && ours.into_iter().all(is_signed)
}

pub(super) fn canonical(uri: &Uri, headers: &HeaderMap, signed: &str) -> Option<String> {
    let mut parameters = parameters(uri);
    parameters.sort();
    let pairs = parameters.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value)));
    let query = pairs.collect::<Vec<_>>().join("&");
    let lines = signed.split(';').map(|name| Some(format!("{name}:{}\n", text(headers, name)?.trim())));
    let lines = lines.collect::<Option<String>>()?;
    let hash = text(headers, "x-acs-content-sha256")?;
    Some(format!("POST\n{}\n{query}\n{lines}\n{signed}\n{hash}", uri.path()))
}

/// The query, decoded.
pub(super) fn parameters(uri: &Uri) -> Vec<(String, String)> {
    form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()).into_owned().collect()
}

/// As forms are encoded, but for the three characters in which RFC 3986 differs.
fn encode(text: &str) -> String {
    let encoded = form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    encoded.replace('+', "%20").replace('*', "%2A").replace("%7E", "~")
}

pub(super) fn expected(secret: &str, canonical: &str) -> Option<String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).ok()?;
    mac.update(format!("ACS3-HMAC-SHA256\n{}", hex(&Sha256::digest(canonical))).as_bytes());
    Some(hex(&mac.finalize().into_bytes()))
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

fn hex(bytes: &[u8]) -> String {
    alloy_primitives::hex::encode(bytes)
}

fn refused(status: StatusCode, code: &str, message: &str) -> Answer {
    Answer::refusal(status, code, message)
}

#[cfg(test)]
mod tests;
