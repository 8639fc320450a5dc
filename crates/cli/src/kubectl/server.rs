//! Requests to a Kubernetes API server: JSON in, JSON out, the server's warnings and complaints as kubectl words them.
//!
//! The server is the one of a running `up`, in this process or over loopback: kube's client hides the difference.

use kube::client::Body;
use serde_json::Value;

/// A server to ask.
#[derive(Clone)]
pub(crate) struct Server {
    client: kube::Client,
}

/// What a change was answered with.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The object.
    pub(crate) object: Value,
    /// Texts of the `Warning` headers, for people.
    pub(crate) warnings: Vec<String>,
}

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RequestError {
    /// The server refused; its `Status` says why.
    #[error("{}", refusal_text(.0))]
    Refused(Value),
    /// There was no answer, or none that can be read.
    #[error("Unable to connect to the server: {0}")]
    Unreachable(String),
}

/// One complaint of a refusal: a field as Kubernetes writes it (`spec.kafka.replicas`), and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cause {
    pub(crate) field: String,
    pub(crate) message: String,
}

impl RequestError {
    /// Kubernetes' one-word reason, such as `NotFound`; empty when there was no answer.
    pub(crate) fn reason(&self) -> &str {
        match self {
            Self::Refused(status) => status["reason"].as_str().unwrap_or_default(),
            Self::Unreachable(_) => "",
        }
    }

    /// The fields that were refused, if the server named any.
    pub(crate) fn causes(&self) -> Vec<Cause> {
        let Self::Refused(status) = self else { return Vec::new() };
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let causes = status["details"]["causes"].as_array().into_iter().flatten();
        causes.map(|cause| Cause { field: text(&cause["field"]), message: text(&cause["message"]) }).collect()
    }

    /// kubectl's line for a request about something of a file: it says what was being done to which file.
    pub(crate) fn while_doing(&self, doing: &str, file: &str) -> String {
        match self {
            Self::Refused(status) if self.reason() != "Invalid" => {
                let message = status["message"].as_str().unwrap_or_default();
                format!("Error from server{}: error when {doing} \"{file}\": {message}", in_brackets(self.reason()))
            }
            _ => self.to_string(),
        }
    }
}

fn in_brackets(reason: &str) -> String {
    if reason.is_empty() || reason == "Unknown" { String::new() } else { format!(" ({reason})") }
}

