//! What the service, or the way to it, says when it does not do what it was asked: which class of error each status is.

use std::{error::Error, io};

use dvn_core::error::SignErrorKind;
use gcloud_sdk::{error::ErrorKind, google_cloud_auth};
use tonic::{Code, Status, TimeoutExpired};

use crate::service::Failure;

/// An answer that is no success, or no answer.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) failure: Failure,
    /// `None` where no answer came.
    code: Option<Code>,
}

impl Refusal {
    /// Of this status, which was the end of this action.
    pub(super) fn read(action: &str, status: &Status) -> Self {
        // What was made on this side has a source.
        if let Some(source) = status.source() {
            return Self { failure: unanswered(action, status.code(), source), code: None };
        }
        let code = status.code();
        let message = status.message();
        if message.starts_with("grpc-status header missing") {
            let cause = format!("{action} was answered by something in between, {code:?} for all that it says");
            return Self { failure: Failure::unavailable(cause), code: Some(code) };
        }
        let cause = format!("{action} was answered with {code:?}{}", hint(message));
        // The service found another checksum for what it received than we had sent along.
        let is_corruption = code == Code::InvalidArgument && message.starts_with("The checksum in field");
        let failure = if is_corruption { Failure::corrupted(cause) } else { Failure::new(class(code), cause) };
        Self { failure, code: Some(code) }
    }

    /// Whether the token is refused; another one may be taken.
    pub(super) fn is_about_the_token(&self) -> bool {
        self.code == Some(Code::Unauthenticated)
    }

    /// Whether the right to do it is missing.
    pub(super) fn is_forbidden(&self) -> bool {
        self.code == Some(Code::PermissionDenied)
    }

    /// Whether the connection did its part.
    pub(super) const fn is_answer(&self) -> bool {
        self.code.is_some()
    }
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Self { failure, code: None }
    }
}

/// There is no token, for this reason. What the credentials say in words is left out: it repeats answers of other services.
pub(super) fn no_token(error: &gcloud_sdk::error::Error) -> Failure {
    let passes = matches!(error.kind(), ErrorKind::Credentials(cause) if cause.is_transient());
    let source: Option<&(dyn Error + 'static)> = match error.kind() {
        ErrorKind::Credentials(cause) => Some(cause),
        _ => None,
    };
    let reason = source.and_then(io_error).map(|reason| format!(": {reason}")).unwrap_or_default();
    let kind = if passes { SignErrorKind::Unavailable } else { SignErrorKind::Auth };
    Failure::new(kind, format!("the credentials gave no token{reason}"))
}

/// There are no credentials, for this reason.
pub(super) fn no_credentials(error: &google_cloud_auth::build_errors::Error) -> Failure {
    let reason = if error.is_loading() {
        "the file that GOOGLE_APPLICATION_CREDENTIALS names cannot be read"
    } else if error.is_unknown_type() {
        "their file is of a type that is not known"
    } else {
        "their file is not what it should be"
    };
    Failure::new(SignErrorKind::Auth, format!("there are no credentials: {reason}"))
}

fn unanswered(action: &str, code: Code, source: &(dyn Error + 'static)) -> Failure {
    let timed_out = code == Code::DeadlineExceeded || chain(source).any(|error| error.is::<TimeoutExpired>());
    if timed_out {
        return Failure::new(SignErrorKind::Timeout, format!("{action} was not answered in time"));
    }
    let reason = io_error(source).map_or_else(|| innermost(source), |error| error.to_string());
    Failure::unavailable(format!("{action} was not answered: {reason}"))
}

/// By code. Another attempt is made where it is not certain that the service read the request and will not have it.
const fn class(code: Code) -> SignErrorKind {
    match code {
        Code::Unavailable | Code::Aborted | Code::Internal | Code::Unknown | Code::Cancelled | Code::DataLoss => {
            SignErrorKind::Unavailable
        }
        Code::DeadlineExceeded => SignErrorKind::Timeout,
        Code::ResourceExhausted => SignErrorKind::Throttled,
        Code::Unauthenticated | Code::PermissionDenied => SignErrorKind::Auth,
        Code::Ok
        | Code::InvalidArgument
        | Code::NotFound
        | Code::AlreadyExists
        | Code::FailedPrecondition
        | Code::OutOfRange
        | Code::Unimplemented => SignErrorKind::Key,
    }
}

/// The state of a key version, as the service's messages name it.
const STATES: [&str; 9] = [
    "DISABLED",
    "DESTROY_SCHEDULED",
    "DESTROYED",
    "PENDING_GENERATION",
    "PENDING_IMPORT",
    "IMPORT_FAILED",
    "GENERATION_FAILED",
    "PENDING_EXTERNAL_DESTRUCTION",
    "EXTERNAL_DESTRUCTION_FAILED",
];

/// What is known of a message and helps people. The rest is left out: it may repeat what it was sent.
fn hint(message: &str) -> String {
    if let Some(start) = message.find("cloudkms.") {
        let fits = |c: char| c.is_ascii_alphabetic() || c == '.';
        let word = message.get(start..).unwrap_or_default();
        let word = word.split(|c| !fits(c)).next().unwrap_or_default();
        // The interface's own name, in messages about the whole service.
        if word != "cloudkms.googleapis.com" && word.len() <= 64 {
            return format!(", permission {word}");
        }
    }
    if message.contains("has not been used in project") {
        return ", the Cloud KMS API is not enabled in the project of the credentials".to_owned();
    }
    let state = STATES.iter().find(|state| message.contains(*state));
    state.map(|state| format!(", state {state}")).unwrap_or_default()
}

fn chain<'e>(error: &'e (dyn Error + 'static)) -> impl Iterator<Item = &'e (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error: &&'e (dyn Error + 'static)| (*error).source())
}

fn io_error<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e io::Error> {
    chain(error).filter_map(|error| error.downcast_ref()).last()
}

/// What failed in the end; the errors around it only say that something did.
fn innermost(error: &(dyn Error + 'static)) -> String {
    chain(error).last().map(ToString::to_string).unwrap_or_default()
}

#[cfg(test)]
mod tests;
