//! The three ways in which programs on AWS get access keys for a role: from an instance's metadata service, from a
//! container's credentials endpoint, and from STS for a web identity.

use axum::{
    Json,
    extract::{Path, State as Extract},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};
use url::form_urlencoded;

use super::{Shared, state::State};
use crate::key_service::Lent;

pub(super) async fn open_session(Extract(shared): Extract<Shared>, headers: HeaderMap) -> Response {
    let mut state = shared.state();
    let lifetime = headers.get("x-aws-ec2-metadata-token-ttl-seconds").and_then(|value| value.to_str().ok());
    if state.ledger.is_lending_broken {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    let Some(lifetime) = lifetime.filter(|value| value.parse::<u32>().is_ok_and(|it| (1..=21_600).contains(&it)))
    else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let session = format!("session-{}", state.request_id());
    state.ledger.sessions.insert(session.clone());
    ([("x-aws-ec2-metadata-token-ttl-seconds", lifetime.to_owned())], session).into_response()
}

pub(super) async fn name_role(Extract(shared): Extract<Shared>, headers: HeaderMap) -> Response {
    let state = shared.state();
    match &state.ledger.role {
        _ if !has_session(&state, &headers) => StatusCode::UNAUTHORIZED.into_response(),
        Some((name, _)) => name.clone().into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

pub(super) async fn for_instance(
    Extract(shared): Extract<Shared>,
    Path(role): Path<String>,
    headers: HeaderMap,
) -> Response {
    let mut state = shared.state();
    if !has_session(&state, &headers) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    if state.ledger.role.as_ref().is_none_or(|(name, _)| *name != role) {
        return StatusCode::NOT_FOUND.into_response();
    }
    let Some(lent) = lend(&mut state) else { return StatusCode::SERVICE_UNAVAILABLE.into_response() };
    let mut body = json!({ "Code": "Success", "Type": "AWS-HMAC", "LastUpdated": "2026-11-23T10:42:40Z" });
    if let (Some(body), Value::Object(parts)) = (body.as_object_mut(), to_json(&lent)) {
        body.extend(parts);
    }
    Json(body).into_response()
}

pub(super) async fn for_container(Extract(shared): Extract<Shared>, headers: HeaderMap) -> Response {
    let mut state = shared.state();
    if headers.get("authorization").is_none_or(|token| token != "container-token") {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let Some(lent) = lend(&mut state) else { return StatusCode::SERVICE_UNAVAILABLE.into_response() };
    Json(to_json(&lent)).into_response()
}

/// STS speaks an older protocol: forms, and XML.
pub(super) fn for_web_identity(state: &mut State, body: &[u8]) -> Response {
    let value = |name: &str| form_urlencoded::parse(body).find(|(key, _)| key == name).map(|(_, value)| value);
    if value("Action").is_none_or(|action| action != "AssumeRoleWithWebIdentity")
        || value("WebIdentityToken").is_none_or(|token| token != "web-token")
    {
        let error = "<Error><Type>Sender</Type><Code>InvalidIdentityToken</Code><Message>no</Message></Error>";
        return (StatusCode::BAD_REQUEST, xml(&format!("<ErrorResponse>{error}</ErrorResponse>"))).into_response();
    }
    let Some(Lent { id, secret, token, until }) = lend(state) else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    let role = "<AssumedRoleUser><AssumedRoleId>A:dvn</AssumedRoleId><Arn>arn:aws:sts::111122223333:assumed-role/dvn/dvn</Arn></AssumedRoleUser>";
    let key = format!(
        "<Credentials><AccessKeyId>{id}</AccessKeyId><SecretAccessKey>{secret}</SecretAccessKey>\
         <SessionToken>{token}</SessionToken><Expiration>{until}</Expiration></Credentials>"
    );
    let result = format!("<AssumeRoleWithWebIdentityResult>{key}{role}</AssumeRoleWithWebIdentityResult>");
    xml(&format!("<AssumeRoleWithWebIdentityResponse>{result}</AssumeRoleWithWebIdentityResponse>")).into_response()
}

fn xml(text: &str) -> ([(&'static str, &'static str); 1], String) {
    ([("content-type", "text/xml")], text.to_owned())
}

fn has_session(state: &State, headers: &HeaderMap) -> bool {
    let session = headers.get("x-aws-ec2-metadata-token").and_then(|value| value.to_str().ok());
    session.is_some_and(|session| state.ledger.sessions.contains(session))
}

fn lend(state: &mut State) -> Option<Lent> {
    state.ledger.lend(|number| {
        let token = format!("IQoJstandIn/lent+token={number:04}==");
        [format!("ASIASTANDIN{number:09}"), format!("lentSecret{number:09}"), token]
    })
}

fn to_json(lent: &Lent) -> Value {
    json!({
        "AccessKeyId": lent.id,
        "SecretAccessKey": lent.secret,
        "Token": lent.token,
        "Expiration": lent.until,
    })
}
