//! Checks the SigV4 signature of a request, its date, its scope and its session token. This is the stand-in's own reading
//! of the documentation, so that a test of a client compares two.

use std::time::{Duration, SystemTime};

use axum::http::{HeaderMap, Uri};
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};

use super::{REGION, actions::Answer, state::State};
use crate::key_service::{Account, now};

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// How far a request's date may be from the service's time.
const MOST_SKEW: Duration = Duration::from_secs(5 * 60);

/// The parts of the `authorization` header.
struct Authorization<'h> {
    id: &'h str,
    /// Day, region, service and a fixed word.
    scope: &'h str,
    signed: &'h str,
    signature: &'h str,
}

/// Whether this request may be answered; the refusal if not.
pub(super) fn check(state: &State, uri: &Uri, headers: &HeaderMap, body: &[u8]) -> Result<(), Answer> {
    let Some(authorization) = text(headers, "authorization") else {
        return Err(Answer::refusal("MissingAuthenticationTokenException", "Missing Authentication Token"));
    };
    let incomplete = || Answer::refusal("IncompleteSignatureException", "a part of the signature is missing");
    let authorization = Authorization::read(authorization).ok_or_else(incomplete)?;
    let date = text(headers, "x-amz-date").ok_or_else(incomplete)?;
    if !covers(authorization.signed, headers) {
        return Err(incomplete());
    }
    let Some(account) = state.ledger.accounts.get(authorization.id) else {
        return Err(unrecognized());
    };
    check_scope(authorization.scope, date)?;
    let canonical = canonical(uri, headers, authorization.signed, body).ok_or_else(incomplete)?;
    let expected = expected(&account.secret, authorization.scope, date, &canonical).ok_or_else(incomplete)?;
    if expected != authorization.signature {
        // The service repeats what it read, and so do we: a client must not pass it on.
        let message = format!("The request signature we calculated does not match. It should have been '{canonical}'");
        return Err(wrong_signature(&message));
    }
    check_date(date)?;
    check_token(account, text(headers, "x-amz-security-token"))
}

impl<'h> Authorization<'h> {
    fn read(header: &'h str) -> Option<Self> {
        let parts = header.strip_prefix(ALGORITHM)?;
        let part = |name: &str| {
            parts
                .split(',')
                .find_map(|part| part.trim().strip_prefix(name)?.strip_prefix('='))
                .filter(|it| !it.is_empty())
        };
        let (id, scope) = part("Credential")?.split_once('/')?;
        Some(Self { id, scope, signed: part("SignedHeaders")?, signature: part("Signature")? })
    }
}

fn check_scope(scope: &str, date: &str) -> Result<(), Answer> {
    let day = date.get(..8).unwrap_or_default();
    if scope == format!("{day}/{REGION}/kms/aws4_request") {
        Ok(())
    } else {
        Err(wrong_signature("Credential should be scoped to a valid region."))
    }
}

fn check_date(date: &str) -> Result<(), Answer> {
    let skew = instant(date).map(|date| now().duration_since(date).unwrap_or_else(|ahead| ahead.duration()));
    if skew.is_none_or(|skew| skew > MOST_SKEW) {
        return Err(wrong_signature(&format!("Signature expired: {date} is now too early or too late")));
    }
    Ok(())
}

fn check_token(account: &Account, given: Option<&str>) -> Result<(), Answer> {
    if given != account.token.as_deref() {
        return Err(unrecognized());
    }
    if account.until.is_some_and(|until| until <= now()) {
        return Err(Answer::refusal("ExpiredTokenException", "The security token included in the request is expired"));
    }
    Ok(())
}

/// Host and everything that is the service's own must be signed.
fn covers(signed: &str, headers: &HeaderMap) -> bool {
    let is_signed = |name: &str| signed.split(';').any(|it| it == name);
    let mut ours = headers.keys().map(|name| name.as_str()).filter(|name| name.starts_with("x-amz-"));
    is_signed("host") && ours.all(is_signed)
}

fn canonical(uri: &Uri, headers: &HeaderMap, signed: &str, body: &[u8]) -> Option<String> {
    let lines = signed.split(';').map(|name| {
        let words = text(headers, name)?.split_ascii_whitespace().collect::<Vec<_>>().join(" ");
        Some(format!("{name}:{words}\n"))
    });
    let lines = lines.collect::<Option<String>>()?;
    let query = uri.query().unwrap_or_default();
    Some(format!("POST\n{}\n{query}\n{lines}\n{signed}\n{}", uri.path(), hex(&Sha256::digest(body))))
}

fn expected(secret: &str, scope: &str, date: &str, canonical: &str) -> Option<String> {
    let mut key = format!("AWS4{secret}").into_bytes();
    for part in scope.split('/') {
        key = hmac(&key, part)?;
    }
    let hash = hex(&Sha256::digest(canonical));
    Some(hex(&hmac(&key, &format!("{ALGORITHM}\n{date}\n{scope}\n{hash}"))?))
}

fn hmac(key: &[u8], text: &str) -> Option<Vec<u8>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).ok()?;
    mac.update(text.as_bytes());
    Some(mac.finalize().into_bytes().to_vec())
}

/// Of a date as in `20261123T104240Z`.
fn instant(date: &str) -> Option<SystemTime> {
    let part = |from: usize, to: usize| date.get(from..to);
    let (year, month, day) = (part(0, 4)?, part(4, 6)?, part(6, 8)?);
    let (hour, minute, second) = (part(9, 11)?, part(11, 13)?, part(13, 15)?);
    humantime::parse_rfc3339(&format!("{year}-{month}-{day}T{hour}:{minute}:{second}Z")).ok()
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

fn hex(bytes: &[u8]) -> String {
    alloy_primitives::hex::encode(bytes)
}

fn unrecognized() -> Answer {
    Answer::refusal("UnrecognizedClientException", "The security token included in the request is invalid.")
}

fn wrong_signature(message: &str) -> Answer {
    Answer::refusal("InvalidSignatureException", message)
}

#[cfg(test)]
mod tests;
