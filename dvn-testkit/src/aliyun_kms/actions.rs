//! Answers the service's actions.

use std::future::pending;

use axum::{
    body::Bytes,
    extract::State as Extract,
    http::{
        HeaderMap, HeaderValue, StatusCode, Uri,
        header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE},
    },
    response::{IntoResponse, Response},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::{
    Shared, auth,
    keys::{Key, KeyState, Version},
    state::State,
};
use crate::key_service::Fault;

/// An answer with its status.
#[derive(Debug)]
pub(super) struct Answer {
    status: StatusCode,
    body: Value,
}

impl Answer {
    fn good(body: Value) -> Self {
        Self { status: StatusCode::OK, body }
    }

    pub(super) fn refusal(status: StatusCode, code: &str, message: &str) -> Self {
        Self { status, body: json!({ "Code": code, "Message": message, "Recommend": "https://api.aliyun.com" }) }
    }

    #[cfg(test)]
    pub(super) fn code(&self) -> &str {
        self.body["Code"].as_str().unwrap_or_default()
    }

    fn into_response(mut self, id: &str) -> Response {
        if let Some(body) = self.body.as_object_mut() {
            body.insert("RequestId".to_owned(), json!(id));
        }
        (self.status, [(CONTENT_TYPE, "application/json")], self.body.to_string()).into_response()
    }
}

pub(super) async fn answer(Extract(shared): Extract<Shared>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let Some(outcome) = prepare(&mut shared.state(), &uri, &headers, &body) else { return pending().await };
    outcome
}

/// The answer; `None` where there is none, ever.
fn prepare(state: &mut State, uri: &Uri, headers: &HeaderMap, body: &[u8]) -> Option<Response> {
    let id = state.request_id();
    if headers.get(CONTENT_LENGTH).is_none() {
        return Some(page(411));
    }
    if headers.get(ACCEPT).is_none_or(|wanted| wanted != "application/json") {
        return Some(([(CONTENT_TYPE, "text/xml")], format!("<KMS><RequestId>{id}</RequestId></KMS>")).into_response());
    }
    if let Err(refusal) = auth::check(state, uri, headers, body) {
        return Some(refusal.into_response(&id));
    }
    let action = headers.get("x-acs-action").and_then(|value| value.to_str().ok()).unwrap_or_default();
    state.ledger.asked.push(action.to_owned());
    let query = Query(auth::parameters(uri));
    // A rehearsal uses no turn of a fault, which are about what is done.
    let fault = if query.is("DryRun", "true") { None } else { state.ledger.rules.fault(action) };
    let fault = fault.map(|fault| fault.in_words(400, "Throttling.User"));
    match &fault {
        Some(Fault::Hang) => None,
        Some(Fault::Html(status)) => Some(page(*status)),
        Some(Fault::Error { status, code, retry_after_ms }) => {
            let answer = Answer::refusal(status_code(*status), code, "scripted");
            let mut response = answer.into_response(&id);
            if let Some(pause) = retry_after_ms {
                response.headers_mut().insert("x-acs-retry-after", HeaderValue::from(*pause));
            }
            Some(response)
        }
        fault => {
            let answer = act(state, action, &query, fault.as_ref()).unwrap_or_else(|refusal| refusal);
            if *fault != Some(Fault::Truncated) {
                return Some(answer.into_response(&id));
            }
            let text = answer.body.to_string();
            let half = text.chars().take(text.len() / 2).collect::<String>();
            Some((answer.status, [(CONTENT_TYPE, "application/json")], half).into_response())
        }
    }
}

fn act(state: &State, action: &str, query: &Query, fault: Option<&Fault>) -> Result<Answer, Answer> {
    if state.is_instance && !matches!(action, "GetPublicKey" | "AsymmetricSign") {
        return Err(unsupported());
    }
    let name = query.needed("KeyId")?;
    let (id, key) = state.keys.find(name).ok_or_else(|| {
        let (code, message) = match name.strip_prefix("alias/") {
            Some(_) => ("Forbidden.AliasNotFound", "The specified Alias is not found."),
            None => ("Forbidden.KeyNotFound", "The specified Key is not found."),
        };
        Answer::refusal(StatusCode::NOT_FOUND, code, message)
    })?;
    match action {
        "DescribeKey" => Ok(Answer::good(describe(id, key))),
        "ListKeyVersions" => Ok(Answer::good(list(id, key))),
        "GetPublicKey" => public_key(id, version(key, query)?),
        "AsymmetricSign" => sign(state, id, key, query, fault),
        _ => Err(unsupported()),
    }
}

