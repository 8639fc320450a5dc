//! The environment of a container: literals, references to ConfigMaps, Secrets and the pod itself, and the expansion of
//! `$(NAME)` in values, command and arguments. Keys such as `kafka.bootstrap.servers` are legal names.

use std::collections::BTreeMap;

use base64::Engine as _;
use serde_json::Value;

use crate::kinds::{CONFIG_MAP, Kind, SECRET};
use crate::object::{self, list, text};
use crate::store::{Key, Store};

/// Why a container cannot be configured; the text stands in its status. It is tried again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct ConfigError(String);

/// The variables that the manifest gives `container` of `pod`, whose address is `pod_ip`, on top of `given`.
pub(super) fn variables(
    store: &Store,
    pod: &Value,
    container: &Value,
    pod_ip: &str,
    given: BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, ConfigError> {
    let mut variables = given;
    for source in list(container, "/envFrom") {
        let prefix = text(source, "/prefix");
        for (key, value) in whole_source(store, pod, source)? {
            variables.insert(format!("{prefix}{key}"), value);
        }
    }
    for variable in list(container, "/env") {
        let value = match variable.get("valueFrom") {
            Some(source) => referred(store, pod, container, source, pod_ip)?,
            None => Some(expand(text(variable, "/value"), &variables)),
        };
        if let Some(value) = value {
            variables.insert(text(variable, "/name").to_owned(), value);
        }
    }
    // `=` ends a name and NUL ends a string: the system cannot hold these.
    variables.retain(|name, value| !name.is_empty() && !name.contains(['=', '\0']) && !value.contains('\0'));
    Ok(variables)
}

/// Replaces `$(NAME)` by the variable's value; unknown names stay, `$$` is a dollar sign.
pub(super) fn expand(template: &str, variables: &BTreeMap<String, String>) -> String {
    let mut expanded = String::with_capacity(template.len());
    let mut rest = template;
    while let Some(at) = rest.find('$') {
        expanded.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            expanded.push('$');
            rest = after;
        } else if let Some((name, after)) = rest.strip_prefix('(').and_then(|inside| inside.split_once(')')) {
            match variables.get(name) {
                Some(value) => expanded.push_str(value),
                None => expanded.extend(["$(", name, ")"]),
            }
            rest = after;
        } else {
            expanded.push('$');
        }
    }
    expanded.push_str(rest);
    expanded
}

fn whole_source(store: &Store, pod: &Value, source: &Value) -> Result<Vec<(String, String)>, ConfigError> {
    let (kind, reference) = match (source.get("configMapRef"), source.get("secretRef")) {
        (Some(reference), _) => (&CONFIG_MAP, reference),
        (None, Some(reference)) => (&SECRET, reference),
        (None, None) => return Ok(Vec::new()),
    };
    let Some(object) = fetch(store, pod, kind, reference)? else { return Ok(Vec::new()) };
    let keys: Vec<String> = object::text_map(&object, "/data").into_keys().map(str::to_owned).collect();
    keys.into_iter().map(|key| Ok((key.clone(), value_of(kind, &object, &key)?.unwrap_or_default()))).collect()
}

/// The referred object; `None` when it is optional and absent.
fn fetch(
    store: &Store,
    pod: &Value,
    kind: &'static Kind,
    reference: &Value,
) -> Result<Option<std::sync::Arc<Value>>, ConfigError> {
    let name = text(reference, "/name");
    let found = store.get(&Key::new(kind, object::namespace(pod), name));
    if found.is_none() && reference.get("optional") != Some(&Value::Bool(true)) {
        return Err(ConfigError(format!("{} \"{name}\" not found", kind.singular)));
    }
    Ok(found)
}

fn value_of(kind: &Kind, object: &Value, key: &str) -> Result<Option<String>, ConfigError> {
    let Some(value) = object.get("data").and_then(|data| data.get(key)).and_then(Value::as_str) else {
        return Ok(None);
    };
    if kind != &SECRET {
        return Ok(Some(value.to_owned()));
    }
    let bytes = base64::engine::general_purpose::STANDARD.decode(value).ok();
    let decoded = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    let unreadable = || ConfigError(format!("key {key} of Secret {} is no text", object::name(object)));
    decoded.map(Some).ok_or_else(unreadable)
}

