//! The metadata server of an ECS instance, in its hardened mode: a session first, then the access key.

use axum::{
    Json,
    extract::{Path, State as Extract},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use serde_json::json;

use super::{
    Shared,
    state::{Account, State, now},
};

pub(super) async fn open_session(Extract(shared): Extract<Shared>, headers: HeaderMap) -> Response {
    let mut state = shared.state();
    let lifetime = headers.get("x-aliyun-ecs-metadata-token-ttl-seconds").and_then(|value| value.to_str().ok());
    let lifetime = lifetime.and_then(|value| value.parse::<u32>().ok());
    if state.metadata_broken {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    if !lifetime.is_some_and(|seconds| (1..=21_600).contains(&seconds)) {
        return StatusCode::BAD_REQUEST.into_response();
    }
    let session = format!("session-{}", state.request_id());
    state.sessions.insert(session.clone());
    session.into_response()
}

pub(super) async fn lend(Extract(shared): Extract<Shared>, Path(role): Path<String>, headers: HeaderMap) -> Response {
    let mut state = shared.state();
    let session = headers.get("x-aliyun-ecs-metadata-token").and_then(|value| value.to_str().ok());
    if !session.is_some_and(|session| state.sessions.contains(session)) {
        return StatusCode::FORBIDDEN.into_response();
    }
    match state.role.clone() {
        Some((name, lifetime)) if name == role => lend_for(&mut state, lifetime),
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

fn lend_for(state: &mut State, lifetime: std::time::Duration) -> Response {
    state.lent = state.lent.saturating_add(1);
    let (id, secret) = (format!("STS.StandIn{:04}", state.lent), format!("lentSecret{:04}", state.lent));
    let token = format!("CAISstandIn/lent+token={:04}==", state.lent);
    let Some(until) = now().checked_add(lifetime) else { return StatusCode::INTERNAL_SERVER_ERROR.into_response() };
    let account = Account { secret: secret.clone(), token: Some(token.clone()), until: Some(until) };
    state.accounts.insert(id.clone(), account);
    let body = json!({
        "Code": "Success",
        "AccessKeyId": id,
        "AccessKeySecret": secret,
        "SecurityToken": token,
        "Expiration": humantime::format_rfc3339_seconds(until).to_string(),
        "LastUpdated": humantime::format_rfc3339_seconds(now()).to_string(),
    });
    Json(body).into_response()
}
