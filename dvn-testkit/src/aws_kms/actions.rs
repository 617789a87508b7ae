//! Answers the service's actions.

use std::future::pending;

use axum::{
    body::Bytes,
    extract::State as Extract,
    http::{HeaderMap, HeaderValue, StatusCode, Uri, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{
    Shared, auth,
    keys::{Key, KeyState, arn},
    lending, manage,
    state::State,
};
use crate::key_service::Fault;

const JSON: &str = "application/x-amz-json-1.1";

/// An answer with its status.
#[derive(Debug)]
pub(super) struct Answer {
    status: StatusCode,
    body: Value,
}

impl Answer {
    pub(super) const fn good(body: Value) -> Self {
        Self { status: StatusCode::OK, body }
    }

    /// A refusal, which is the client's fault.
    pub(super) fn refusal(code: &str, message: &str) -> Self {
        Self::failure(StatusCode::BAD_REQUEST, code, message)
    }

    fn failure(status: StatusCode, code: &str, message: &str) -> Self {
        Self { status, body: json!({ "__type": code, "message": message }) }
    }

    #[cfg(test)]
    pub(super) fn code(&self) -> &str {
        self.body["__type"].as_str().unwrap_or_default()
    }

    fn into_response(self, id: &str) -> Response {
        respond(self.status, self.body.to_string(), id)
    }
}

pub(super) async fn answer(Extract(shared): Extract<Shared>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let latency = shared.state().latency;
    if !latency.is_zero() {
        tokio::time::sleep(latency).await;
    }
    // STS is asked in forms.
    if headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/x-www-form-urlencoded")) {
        return lending::for_web_identity(&mut shared.state(), &body);
    }
    let outcome = prepare(&mut shared.state(), &uri, &headers, &body);
    match outcome {
        Some(response) => response,
        None => pending().await,
    }
}

/// The answer; `None` where there is none, ever.
fn prepare(state: &mut State, uri: &Uri, headers: &HeaderMap, body: &[u8]) -> Option<Response> {
    let id = state.request_id();
    if headers.get(CONTENT_TYPE).is_none_or(|kind| kind != JSON) {
        return Some(page(415));
    }
    if let Err(refusal) = auth::check(state, uri, headers, body) {
        return Some(refusal.into_response(&id));
    }
    let target = headers.get("x-amz-target").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let Some(action) = target.strip_prefix("TrentService.") else {
        return Some(Answer::refusal("UnknownOperationException", "").into_response(&id));
    };
    let Ok(request) = serde_json::from_slice::<Value>(body) else {
        return Some(Answer::refusal("SerializationException", "").into_response(&id));
    };
    // A rehearsal counts by itself and uses no turn of a fault, which are about what is done.
    let is_rehearsal = request["DryRun"] == true;
    state.ledger.asked.push(if is_rehearsal { "DryRun" } else { action }.to_owned());
    let fault = if is_rehearsal { None } else { state.ledger.rules.fault(action) };
    spoil(state, action, &request, fault.map(|fault| fault.in_words(400, "ThrottlingException")).as_ref(), &id)
}

/// The answer, unless a fault spoils it.
fn spoil(state: &mut State, action: &str, request: &Value, fault: Option<&Fault>, id: &str) -> Option<Response> {
    match fault {
        Some(Fault::Hang) => None,
        Some(Fault::Html(status)) => Some(page(*status)),
        Some(Fault::Error { status, code, retry_after_ms }) => {
            let mut response = Answer::failure(status_code(*status), code, "scripted").into_response(id);
            if let Some(pause) = retry_after_ms {
                response.headers_mut().insert("x-amz-retry-after", HeaderValue::from(*pause));
            }
            Some(response)
        }
        fault => {
            let mut answer = act(state, action, request, fault).unwrap_or_else(|refusal| refusal);
            if let (Some(Fault::Empty), Some(body)) = (fault, answer.body.as_object_mut()) {
                body.retain(|name, _| !matches!(name.as_str(), "Signature" | "PublicKey" | "KeyMetadata"));
            }
            if fault == Some(&Fault::OtherName) && answer.body.get("KeyId").is_some() {
                answer.body["KeyId"] = json!(arn("key/1234abcd-12ab-34cd-56ef-ffffffffffff"));
            }
            if fault != Some(&Fault::Truncated) {
                return Some(answer.into_response(id));
            }
            let text = answer.body.to_string();
            let half = text.chars().take(text.len() / 2).collect::<String>();
            Some(respond(answer.status, half, id))
        }
    }
}

fn act(state: &mut State, action: &str, request: &Value, fault: Option<&Fault>) -> Result<Answer, Answer> {
    if state.denied.contains(action) {
        let message = format!("User: arn:aws:iam::111122223333:user/dvn is not authorized to perform: kms:{action}");
        return Err(Answer::refusal("AccessDeniedException", &message));
    }
    if action == "CreateKey" {
        return manage::create(state, request);
    }
    let name = request[if action == "CreateAlias" { "TargetKeyId" } else { "KeyId" }].as_str().unwrap_or_default();
    let Some(id) = state.keys.id_of(name) else {
        let message = match name.contains("alias/") {
            true => format!("Alias {} is not found.", arn(name)),
            false => format!("Key '{}' does not exist", arn(&format!("key/{name}"))),
        };
        return Err(Answer::refusal("NotFoundException", &message));
    };
    if let Some(answer) = manage::change(state, action, &id, request) {
        return Ok(answer);
    }
    let key = state.keys.get(&id).ok_or_else(broken)?;
    match action {
        "DescribeKey" => Ok(Answer::good(json!({ "KeyMetadata": describe(&id, key) }))),
        "GetPublicKey" => public_key(key),
        "Sign" => sign(key, request, fault),
        _ => Err(Answer::refusal("UnknownOperationException", "")),
    }
}

pub(super) fn describe(id: &str, key: &Key) -> Value {
    json!({
        "AWSAccountId": "111122223333",
        "KeyId": id,
        "Arn": key.arn,
        "CreationDate": 1_795_430_560.5,
        "Enabled": key.state == KeyState::Enabled,
        "Description": "",
        "KeyUsage": key.usage,
        "KeyState": key.state.word(),
        "Origin": key.origin,
        "KeyManager": "CUSTOMER",
        "CustomerMasterKeySpec": key.spec,
        "KeySpec": key.spec,
        "SigningAlgorithms": ["ECDSA_SHA_256"],
        "MultiRegion": false,
    })
}

fn public_key(key: &Key) -> Result<Answer, Answer> {
    usable(key)?;
    let der = key.public_key().ok_or_else(broken)?;
    Ok(Answer::good(json!({
        "KeyId": key.arn,
        "PublicKey": STANDARD.encode(der),
        "CustomerMasterKeySpec": key.spec,
        "KeySpec": key.spec,
        "KeyUsage": key.usage,
        "SigningAlgorithms": ["ECDSA_SHA_256"],
    })))
}

fn sign(key: &Key, request: &Value, fault: Option<&Fault>) -> Result<Answer, Answer> {
    let digest = digest(request)?;
    usable(key)?;
    let algorithm = request["SigningAlgorithm"].as_str().unwrap_or_default();
    if key.usage != "SIGN_VERIFY" || key.spec != "ECC_SECG_P256K1" || algorithm != "ECDSA_SHA_256" {
        let message = format!("Algorithm {algorithm} is incompatible with key spec {}.", key.spec);
        return Err(Answer::refusal("InvalidKeyUsageException", &message));
    }
    if request["DryRun"] == true {
        let message = "The request would have succeeded, but the DryRun option is set.";
        return Err(Answer::refusal("DryRunOperationException", message));
    }
    let signature = key.sign(digest, fault).ok_or_else(broken)?;
    let signature = STANDARD.encode(signature);
    Ok(Answer::good(json!({ "KeyId": key.arn, "Signature": signature, "SigningAlgorithm": algorithm })))
}

/// What is signed: the message itself where it is said to be a digest, else its hash.
fn digest(request: &Value) -> Result<[u8; 32], Answer> {
    let invalid = |message: &str| Answer::refusal("ValidationException", message);
    let message = request["Message"].as_str().and_then(|text| STANDARD.decode(text).ok());
    let message = message.filter(|message| (1..=4_096).contains(&message.len()));
    let message = message.ok_or_else(|| invalid("1 validation error detected: 'message' has no valid length"))?;
    match request["MessageType"].as_str() {
        Some("DIGEST") => {
            message.try_into().map_err(|_| invalid("Digest is invalid length for algorithm ECDSA_SHA_256."))
        }
        Some("RAW") | None => Ok(Sha256::digest(message).into()),
        Some(_) => Err(invalid("1 validation error detected: 'messageType' is none of [RAW, DIGEST]")),
    }
}

fn usable(key: &Key) -> Result<(), Answer> {
    match key.state {
        KeyState::Enabled => Ok(()),
        KeyState::Disabled => Err(Answer::refusal("DisabledException", &format!("{} is disabled.", key.arn))),
        state => {
            let message = format!("{} is in state {}.", key.arn, state.word());
            Err(Answer::refusal("KMSInvalidStateException", &message))
        }
    }
}

fn broken() -> Answer {
    Answer::failure(StatusCode::INTERNAL_SERVER_ERROR, "KMSInternalException", "")
}

fn respond(status: StatusCode, body: String, id: &str) -> Response {
    (status, [("content-type", JSON), ("x-amzn-requestid", id)], body).into_response()
}

fn page(status: u16) -> Response {
    (status_code(status), [(CONTENT_TYPE, "text/html")], "<html><h1>Bad Gateway</h1></html>").into_response()
}

fn status_code(status: u16) -> StatusCode {
    StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}
