//! Events about pods and their containers, as the scheduler and the kubelet record them. Repetitions are counted in one
//! object. An event that cannot be stored is not worth failing for: it is logged.

use serde_json::{Value, json};

use crate::kinds::EVENT;
use crate::object::{self, integer, text};
use crate::resources::{FieldValidation, Part, Resources, Target, WriteOptions};

/// `type` of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Severity {
    Normal,
    Warning,
}

/// What happened to an object.
#[derive(Clone, Debug)]
pub(crate) struct EventText {
    pub(crate) severity: Severity,
    pub(crate) reason: &'static str,
    pub(crate) message: String,
    /// `kubelet`, `default-scheduler`, …
    pub(crate) component: &'static str,
    /// The part of the object, such as `spec.containers{web}`; may be empty.
    pub(crate) field_path: String,
}

/// Records `event` about `object`, which carries `apiVersion` and `kind`. Waits for the store, off the reactor.
pub(crate) async fn record(resources: &Resources, object: &Value, event: EventText) {
    let (resources, object) = (resources.clone(), object.clone());
    let stored = tokio::task::spawn_blocking(move || store(&resources, &object, &event)).await;
    if let Ok(Err(error)) = stored {
        tracing::debug!(%error, "an event is lost");
    }
}

fn store(resources: &Resources, about: &Value, event: &EventText) -> Result<(), crate::error::ApiError> {
    let namespace = object::namespace(about);
    let now = resources.store.clock().now_text();
    let known = resources.store.list(&EVENT, Some(namespace)).objects.into_iter().find(|(_, known)| {
        text(known, "/involvedObject/uid") == object::uid(about)
            && text(known, "/involvedObject/fieldPath") == event.field_path
            && text(known, "/reason") == event.reason
            && text(known, "/message") == event.message
    });
    let target =
        |name: &str| Target { kind: &EVENT, version: "v1", namespace: namespace.to_owned(), name: name.to_owned() };
    if let Some((key, _)) = known {
        let counted = resources.edit(&target(&key.name), Part::Main, |known| {
            known["count"] = (integer(known, "/count").unwrap_or(1) + 1).into();
            known["lastTimestamp"] = now.clone().into();
        });
        return counted.map(drop);
    }
    let severity = match event.severity {
        Severity::Normal => "Normal",
        Severity::Warning => "Warning",
    };
    let body = json!({
        "metadata": { "generateName": format!("{}.", object::name(about)), "namespace": namespace },
        "involvedObject": {
            "kind": about["kind"], "apiVersion": about["apiVersion"], "namespace": namespace, "name": object::name(about),
            "uid": object::uid(about), "resourceVersion": about["metadata"]["resourceVersion"],
            "fieldPath": event.field_path,
        },
        "reason": event.reason, "message": event.message, "type": severity, "count": 1,
        "firstTimestamp": now, "lastTimestamp": now, "eventTime": null,
        "source": { "component": event.component }, "reportingComponent": event.component, "reportingInstance": "",
    });
    let options = WriteOptions { field_validation: FieldValidation::Ignore, ..WriteOptions::default() };
    resources.create(&target(""), body, options).map(drop)
}