fn describe(id: &str, key: &Key) -> Value {
    json!({ "KeyMetadata": {
        "KeyId": id,
        "KeySpec": key.spec,
        "KeyUsage": "SIGN/VERIFY",
        "KeyState": key.state.word(),
        "ProtectionLevel": "HSM",
        "Origin": "Aliyun_KMS",
        "CreationDate": "2026-11-23T10:42:40Z",
    } })
}

fn list(id: &str, key: &Key) -> Value {
    let versions = key
        .versions
        .iter()
        .map(|version| json!({ "KeyId": id, "KeyVersionId": version.id, "CreationDate": "2026-11-23T10:42:40Z" }));
    let versions = versions.collect::<Vec<_>>();
    json!({ "PageNumber": 1, "PageSize": 10, "TotalCount": versions.len(), "KeyVersions": { "KeyVersion": versions } })
}

fn public_key(id: &str, version: &Version) -> Result<Answer, Answer> {
    let broken = || Answer::refusal(StatusCode::INTERNAL_SERVER_ERROR, "InternalFailure", "Internal Failure.");
    let pem = version.public_key().ok_or_else(broken)?;
    Ok(Answer::good(json!({ "KeyId": id, "KeyVersionId": version.id, "PublicKey": pem })))
}

fn sign(state: &State, id: &str, key: &Key, query: &Query, fault: Option<&Fault>) -> Result<Answer, Answer> {
    if !state.may_sign {
        let code = if query.is("DryRun", "true") { "AccessDeniedError" } else { "Forbidden.NoPermission" };
        return Err(Answer::refusal(StatusCode::FORBIDDEN, code, "This operation is forbidden by permission system."));
    }
    if key.state != KeyState::Enabled {
        let code = format!("Rejected.{}", key.state.word());
        let message = format!("The request was rejected because the key state is {}.", key.state.word());
        return Err(Answer::refusal(StatusCode::CONFLICT, &code, &message));
    }
    let version = version(key, query)?;
    let digest = STANDARD.decode(query.needed("Digest")?).ok().and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
    let (Some(digest), true) = (digest, query.is("Algorithm", "ECDSA_SHA_256")) else { return Err(invalid("Digest")) };
    if query.is("DryRun", "true") {
        let message = "Request would have succeeded, but DryRun flag is set.";
        return Err(Answer::refusal(StatusCode::BAD_REQUEST, "DryRunOperationError", message));
    }
    let named = if fault == Some(&Fault::OtherName) { "key-other" } else { id };
    let mut answer = json!({ "KeyId": named, "KeyVersionId": version.id });
    let value = version.sign(digest, fault).map(|signature| STANDARD.encode(signature));
    if let (Some(body), Some(value), true) = (answer.as_object_mut(), value, fault != Some(&Fault::Empty)) {
        body.insert("Value".to_owned(), json!(value));
    }
    Ok(Answer::good(answer))
}

fn version<'k>(key: &'k Key, query: &Query) -> Result<&'k Version, Answer> {
    let id = query.needed("KeyVersionId")?;
    key.versions.iter().find(|version| version.id == id).ok_or_else(|| invalid("KeyVersionId"))
}

fn unsupported() -> Answer {
    Answer::refusal(StatusCode::BAD_REQUEST, "UnsupportedOperation", "This action is not supported.")
}

fn invalid(name: &str) -> Answer {
    let message = format!("The specified parameter {name} is not valid.");
    Answer::refusal(StatusCode::BAD_REQUEST, "InvalidParameter", &message)
}

fn page(status: u16) -> Response {
    (status_code(status), [(CONTENT_TYPE, "text/html")], "<html><h1>Bad Gateway</h1></html>").into_response()
}

fn status_code(status: u16) -> StatusCode {
    StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// The parameters of a request.
struct Query(Vec<(String, String)>);

impl Query {
    fn needed(&self, name: &str) -> Result<&str, Answer> {
        let found = self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        found.ok_or_else(|| {
            let message = format!("The parameter {name} is mandatory.");
            Answer::refusal(StatusCode::BAD_REQUEST, "MissingParameter", &message)
        })
    }

    fn is(&self, name: &str, value: &str) -> bool {
        self.0.iter().any(|(key, given)| key == name && given == value)
    }
}
