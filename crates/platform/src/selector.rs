//! Label and field selectors, in the query forms of the Kubernetes API.

use serde_json::Value;

use crate::error::ApiError;
use crate::kinds::Kind;
use crate::object::{text, text_map};

/// Which objects a list or watch is about.
#[derive(Clone, Debug, Default)]
pub(crate) struct Selector {
    labels: Vec<Requirement>,
    fields: Vec<(String, bool, String)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Requirement {
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Exists(String),
    Missing(String),
}

impl Selector {
    /// Parses `labelSelector` and `fieldSelector` for `kind`; either may be empty.
    pub(crate) fn parse(kind: &Kind, labels: &str, fields: &str) -> Result<Self, ApiError> {
        let labels = split_terms(labels).into_iter().map(parse_requirement).collect::<Result<_, _>>()?;
        let fields = split_terms(fields).into_iter().map(|term| parse_field(kind, term)).collect::<Result<_, _>>()?;
        Ok(Self { labels, fields })
    }

    /// Whether `object` is selected.
    pub(crate) fn matches(&self, object: &Value) -> bool {
        let labels = text_map(object, "/metadata/labels");
        let fits = |requirement: &Requirement| match requirement {
            Requirement::In(key, values) => {
                labels.get(key.as_str()).is_some_and(|found| values.iter().any(|v| v == found))
            }
            Requirement::NotIn(key, values) => {
                labels.get(key.as_str()).is_none_or(|found| values.iter().all(|v| v != found))
            }
            Requirement::Exists(key) => labels.contains_key(key.as_str()),
            Requirement::Missing(key) => !labels.contains_key(key.as_str()),
        };
        self.labels.iter().all(fits)
            && self.fields.iter().all(|(pointer, equal, value)| (text(object, pointer) == value) == *equal)
    }
}

/// Splits at commas that are not inside parentheses.
fn split_terms(text: &str) -> Vec<&str> {
    let mut depth = 0_usize;
    let separators = |symbol: char| {
        match symbol {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        symbol == ',' && depth == 0
    };
    text.split(separators).map(str::trim).filter(|term| !term.is_empty()).collect()
}

fn parse_requirement(term: &str) -> Result<Requirement, ApiError> {
    let values = |rest: &str| -> Option<Vec<String>> {
        let inner = rest.trim().strip_prefix('(')?.strip_suffix(')')?;
        Some(inner.split(',').map(|value| value.trim().to_owned()).collect())
    };
    let parsed = if let Some((key, value)) = term.split_once("!=") {
        Some(Requirement::NotIn(key.trim().to_owned(), vec![value.trim().to_owned()]))
    } else if let Some((key, value)) = term.split_once("==").or_else(|| term.split_once('=')) {
        Some(Requirement::In(key.trim().to_owned(), vec![value.trim().to_owned()]))
    } else if let Some((key, rest)) = term.split_once(" notin ").or_else(|| term.split_once(" notin(")) {
        let rest = if rest.trim_start().starts_with('(') { rest.to_owned() } else { format!("({rest}") };
        values(&rest).map(|values| Requirement::NotIn(key.trim().to_owned(), values))
    } else if let Some((key, rest)) = term.split_once(" in ").or_else(|| term.split_once(" in(")) {
        let rest = if rest.trim_start().starts_with('(') { rest.to_owned() } else { format!("({rest}") };
        values(&rest).map(|values| Requirement::In(key.trim().to_owned(), values))
    } else if let Some(key) = term.strip_prefix('!') {
        Some(Requirement::Missing(key.trim().to_owned()))
    } else {
        Some(Requirement::Exists(term.to_owned()))
    };
    let is_key =
        |key: &str| !key.is_empty() && !key.contains(|symbol: char| symbol.is_whitespace() || "()!=".contains(symbol));
    let key = parsed.as_ref().map(|requirement| match requirement {
        Requirement::In(key, _) | Requirement::NotIn(key, _) | Requirement::Exists(key) | Requirement::Missing(key) => {
            key
        }
    });
    match key.filter(|key| is_key(key)) {
        Some(_) => parsed.ok_or_else(ApiError::no_such_path),
        None => Err(ApiError::bad_request(format!("unable to parse requirement: {term:?}"))),
    }
}

/// Fields that each kind can be selected by, beside name and namespace.
fn is_selectable(kind: &Kind, path: &str) -> bool {
    let by_kind: &[&str] = match kind.kind {
        "Event" => &[
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "involvedObject.apiVersion",
            "involvedObject.resourceVersion",
            "involvedObject.fieldPath",
            "reason",
            "reportingComponent",
            "source",
            "type",
        ],
        "Pod" => &["spec.nodeName", "spec.restartPolicy", "spec.serviceAccountName", "status.phase", "status.podIP"],
        "Secret" => &["type"],
        "Namespace" => &["status.phase"],
        "Service" => &["spec.clusterIP", "spec.type"],
        "Route" => &["spec.host", "spec.path", "spec.to.name"],
        _ => &[],
    };
    path == "metadata.name" || path == "metadata.namespace" || by_kind.contains(&path)
}

fn parse_field(kind: &Kind, term: &str) -> Result<(String, bool, String), ApiError> {
    let (path, equal, value) = if let Some((path, value)) = term.split_once("!=") {
        (path, false, value)
    } else if let Some((path, value)) = term.split_once("==").or_else(|| term.split_once('=')) {
        (path, true, value)
    } else {
        return Err(ApiError::bad_request(format!("invalid selector: {term:?}; can't understand it")));
    };
    if !is_selectable(kind, path) {
        return Err(ApiError::bad_request(format!("field label not supported: {path}")));
    }
    Ok((format!("/{}", path.replace('.', "/")), equal, value.to_owned()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kinds::{EVENT, POD};

    fn check(labels: &str, selected: bool) {
        let pod = json!({ "metadata": { "labels": { "app": "web", "tier": "front", "strimzi.io/cluster": "lab" } } });
        let selector = Selector::parse(&POD, labels, "").unwrap();
        assert_eq!(selector.matches(&pod), selected, "{labels}");
    }

    #[test]
    fn label_selectors_mean_what_kubernetes_says() {
        check("", true);
        check("app=web", true);
        check("app==web,tier=front", true);
        check("app!=web", false);
        check("missing!=web", true);
        check("app in (web, db)", true);
        check("app in (db)", false);
        check("app notin (db),tier", true);
        check("!app", false);
        check("strimzi.io/cluster=lab", true);
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["=x", "a b", "app in web", "(", "!"] {
            assert!(Selector::parse(&POD, text, "").is_err(), "{text}");
        }
    }

    #[test]
    fn a_field_that_the_kind_cannot_be_selected_by_is_refused() {
        assert!(Selector::parse(&EVENT, "", "involvedObject.name=x").is_ok());
        let refused = Selector::parse(&POD, "", "spec.hostNetwork=true").unwrap_err();
        assert_eq!(refused.message, "field label not supported: spec.hostNetwork");
    }
}
