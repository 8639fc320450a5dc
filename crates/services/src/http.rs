//! The HTTP side of a service: probes, metrics, and what `/data` answers.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get};
use axum::{Json, Router};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::ServiceError;
use crate::health::{self, Connectivity};
use crate::metrics::Metrics;

/// How long open requests may take after the service was told to shut down.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(5);

/// What the common endpoints show.
#[derive(Clone, Debug)]
pub(crate) struct Vitals {
    /// `None` for a service without messaging.
    pub(crate) messaging: Option<Connectivity>,
    pub(crate) metrics: Arc<Metrics>,
}

/// The endpoints of a service, with `data` behind `/data`.
pub(crate) fn router(vitals: Vitals, data: MethodRouter) -> Router {
    let ready = |State(vitals): State<Vitals>| async move { health::answer(vitals.messaging.as_ref()) };
    let live = || async { health::answer(None) };
    let metrics = |State(vitals): State<Vitals>| async move { vitals.metrics.answer() };
    let common = Router::new()
        .route("/health", get(ready))
        .route("/health/ready", get(ready))
        .route("/health/live", get(live))
        .route("/metrics", get(metrics))
        .with_state(vitals);
    common.route("/data", data)
}

/// Listens; port 0 picks one.
pub(crate) async fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), ServiceError> {
    let failed = |error| ServiceError::Listen { address, error };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

/// Serves until `shutdown`, then lets open requests end.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    shutdown: CancellationToken,
) -> Result<(), ServiceError> {
    let server = axum::serve(listener, router).with_graceful_shutdown(shutdown.clone().cancelled_owned());
    let overdue = async {
        shutdown.cancelled().await;
        tokio::time::sleep(SHUTDOWN_GRACE).await;
    };
    tokio::select! {
        served = server => served.map_err(ServiceError::Serve),
        () = overdue => Ok(()),
    }
}

/// An answer in JSON with a reason, for what went wrong behind this service.
pub(crate) fn bad_gateway(reason: String) -> Response {
    (StatusCode::BAD_GATEWAY, Json(serde_json::json!({"error": reason}))).into_response()
}
