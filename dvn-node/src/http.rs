//! What a node tells over HTTP: liveness, readiness, metrics and a status page. Nothing here changes state.
//!
//! | path | answer |
//! |---|---|
//! | `GET /health` | 200 while the process can make progress, 503 once a task died |
//! | `GET /ready` | 200 while key, store and at least one path work, else 503; JSON with the reasons either way |
//! | `GET /metrics` | Prometheus text |
//! | `GET /` | a page for people |
//! | `GET /status.json` | the same for programs |
//!
//! [`bind`] comes before anything else in a node's start, so that probes are answered while it waits for its chains.

mod journal;
mod page;
mod status;

use std::{io, net::SocketAddr};

use axum::{
    Json, Router,
    extract::State,
    http::{HeaderName, StatusCode, header},
    response::{Html, IntoResponse},
    routing::get,
};
use metrics_exporter_prometheus::PrometheusHandle;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use self::{
    journal::{JournalStatus, QuarantineStatus},
    status::{
        BackfillStatus, ChainStatus, JobCount, NodeStatus, PacketLine, PeerStatus, Phase, Readiness, Role, Snapshot,
    },
};

/// Why the address cannot be listened on.
#[derive(Debug, Error)]
#[error("cannot listen on {address}: another process may use the port, or change `service.listen`")]
#[non_exhaustive]
pub struct BindError {
    /// Which address.
    pub address: SocketAddr,
    source: io::Error,
}

/// Takes the address.
///
/// # Errors
/// [`BindError`], such as when another process has it.
pub async fn bind(address: SocketAddr) -> Result<TcpListener, BindError> {
    TcpListener::bind(address).await.map_err(|source| BindError { address, source })
}

/// Answers until `shutdown`, then finishes the requests that have begun.
///
/// # Errors
/// Whatever the operating system says about the listener.
pub async fn serve(listener: TcpListener, router: Router, shutdown: CancellationToken) -> io::Result<()> {
    axum::serve(listener, router).with_graceful_shutdown(shutdown.cancelled_owned()).await
}

/// The routes.
pub fn router(status: NodeStatus, metrics: PrometheusHandle) -> Router {
    Router::new()
        .route("/", get(page))
        .route("/status.json", get(status_json))
        .route("/health", get(health))
        .route("/ready", get(ready))
        .with_state(status)
        .merge(Router::new().route("/metrics", get(prometheus)).with_state(metrics))
}

/// The page needs its own style sheet and nothing else; whatever got past the escaping would not run.
const PAGE_HEADERS: [(HeaderName, &str); 4] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-store"),
];

async fn page(State(status): State<NodeStatus>) -> impl IntoResponse {
    (PAGE_HEADERS, Html(page::render(&status.snapshot())))
}

async fn status_json(State(status): State<NodeStatus>) -> impl IntoResponse {
    ([(header::CACHE_CONTROL, "no-store")], Json(status.snapshot()))
}

async fn health(State(status): State<NodeStatus>) -> impl IntoResponse {
    match status.snapshot().phase {
        Phase::Failed => (StatusCode::SERVICE_UNAVAILABLE, "failed\n"),
        Phase::Starting | Phase::Quarantined | Phase::Running | Phase::Draining => (StatusCode::OK, "ok\n"),
    }
}

async fn ready(State(status): State<NodeStatus>) -> impl IntoResponse {
    let readiness = status.snapshot().readiness();
    let code = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (code, Json(readiness))
}

async fn prometheus(State(metrics): State<PrometheusHandle>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], metrics.render())
}

#[cfg(test)]
mod tests;
