//! JSON-RPC over HTTP: calls and batches of calls.

use std::sync::Arc;

use futures::StreamExt;
use hyper::{
    Response, StatusCode,
    body::Bytes,
    header::{CONTENT_ENCODING, HeaderValue, RETRY_AFTER},
};
use serde_json::Value;

use super::{
    Fault, Hostile, Shared,
    body::{Body, streamed, whole},
    call::Failure,
    request::Request,
    rule::Caller,
    server::{self, Answer, Closed},
    upstream::Forwarded,
};

/// Answers one HTTP request.
pub(super) async fn answer(body: Bytes, caller: &Caller, shared: &Arc<Shared>) -> Answer {
    let request = Request::read(&body, caller, shared);
    request.delay().await;
    if let Some((item, verdict)) = request.broken() {
        return broken(verdict.fault(), &item.call.id, &request, body, caller, shared).await;
    }
    let answered = unbroken(&request, body, caller, shared).await;
    Ok(answered.unwrap_or_else(|failure| server::text(StatusCode::BAD_GATEWAY, format!("{failure}\n"))))
}

async fn unbroken(request: &Request, body: Bytes, caller: &Caller, shared: &Shared) -> Result<Response<Body>, Failure> {
    if request.is_batch {
        let texts = request.batch(caller, shared).await?;
        return Ok(texts.map_or_else(passed_on, |text| server::json(StatusCode::OK, text)));
    }
    for item in &request.items {
        if let Some(text) = item.answer(shared).await? {
            return Ok(server::json(StatusCode::OK, text));
        }
    }
    let forwarded = shared.upstream.forward(body, &caller.headers).await?;
    request.items.iter().for_each(|item| shared.traffic.answered(item.sequence, forwarded.body.len()));
    Ok(passed_on(forwarded))
}

/// Answers with a fault of the transport, which is the same for all calls of the request.
async fn broken(
    fault: &Fault,
    id: &Value,
    request: &Request,
    body: Bytes,
    caller: &Caller,
    shared: &Arc<Shared>,
) -> Answer {
    match fault {
        Fault::Hang => std::future::pending().await,
        Fault::Status { code, retry_after } => {
            let status = StatusCode::from_u16(*code).unwrap_or(StatusCode::BAD_GATEWAY);
            let mut response = server::text(status, format!("{status}\n"));
            response.headers_mut().extend(retry_after.map(|seconds| (RETRY_AFTER, HeaderValue::from(seconds))));
            Ok(response)
        }
        Fault::Hostile { kind } => {
            let needed = kind.needs_truth().then(|| shared.upstream.forward(body, &caller.headers));
            let truth = match needed {
                Some(forwarded) => forwarded.await.map(|it| it.body).unwrap_or_default(),
                None => Bytes::new(),
            };
            let sequences = request.items.iter().map(|item| item.sequence).collect();
            Ok(hostile(kind, id, &truth, sequences, shared.clone()))
        }
        _ => Err(Closed),
    }
}

fn hostile(kind: &Hostile, id: &Value, truth: &Bytes, sequences: Vec<u64>, shared: Arc<Shared>) -> Response<Body> {
    let made = kind.body(id, truth);
    let count = move |chunk: &Bytes| {
        sequences.iter().for_each(|sequence| shared.traffic.answered(*sequence, chunk.len()));
    };
    let body = streamed(made.chunks().inspect(count));
    let mut response = server::response(StatusCode::OK, HeaderValue::from_static(made.content_type), body);
    if made.is_gzipped {
        response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}

fn passed_on(forwarded: Forwarded) -> Response<Body> {
    let json = HeaderValue::from_static("application/json");
    server::response(forwarded.status, forwarded.content_type.unwrap_or(json), whole(forwarded.body))
}
