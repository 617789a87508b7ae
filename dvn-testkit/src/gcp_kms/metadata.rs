//! The metadata server of a virtual machine, which lends tokens of the machine's service account.

use std::future::pending;

use axum::{
    Json,
    extract::State as Extract,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use serde_json::json;

use super::Shared;

pub(super) async fn lend(Extract(shared): Extract<Shared>, headers: HeaderMap) -> Response {
    if headers.get("metadata-flavor").is_none_or(|flavor| flavor != "Google") {
        return StatusCode::FORBIDDEN.into_response();
    }
    let Some(outcome) = answer(&shared) else { return pending().await };
    outcome
}

fn answer(shared: &Shared) -> Option<Response> {
    let mut state = shared.state();
    if state.tokens.is_silent {
        return None;
    }
    if state.tokens.is_broken {
        return Some(StatusCode::SERVICE_UNAVAILABLE.into_response());
    }
    Some(match state.tokens.lend() {
        Some((token, seconds)) => {
            let body = json!({ "access_token": token, "expires_in": seconds, "token_type": "Bearer" });
            ([("metadata-flavor", "Google")], Json(body)).into_response()
        }
        None => StatusCode::NOT_FOUND.into_response(),
    })
}
