//! The broker's small HTTP side: `/metrics` (Prometheus), `/healthz` (the process lives), `/readyz` (requests are
//! served), `/backup` (for `millstream log backup`, from this machine only). On a listener of its own; runs as one task
//! until the broker stops.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::Broker;
use crate::backup::{self, Backup, BackupError};

/// Media type of the OpenMetrics text that `/metrics` answers.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Header of requests that change something: a page in a browser cannot send it to another site without asking first.
const COMMAND_HEADER: &str = "x-millstream-command";

/// Binds the HTTP listener; port 0 lets the system choose.
pub(crate) async fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::bind(address).await
}

/// Serves until `stop`.
pub(crate) async fn serve(listener: TcpListener, broker: Arc<Broker>, stop: CancellationToken) {
    let routes = Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/backup", post(begin_backup).delete(end_backup))
        .with_state(broker)
        .into_make_service_with_connect_info::<SocketAddr>();
    let served = axum::serve(listener, routes).with_graceful_shutdown(stop.cancelled_owned()).await;
    if let Err(error) = served {
        tracing::warn!(%error, "the HTTP listener ended");
    }
}

async fn metrics(State(broker): State<Arc<Broker>>) -> impl IntoResponse {
    match broker.metrics().text() {
        Ok(text) => (StatusCode::OK, [(header::CONTENT_TYPE, OPEN_METRICS)], text),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, [(header::CONTENT_TYPE, "text/plain")], format!("{error}\n")),
    }
}

async fn ready(State(broker): State<Arc<Broker>>) -> impl IntoResponse {
    if broker.is_ready() { (StatusCode::OK, "ready\n") } else { (StatusCode::SERVICE_UNAVAILABLE, "not ready\n") }
}

/// Why a command is refused; none when it comes from this machine and from a program that means it.
fn refused(peer: SocketAddr, headers: &HeaderMap) -> Option<(StatusCode, String)> {
    if !peer.ip().to_canonical().is_loopback() {
        return Some((StatusCode::FORBIDDEN, "only from this machine\n".to_owned()));
    }
    if !headers.contains_key(COMMAND_HEADER) {
        return Some((StatusCode::FORBIDDEN, format!("the header {COMMAND_HEADER} is missing\n")));
    }
    None
}

/// Answers the folder, and a line with length and path for each file in it.
async fn begin_backup(
    State(broker): State<Arc<Broker>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
) -> (StatusCode, String) {
    if let Some(refused) = refused(peer, &headers) {
        return refused;
    }
    match backup::begin(broker).await {
        Ok(Backup { folder, files }) => {
            let lines = files.iter().map(|file| format!("{} {}\n", file.bytes, file.path.display()));
            (StatusCode::OK, std::iter::once(format!("{}\n", folder.display())).chain(lines).collect())
        }
        Err(error) => failed(&error),
    }
}

async fn end_backup(
    State(broker): State<Arc<Broker>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
) -> (StatusCode, String) {
    if let Some(refused) = refused(peer, &headers) {
        return refused;
    }
    match backup::end(broker).await {
        Ok(()) => (StatusCode::OK, String::new()),
        Err(error) => failed(&error),
    }
}

fn failed(error: &BackupError) -> (StatusCode, String) {
    let status = match error {
        BackupError::UnderWay => StatusCode::CONFLICT,
        BackupError::Storage(_) | BackupError::Catalog(_) | BackupError::Store(_) | BackupError::Io { .. } => {
            StatusCode::INTERNAL_SERVER_ERROR
        }
    };
    (status, format!("{error}\n"))
}
