//! Watches: a stream of JSON lines, one event each. A watch of a selection sees an object that stops matching as deleted.

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderValue, Response, header};
use serde_json::{Value, json};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::path::{Parameters, ResourcePath};
use super::render::{at_version, wanted_table};
use crate::error::ApiError;
use crate::kinds::Kind;
use crate::resources::Resources;
use crate::selector::Selector;
use crate::store::{Change, ChangeKind, Listing, Watch, WatchNext};
use crate::table::{IncludeObject, Printer};

/// How long a watch lasts when the client does not say, and at most.
const DEFAULT_LIFE: Duration = Duration::from_secs(30 * 60);
const LIFE_SECONDS_MAX: u64 = 24 * 3600;
/// A client that allows bookmarks gets one this often.
const BOOKMARK_EVERY: Duration = Duration::from_secs(60);

struct Stream {
    resources: Resources,
    kind: &'static Kind,
    version: &'static str,
    namespace: Option<String>,
    selector: Selector,
    table: Option<(IncludeObject, Printer)>,
    sent_columns: bool,
    sends_bookmarks: bool,
    watch: Watch,
    /// What is sent before the first change.
    first: Option<Bytes>,
    ends_at: Instant,
    next_bookmark: Instant,
    shutdown: CancellationToken,
    is_over: bool,
}

/// Answers a watch request on a collection.
pub(super) fn response(
    resources: &Resources,
    path: &ResourcePath,
    parameters: &Parameters,
    selector: Selector,
    accept: &str,
    shutdown: CancellationToken,
) -> Result<Response<Body>, ApiError> {
    let asked = match parameters.text("resourceVersion") {
        "" => 0,
        text => text.parse().map_err(|_| ApiError::bad_request(format!("invalid resource version {text:?}")))?,
    };
    let life = parameters
        .number("timeoutSeconds")?
        .map_or(DEFAULT_LIFE, |seconds| Duration::from_secs(seconds.clamp(1, LIFE_SECONDS_MAX)));
    let wants_initial = asked == 0 || parameters.flag("sendInitialEvents");
    let listing = resources.store.list(path.kind, path.namespace.as_deref());
    let position = if wants_initial { listing.version } else { asked };
    let table = wanted_table(accept, parameters).map(|include| (include, Printer::new(path.kind, path.version)));
    let mut stream = Stream {
        resources: resources.clone(),
        kind: path.kind,
        version: path.version,
        namespace: path.namespace.clone(),
        selector,
        table,
        sent_columns: false,
        sends_bookmarks: parameters.flag("allowWatchBookmarks"),
        watch: resources.store.watch(position),
        first: None,
        ends_at: Instant::now() + life,
        next_bookmark: Instant::now() + BOOKMARK_EVERY,
        shutdown,
        is_over: false,
    };
    if wants_initial {
        let marks_end = parameters.flag("sendInitialEvents") && stream.sends_bookmarks;
        stream.begin_with(&listing, marks_end);
    }
    let lines = stream::unfold(stream, |mut stream| async move {
        let next = stream.next().await?;
        Some((Ok::<Bytes, std::convert::Infallible>(next), stream))
    });
    let mut response = Response::new(Body::from_stream(lines));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

impl Stream {
    /// Sends what is there already before any change; a bookmark tells a client that asked for one where that ends.
    fn begin_with(&mut self, listing: &Listing, marks_end: bool) {
        let mut lines = Vec::new();
        for (_, object) in &listing.objects {
            if self.selector.matches(object) {
                self.push(&mut lines, "ADDED", object);
            }
        }
        if marks_end {
            self.push_bookmark(&mut lines, listing.version, true);
        }
        self.first = Some(Bytes::from(lines)).filter(|lines| !lines.is_empty());
    }

    async fn next(&mut self) -> Option<Bytes> {
        if let Some(first) = self.first.take() {
            return Some(first);
        }
        while !self.is_over {
            let bookmark_at = if self.sends_bookmarks { self.next_bookmark } else { self.ends_at };
            let mut lines = Vec::new();
            tokio::select! {
                () = self.shutdown.cancelled() => return None,
                () = tokio::time::sleep_until(self.ends_at) => return None,
                () = tokio::time::sleep_until(bookmark_at), if self.sends_bookmarks => {
                    self.next_bookmark = Instant::now() + BOOKMARK_EVERY;
                    let position = self.watch.position();
                    self.push_bookmark(&mut lines, position, false);
                }
                next = self.watch.next() => match next {
                    WatchNext::Changes(changes) => changes.iter().for_each(|change| self.push_change(&mut lines, change)),
                    WatchNext::Expired(error) => {
                        self.is_over = true;
                        push_line(&mut lines, &json!({ "type": "ERROR", "object": error.to_status() }));
                    }
                },
            }
            if !lines.is_empty() {
                return Some(Bytes::from(lines));
            }
        }
        None
    }

    fn push_change(&mut self, lines: &mut Vec<u8>, change: &Change) {
        let is_in_scope = change.key.kind() == self.kind
            && self.namespace.as_ref().is_none_or(|namespace| *namespace == change.key.namespace);
        if !is_in_scope {
            return;
        }
        let was = change.was(|previous| self.selector.matches(previous));
        let is = self.selector.matches(&change.object);
        let event = match change.kind {
            ChangeKind::Deleted if was => "DELETED",
            ChangeKind::Deleted => return,
            _ if is && was => "MODIFIED",
            _ if is => "ADDED",
            _ if was => "DELETED",
            _ => return,
        };
        self.push(lines, event, &change.object);
    }

    fn push(&mut self, lines: &mut Vec<u8>, event: &str, object: &Value) {
        let seen = at_version(object, self.kind, self.version);
        let object = match &self.table {
            None => seen,
            Some((include, printer)) => {
                let resource_version = crate::object::text(&seen, "/metadata/resourceVersion").to_owned();
                let now = self.resources.store.clock().now();
                let table = printer.table(&[seen], *include, &resource_version, now, !self.sent_columns);
                self.sent_columns = true;
                table
            }
        };
        push_line(lines, &json!({ "type": event, "object": object }));
    }

    fn push_bookmark(&self, lines: &mut Vec<u8>, position: u64, ends_initial: bool) {
        let mut metadata = json!({ "resourceVersion": position.to_string(), "creationTimestamp": null });
        if ends_initial {
            metadata["annotations"] = json!({ "k8s.io/initial-events-end": "true" });
        }
        let api_version = self.kind.api_version(self.version);
        let object = json!({ "kind": self.kind.kind, "apiVersion": api_version, "metadata": metadata });
        push_line(lines, &json!({ "type": "BOOKMARK", "object": object }));
    }
}

fn push_line(lines: &mut Vec<u8>, event: &Value) {
    lines.extend_from_slice(event.to_string().as_bytes());
    lines.push(b'\n');
}
