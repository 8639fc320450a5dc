//! Admission of pods and of the kinds that carry a pod template.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::metadata;
use crate::error::Cause;
use crate::object::{self, list, text, text_map};

/// Defaults and rules of a Pod. After creation only images, the deadline and tolerations may change.
pub(super) fn admit_pod(pod: &mut Value, current: Option<&Value>, causes: &mut Vec<Cause>) {
    if let Some(spec) = pod.get_mut("spec") {
        complete_pod_spec(spec);
        check_pod_spec(spec, "spec", causes);
    }
    match current {
        None => pod["status"] = json!({ "phase": "Pending", "qosClass": qos_class(pod) }),
        Some(current) if fixed_part(current) != fixed_part(pod) => causes.push(Cause::forbidden(
            "spec",
            "pod updates may not change fields other than `spec.containers[*].image`,\
             `spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing \
             tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)",
        )),
        Some(_) => {}
    }
}

/// The part of a pod's specification that never changes. `nodeName` is set by the runner, once.
fn fixed_part(pod: &Value) -> Value {
    let mut spec = pod.get("spec").cloned().unwrap_or_default();
    if let Some(fields) = spec.as_object_mut() {
        for name in ["activeDeadlineSeconds", "tolerations", "nodeName"] {
            fields.shift_remove(name);
        }
    }
    for group in ["containers", "initContainers"] {
        for container in spec.get_mut(group).and_then(Value::as_array_mut).into_iter().flatten() {
            container.as_object_mut().map(|fields| fields.shift_remove("image"));
        }
    }
    spec
}

/// Defaults and rules of a Deployment or ReplicaSet.
pub(super) fn admit_replicated(object: &mut Value, current: Option<&Value>, causes: &mut Vec<Cause>) {
    complete_template(object);
    if let Some(spec) = object.pointer("/spec/template/spec") {
        check_pod_spec(spec, "spec.template.spec", causes);
        let policy = text(spec, "/restartPolicy");
        if policy != "Always" {
            let allowed = [Value::from("Always")];
            let field = "spec.template.spec.restartPolicy";
            causes.push(Cause::unsupported(field, &Value::from(policy), &allowed));
        }
    }
    if text(object, "/spec/strategy/type") == "RollingUpdate"
        && let Some(strategy) = object.pointer_mut("/spec/strategy").and_then(Value::as_object_mut)
    {
        strategy.entry("rollingUpdate").or_insert_with(|| json!({ "maxUnavailable": "25%", "maxSurge": "25%" }));
    }
    if text(object, "/spec/strategy/type") == "Recreate" && object.pointer("/spec/strategy/rollingUpdate").is_some() {
        let why = "may not be specified when strategy `type` is 'Recreate'";
        causes.push(Cause::forbidden("spec.strategy.rollingUpdate", why));
    }
    check_rollout(object, causes);
    metadata::check_labels(object, "/spec/template/metadata/labels", "spec.template.labels", causes);
    check_selector(object, current, causes);
}

/// How far a rollout may go above and below the number of replicas, and how long it may stand still.
fn check_rollout(object: &Value, causes: &mut Vec<Cause>) {
    let amount = |name: &str| object.pointer(&format!("/spec/strategy/rollingUpdate/{name}"));
    for name in ["maxUnavailable", "maxSurge"] {
        let Some(value) = amount(name) else { continue };
        let field = format!("spec.strategy.rollingUpdate.{name}");
        match value.as_str().map(percent_of) {
            None if value.as_i64().is_some_and(|count| count < 0) => {
                causes.push(Cause::invalid(&field, value, "must be greater than or equal to 0"));
            }
            None => {}
            Some(None) => {
                let why = "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', \
                           regex used for validation is '[0-9]+%')";
                causes.push(Cause::invalid(&field, value, why));
            }
            Some(Some(percent)) if name == "maxUnavailable" && percent > 100 => {
                causes.push(Cause::invalid(&field, value, "must not be greater than 100%"));
            }
            Some(Some(_)) => {}
        }
    }
    let is_zero = |value: &Value| value.as_i64() == Some(0) || value.as_str().and_then(percent_of) == Some(0);
    if let (Some(unavailable), Some(surge)) = (amount("maxUnavailable"), amount("maxSurge"))
        && is_zero(unavailable)
        && is_zero(surge)
    {
        let why = "may not be 0 when `maxSurge` is 0";
        causes.push(Cause::invalid("spec.strategy.rollingUpdate.maxUnavailable", unavailable, why));
    }
    let deadline = object::integer(object, "/spec/progressDeadlineSeconds");
    let min_ready = object::integer(object, "/spec/minReadySeconds").unwrap_or(0);
    if let Some(deadline) = deadline.filter(|deadline| *deadline <= min_ready) {
        let why = "must be greater than minReadySeconds";
        causes.push(Cause::invalid("spec.progressDeadlineSeconds", &Value::from(deadline), why));
    }
}

/// The number in `25%`; nothing in what is no percentage.
fn percent_of(text: &str) -> Option<u64> {
    text.strip_suffix('%').filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))?.parse().ok()
}

