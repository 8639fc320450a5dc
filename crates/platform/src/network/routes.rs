//! Routes: one HTTP listener; a request goes to the Service of the Route whose host and path fit, the longest path first.
//! Connection upgrades are not passed on. TLS terminations are served as plain HTTP: nothing leaves this machine.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::body::Body;
use http::header::{self, HeaderName, HeaderValue};
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::services::connect;
use super::{PortChoice, backends};
use crate::api::ListenError;
use crate::kinds::ROUTE;
use crate::object::{self, text};
use crate::store::Store;

/// Connections served at once.
const CONNECTIONS_MAX: usize = 1024;
/// A client has this long to send a request's head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// Headers that speak about one connection only (RFC 9110, 7.6.1).
const HOP_BY_HOP: [HeaderName; 7] = [
    header::CONNECTION,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// Where Routes answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoutesAddress {
    /// Nowhere.
    Off,
    /// Here or not at all; port 0 picks one.
    Required(SocketAddr),
    /// Here, or at a free port of the same address when somebody else has this one.
    Preferred(SocketAddr),
}

/// The bound listener of Routes.
#[derive(Debug)]
pub(crate) struct Routes {
    listener: TcpListener,
    address: SocketAddr,
    store: Store,
}

impl Routes {
    /// Binds where it is asked for; `None` when that is nowhere.
    pub(crate) async fn bind(wanted: RoutesAddress, store: Store) -> Result<Option<Self>, ListenError> {
        let (address, bound) = match wanted {
            RoutesAddress::Off => return Ok(None),
            RoutesAddress::Required(address) => (address, TcpListener::bind(address).await),
            RoutesAddress::Preferred(address) => (address, bind_there_or_anywhere(address).await),
        };
        let failed = |error| ListenError::Bind(address, error);
        let listener = bound.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Some(Self { listener, address, store }))
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `shutdown`.
    pub(crate) async fn serve(self, shutdown: CancellationToken) {
        let (connections, upstream) = (TaskTracker::new(), TaskTracker::new());
        loop {
            let accepted = tokio::select! {
                () = shutdown.cancelled() => break,
                accepted = self.listener.accept() => accepted,
            };
            let Ok((stream, peer)) = accepted else {
                // Out of file descriptors, most likely: accepting again at once would spin.
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            if connections.len() >= CONNECTIONS_MAX {
                tracing::warn!(limit = CONNECTIONS_MAX, "too many connections to Routes: one is refused");
                continue;
            }
            let (shutdown, place) = (shutdown.clone(), Place { store: self.store.clone(), upstream: upstream.clone() });
            connections.spawn(async move {
                let answer = service_fn(move |request| {
                    let place = place.clone();
                    async move { Ok::<_, Infallible>(answer(&place, request, peer).await) }
                });
                let mut builder = hyper::server::conn::http1::Builder::new();
                builder.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
                tokio::select! {
                    () = shutdown.cancelled() => {}
                    _ = builder.serve_connection(TokioIo::new(stream), answer) => {}
                }
            });
        }
        connections.close();
        connections.wait().await;
        upstream.close();
        upstream.wait().await;
    }
}

async fn bind_there_or_anywhere(address: SocketAddr) -> io::Result<TcpListener> {
    match TcpListener::bind(address).await {
        // The bind itself tells: whoever looks first and binds later may lose the port in between.
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            TcpListener::bind(SocketAddr::new(address.ip(), 0)).await
        }
        bound => bound,
    }
}

/// What answering needs: where backends are found, and who waits for the connections to them.
#[derive(Clone, Debug)]
struct Place {
    store: Store,
    upstream: TaskTracker,
}

async fn answer(place: &Place, request: Request<Incoming>, peer: SocketAddr) -> Response<Body> {
    let named = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    let host = named.or_else(|| request.uri().host()).unwrap_or_default();
    let host = host.rsplit_once(':').map_or(host, |(host, _)| host).to_ascii_lowercase();
    let Some(route) = find(&place.store, &host, request.uri().path()) else {
        return refusal(StatusCode::SERVICE_UNAVAILABLE, &format!("no Route has the host {host} and this path"));
    };
    let choice = match route.pointer("/spec/port/targetPort") {
        Some(target) => PortChoice::Target(target.clone()),
        None => PortChoice::Any,
    };
    let service = text(&route, "/spec/to/name");
    let found = backends(&place.store, object::namespace(&route), service, &choice);
    let Some(stream) = connect(&found).await else {
        let why = format!("the Service {service} of the Route {} has no ready pod", object::name(&route));
        return refusal(StatusCode::SERVICE_UNAVAILABLE, &why);
    };
    match forward(stream, request, &host, peer, &place.upstream).await {
        Ok(response) => response,
        Err(error) => refusal(StatusCode::BAD_GATEWAY, &format!("the Service {service} did not answer: {error}")),
    }
}

/// The Route for `host` and `path`; of several the one with the longest path.
fn find(store: &Store, host: &str, path: &str) -> Option<Value> {
    let fits = |route: &Value| {
        let prefix = text(route, "/spec/path").trim_end_matches('/');
        let rest = path.strip_prefix(prefix);
        text(route, "/spec/host").eq_ignore_ascii_case(host)
            && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || prefix.is_empty())
    };
    let routes = store.list(&ROUTE, None).objects.into_iter().map(|(_, route)| route);
    routes
        .filter(|route| fits(route))
        .max_by_key(|route| text(route, "/spec/path").len())
        .map(|route| route.as_ref().clone())
}

async fn forward(
    stream: tokio::net::TcpStream,
    mut request: Request<Incoming>,
    host: &str,
    peer: SocketAddr,
    upstream: &TaskTracker,
) -> Result<Response<Body>, hyper::Error> {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    // Ends by itself when the answer's body has been read, or dropped with the client's connection.
    upstream.spawn(connection);
    let headers = request.headers_mut();
    HOP_BY_HOP.iter().for_each(|name| drop(headers.remove(name)));
    for (name, value) in
        [("x-forwarded-host", host), ("x-forwarded-for", &peer.ip().to_string()), ("x-forwarded-proto", "http")]
    {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
    // An absolute form of the target is for proxies; the service expects a path.
    if let Some(path) = request.uri().path_and_query().cloned() {
        *request.uri_mut() = http::Uri::from(path);
    }
    let mut response = sender.send_request(request).await?;
    HOP_BY_HOP.iter().for_each(|name| drop(response.headers_mut().remove(name)));
    Ok(response.map(Body::new))
}

fn refusal(status: StatusCode, why: &str) -> Response<Body> {
    let mut response = Response::new(Body::from(format!("{why}\n")));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
