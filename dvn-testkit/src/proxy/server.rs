//! Accepts connections and hands requests to the door that they are for.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use http_body_util::{BodyExt, Limited};
use hyper::{
    Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header::{CONTENT_TYPE, HeaderValue, UPGRADE},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::JoinSet,
};

use super::{
    Shared,
    body::{Body, whole},
    control, http,
    rule::Caller,
    websocket::{self, Session},
};

/// Everything under this path is for the proxy itself.
const CONTROL: &str = "/_proxy/";
/// Far above what any node takes.
const REQUEST_LIMIT: usize = 64 * 1024 * 1024;

/// The connection is closed without an answer.
#[derive(Debug, thiserror::Error)]
#[error("a rule closes the connection")]
pub(super) struct Closed;

pub(super) type Answer = Result<Response<Body>, Closed>;

/// Serves until it is aborted. Every connection ends with it.
pub(super) async fn serve(listener: TcpListener, shared: Arc<Shared>, mut connections: JoinSet<()>) {
    loop {
        match listener.accept().await {
            Ok((stream, address)) => _ = connections.spawn(connection(stream, address, shared.clone())),
            // Mostly too many open files, which ends when others are closed.
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
        while connections.try_join_next().is_some() {}
    }
}

/// One connection for HTTP, and then the WebSocket that it may become.
async fn connection(stream: TcpStream, address: SocketAddr, shared: Arc<Shared>) {
    let _ = stream.set_nodelay(true);
    let (upgraded, mut sessions) = mpsc::channel::<Session>(1);
    let service = service_fn(|request| {
        let (shared, upgraded) = (shared.clone(), upgraded.clone());
        async move { route(request, address, shared, upgraded).await }
    });
    let io = TokioIo::new(stream);
    let _closed = http1::Builder::new().serve_connection(io, service).with_upgrades().await;
    if let Ok(session) = sessions.try_recv() {
        session.run(shared).await;
    }
}

async fn route(
    request: Request<Incoming>,
    address: SocketAddr,
    shared: Arc<Shared>,
    upgraded: mpsc::Sender<Session>,
) -> Answer {
    let (parts, body) = request.into_parts();
    let caller =
        Caller { address, headers: parts.headers.clone(), query: parts.uri.query().unwrap_or_default().to_owned() };
    if parts.headers.contains_key(UPGRADE) {
        return Ok(websocket::accept(Request::from_parts(parts, ()), caller, &shared, upgraded).await);
    }
    let Ok(body) = Limited::new(body, REQUEST_LIMIT).collect().await else {
        return Ok(text(StatusCode::PAYLOAD_TOO_LARGE, "the request is too large"));
    };
    let body = body.to_bytes();
    match parts.uri.path().strip_prefix(CONTROL) {
        Some(path) => Ok(control::answer(&parts.method, path, &body, &shared)),
        None => http::answer(body, &caller, &shared).await,
    }
}

pub(super) fn response(status: StatusCode, content_type: HeaderValue, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}

pub(super) fn json(status: StatusCode, body: impl Into<Bytes>) -> Response<Body> {
    response(status, HeaderValue::from_static("application/json"), whole(body))
}

pub(super) fn text(status: StatusCode, text: impl Into<Bytes>) -> Response<Body> {
    response(status, HeaderValue::from_static("text/plain; charset=utf-8"), whole(text))
}
