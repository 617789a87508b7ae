//! What the service says when it does not do what it was asked: which class of error each of its codes is.

use std::{
    error::Error,
    time::{Duration, SystemTime},
};

use aws_sdk_kms::{
    config::http::HttpResponse,
    error::{ProvideErrorMetadata, SdkError},
    operation::RequestId,
    primitives::{DateTime, DateTimeFormat},
};
use dvn_core::error::SignErrorKind;

use crate::service::{
    Failure,
    refusal::{WRONG_CLOCK, cause, word},
};

/// An answer as it came.
pub(super) type Raw = HttpResponse;

/// How far our clock may be from the service's before it refuses our signatures.
const MOST_SKEW: Duration = Duration::from_secs(5 * 60);

/// An answer that is no success, or none.
#[derive(Debug)]
pub(super) struct Refusal {
    /// Empty where something in between answered and not the service.
    pub(super) code: String,
    pub(super) failure: Failure,
}

impl Refusal {
    /// Of this outcome of this action, at this time of ours. The service's message is left out on purpose: it may repeat
    /// what it read in our headers, the session token included.
    pub(super) fn read<E>(action: &str, error: &SdkError<E, Raw>, now: SystemTime) -> Self
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        match error {
            SdkError::ServiceError(answer) => {
                let code = word(answer.err().code().unwrap_or_default());
                let request = word(error.request_id().unwrap_or_default());
                Self::answered(action, answer.raw(), code, &request, now)
            }
            SdkError::TimeoutError(_) => Failure::new(SignErrorKind::Timeout, innermost(error)).into(),
            SdkError::DispatchFailure(failure) if failure.is_timeout() => {
                Failure::new(SignErrorKind::Timeout, innermost(error)).into()
            }
            SdkError::ResponseError(_) => {
                Failure::unavailable(format!("{action} was answered with something else")).into()
            }
            _ => Failure::unavailable(innermost(error)).into(),
        }
    }

    fn answered(action: &str, raw: &Raw, code: String, request: &str, now: SystemTime) -> Self {
        let status = raw.status().as_u16();
        let mut cause = cause(action, status, &code, request);
        if code.starts_with("InvalidSignature") && skew(raw, now).is_some_and(|skew| skew >= MOST_SKEW) {
            cause.push_str(WRONG_CLOCK);
        }
        let failure = Failure::new(class(status, &code), cause).after(asked_pause(raw));
        Self { code, failure }
    }

    /// Whether the access key itself is refused, as an expired one is; another one may be taken.
    pub(super) fn is_about_the_key(&self) -> bool {
        ["ExpiredToken", "UnrecognizedClient", "InvalidClientTokenId"].iter().any(|start| self.code.starts_with(start))
    }
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Self { code: String::new(), failure }
    }
}

/// By code, and by status where the code is not known. Without a code a proxy or a gateway answered, which says nothing
/// about the key or our rights.
fn class(status: u16, code: &str) -> SignErrorKind {
    let starts = |words: &[&str]| words.iter().any(|word| code.starts_with(word));
    if status == 429
        || starts(&["Throttl", "LimitExceeded", "RequestLimitExceeded", "RequestThrottled", "TooManyRequests"])
    {
        SignErrorKind::Throttled
    } else if status >= 500
        || code.is_empty()
        || starts(&["KMSInternal", "DependencyTimeout", "KeyUnavailable", "Internal", "ServiceUnavailable"])
    {
        SignErrorKind::Unavailable
    } else if starts(&[
        "AccessDenied",
        "NotAuthorized",
        "ExpiredToken",
        "RequestExpired",
        "UnrecognizedClient",
        "InvalidClientTokenId",
        "InvalidSignature",
        "SignatureDoesNotMatch",
        "IncompleteSignature",
        "MissingAuthenticationToken",
        "InvalidGrantToken",
        "OptInRequired",
    ]) || matches!(status, 401 | 403)
    {
        SignErrorKind::Auth
    } else {
        SignErrorKind::Key
    }
}

/// How far the service's date is from ours.
fn skew(raw: &Raw, now: SystemTime) -> Option<Duration> {
    let date = DateTime::from_str(raw.headers().get("date")?, DateTimeFormat::HttpDate).ok()?;
    let date = SystemTime::try_from(date).ok()?;
    Some(now.duration_since(date).unwrap_or_else(|ahead| ahead.duration()))
}

/// Milliseconds, as AWS's own clients read it.
fn asked_pause(raw: &Raw) -> Option<Duration> {
    raw.headers().get("x-amz-retry-after")?.trim().parse().ok().map(Duration::from_millis)
}

/// What failed in the end; the errors around it only say that something did.
fn innermost(error: &(dyn Error + 'static)) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests;
