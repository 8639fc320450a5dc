//! Columns of the built-in kinds (kubectl's) and of OpenShift's (oc's).

use jiff::Timestamp;
use serde_json::Value;

use super::human;
use crate::clock::age;
use crate::kinds::Kind;
use crate::object::{self, integer, list, text, text_map};

/// The columns of `kind`, separated by `|`; those marked `+` are shown with `-o wide` only.
pub(super) fn columns(kind: &Kind) -> &'static str {
    match kind.kind {
        "Pod" => "Name|Ready|Status|Restarts|Age|+IP|+Node|+Nominated Node|+Readiness Gates",
        "Service" => "Name|Type|Cluster-IP|External-IP|Port(s)|Age|+Selector",
        "Deployment" => "Name|Ready|Up-to-date|Available|Age|+Containers|+Images|+Selector",
        "ReplicaSet" => "Name|Desired|Current|Ready|Age|+Containers|+Images|+Selector",
        "ConfigMap" => "Name|Data|Age",
        "Secret" => "Name|Type|Data|Age",
        "Namespace" => "Name|Status|Age",
        "Endpoints" => "Name|Endpoints|Age",
        "PersistentVolumeClaim" => {
            "Name|Status|Volume|Capacity|Access Modes|StorageClass|VolumeAttributesClass|Age|+VolumeMode"
        }
        "Event" => "Last Seen|Type|Reason|Object|+Subobject|+Source|Message|+First Seen|+Count|+Name",
        "Route" => "Name|Host/Port|Path|Services|Port|Termination|Wildcard",
        "DeploymentConfig" => "Name|Revision|Desired|Current|Triggered By",
        "ImageStream" => "Name|Image Repository|Tags|Updated",
        "CustomResourceDefinition" => "Name|Created At",
        _ => "Name|Age",
    }
}

/// The cells of one object, in the order of [`columns`].
pub(super) fn cells(kind: &Kind, object: &Value, now: Timestamp) -> Vec<Value> {
    let name = Value::from(object::name(object));
    let born = Value::from(since(text(object, "/metadata/creationTimestamp"), now));
    match kind.kind {
        "Pod" => pod(object, name, born, now),
        "Service" => service(object, name, born),
        "Deployment" => {
            let ready =
                format!("{}/{}", count(object, "readyReplicas"), integer(object, "/spec/replicas").unwrap_or(0));
            let mut cells = vec![name, ready.into()];
            cells.extend([count(object, "updatedReplicas").into(), count(object, "availableReplicas").into(), born]);
            cells.extend(template_cells(object));
            cells
        }
        "ReplicaSet" => {
            let desired = integer(object, "/spec/replicas").unwrap_or(0);
            let mut cells = vec![name, desired.into(), count(object, "replicas").into()];
            cells.extend([count(object, "readyReplicas").into(), born]);
            cells.extend(template_cells(object));
            cells
        }
        "ConfigMap" => vec![name, (entries(object, "/data") + entries(object, "/binaryData")).into(), born],
        "Secret" => vec![name, text(object, "/type").into(), entries(object, "/data").into(), born],
        "Namespace" => vec![name, text(object, "/status/phase").into(), born],
        "Endpoints" => vec![name, endpoints(object).into(), born],
        "PersistentVolumeClaim" => claim(object, name, born),
        "Event" => event(object, name, now),
        "Route" => route(object, name),
        "DeploymentConfig" => {
            let number = |pointer| Value::from(integer(object, pointer).unwrap_or(0));
            let triggers = list(object, "/spec/triggers").iter().map(trigger_text);
            let triggers: Vec<String> = triggers.collect();
            let numbers = ["/status/latestVersion", "/spec/replicas", "/status/replicas"].map(number);
            std::iter::once(name).chain(numbers).chain([triggers.join(",").into()]).collect()
        }
        "ImageStream" => {
            let tags: Vec<&str> = list(object, "/status/tags").iter().map(|tag| text(tag, "/tag")).collect();
            vec![name, text(object, "/status/dockerImageRepository").into(), tags.join(",").into(), "".into()]
        }
        "CustomResourceDefinition" => vec![name, text(object, "/metadata/creationTimestamp").into()],
        _ => vec![name, born],
    }
}

fn since(time: &str, now: Timestamp) -> String {
    if time.is_empty() { "<unknown>".to_owned() } else { human(age(time, now)) }
}

fn or_none(text: &str) -> Value {
    if text.is_empty() { "<none>".into() } else { text.into() }
}

