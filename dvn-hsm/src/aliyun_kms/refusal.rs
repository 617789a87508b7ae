//! What the service says when it does not do what it was asked: which class of error each of its codes is.

use std::time::Duration;

use dvn_core::error::SignErrorKind;
use reqwest::StatusCode;
use serde::Deserialize;

use super::wire::Reply;
use crate::service::{
    Failure,
    refusal::{WRONG_CLOCK, cause, word},
};

/// An answer that is no success.
#[derive(Debug)]
pub(super) struct Refusal {
    /// Empty where something in between answered and not the service.
    pub(super) code: String,
    pub(super) failure: Failure,
}

/// `Message` is left out on purpose: it may repeat what the service read in our headers, the security token included.
#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Body {
    code: String,
    request_id: String,
}

impl Refusal {
    /// Of this answer to this action.
    pub(super) fn read(action: &str, reply: &Reply) -> Self {
        let body: Body = serde_json::from_slice(&reply.body).unwrap_or_default();
        let (code, id) = (word(&body.code), word(&body.request_id));
        let kind = class(reply.status, &code);
        let mut cause = cause(action, reply.status.as_u16(), &code, &id);
        if is_about_time(&code) {
            cause.push_str(WRONG_CLOCK);
        }
        Self { code, failure: Failure::new(kind, cause).after(asked_pause(reply)) }
    }

    /// Whether the access key itself is refused, as an expired one is; another one may be taken.
    pub(super) fn is_about_the_key(&self) -> bool {
        ["InvalidSecurityToken", "InvalidAccessKeyId", "SecurityTokenExpired"]
            .iter()
            .any(|start| self.code.starts_with(start))
    }
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Self { code: String::new(), failure }
    }
}

/// By code, and by status where the code is not known. Without a code a proxy or a gateway answered, which says nothing
/// about the key or our rights.
fn class(status: StatusCode, code: &str) -> SignErrorKind {
    let starts = |words: &[&str]| words.iter().any(|word| code.starts_with(word));
    if starts(&["Throttling", "Rejected.Throttling"]) || status == StatusCode::TOO_MANY_REQUESTS {
        SignErrorKind::Throttled
    } else if status.is_server_error()
        || code.is_empty()
        || starts(&["InternalFailure", "InternalError", "ServiceUnavailable", "SignatureNonceUsed"])
    {
        // Each attempt has another nonce.
        SignErrorKind::Unavailable
    } else if code.ends_with("NotFound") && starts(&["Forbidden.", "InvalidKey", "EntityNotExist"]) {
        SignErrorKind::Key
    } else if is_about_time(code)
        || starts(&[
            "Forbidden",
            "NoPermission",
            "AccessDenied",
            "InvalidAccessKeyId",
            "InvalidSecurityToken",
            "SecurityTokenExpired",
            "MissingSecurityToken",
            "SignatureDoesNotMatch",
            "IncompleteSignature",
        ])
        || matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
    {
        SignErrorKind::Auth
    } else {
        SignErrorKind::Key
    }
}

/// Trying again does not set a clock.
fn is_about_time(code: &str) -> bool {
    ["InvalidTimeStamp", "IllegalTimestamp", "RequestTimeTooSkewed"].iter().any(|start| code.starts_with(start))
}

/// Milliseconds, as Alibaba Cloud's own clients read it.
fn asked_pause(reply: &Reply) -> Option<Duration> {
    let text = reply.headers.get("x-acs-retry-after")?.to_str().ok()?;
    text.trim().parse().ok().map(Duration::from_millis)
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderMap;

    use super::*;

    fn reply(status: u16, body: &str) -> Reply {
        let status = StatusCode::from_u16(status).unwrap();
        Reply { status, headers: HeaderMap::new(), body: body.as_bytes().to_vec() }
    }

    fn kind(status: u16, code: &str) -> SignErrorKind {
        let body = format!(r#"{{"Code":"{code}","Message":"secret","RequestId":"1-2"}}"#);
        Refusal::read("AsymmetricSign", &reply(status, &body)).failure.kind()
    }

    #[test]
    fn each_code_has_its_class() {
        use SignErrorKind::{Auth, Key, Throttled, Unavailable};
        for (status, code, expected) in [
            (400, "Throttling", Throttled),
            (400, "Throttling.User", Throttled),
            (409, "Rejected.Throttling", Throttled),
            (429, "Something", Throttled),
            (500, "InternalFailure", Unavailable),
            (503, "ServiceUnavailableTemporary", Unavailable),
            (502, "Forbidden.NoPermission", Unavailable),
            (400, "SignatureNonceUsed", Unavailable),
            (403, "Forbidden.NoPermission", Auth),
            (403, "Forbidden.RAM", Auth),
            (404, "InvalidAccessKeyId.NotFound", Auth),
            (400, "InvalidSecurityToken.Expired", Auth),
            (400, "SignatureDoesNotMatch", Auth),
            (400, "IncompleteSignature", Auth),
            (400, "InvalidTimeStamp.Expired", Auth),
            (400, "AccessDeniedError", Auth),
            (404, "Forbidden.KeyNotFound", Key),
            (404, "Forbidden.AliasNotFound", Key),
            (409, "Rejected.Disabled", Key),
            (409, "Rejected.PendingDeletion", Key),
            (409, "Rejected.Unavailable", Key),
            (400, "UnsupportedOperation", Key),
            (400, "InvalidParameter", Key),
            (400, "ValidationError", Key),
        ] {
            assert_eq!(kind(status, code), expected, "{status} {code}");
        }
    }

    #[test]
    fn what_comes_from_something_in_between_passes() {
        for (status, body) in [(403, "<html>no</html>"), (404, ""), (502, "<html>"), (302, ""), (400, "{}")] {
            let refusal = Refusal::read("AsymmetricSign", &reply(status, body));
            assert_eq!(refusal.failure.kind(), SignErrorKind::Unavailable, "{status} {body}");
        }
    }

    #[test]
    fn the_cause_names_code_and_request_and_repeats_no_message() {
        let body = r#"{"Code":"Forbidden.NoPermission","Message":"tok3n","RequestId":"4c46-7b38"}"#;
        let refusal = Refusal::read("AsymmetricSign", &reply(403, body));
        let expected = "AsymmetricSign was answered with status 403, code Forbidden.NoPermission, request 4c46-7b38";
        assert_eq!(refusal.failure.to_string(), expected);
        let body = r#"{"Code":"x\ny tok3n","RequestId":"{tok3n}"}"#;
        let refusal = Refusal::read("AsymmetricSign", &reply(400, body));
        assert_eq!(refusal.failure.to_string(), "AsymmetricSign was answered with status 400");
    }

    #[test]
    fn the_pause_is_in_milliseconds() {
        let mut throttled = reply(400, r#"{"Code":"Throttling.User"}"#);
        throttled.headers.insert("x-acs-retry-after", "1500".parse().unwrap());
        assert_eq!(asked_pause(&throttled), Some(Duration::from_millis(1500)));
        throttled.headers.insert("x-acs-retry-after", "soon".parse().unwrap());
        assert_eq!(asked_pause(&throttled), None);
    }
}
