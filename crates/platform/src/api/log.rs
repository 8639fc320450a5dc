//! The log subresource of pods.

use std::io;

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderValue, Response, header};
use jiff::SignedDuration;
use serde_json::Value;

use super::Inner;
use super::path::{Parameters, ResourcePath};
use crate::error::ApiError;
use crate::logs::{LogOptions, LogReader, Logs};
use crate::object::{self, list, text};
use crate::resources::Target;

/// Answers with the text of one container's log.
pub(super) async fn response(
    inner: &Inner,
    path: &ResourcePath,
    parameters: &Parameters,
) -> Result<Response<Body>, ApiError> {
    let target = Target {
        kind: path.kind,
        version: path.version,
        namespace: path.namespace.clone().unwrap_or_default(),
        name: path.name.clone().unwrap_or_default(),
    };
    let pod = inner.resources.get(&target)?;
    let container = container(&pod, parameters.text("container"))?;
    let attempt = attempt(&pod, container, parameters.flag("previous"))?;
    let options = options(inner, parameters)?;
    let file = inner.logs.file(object::namespace(&pod), object::name(&pod), object::uid(&pod), container, attempt);
    let (logs, shutdown) = (inner.logs.clone(), inner.shutdown.clone());
    let opened = tokio::task::spawn_blocking(move || LogReader::open(&logs, &file, options)).await;
    let reader = opened.map_err(ApiError::internal)?.map_err(ApiError::internal)?;
    let state = State { reader: Some(reader), logs: inner.logs.clone(), began: false };
    let text = stream::unfold(state, move |state| {
        let shutdown = shutdown.clone();
        async move {
            tokio::select! {
                () = shutdown.cancelled() => None,
                next = state.next() => next,
            }
        }
    });
    let mut response = Response::new(Body::from_stream(text));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    Ok(response)
}

/// The container that is meant: the named one, the annotated default, or the only one beside
/// init containers.
fn container<'a>(pod: &'a Value, asked: &'a str) -> Result<&'a str, ApiError> {
    let names: Vec<&str> = ["/spec/containers", "/spec/initContainers"]
        .iter()
        .flat_map(|pointer| list(pod, pointer))
        .map(|container| text(container, "/name"))
        .collect();
    let name = object::name(pod);
    if !asked.is_empty() {
        let known = names.iter().find(|known| **known == asked);
        return known
            .copied()
            .ok_or_else(|| ApiError::bad_request(format!("container {asked} is not valid for pod {name}")));
    }
    let default = object::annotation(pod, "kubectl.kubernetes.io/default-container");
    match (default.filter(|default| names.contains(default)), list(pod, "/spec/containers")) {
        (Some(default), _) => Ok(default),
        (None, [only]) => Ok(text(only, "/name")),
        _ => {
            let names = names.join(" ");
            let message = format!("a container name must be specified for pod {name}, choose one of: [{names}]");
            Err(ApiError::bad_request(message))
        }
    }
}

/// Which start of the container is meant.
fn attempt(pod: &Value, container: &str, previous: bool) -> Result<i64, ApiError> {
    let name = object::name(pod);
    let statuses = ["/status/containerStatuses", "/status/initContainerStatuses"].map(|pointer| list(pod, pointer));
    let status = statuses.into_iter().flatten().find(|status| text(status, "/name") == container);
    let is_waiting = status.is_none_or(|status| status.pointer("/state/waiting").is_some());
    let restarts = status.and_then(|status| object::integer(status, "/restartCount")).unwrap_or(0);
    match (previous, restarts) {
        (true, 0) => Err(ApiError::bad_request(format!(
            "previous terminated container \"{container}\" in pod \"{name}\" not found"
        ))),
        (true, restarts) => Ok(restarts - 1),
        (false, 0) if is_waiting => {
            let reason = status.map_or("ContainerCreating", |status| text(status, "/state/waiting/reason"));
            Err(ApiError::bad_request(format!(
                "container \"{container}\" in pod \"{name}\" is waiting to start: {reason}"
            )))
        }
        (false, restarts) => Ok(restarts),
    }
}

fn options(inner: &Inner, parameters: &Parameters) -> Result<LogOptions, ApiError> {
    let now = inner.resources.store.clock().now();
    let since = match (parameters.number("sinceSeconds")?, parameters.text("sinceTime")) {
        (Some(seconds), _) => {
            let seconds = i64::try_from(seconds).unwrap_or(i64::MAX / 4).min(100 * 366 * 86400);
            Some(now - SignedDuration::from_secs(seconds))
        }
        (None, "") => None,
        (None, time) => {
            let parsed = time.parse().map_err(|_| ApiError::bad_request(format!("invalid sinceTime {time:?}")))?;
            Some(parsed)
        }
    };
    Ok(LogOptions {
        follow: parameters.flag("follow"),
        tail_lines: parameters.number("tailLines")?.map(|lines| usize::try_from(lines).unwrap_or(usize::MAX)),
        since,
        timestamps: parameters.flag("timestamps"),
        bytes_max: parameters.number("limitBytes")?,
    })
}

struct State {
    /// `None` once the text has ended.
    reader: Option<LogReader>,
    logs: Logs,
    began: bool,
}

impl State {
    async fn next(mut self) -> Option<(io::Result<Bytes>, Self)> {
        loop {
            let mut progress = self.logs.progress();
            let mut reader = self.reader.take()?;
            let was_open = reader.may_continue();
            let began = std::mem::replace(&mut self.began, true);
            let read = tokio::task::spawn_blocking(move || {
                let mut text = if began { Vec::new() } else { reader.read_rotated()? };
                if text.is_empty() {
                    text = reader.read()?;
                }
                Ok::<_, io::Error>((text, reader))
            });
            match read.await.unwrap_or_else(|error| Err(io::Error::other(error))) {
                Err(error) => return Some((Err(error), self)),
                Ok((text, reader)) if !text.is_empty() => {
                    self.reader = Some(reader);
                    return Some((Ok(Bytes::from(text)), self));
                }
                Ok((_, reader)) => {
                    // Read once more after the writer has gone: its last lines came before that.
                    if !was_open || reader.is_full() {
                        return None;
                    }
                    self.reader = Some(reader);
                    progress.changed().await.ok()?;
                }
            }
        }
    }
}