fn count(object: &Value, field: &str) -> i64 {
    object.pointer("/status").and_then(|status| status.get(field)).and_then(Value::as_i64).unwrap_or(0)
}

fn entries(object: &Value, pointer: &str) -> usize {
    object.pointer(pointer).and_then(Value::as_object).map_or(0, serde_json::Map::len)
}

fn joined_map(object: &Value, pointer: &str) -> String {
    let pairs: Vec<String> = text_map(object, pointer).iter().map(|(key, value)| format!("{key}={value}")).collect();
    pairs.join(",")
}

fn template_cells(object: &Value) -> [Value; 3] {
    let containers = list(object, "/spec/template/spec/containers");
    let of = |pointer: &str| containers.iter().map(|container| text(container, pointer)).collect::<Vec<_>>().join(",");
    [of("/name").into(), of("/image").into(), or_none(&joined_map(object, "/spec/selector/matchLabels"))]
}

fn pod(pod: &Value, name: Value, born: Value, now: Timestamp) -> Vec<Value> {
    let statuses = list(pod, "/status/containerStatuses");
    let init = list(pod, "/status/initContainerStatuses");
    let counted = if init_word(pod).is_some() { init } else { statuses };
    let ready = statuses.iter().filter(|status| status["ready"] == true).count();
    let restarts: i64 = counted.iter().filter_map(|status| integer(status, "/restartCount")).sum();
    let last = counted.iter().map(|status| text(status, "/lastState/terminated/finishedAt")).max().unwrap_or_default();
    let restarts = if restarts > 0 && !last.is_empty() {
        format!("{restarts} ({} ago)", human(age(last, now)))
    } else {
        restarts.to_string()
    };
    let ready = format!("{ready}/{}", list(pod, "/spec/containers").len());
    let mut cells = vec![name, ready.into(), pod_status(pod).into(), restarts.into(), born];
    cells.push(or_none(text(pod, "/status/podIP")));
    cells.push(or_none(text(pod, "/spec/nodeName")));
    cells.extend(["<none>".into(), "<none>".into()]);
    cells
}

/// kubectl's one word for a pod: the most telling reason of its containers, or its phase.
fn pod_status(pod: &Value) -> String {
    let mut status = text(pod, "/status/phase");
    if !text(pod, "/status/reason").is_empty() {
        status = text(pod, "/status/reason");
    }
    if object::is_deleting(pod) {
        return "Terminating".to_owned();
    }
    if let Some(word) = init_word(pod) {
        return word;
    }
    let mut word = status.to_owned();
    let mut has_running = false;
    for container in list(pod, "/status/containerStatuses").iter().rev() {
        let waiting = text(container, "/state/waiting/reason");
        let terminated = container.pointer("/state/terminated");
        if !waiting.is_empty() {
            waiting.clone_into(&mut word);
        } else if let Some(terminated) = terminated {
            word = end_word(terminated);
        } else if container["ready"] == true && container.pointer("/state/running").is_some() {
            has_running = true;
        }
    }
    if word == "Completed" && has_running {
        let is_ready = list(pod, "/status/conditions")
            .iter()
            .any(|condition| text(condition, "/type") == "Ready" && text(condition, "/status") == "True");
        word = if is_ready { "Running" } else { "NotReady" }.to_owned();
    }
    word
}

/// The word while init containers are not through: the first that is not says why.
fn init_word(pod: &Value) -> Option<String> {
    let statuses = list(pod, "/status/initContainerStatuses");
    let has_succeeded = |status: &Value| integer(status, "/state/terminated/exitCode") == Some(0);
    let at = statuses.iter().position(|status| !has_succeeded(status))?;
    let waiting = text(&statuses[at], "/state/waiting/reason");
    Some(match statuses[at].pointer("/state/terminated") {
        Some(terminated) => format!("Init:{}", end_word(terminated)),
        None if !["", "PodInitializing"].contains(&waiting) => format!("Init:{waiting}"),
        None => format!("Init:{at}/{}", list(pod, "/spec/initContainers").len()),
    })
}

/// How a container ended.
fn end_word(terminated: &Value) -> String {
    match (text(terminated, "/reason"), integer(terminated, "/signal")) {
        ("", Some(signal)) if signal != 0 => format!("Signal:{signal}"),
        ("", _) => format!("ExitCode:{}", integer(terminated, "/exitCode").unwrap_or(0)),
        (reason, _) => reason.to_owned(),
    }
}

