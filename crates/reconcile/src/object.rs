//! Bringing an object of the API to what is wanted: made when it is missing, patched when it says something else, left
//! alone when it already says it. Every reconciler writes through here, so that no reconciler wakes itself for nothing.

use std::fmt::Debug;

use k8s_openapi::api::core::v1::{Event, ObjectReference};
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use kube::{Resource, ResourceExt as _};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::{Context, Error};

/// Objects are written as the JSON that Kubernetes documents: shorter than the typed builders, and checked by every test.
pub(crate) fn from_json<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).expect("the literal above has the shape of its Kubernetes type")
}

/// Makes or patches an object so that it says at least what `wanted` says.
pub(crate) async fn ensure<K>(api: &Api<K>, wanted: &K) -> Result<(), Error>
where
    K: Resource + Clone + Debug + Serialize + DeserializeOwned,
{
    let name = wanted.name_any();
    match api.get_opt(&name).await? {
        None => create(api, wanted).await,
        Some(live) if covers(&json!(live), &json!(wanted)) => Ok(()),
        Some(_) => {
            api.patch(&name, &PatchParams::default(), &Patch::Merge(wanted)).await?;
            Ok(())
        }
    }
}

/// Makes an object; that another look made it meanwhile is as good.
pub(crate) async fn create<K>(api: &Api<K>, wanted: &K) -> Result<(), Error>
where
    K: Clone + Debug + Serialize + DeserializeOwned,
{
    match api.create(&PostParams::default(), wanted).await {
        Err(error) if !is_status(&error, "AlreadyExists") => Err(error.into()),
        _ => Ok(()),
    }
}

/// Deletes an object; that it is gone already is as good.
pub(crate) async fn delete<K>(api: &Api<K>, name: &str) -> Result<(), Error>
where
    K: Clone + Debug + DeserializeOwned,
{
    match api.delete(name, &DeleteParams::background()).await {
        Err(error) if !is_status(&error, "NotFound") => Err(error.into()),
        _ => Ok(()),
    }
}

/// Writes a status that differs from the one there is. The whole status is replaced: fields that it no longer has go.
pub(crate) async fn write_status<K>(api: &Api<K>, live: &K, status: Value) -> Result<(), Error>
where
    K: Resource + Clone + Debug + Serialize + DeserializeOwned,
{
    let before = json!(live)["status"].take();
    if before == status {
        return Ok(());
    }
    let mut patch = status;
    for field in before.as_object().into_iter().flat_map(serde_json::Map::keys) {
        if patch.get(field).is_none() {
            patch[field] = Value::Null;
        }
    }
    let patch = Patch::Merge(json!({"status": patch}));
    match api.patch_status(&live.name_any(), &PatchParams::default(), &patch).await {
        Err(error) if !is_status(&error, "NotFound") => Err(error.into()),
        _ => Ok(()),
    }
}

/// Adds or removes a finalizer.
pub(crate) async fn set_finalizer<K>(api: &Api<K>, live: &K, finalizer: &str, present: bool) -> Result<(), Error>
where
    K: Resource + Clone + Debug + Serialize + DeserializeOwned,
{
    if live.finalizers().iter().any(|f| f == finalizer) == present {
        return Ok(());
    }
    let mut finalizers: Vec<&str> = live.finalizers().iter().map(String::as_str).filter(|f| *f != finalizer).collect();
    if present {
        finalizers.push(finalizer);
    }
    // With the version that was read: a list cannot be merged, and another finalizer must not be lost.
    let metadata = json!({"finalizers": finalizers, "resourceVersion": live.resource_version()});
    let patch = Patch::Merge(json!({"metadata": metadata}));
    match api.patch(&live.name_any(), &PatchParams::default(), &patch).await {
        Err(error) if !is_status(&error, "NotFound") => Err(error.into()),
        _ => Ok(()),
    }
}

/// Records a Normal event about an object. An event that cannot be stored is not worth failing for: it is logged.
pub(crate) async fn tell(context: &Context, about: &ObjectReference, reason: &str, message: String, component: &str) {
    let namespace = about.namespace.clone().unwrap_or_default();
    let name = about.name.clone().unwrap_or_default();
    let now = context.now();
    let event: Event = from_json(json!({
        "metadata": {"generateName": format!("{name}."), "namespace": namespace},
        "involvedObject": about,
        "reason": reason, "message": message, "type": "Normal", "count": 1,
        "firstTimestamp": now, "lastTimestamp": now,
        "source": {"component": component}, "reportingComponent": component, "reportingInstance": "",
    }));
    let api: Api<Event> = Api::namespaced(context.client.clone(), &namespace);
    if let Err(error) = api.create(&PostParams::default(), &event).await {
        tracing::debug!(%error, "an event is lost");
    }
}

fn is_status(error: &kube::Error, reason: &str) -> bool {
    matches!(error, kube::Error::Api(status) if status.reason == reason)
}

/// Whether `live` says everything that `wanted` says.
fn covers(live: &Value, wanted: &Value) -> bool {
    match (live, wanted) {
        (_, Value::Null) => true,
        (Value::Object(live), Value::Object(wanted)) => {
            wanted.iter().all(|(key, value)| covers(live.get(key).unwrap_or(&Value::Null), value))
        }
        (Value::Array(live), Value::Array(wanted)) => {
            live.len() == wanted.len() && live.iter().zip(wanted).all(|(live, wanted)| covers(live, wanted))
        }
        // An empty list or map that was asked for may be left out by the server.
        (Value::Null, Value::Array(items)) => items.is_empty(),
        (Value::Null, Value::Object(fields)) => fields.values().all(Value::is_null),
        (live, wanted) => live == wanted,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(live: Value, wanted: Value, covered: bool) {
        assert_eq!(covers(&live, &wanted), covered, "{live} {wanted}");
    }

    #[test]
    fn what_the_server_adds_is_no_difference() {
        check(json!({"a": 1, "uid": "u"}), json!({"a": 1}), true);
        check(json!({"ports": [{"port": 1, "protocol": "TCP"}]}), json!({"ports": [{"port": 1}]}), true);
        check(json!({}), json!({"subsets": [], "labels": {}}), true);
    }

    #[test]
    fn what_is_missing_or_other_is_a_difference() {
        check(json!({"a": 1}), json!({"a": 2}), false);
        check(json!({}), json!({"a": 1}), false);
        check(json!({"l": [1, 2]}), json!({"l": [1]}), false);
        check(json!({"l": [1]}), json!({"l": []}), false);
    }
}
