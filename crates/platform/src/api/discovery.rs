//! Discovery: which groups, versions and kinds are served, plain and aggregated (KEP-3352), and the server's version.

use serde_json::{Value, json};

use crate::kinds::{KINDS, Kind, groups};

/// Kubernetes' version whose behaviour is followed; kubectl compares it with its own.
const VERSION: (&str, &str, &str) = ("1", "33", "v1.33.0+millstream");

/// `GET /version`.
pub(super) fn version() -> Value {
    let (major, minor, git_version) = VERSION;
    json!({
        "major": major, "minor": minor, "gitVersion": git_version, "gitCommit": "", "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z", "goVersion": "none", "compiler": "rustc",
        "platform": format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH),
    })
}

/// `GET /api` or `/apis`, in the form that `accept` asks for. Returns the content type too.
pub(super) fn root(core: bool, accept: &str) -> (Value, &'static str) {
    if accept.contains("as=APIGroupDiscoveryList") && accept.contains("v=v2;") {
        (aggregated(core, "v2"), "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList")
    } else if accept.contains("as=APIGroupDiscoveryList") && accept.contains("v=v2beta1;") {
        (aggregated(core, "v2beta1"), "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList")
    } else if core {
        (json!({ "kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": [] }), "application/json")
    } else {
        let groups: Vec<Value> = groups().into_iter().map(|(group, versions)| api_group(group, versions)).collect();
        (json!({ "kind": "APIGroupList", "apiVersion": "v1", "groups": groups }), "application/json")
    }
}

/// `GET /apis/GROUP`.
pub(super) fn group(name: &str) -> Option<Value> {
    let (group, versions) = groups().into_iter().find(|(group, _)| *group == name)?;
    let mut value = api_group(group, versions);
    value["kind"] = "APIGroup".into();
    value["apiVersion"] = "v1".into();
    Some(value)
}

fn api_group(group: &str, versions: &[&str]) -> Value {
    let entry = |version: &&str| json!({ "groupVersion": format!("{group}/{version}"), "version": version });
    let entries: Vec<Value> = versions.iter().map(entry).collect();
    json!({ "name": group, "versions": entries, "preferredVersion": entries[0] })
}

/// `GET /api/v1` or `/apis/GROUP/VERSION`.
pub(super) fn resources(group: &str, version: &str) -> Option<Value> {
    let kinds: Vec<&Kind> = kinds_of(group, version).collect();
    let first = kinds.first()?;
    let resources: Vec<Value> = kinds.iter().flat_map(|kind| plain_entries(kind)).collect();
    Some(json!({
        "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": first.api_version(version), "resources": resources,
    }))
}

fn kinds_of<'a>(group: &'a str, version: &'a str) -> impl Iterator<Item = &'static Kind> + 'a {
    KINDS.iter().copied().filter(move |kind| kind.group == group && kind.versions.contains(&version))
}

fn verbs(kind: &Kind) -> Value {
    if kind.writable {
        json!(["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"])
    } else {
        json!(["get", "list", "watch"])
    }
}

fn subresources(kind: &Kind) -> Vec<(&'static str, Value, Value)> {
    let same = json!({ "group": kind.group, "version": "", "kind": kind.kind });
    let mut entries = Vec::new();
    if kind.has_status {
        entries.push(("status", same.clone(), json!(["get", "patch", "update"])));
    }
    if kind.has_scale {
        let scale = json!({ "group": "autoscaling", "version": "v1", "kind": "Scale" });
        entries.push(("scale", scale, json!(["get", "patch", "update"])));
    }
    if kind.kind == "Pod" {
        entries.push(("log", same, json!(["get"])));
    }
    entries
}

fn plain_entries(kind: &Kind) -> Vec<Value> {
    let mut entries = vec![json!({
        "name": kind.plural, "singularName": kind.singular, "namespaced": kind.namespaced, "kind": kind.kind,
        "verbs": verbs(kind), "shortNames": kind.short_names, "categories": kind.categories,
    })];
    for (name, response, verbs) in subresources(kind) {
        let mut entry = json!({
            "name": format!("{}/{name}", kind.plural), "singularName": "", "namespaced": kind.namespaced,
            "kind": response["kind"], "verbs": verbs,
        });
        if name == "scale" {
            entry["group"] = "autoscaling".into();
            entry["version"] = "v1".into();
        }
        entries.push(entry);
    }
    entries
}

fn aggregated(core: bool, form: &str) -> Value {
    let all = if core { vec![("", ["v1"].as_slice())] } else { groups() };
    let items: Vec<Value> = all
        .into_iter()
        .map(|(group, versions)| {
            let versions: Vec<Value> = versions
                .iter()
                .map(|version| {
                    let resources: Vec<Value> =
                        kinds_of(group, version).map(|kind| aggregated_entry(kind, version)).collect();
                    json!({ "version": version, "freshness": "Current", "resources": resources })
                })
                .collect();
            let metadata = if core {
                json!({ "creationTimestamp": null })
            } else {
                json!({ "name": group, "creationTimestamp": null })
            };
            json!({ "metadata": metadata, "versions": versions })
        })
        .collect();
    json!({
        "kind": "APIGroupDiscoveryList", "apiVersion": format!("apidiscovery.k8s.io/{form}"), "metadata": {}, "items": items,
    })
}

fn aggregated_entry(kind: &Kind, version: &str) -> Value {
    let subresources: Vec<Value> = subresources(kind)
        .into_iter()
        .map(|(name, mut response, verbs)| {
            if name != "scale" {
                response["version"] = version.into();
            }
            json!({ "subresource": name, "responseKind": response, "verbs": verbs })
        })
        .collect();
    json!({
        "resource": kind.plural, "singularResource": kind.singular, "verbs": verbs(kind),
        "responseKind": { "group": kind.group, "version": version, "kind": kind.kind },
        "scope": if kind.namespaced { "Namespaced" } else { "Cluster" },
        "shortNames": kind.short_names, "categories": kind.categories, "subresources": subresources,
    })
}