fn check_selector(object: &Value, current: Option<&Value>, causes: &mut Vec<Cause>) {
    let selector = object.pointer("/spec/selector").cloned().unwrap_or_default();
    let wanted = text_map(object, "/spec/selector/matchLabels");
    if wanted.is_empty() && list(object, "/spec/selector/matchExpressions").is_empty() {
        causes.push(Cause::invalid("spec.selector", &selector, "empty selector is invalid for deployment"));
        return;
    }
    let labels = text_map(object, "/spec/template/metadata/labels");
    if wanted.iter().any(|(key, value)| labels.get(key) != Some(value)) {
        let shown = object.pointer("/spec/template/metadata/labels").cloned().unwrap_or_else(|| json!({}));
        let why = "`selector` does not match template `labels`";
        causes.push(Cause::invalid("spec.template.metadata.labels", &shown, why));
    }
    if current.is_some_and(|current| current.pointer("/spec/selector") != Some(&selector)) {
        causes.push(Cause::invalid("spec.selector", &selector, "field is immutable"));
    }
}

/// Sets the defaults of `spec.template.spec`.
pub(super) fn complete_template(object: &mut Value) {
    if let Some(spec) = object.pointer_mut("/spec/template/spec") {
        complete_pod_spec(spec);
    }
}

fn complete_pod_spec(spec: &mut Value) {
    for group in ["containers", "initContainers"] {
        for container in spec.get_mut(group).and_then(Value::as_array_mut).into_iter().flatten() {
            complete_container(container);
        }
    }
}

fn complete_container(container: &mut Value) {
    if text(container, "/imagePullPolicy").is_empty() {
        let image = text(container, "/image");
        let tag = image.rsplit('/').next().and_then(|last| last.split_once(':')).map_or("latest", |(_, tag)| tag);
        container["imagePullPolicy"] = if tag == "latest" { "Always" } else { "IfNotPresent" }.into();
    }
}

fn check_pod_spec(spec: &Value, path: &str, causes: &mut Vec<Cause>) {
    let mut names = BTreeSet::new();
    for group in ["initContainers", "containers"] {
        for (index, container) in list(spec, &format!("/{group}")).iter().enumerate() {
            let at = format!("{path}.{group}[{index}]");
            let name = object::text(container, "/name");
            if !names.insert(name) {
                let message = format!("Duplicate value: {}", Value::from(name));
                causes.push(Cause { reason: "FieldValueDuplicate", field: format!("{at}.name"), message });
            }
            if text(container, "/image").is_empty() {
                causes.push(Cause::required(&format!("{at}.image"), ""));
            }
            check_mounts(spec, container, &at, causes);
            for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
                check_probe(container, probe, &at, causes);
            }
        }
    }
}

fn check_mounts(spec: &Value, container: &Value, path: &str, causes: &mut Vec<Cause>) {
    for (index, mount) in list(container, "/volumeMounts").iter().enumerate() {
        let name = text(mount, "/name");
        if !list(spec, "/volumes").iter().any(|volume| text(volume, "/name") == name) {
            causes.push(Cause::not_found(&format!("{path}.volumeMounts[{index}].name"), &Value::from(name)));
        }
    }
}

fn check_probe(container: &Value, probe: &str, path: &str, causes: &mut Vec<Cause>) {
    let Some(definition) = container.get(probe).filter(|probe| probe.is_object()) else { return };
    let handlers = ["exec", "httpGet", "tcpSocket", "grpc"].iter().filter(|name| definition.get(**name).is_some());
    match handlers.count() {
        0 => causes.push(Cause::required(&format!("{path}.{probe}"), "must specify a handler type")),
        1 => {}
        _ => causes.push(Cause::forbidden(&format!("{path}.{probe}"), "may not specify more than 1 handler type")),
    }
    let success = object::integer(definition, "/successThreshold");
    if probe != "readinessProbe"
        && let Some(threshold) = success.filter(|threshold| *threshold != 1)
    {
        let field = format!("{path}.{probe}.successThreshold");
        causes.push(Cause::invalid(&field, &Value::from(threshold), "must be 1"));
    }
}

fn qos_class(pod: &Value) -> &'static str {
    let containers = list(pod, "/spec/containers");
    let amounts = |container: &Value, which: &str| {
        container.pointer(&format!("/resources/{which}")).and_then(Value::as_object).cloned().unwrap_or_default()
    };
    let has_any =
        |container: &Value| !amounts(container, "limits").is_empty() || !amounts(container, "requests").is_empty();
    let is_guaranteed = |container: &Value| {
        let (limits, requests) = (amounts(container, "limits"), amounts(container, "requests"));
        ["cpu", "memory"].iter().all(|name| {
            limits.contains_key(*name) && requests.get(*name).is_none_or(|request| Some(request) == limits.get(*name))
        })
    };
    if containers.iter().all(is_guaranteed) {
        "Guaranteed"
    } else if containers.iter().any(has_any) {
        "Burstable"
    } else {
        "BestEffort"
    }
}
