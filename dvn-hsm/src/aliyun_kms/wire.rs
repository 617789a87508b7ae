//! HTTP without anything of the service: a bounded answer, and errors that name no address.

use std::error::Error;

use dvn_core::error::SignErrorKind;
use reqwest::{RequestBuilder, StatusCode, header::HeaderMap};

use crate::service::Failure;

/// Longest answer that is read. A signature takes some hundred bytes, a list of versions a few thousand.
const MOST: usize = 64 * 1024;

/// An answer as it came.
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

impl Reply {
    /// The text of an answer with a status of success; `who` answered is named otherwise.
    pub(super) fn success(&self, who: &str) -> Result<&str, Failure> {
        if !self.status.is_success() {
            return Err(Failure::unavailable(format!("{who} answered with status {}", self.status.as_u16())));
        }
        str::from_utf8(&self.body).map_err(|_| Failure::unavailable(format!("{who} answered with no text")))
    }
}

/// Sends the request and reads the answer.
pub(super) async fn read(request: RequestBuilder) -> Result<Reply, Failure> {
    let mut response = request.send().await.map_err(broken)?;
    let (status, headers) = (response.status(), response.headers().clone());
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(broken)? {
        if body.len().saturating_add(chunk.len()) > MOST {
            return Err(Failure::unavailable(format!("the answer is longer than {MOST} bytes")));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Reply { status, headers, body })
}

fn broken(error: reqwest::Error) -> Failure {
    let error = error.without_url();
    let kind = if error.is_timeout() { SignErrorKind::Timeout } else { SignErrorKind::Unavailable };
    Failure::new(kind, innermost(&error))
}

/// What failed in the end; the errors around it only say that something did.
pub(super) fn innermost(error: &reqwest::Error) -> String {
    let mut cause: &dyn Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}
