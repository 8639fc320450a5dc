//! Request paths and query parameters.

use axum::extract::Query;
use http::Uri;

use crate::error::ApiError;
use crate::kinds::{Kind, NAMESPACE};

/// The part of an object that a path ends in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Subresource {
    Status,
    Scale,
    Log,
}

/// A path below `/api/VERSION` or `/apis/GROUP/VERSION`.
#[derive(Debug)]
pub(super) struct ResourcePath {
    pub(super) kind: &'static Kind,
    pub(super) version: &'static str,
    /// `None`: all namespaces, or a cluster-scoped kind.
    pub(super) namespace: Option<String>,
    /// `None`: the collection.
    pub(super) name: Option<String>,
    pub(super) subresource: Option<Subresource>,
}

impl ResourcePath {
    /// Parses `path`; anything that is not served is "not found", as on a real API server.
    pub(super) fn parse(path: &str) -> Result<Self, ApiError> {
        let segments: Vec<&str> = path.trim_matches('/').split('/').collect();
        let (group, version, rest) = match segments.as_slice() {
            ["api", version, rest @ ..] => ("", *version, rest),
            ["apis", group, version, rest @ ..] => (*group, *version, rest),
            _ => return Err(ApiError::no_such_path()),
        };
        let (namespace, plural, rest) = match rest {
            ["namespaces", namespace, plural, rest @ ..] if *plural != "status" && *plural != "finalize" => {
                (Some((*namespace).to_owned()), *plural, rest)
            }
            [plural, rest @ ..] => (None, *plural, rest),
            [] => return Err(ApiError::no_such_path()),
        };
        let (kind, version) = Kind::find(group, version, plural).ok_or_else(ApiError::no_such_path)?;
        let name = rest.first().map(|name| (*name).to_owned());
        let subresource = match rest.get(1) {
            None => None,
            Some(&"status") if kind.has_status => Some(Subresource::Status),
            Some(&"scale") if kind.has_scale => Some(Subresource::Scale),
            Some(&"log") if kind.kind == "Pod" => Some(Subresource::Log),
            Some(_) => return Err(ApiError::no_such_path()),
        };
        let scope_fits = kind.namespaced == namespace.is_some() || (kind.namespaced && name.is_none());
        if rest.len() > 2 || !scope_fits || (kind == &NAMESPACE && namespace.is_some()) {
            return Err(ApiError::no_such_path());
        }
        Ok(Self { kind, version, namespace, name, subresource })
    }
}

/// The query of a request, decoded.
#[derive(Debug, Default)]
pub(super) struct Parameters(Vec<(String, String)>);

impl Parameters {
    pub(super) fn parse(uri: &Uri) -> Result<Self, ApiError> {
        let pairs = Query::<Vec<(String, String)>>::try_from_uri(uri);
        pairs.map(|Query(pairs)| Self(pairs)).map_err(|error| ApiError::bad_request(error.body_text()))
    }

    /// The parameter `name`; empty when absent.
    pub(super) fn text(&self, name: &str) -> &str {
        self.0.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }

    /// Whether the parameter `name` is `true` or `1`.
    pub(super) fn flag(&self, name: &str) -> bool {
        matches!(self.text(name), "true" | "1")
    }

    /// The parameter `name` as a number; `None` when absent.
    pub(super) fn number(&self, name: &str) -> Result<Option<u64>, ApiError> {
        match self.text(name) {
            "" => Ok(None),
            text => text.parse().map(Some).map_err(|_| {
                ApiError::bad_request(format!("invalid value {text:?} of {name}: a number of at least 0 is needed"))
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, expected: Option<(&str, Option<&str>, Option<&str>)>) {
        let parsed = ResourcePath::parse(path).ok();
        let seen =
            parsed.as_ref().map(|parsed| (parsed.kind.kind, parsed.namespace.as_deref(), parsed.name.as_deref()));
        assert_eq!(seen, expected, "{path}");
    }

    #[test]
    fn paths_name_kind_namespace_and_name() {
        check("/api/v1/pods", Some(("Pod", None, None)));
        check("/api/v1/namespaces/a/pods/x", Some(("Pod", Some("a"), Some("x"))));
        check("/api/v1/namespaces/a/pods/x/log", Some(("Pod", Some("a"), Some("x"))));
        check("/api/v1/namespaces/a", Some(("Namespace", None, Some("a"))));
        check("/api/v1/namespaces/a/status", Some(("Namespace", None, Some("a"))));
        check("/apis/kafka.strimzi.io/v1beta2/namespaces/a/kafkas", Some(("Kafka", Some("a"), None)));
    }

    #[test]
    fn what_is_not_served_is_not_found() {
        check("/api/v1/namespaces/a/deployments", None);
        check("/apis/apps/v1beta1/deployments", None);
        check("/api/v1/pods/x", None);
        check("/api/v1/namespaces/a/pods/x/exec", None);
        check("/api/v1/namespaces/a/pods/x/log/y", None);
        check("/api", None);
    }
}
