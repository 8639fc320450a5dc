//! The three-way merge behind `apply`: what was applied last, what is applied now, what the server has.
//!
//! Fields that the manifest dropped since the last apply go, fields it gives are set, all others are left to whoever
//! set them. Lists of built-in kinds merge by Kubernetes' own merge keys (strategic merge); lists of custom resources are
//! replaced whole (JSON merge patch), as kubectl does. Pure; [`super::apply`] calls it.

use serde_json::{Map, Value};

/// Where kubectl keeps what was applied last.
pub(crate) const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// How lists merge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lists {
    /// Built-in kinds: by merge key where Kubernetes names one.
    Strategic,
    /// Custom resources: the manifest's list is the list.
    Replaced,
}

impl Lists {
    /// Kinds of Kubernetes itself merge strategically; everything else, an OpenShift Route too, is custom to kubectl.
    pub(crate) fn of_group(group: &str) -> Self {
        let own = matches!(group, "" | "apps" | "batch" | "autoscaling" | "policy" | "extensions");
        if own || group.ends_with(".k8s.io") { Self::Strategic } else { Self::Replaced }
    }
}

/// The manifest as it goes to the server: with the annotation that remembers it.
///
/// The remembered text has sorted keys, an `annotations` map and a closing newline, byte for byte what kubectl writes, so
/// that the two can take turns.
pub(crate) fn annotated(manifest: &Value) -> Value {
    let mut remembered = manifest.clone();
    annotations(&mut remembered).remove(LAST_APPLIED);
    let text = format!("{}\n", sorted(&remembered));
    let mut object = manifest.clone();
    annotations(&mut object).insert(LAST_APPLIED.into(), Value::String(text));
    object
}

/// What `live` says was applied last; nothing when it was made some other way or the annotation is not JSON.
pub(crate) fn last_applied(live: &Value) -> Option<Value> {
    serde_json::from_str(live["metadata"]["annotations"][LAST_APPLIED].as_str()?).ok()
}

/// The object that the server shall have. `original` is what was applied last (`Null` when nothing was), `modified` what is
/// applied now, `live` what the server has.
pub(crate) fn three_way(original: &Value, modified: &Value, live: &Value, lists: Lists) -> Value {
    match (modified, live) {
        (Value::Object(modified), Value::Object(live)) => {
            Value::Object(merge_objects(original.as_object(), modified, live, lists))
        }
        _ => without_nulls(modified),
    }
}

fn merge_objects(
    original: Option<&Map<String, Value>>,
    modified: &Map<String, Value>,
    live: &Map<String, Value>,
    lists: Lists,
) -> Map<String, Value> {
    let mut merged = live.clone();
    for key in original.into_iter().flat_map(Map::keys) {
        if !modified.contains_key(key) {
            merged.remove(key);
        }
    }
    for (key, value) in modified {
        let before = original.and_then(|o| o.get(key)).unwrap_or(&Value::Null);
        let now = live.get(key).unwrap_or(&Value::Null);
        let value = match (value, merge_key(key, value)) {
            (Value::Null, _) => None,
            (Value::Array(items), Some(by)) if lists == Lists::Strategic => {
                Some(Value::Array(merge_lists(before, items, now, by)))
            }
            _ => Some(three_way(before, value, now, lists)),
        };
        match value {
            Some(value) => merged.insert(key.clone(), value),
            None => merged.remove(key),
        };
    }
    merged
}

fn merge_lists(original: &Value, modified: &[Value], live: &Value, by: &str) -> Vec<Value> {
    let items = |list: &Value| list.as_array().cloned().unwrap_or_default();
    let (original, live) = (items(original), items(live));
    let same = |a: &Value, b: &Value| identity(a, by) == identity(b, by);
    let find = |list: &[Value], item: &Value| list.iter().find(|other| same(other, item)).cloned();
    let mut merged: Vec<Value> = modified
        .iter()
        .map(|item| {
            let before = find(&original, item).unwrap_or(Value::Null);
            let now = find(&live, item).unwrap_or(Value::Null);
            three_way(&before, item, &now, Lists::Strategic)
        })
        .collect();
    for item in live {
        let known = find(&original, &item).is_some() || find(modified, &item).is_some();
        if !known {
            merged.push(item);
        }
    }
    merged
}

/// What tells an item of a keyed list from its neighbours: its key's value, or a scalar itself. Ports with one number and
/// two protocols are two ports.
fn identity<'v>(item: &'v Value, by: &str) -> (&'v Value, &'v str) {
    let protocol = if by == "port" || by == "containerPort" { item["protocol"].as_str().unwrap_or("TCP") } else { "" };
    (if item.is_object() { &item[by] } else { item }, protocol)
}

/// The merge key of a list field of the built-in kinds (Kubernetes' `patchMergeKey` tags), if it has one.
fn merge_key(field: &str, list: &Value) -> Option<&'static str> {
    let has = |key: &str| list.as_array().and_then(|items| items.first()).is_some_and(|item| !item[key].is_null());
    match field {
        "containers"
        | "initContainers"
        | "ephemeralContainers"
        | "volumes"
        | "env"
        | "imagePullSecrets"
        | "resourceClaims"
        | "secrets" => Some("name"),
        "ports" if has("containerPort") => Some("containerPort"),
        "ports" if has("port") => Some("port"),
        "volumeMounts" => Some("mountPath"),
        "volumeDevices" => Some("devicePath"),
        "hostAliases" => Some("ip"),
        "topologySpreadConstraints" => Some("topologyKey"),
        "conditions" => Some("type"),
        "ownerReferences" => Some("uid"),
        "finalizers" => Some(""),
        _ => None,
    }
}

fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let kept = fields.iter().filter(|(_, v)| !v.is_null());
            Value::Object(kept.map(|(k, v)| (k.clone(), without_nulls(v))).collect())
        }
        other => other.clone(),
    }
}

fn annotations(object: &mut Value) -> &mut Map<String, Value> {
    let annotations = &mut object["metadata"]["annotations"];
    if !annotations.is_object() {
        *annotations = Value::Object(Map::new());
    }
    annotations.as_object_mut().expect("made an object above")
}

/// The same value with every map's keys in order, as Go writes maps.
pub(crate) fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let mut keys: Vec<_> = fields.iter().collect();
            keys.sort_by_key(|(key, _)| *key);
            Value::Object(keys.into_iter().map(|(key, value)| (key.clone(), sorted(value))).collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(sorted).collect()),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check(lists: Lists, original: Value, modified: Value, live: Value, expected: Value) {
        assert_eq!(three_way(&original, &modified, &live, lists), expected);
    }

    #[test]
    fn a_field_dropped_from_the_manifest_goes_and_a_field_of_others_stays() {
        check(
            Lists::Replaced,
            json!({"spec": {"a": 1, "b": 2}}),
            json!({"spec": {"a": 1}}),
            json!({"spec": {"a": 5, "b": 2, "set by the server": 3}, "status": {}}),
            json!({"spec": {"a": 1, "set by the server": 3}, "status": {}}),
        );
    }

    #[test]
    fn a_null_in_the_manifest_removes_the_field() {
        check(
            Lists::Replaced,
            Value::Null,
            json!({"a": null, "b": {"c": null, "d": 1}}),
            json!({"a": 1}),
            json!({"b": {"d": 1}}),
        );
    }

    #[test]
    fn containers_and_their_environment_merge_by_name() {
        let old =
            json!({"containers": [{"name": "a", "env": [{"name": "X", "value": "1"}, {"name": "Y", "value": "2"}]}]});
        let new = json!({"containers": [{"name": "a", "env": [{"name": "X", "value": "9"}]}]});
        let live = json!({"containers": [
            {"name": "a", "terminationMessagePath": "/p", "env": [{"name": "X", "value": "1"}, {"name": "Y", "value": "2"}]},
            {"name": "injected"}]});
        let expected = json!({"containers": [
            {"name": "a", "terminationMessagePath": "/p", "env": [{"name": "X", "value": "9"}]}, {"name": "injected"}]});
        check(Lists::Strategic, old, new, live, expected);
    }

    #[test]
    fn a_container_dropped_from_the_manifest_goes() {
        let old = json!({"containers": [{"name": "a"}, {"name": "b"}]});
        let new = json!({"containers": [{"name": "b"}]});
        let live = json!({"containers": [{"name": "a", "x": 1}, {"name": "b", "x": 1}]});
        check(Lists::Strategic, old, new, live, json!({"containers": [{"name": "b", "x": 1}]}));
    }

    #[test]
    fn one_port_number_with_two_protocols_is_two_ports() {
        let ports = json!({"ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]});
        check(Lists::Strategic, ports.clone(), ports.clone(), ports.clone(), ports);
    }

    #[test]
    fn lists_of_custom_resources_are_replaced() {
        let live = json!({"listeners": [{"name": "plain", "defaulted": 1}, {"name": "tls"}]});
        let new = json!({"listeners": [{"name": "plain"}]});
        check(Lists::Replaced, Value::Null, new.clone(), live, new);
    }

    #[test]
    fn an_object_applied_again_is_what_it_was() {
        let manifest = json!({"kind": "Service", "metadata": {"name": "s", "namespace": "default"}, "spec": {"ports": [{"port": 1}]}});
        let mut live = annotated(&manifest);
        live["metadata"]["uid"] = json!("u");
        live["spec"]["clusterIP"] = json!("127.0.0.2");
        live["spec"]["ports"][0]["protocol"] = json!("TCP");
        let merged = three_way(&last_applied(&live).unwrap(), &annotated(&manifest), &live, Lists::Strategic);
        assert_eq!(merged, live);
    }

    #[test]
    fn the_remembered_text_is_kubectls() {
        let object = annotated(
            &json!({"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "c"}, "data": {"z": "1", "a": "2"}}),
        );
        let expected = concat!(
            r#"{"apiVersion":"v1","data":{"a":"2","z":"1"},"kind":"ConfigMap","metadata":{"annotations":{},"name":"c"}}"#,
            "\n"
        );
        assert_eq!(object["metadata"]["annotations"][LAST_APPLIED], expected);
    }

    #[test]
    fn routes_and_strimzi_are_custom_deployments_are_not() {
        assert_eq!(Lists::of_group("apps"), Lists::Strategic);
        assert_eq!(Lists::of_group(""), Lists::Strategic);
        assert_eq!(Lists::of_group("networking.k8s.io"), Lists::Strategic);
        assert_eq!(Lists::of_group("route.openshift.io"), Lists::Replaced);
        assert_eq!(Lists::of_group("kafka.strimzi.io"), Lists::Replaced);
    }
}
