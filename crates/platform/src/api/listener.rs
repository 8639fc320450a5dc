//! The API on a TCP port, for kubectl and everybody else outside the process. Loopback only, and every request needs the
//! token that the kubeconfig carries: other users of the machine reach the port too. The token comes as a bearer token, or
//! as the password of basic authentication, because client-go sends bearer tokens over TLS only; it takes the password
//! from the server's URL.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::body::Body;
use http::{Request, Response, header};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::Service as _;

use super::{ApiService, render};
use crate::error::ApiError;

/// The user of basic authentication.
pub(crate) const USER: &str = "millstream";
/// Connections served at once.
const CONNECTIONS_MAX: usize = 256;
/// A client has this long to send a request's head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// The API or the Routes cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Only loopback addresses are served: the API starts processes.
    #[error("{0} is not a loopback address: the API starts processes and is served to this machine only")]
    NotLoopback(SocketAddr),
    /// The port is taken or not allowed.
    #[error("cannot listen on {0}: {1}")]
    Bind(SocketAddr, io::Error),
}

/// A bound API port.
#[derive(Debug)]
pub(crate) struct Listener {
    listener: TcpListener,
    address: SocketAddr,
    token: String,
}

impl Listener {
    /// Binds `address`; port 0 picks one.
    pub(crate) async fn bind(address: SocketAddr, token: String) -> Result<Self, ListenError> {
        if !address.ip().is_loopback() {
            return Err(ListenError::NotLoopback(address));
        }
        let failed = |error| ListenError::Bind(address, error);
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, address, token })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `shutdown`, then drops what is open.
    pub(crate) async fn serve(self, service: ApiService, shutdown: CancellationToken) {
        let connections = TaskTracker::new();
        loop {
            let accepted = tokio::select! {
                () = shutdown.cancelled() => break,
                accepted = self.listener.accept() => accepted,
            };
            let stream = match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "the API cannot accept a connection");
                    // Out of file descriptors, most likely: accepting again at once would spin.
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            };
            if connections.len() >= CONNECTIONS_MAX {
                tracing::warn!(limit = CONNECTIONS_MAX, "too many connections to the API: one is refused");
                continue;
            }
            let (service, token, shutdown) = (service.clone(), self.token.clone(), shutdown.clone());
            connections.spawn(async move {
                let answer = service_fn(move |request| answer(service.clone(), token.clone(), request));
                let mut builder = hyper::server::conn::http1::Builder::new();
                builder.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
                tokio::select! {
                    () = shutdown.cancelled() => {}
                    served = builder.serve_connection(TokioIo::new(stream), answer) => {
                        if let Err(error) = served {
                            tracing::debug!(%error, "a connection to the API ended");
                        }
                    }
                }
            });
        }
        connections.close();
        connections.wait().await;
    }
}

async fn answer(
    mut service: ApiService,
    token: String,
    request: Request<hyper::body::Incoming>,
) -> Result<Response<Body>, std::convert::Infallible> {
    let is_health = matches!(request.uri().path(), "/healthz" | "/livez" | "/readyz");
    if !is_health && !has_token(&request, &token) {
        return Ok(render::failure(&ApiError::unauthorized()));
    }
    service.call(request).await
}

fn has_token(request: &Request<hyper::body::Incoming>, token: &str) -> bool {
    use base64::Engine as _;
    let sent = request.headers().get(header::AUTHORIZATION).map(http::HeaderValue::as_bytes).unwrap_or_default();
    let basic = base64::engine::general_purpose::STANDARD.encode(format!("{USER}:{token}"));
    let is_bearer = is_equal(sent, format!("Bearer {token}").as_bytes());
    let is_basic = is_equal(sent, format!("Basic {basic}").as_bytes());
    is_bearer || is_basic
}

/// Compares every byte, whatever the first difference, so that the time says nothing about the token.
fn is_equal(sent: &[u8], expected: &[u8]) -> bool {
    sent.len() == expected.len() && sent.iter().zip(expected).fold(0, |sum, (a, b)| sum | (a ^ b)) == 0
}