/// kubectl's words for a refusal: an invalid object lists its causes, everything else is an error from the server.
fn refusal_text(status: &Value) -> String {
    let reason = status["reason"].as_str().unwrap_or_default();
    let message = status["message"].as_str().unwrap_or("unknown");
    if reason != "Invalid" {
        return format!("Error from server{}: {message}", in_brackets(reason));
    }
    let details = &status["details"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let causes: Vec<String> = details["causes"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|cause| match text(&cause["field"]) {
            field if field.is_empty() => text(&cause["message"]),
            field => format!("{field}: {}", text(&cause["message"])),
        })
        .collect();
    let subject = format!("The {} \"{}\" is invalid", text(&details["kind"]), text(&details["name"]));
    match causes.as_slice() {
        [] => format!("{subject}: {message}"),
        [one] => format!("{subject}: {one}"),
        many => format!("{subject}: \n* {}", many.join("\n* ")),
    }
}

impl Server {
    pub(crate) fn new(client: kube::Client) -> Self {
        Self { client }
    }

    /// The client underneath, for streams.
    pub(crate) fn client(&self) -> &kube::Client {
        &self.client
    }

    /// An object or a list as JSON.
    pub(crate) async fn get(&self, path: &str) -> Result<Value, RequestError> {
        Ok(self.send("GET", path, None, "application/json").await?.object)
    }

    /// A collection or an object as the table that the server makes of it.
    pub(crate) async fn table(&self, path: &str) -> Result<Value, RequestError> {
        const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json";
        Ok(self.send("GET", path, None, TABLE).await?.object)
    }

    /// An object, or nothing when the server has none of that name.
    pub(crate) async fn find(&self, path: &str) -> Result<Option<Value>, RequestError> {
        match self.get(path).await {
            Ok(object) => Ok(Some(object)),
            Err(error) if error.reason() == "NotFound" => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Makes an object in a collection.
    pub(crate) async fn create(&self, path: &str, object: &Value) -> Result<Answer, RequestError> {
        self.send("POST", path, Some(object), "application/json").await
    }

    /// Replaces an object; its `resourceVersion` must still be the server's.
    pub(crate) async fn replace(&self, path: &str, object: &Value) -> Result<Answer, RequestError> {
        self.send("PUT", path, Some(object), "application/json").await
    }

    /// Deletes an object; what hangs on it goes in the background.
    pub(crate) async fn delete(&self, path: &str) -> Result<Answer, RequestError> {
        let options =
            serde_json::json!({"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background"});
        self.send("DELETE", path, Some(&options), "application/json").await
    }

    async fn send(&self, method: &str, path: &str, body: Option<&Value>, accept: &str) -> Result<Answer, RequestError> {
        let unreachable = |error: &dyn std::fmt::Display| RequestError::Unreachable(error.to_string());
        let bytes = body.map(|body| body.to_string().into_bytes()).unwrap_or_default();
        let request = http::Request::builder()
            .method(method)
            .uri(path)
            .header("accept", accept)
            .header("content-type", "application/json")
            .body(Body::from(bytes))
            .map_err(|error| unreachable(&error))?;
        let response = self.client.send(request).await.map_err(|error| unreachable(&error))?;
        let ok = response.status().is_success();
        let warnings =
            response.headers().get_all("warning").iter().filter_map(|h| warning_text(h.to_str().ok()?)).collect();
        let bytes = response.into_body().collect_bytes().await.map_err(|error| unreachable(&error))?;
        match serde_json::from_slice::<Value>(&bytes) {
            Ok(object) if ok => Ok(Answer { object, warnings }),
            Ok(status) if status["kind"] == "Status" => Err(RequestError::Refused(status)),
            Ok(_) | Err(_) => Err(RequestError::Unreachable(String::from_utf8_lossy(&bytes).trim().to_owned())),
        }
    }
}

/// The quoted text of a `Warning: 299 - "text"` header (RFC 7234).
fn warning_text(header: &str) -> Option<String> {
    let quoted = &header[header.find('"')? + 1..header.rfind('"')?];
    let mut text = String::with_capacity(quoted.len());
    let mut escaped = false;
    for c in quoted.chars() {
        if c == '\\' && !escaped {
            escaped = true;
        } else {
            escaped = false;
            text.push(c);
        }
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_refusal_reads_as_kubectl_words_it() {
        let not_found = RequestError::Refused(json!({"reason": "NotFound", "message": "pods \"x\" not found"}));
        assert_eq!(not_found.to_string(), "Error from server (NotFound): pods \"x\" not found");
        assert_eq!(
            not_found.while_doing("deleting", "a.yaml"),
            "Error from server (NotFound): error when deleting \"a.yaml\": pods \"x\" not found"
        );
    }

    #[test]
    fn an_invalid_object_lists_its_causes() {
        let status = |causes: Value| {
            RequestError::Refused(json!({"reason": "Invalid", "message": "m",
            "details": {"kind": "Kafka", "name": "a", "causes": causes}}))
        };
        let one = json!([{"field": "spec.x", "message": "Required value"}]);
        assert_eq!(status(one).to_string(), "The Kafka \"a\" is invalid: spec.x: Required value");
        let two = json!([{"field": "spec.x", "message": "Required value"}, {"field": "", "message": "bad"}]);
        assert_eq!(status(two.clone()).to_string(), "The Kafka \"a\" is invalid: \n* spec.x: Required value\n* bad");
        assert_eq!(status(two).causes()[0], Cause { field: "spec.x".into(), message: "Required value".into() });
    }

    #[test]
    fn a_warning_header_is_unquoted() {
        assert_eq!(warning_text(r#"299 - "unknown field \"spec.x\"""#).as_deref(), Some("unknown field \"spec.x\""));
        assert_eq!(warning_text("299 -"), None);
    }
}
