//! The HTTP face of the API: a tower service over any body, so that it serves a kube client in process and a listener
//! alike. It parses requests, calls `resources` off the reactor, and renders answers; it decides nothing itself.

mod discovery;
mod items;
mod listener;
mod log;
mod openapi;
mod path;
mod render;
mod watch;

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, Uri, header};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde_json::json;
use tokio_util::sync::CancellationToken;

pub use listener::ListenError;
pub(crate) use listener::{Listener, USER};

use crate::error::ApiError;
use crate::logs::Logs;
use crate::resources::Resources;
use path::{Parameters, ResourcePath, Subresource};

/// Largest body of a request; Kubernetes' own bound.
const BODY_BYTES_MAX: usize = 3 << 20;

/// The Kubernetes API as a tower service: `kube::Client::new(service, "default")` speaks to it without a socket.
/// Clones share the same objects. It never fails: errors are `Status` answers.
#[derive(Clone, Debug)]
pub struct ApiService(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    resources: Resources,
    logs: Logs,
    shutdown: CancellationToken,
}

impl ApiService {
    pub(crate) fn new(resources: Resources, logs: Logs, shutdown: CancellationToken) -> Self {
        Self(Arc::new(Inner { resources, logs, shutdown }))
    }
}

impl<B> tower::Service<Request<B>> for ApiService
where
    B: http_body_util::BodyExt<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let inner = Arc::clone(&self.0);
        Box::pin(async move {
            let answer = match collect(request).await {
                Ok(request) => inner.answer(request).await,
                Err(error) => Err(error),
            };
            Ok(answer.unwrap_or_else(|error| render::failure(&error)))
        })
    }
}

/// A request whose body has arrived.
#[derive(Debug)]
struct Received {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
}

impl Received {
    fn header(&self, name: header::HeaderName) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

async fn collect<B>(request: Request<B>) -> Result<Received, ApiError>
where
    B: http_body_util::BodyExt<Data = Bytes> + Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let (parts, body) = request.into_parts();
    let body = Limited::new(body, BODY_BYTES_MAX).collect().await.map_err(|error| {
        if error.downcast_ref::<LengthLimitError>().is_some() {
            ApiError::too_large(BODY_BYTES_MAX)
        } else {
            ApiError::bad_request(format!("the body of the request cannot be read: {error}"))
        }
    })?;
    Ok(Received { method: parts.method, uri: parts.uri, headers: parts.headers, body: body.to_bytes() })
}

impl Inner {
    async fn answer(self: Arc<Self>, request: Received) -> Result<Response<Body>, ApiError> {
        if let Some(response) = fixed(&request) {
            return Ok(response);
        }
        let path = ResourcePath::parse(request.uri.path())?;
        let parameters = Parameters::parse(&request.uri)?;
        if path.subresource == Some(Subresource::Log) {
            return match request.method {
                Method::GET => log::response(&self, &path, &parameters).await,
                _ => Err(ApiError::method_not_allowed()),
            };
        }
        let is_read = request.method == Method::GET;
        if is_read && path.name.is_none() && (parameters.flag("watch")) {
            let selector = items::selector(&path, &parameters)?;
            let accept = request.header(header::ACCEPT);
            return watch::response(&self.resources, &path, &parameters, selector, accept, self.shutdown.clone());
        }
        if is_read {
            return items::read(&self, &path, &parameters, &request);
        }
        // Writes sync the disk: off the reactor.
        let task = tokio::task::spawn_blocking(move || items::write(&self, &path, &parameters, &request));
        task.await.unwrap_or_else(|error| Err(ApiError::internal(error)))
    }
}

/// Paths that lead to no object: discovery, schemas, health.
fn fixed(request: &Received) -> Option<Response<Body>> {
    let path = request.uri.path().trim_matches('/');
    if request.method != Method::GET {
        return None;
    }
    let segments: Vec<&str> = path.split('/').collect();
    let (body, content_type) = match segments.as_slice() {
        ["api"] => discovery::root(true, request.header(header::ACCEPT)),
        ["apis"] => discovery::root(false, request.header(header::ACCEPT)),
        ["api", version] => (discovery::resources("", version)?, "application/json"),
        ["apis", group] => (discovery::group(group)?, "application/json"),
        ["apis", group, version] => (discovery::resources(group, version)?, "application/json"),
        ["version"] => (discovery::version(), "application/json"),
        ["openapi", "v3"] => (openapi::index(), "application/json"),
        ["openapi", "v3", "api", version] => (openapi::document("", version)?, "application/json"),
        ["openapi", "v3", "apis", group, version] => (openapi::document(group, version)?, "application/json"),
        ["openapi", "v2"] => return Some(openapi::empty_version_2()),
        ["healthz" | "livez" | "readyz"] => return Some(Response::new(Body::from("ok"))),
        [""] => (json!({ "paths": ["/api", "/apis", "/healthz", "/openapi/v3", "/version"] }), "application/json"),
        _ => return None,
    };
    Some(render::json_response(200, content_type, &body, &[]))
}

#[cfg(test)]
mod tests;