fn referred(
    store: &Store,
    pod: &Value,
    container: &Value,
    source: &Value,
    pod_ip: &str,
) -> Result<Option<String>, ConfigError> {
    for (field, kind) in [("configMapKeyRef", &CONFIG_MAP), ("secretKeyRef", &SECRET)] {
        let Some(reference) = source.get(field) else { continue };
        let Some(object) = fetch(store, pod, kind, reference)? else { return Ok(None) };
        let key = text(reference, "/key");
        let found = value_of(kind, &object, key)?;
        if found.is_none() && reference.get("optional") != Some(&Value::Bool(true)) {
            let (namespace, name) = (object::namespace(pod), object::name(&object));
            return Err(ConfigError(format!("couldn't find key {key} in {} {namespace}/{name}", kind.kind)));
        }
        return Ok(found);
    }
    if let Some(path) = source.pointer("/fieldRef/fieldPath").and_then(Value::as_str) {
        return field(pod, path, pod_ip).map(Some);
    }
    let resource = text(source, "/resourceFieldRef/resource");
    let (group, name) = resource.split_once('.').unwrap_or(("", ""));
    let amount = container.pointer(&format!("/resources/{group}/{name}"));
    Ok(Some(amount.map_or_else(|| "0".to_owned(), |amount| amount.as_str().map_or(amount.to_string(), str::to_owned))))
}

fn field(pod: &Value, path: &str, pod_ip: &str) -> Result<String, ConfigError> {
    let in_map = |map: &str| {
        let key = path.strip_prefix(map)?.strip_prefix("['")?.strip_suffix("']")?;
        Some(
            object::text_map(pod, &format!("/{}", map.replace('.', "/")))
                .get(key)
                .copied()
                .unwrap_or_default()
                .to_owned(),
        )
    };
    match path {
        "metadata.name" | "metadata.namespace" | "metadata.uid" | "spec.nodeName" | "spec.serviceAccountName" => {
            Ok(text(pod, &format!("/{}", path.replace('.', "/"))).to_owned())
        }
        "status.podIP" | "status.podIPs" => Ok(pod_ip.to_owned()),
        "status.hostIP" | "status.hostIPs" => Ok("127.0.0.1".to_owned()),
        _ => in_map("metadata.labels")
            .or_else(|| in_map("metadata.annotations"))
            .ok_or_else(|| ConfigError(format!("the field {path} of a pod cannot be referred to"))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::clock::Clock;

    fn store(folder: &tempfile::TempDir) -> Store {
        let store = Store::open(&folder.path().join("platform.redb"), Clock::system()).unwrap();
        let map = json!({ "metadata": { "name": "m" }, "data": { "kafka.bootstrap.servers": "k:9092", "A": "map" } });
        let secret = json!({ "metadata": { "name": "s" }, "data": { "password": "aHVudGVyMg==" } });
        store.write(|tx| Ok(tx.put(Key::new(&CONFIG_MAP, "default", "m"), map))).unwrap();
        store.write(|tx| Ok(tx.put(Key::new(&SECRET, "default", "s"), secret))).unwrap();
        store
    }

    fn resolve(container: Value) -> Result<BTreeMap<String, String>, ConfigError> {
        let folder = tempfile::tempdir().unwrap();
        let pod = json!({ "metadata": { "name": "p", "namespace": "default", "labels": { "a/b": "c" } } });
        variables(&store(&folder), &pod, &container, "127.1.2.3", BTreeMap::new())
    }

    #[test]
    fn later_sources_win_and_dotted_keys_are_names() {
        let container = json!({
            "envFrom": [{ "configMapRef": { "name": "m" } }],
            "env": [{ "name": "A", "value": "literal" }, { "name": "B", "value": "$(A)-$(C)-$$(A)" }],
        });
        let variables = resolve(container).unwrap();
        assert_eq!(variables["kafka.bootstrap.servers"], "k:9092");
        assert_eq!((variables["A"].as_str(), variables["B"].as_str()), ("literal", "literal-$(C)-$(A)"));
    }

    #[test]
    fn references_reach_secrets_and_the_pod() {
        let from = |source: Value| json!({ "env": [{ "name": "X", "valueFrom": source }] });
        let check = |source: Value, expected: &str| assert_eq!(resolve(from(source)).unwrap()["X"], expected);
        check(json!({ "secretKeyRef": { "name": "s", "key": "password" } }), "hunter2");
        check(json!({ "configMapKeyRef": { "name": "m", "key": "A" } }), "map");
        check(json!({ "fieldRef": { "fieldPath": "metadata.name" } }), "p");
        check(json!({ "fieldRef": { "fieldPath": "metadata.labels['a/b']" } }), "c");
        check(json!({ "fieldRef": { "fieldPath": "status.podIP" } }), "127.1.2.3");
    }

    #[test]
    fn what_is_missing_is_named_unless_it_is_optional() {
        let missing =
            |optional: bool| json!({ "envFrom": [{ "configMapRef": { "name": "nope", "optional": optional } }] });
        assert_eq!(resolve(missing(false)).unwrap_err().to_string(), "configmap \"nope\" not found");
        assert!(resolve(missing(true)).unwrap().is_empty());
        let key = json!({ "env": [{ "name": "X", "valueFrom": { "configMapKeyRef": { "name": "m", "key": "Z" } } }] });
        assert_eq!(resolve(key).unwrap_err().to_string(), "couldn't find key Z in ConfigMap default/m");
    }
}
