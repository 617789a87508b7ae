//! gRPC without code that was generated for a server: each action is a function over the client's messages.

use std::future::{Ready, pending, ready};

use axum::{
    body::Body,
    extract::{Path, Request, State as Extract},
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use gcloud_sdk::{
    google::cloud::kms::v1::{
        AsymmetricSignRequest, GetCryptoKeyRequest, GetCryptoKeyVersionRequest, GetPublicKeyRequest,
        ListCryptoKeyVersionsRequest,
    },
    prost::Message,
};
use tonic::{
    Code, Status,
    server::{Grpc, UnaryService},
};
use tonic_prost::ProstCodec;

use super::{
    Shared, State,
    actions::{self, Call},
    fault::Fault,
};

pub(super) async fn answer(Extract(shared): Extract<Shared>, Path(action): Path<String>, request: Request) -> Response {
    let latency = shared.state().latency;
    tokio::time::sleep(latency).await;
    let (is_known, fault) = {
        let mut state = shared.state();
        let is_known = state.tokens.admit(request.headers());
        let fault = if is_known.is_ok() { asked(&mut state, &action) } else { None };
        (is_known, fault)
    };
    if let Err(status) = is_known {
        return status.into_http::<Body>().into_response();
    }
    match fault {
        Some(Fault::Hang) => pending().await,
        Some(Fault::Html(status)) => page(status),
        Some(Fault::Error { code, message }) => Status::new(code, message).into_http::<Body>().into_response(),
        fault => act(shared, &action, request, fault).await,
    }
}

fn asked(state: &mut State, action: &str) -> Option<Fault> {
    state.asked.push(action.to_owned());
    state.rules.fault(action)
}

async fn act(shared: Shared, action: &str, request: Request, fault: Option<Fault>) -> Response {
    match action {
        "GetCryptoKey" => unary(shared, request, fault, |call, m: GetCryptoKeyRequest| actions::key(call, &m)).await,
        "ListCryptoKeyVersions" => {
            unary(shared, request, fault, |call, m: ListCryptoKeyVersionsRequest| actions::list(call, &m)).await
        }
        "GetCryptoKeyVersion" => {
            unary(shared, request, fault, |call, m: GetCryptoKeyVersionRequest| actions::version(call, &m)).await
        }
        "GetPublicKey" => {
            unary(shared, request, fault, |call, m: GetPublicKeyRequest| actions::public_key(call, &m)).await
        }
        "AsymmetricSign" => {
            unary(shared, request, fault, |call, m: AsymmetricSignRequest| actions::sign(call, &m)).await
        }
        _ => Status::new(Code::Unimplemented, "Method not found.").into_http::<Body>().into_response(),
    }
}

async fn unary<M, R>(
    shared: Shared,
    request: Request,
    fault: Option<Fault>,
    act: fn(&Call<'_>, M) -> Result<R, Status>,
) -> Response
where
    M: Message + Default + Send + 'static,
    R: Message + Send + 'static,
{
    let act = |request: tonic::Request<M>| {
        let routing = request.metadata().get("x-goog-request-params").and_then(|value| value.to_str().ok());
        let routing = routing.unwrap_or_default().to_owned();
        let state = shared.state();
        act(&Call { state: &state, routing: &routing, fault: fault.as_ref() }, request.into_inner())
    };
    Grpc::new(ProstCodec::<R, M>::default()).unary(Action(act), request).await.into_response()
}

struct Action<F>(F);

impl<M, R, F: FnMut(tonic::Request<M>) -> Result<R, Status>> UnaryService<M> for Action<F> {
    type Response = R;
    type Future = Ready<Result<tonic::Response<R>, Status>>;

    fn call(&mut self, request: tonic::Request<M>) -> Self::Future {
        ready((self.0)(request).map(tonic::Response::new))
    }
}

fn page(status: u16) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, [(CONTENT_TYPE, "text/html")], "<html><h1>Bad Gateway</h1></html>").into_response()
}