fn service(service: &Value, name: Value, born: Value) -> Vec<Value> {
    let ports = list(service, "/spec/ports").iter().map(|port| {
        let protocol = text(port, "/protocol");
        let number = integer(port, "/port").unwrap_or(0);
        match integer(port, "/nodePort").unwrap_or(0) {
            0 => format!("{number}/{protocol}"),
            node_port => format!("{number}:{node_port}/{protocol}"),
        }
    });
    let ports: Vec<String> = ports.collect();
    let external = match text(service, "/spec/type") {
        "LoadBalancer" => "<pending>".into(),
        "ExternalName" => or_none(text(service, "/spec/externalName")),
        _ => "<none>".into(),
    };
    vec![
        name,
        text(service, "/spec/type").into(),
        or_none(text(service, "/spec/clusterIP")),
        external,
        or_none(&ports.join(",")),
        born,
        or_none(&joined_map(service, "/spec/selector")),
    ]
}

/// At most three addresses, as kubectl shows them.
fn endpoints(endpoints: &Value) -> String {
    let mut shown = Vec::new();
    for subset in list(endpoints, "/subsets") {
        for port in list(subset, "/ports") {
            let number = integer(port, "/port").unwrap_or(0);
            shown.extend(list(subset, "/addresses").iter().map(|address| format!("{}:{number}", text(address, "/ip"))));
        }
    }
    match shown.len() {
        0 => "<none>".to_owned(),
        1..=3 => shown.join(","),
        total => format!("{} + {} more...", shown[..3].join(","), total - 3),
    }
}

fn claim(claim: &Value, name: Value, born: Value) -> Vec<Value> {
    let modes = list(claim, "/spec/accessModes").iter().filter_map(Value::as_str);
    let short = modes.map(|mode| match mode {
        "ReadWriteOnce" => "RWO",
        "ReadOnlyMany" => "ROX",
        "ReadWriteMany" => "RWX",
        _ => "RWOP",
    });
    let modes: Vec<&str> = short.collect();
    let status = if object::is_deleting(claim) { "Terminating" } else { text(claim, "/status/phase") };
    vec![
        name,
        status.into(),
        text(claim, "/spec/volumeName").into(),
        text(claim, "/status/capacity/storage").into(),
        modes.join(",").into(),
        text(claim, "/spec/storageClassName").into(),
        "<unset>".into(),
        born,
        or_none(text(claim, "/spec/volumeMode")),
    ]
}

fn event(event: &Value, name: Value, now: Timestamp) -> Vec<Value> {
    let first = [text(event, "/firstTimestamp"), text(event, "/eventTime")];
    let first = first.into_iter().find(|time| !time.is_empty()).unwrap_or_default();
    let last = text(event, "/lastTimestamp");
    let count = integer(event, "/count").unwrap_or(1);
    let first_seen = since(first, now);
    let last_seen = if last.is_empty() { first_seen.clone() } else { since(last, now) };
    let last_seen = if count > 1 { format!("{last_seen} (x{count} over {first_seen})") } else { last_seen };
    let component = text(event, "/source/component");
    let component = if component.is_empty() { text(event, "/reportingComponent") } else { component };
    let about =
        format!("{}/{}", text(event, "/involvedObject/kind").to_lowercase(), text(event, "/involvedObject/name"));
    vec![
        last_seen.into(),
        text(event, "/type").into(),
        text(event, "/reason").into(),
        about.into(),
        text(event, "/involvedObject/fieldPath").into(),
        component.into(),
        text(event, "/message").trim().into(),
        first_seen.into(),
        count.into(),
        name,
    ]
}

fn route(route: &Value, name: Value) -> Vec<Value> {
    let port = match route.pointer("/spec/port/targetPort") {
        Some(Value::String(name)) => name.clone(),
        Some(number) => number.to_string(),
        None => "<all>".to_owned(),
    };
    let termination = text(route, "/spec/tls/termination");
    let policy = text(route, "/spec/tls/insecureEdgeTerminationPolicy");
    let termination = if policy.is_empty() { termination.to_owned() } else { format!("{termination}/{policy}") };
    vec![
        name,
        text(route, "/spec/host").into(),
        text(route, "/spec/path").into(),
        text(route, "/spec/to/name").into(),
        port.into(),
        termination.into(),
        text(route, "/spec/wildcardPolicy").into(),
    ]
}

fn trigger_text(trigger: &Value) -> String {
    match text(trigger, "/type") {
        "ImageChange" => format!("image({})", text(trigger, "/imageChangeParams/from/name")),
        "ConfigChange" => "config".to_owned(),
        other => other.to_owned(),
    }
}
