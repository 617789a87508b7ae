//! The metadata server of an ECS instance, in its hardened mode: a session first, then the access key.

use axum::{
    Json,
    extract::{Path, State as Extract},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use serde_json::json;

use super::{Shared, state::State};
use crate::key_service::{Lent, now};

pub(super) async fn open_session(Extract(shared): Extract<Shared>, headers: HeaderMap) -> Response {
    let mut state = shared.state();
    let lifetime = headers.get("x-aliyun-ecs-metadata-token-ttl-seconds").and_then(|value| value.to_str().ok());
    let lifetime = lifetime.and_then(|value| value.parse::<u32>().ok());
    if state.ledger.is_lending_broken {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    if !lifetime.is_some_and(|seconds| (1..=21_600).contains(&seconds)) {
        return StatusCode::BAD_REQUEST.into_response();
    }
    let session = format!("session-{}", state.request_id());
    state.ledger.sessions.insert(session.clone());
    session.into_response()
}

pub(super) async fn lend(Extract(shared): Extract<Shared>, Path(role): Path<String>, headers: HeaderMap) -> Response {
    let mut state = shared.state();
    let session = headers.get("x-aliyun-ecs-metadata-token").and_then(|value| value.to_str().ok());
    if !session.is_some_and(|session| state.ledger.sessions.contains(session)) {
        return StatusCode::FORBIDDEN.into_response();
    }
    if state.ledger.role.as_ref().is_none_or(|(name, _)| *name != role) {
        return StatusCode::NOT_FOUND.into_response();
    }
    lend_for(&mut state)
}

fn lend_for(state: &mut State) -> Response {
    let lent = state.ledger.lend(|number| {
        let token = format!("CAISstandIn/lent+token={number:04}==");
        [format!("STS.StandIn{number:04}"), format!("lentSecret{number:04}"), token]
    });
    let Some(Lent { id, secret, token, until }) = lent else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    let body = json!({
        "Code": "Success",
        "AccessKeyId": id,
        "AccessKeySecret": secret,
        "SecurityToken": token,
        "Expiration": until,
        "LastUpdated": humantime::format_rfc3339_seconds(now()).to_string(),
    });
    Json(body).into_response()
}
