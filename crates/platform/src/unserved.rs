//! The legal fields of pods, and the kinds, that have no effect on a laptop: each is named, with its path and why.
//!
//! Admission sends them to whoever writes the object, as warnings; the runner records them as events of each pod that it
//! starts. Nothing that a manifest says is passed over in silence: a field is served, means nothing on one machine as its
//! default does, or is listed here.

use serde_json::Value;

use crate::kinds::Kind;
use crate::object::{list, text};

/// Why fields of a pod have no effect, and the fields.
const POD_FIELDS: [(&str, &[&str]); 6] = [
    (
        "there is one node, on which every pod runs",
        &[
            "nodeSelector",
            "affinity",
            "tolerations",
            "topologySpreadConstraints",
            "priorityClassName",
            "priority",
            "preemptionPolicy",
            "runtimeClassName",
            "os",
            "overhead",
            "resourceClaims",
            "schedulingGates",
        ],
    ),
    ("processes run as the user who started millstream", &["securityContext"]),
    ("no images are pulled", &["imagePullSecrets"]),
    ("there are no service accounts: a pod gets no token", &["serviceAccountName"]),
    (
        "a pod has this machine's host name and resolves names as this machine does, and Services by theirs",
        &["hostname", "subdomain", "setHostnameAsFQDN", "hostAliases", "dnsConfig"],
    ),
    ("not served yet", &["activeDeadlineSeconds", "readinessGates", "ephemeralContainers", "resources"]),
];

/// The same for a container.
const CONTAINER_FIELDS: [(&str, &[&str]); 4] = [
    ("processes run as the user who started millstream", &["securityContext"]),
    ("the hooks are not run", &["lifecycle"]),
    ("a container has no terminal and no input", &["stdin", "stdinOnce", "tty"]),
    ("not served yet", &["restartPolicy", "volumeDevices"]),
];

/// Warnings about an object that is written; empty for what is served.
pub(crate) fn of_object(kind: &Kind, object: &Value) -> Vec<String> {
    let template = || object.pointer("/spec/template/spec").map(|spec| of_pod(spec, "spec.template.spec"));
    match kind.kind {
        "Pod" => object.get("spec").map(|spec| of_pod(spec, "spec")).unwrap_or_default(),
        "Deployment" | "ReplicaSet" => template().unwrap_or_default(),
        "DeploymentConfig" => of_deployment_config(object).into_iter().chain(template().unwrap_or_default()).collect(),
        "KafkaUser" => {
            vec![
                "kind: a KafkaUser is kept, but not served yet: no user is created and no Secret is written".to_owned(),
            ]
        }
        "KafkaNodePool" => {
            let kept = "kind: a KafkaNodePool is kept, but not served yet: spec.kafka.replicas of the Kafka decides";
            vec![kept.to_owned()]
        }
        "PersistentVolumeClaim" => {
            vec!["kind: a PersistentVolumeClaim is kept, but no volume is made for it".to_owned()]
        }
        "ImageStream" => vec!["kind: an ImageStream is kept, but has no effect: no images are pulled".to_owned()],
        _ => Vec::new(),
    }
}

/// What only OpenShift does for a DeploymentConfig: it rolls when its template changes, as a Deployment does.
fn of_deployment_config(config: &Value) -> Vec<String> {
    let mut found = Vec::new();
    for (index, trigger) in list(config, "/spec/triggers").iter().enumerate() {
        if text(trigger, "/type") != "ConfigChange" {
            found.push(format!("spec.triggers[{index}]: no images are pulled: only a changed template rolls"));
        }
    }
    if config.pointer("/spec/test").is_some_and(is_set) {
        found.push("spec.test: not served yet: it is scaled as any other".to_owned());
    }
    if text(config, "/spec/strategy/type") == "Custom" {
        found.push("spec.strategy.type: Custom is not served: it rolls as with Rolling".to_owned());
    }
    for params in ["rollingParams", "recreateParams"] {
        for hook in ["pre", "mid", "post"] {
            if config.pointer(&format!("/spec/strategy/{params}/{hook}")).is_some_and(is_set) {
                found.push(format!("spec.strategy.{params}.{hook}: the hooks are not run"));
            }
        }
    }
    found
}

/// The fields of a pod's specification, which stands at `path`, that have no effect: `PATH: why`.
pub(crate) fn of_pod(spec: &Value, path: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (index, volume) in list(spec, "/volumes").iter().enumerate() {
        let kind =
            volume.as_object().into_iter().flatten().map(|(field, _)| field.as_str()).find(|field| *field != "name");
        let why = "volumes are not served: nothing is mounted, and the container sees the files of this machine";
        found.push(format!("{path}.volumes[{index}].{}: {why}", kind.unwrap_or("emptyDir")));
    }
    named(spec, path, &POD_FIELDS, &mut found);
    if !["", "ClusterFirst", "ClusterFirstWithHostNet", "Default"].contains(&text(spec, "/dnsPolicy")) {
        found.push(format!("{path}.dnsPolicy: names are resolved as this machine does, and Services by theirs"));
    }
    if !["", "default-scheduler"].contains(&text(spec, "/schedulerName")) {
        found.push(format!("{path}.schedulerName: there is one node, on which every pod runs"));
    }
    for group in ["initContainers", "containers"] {
        for (index, container) in list(spec, &format!("/{group}")).iter().enumerate() {
            of_container(container, &format!("{path}.{group}[{index}]"), &mut found);
        }
    }
    found
}

fn of_container(container: &Value, path: &str, found: &mut Vec<String>) {
    let limits = container.pointer("/resources/limits").and_then(Value::as_object);
    for name in limits.into_iter().flatten().map(|(name, _)| name) {
        found.push(format!("{path}.resources.limits.{name}: limits are not enforced"));
    }
    if container.pointer("/resources/claims").is_some_and(is_set) {
        found.push(format!("{path}.resources.claims: not served yet"));
    }
    named(container, path, &CONTAINER_FIELDS, found);
    if !["", "/dev/termination-log"].contains(&text(container, "/terminationMessagePath")) {
        found.push(format!("{path}.terminationMessagePath: not served yet: no message is read"));
    }
    for (index, port) in list(container, "/ports").iter().enumerate() {
        for field in ["hostPort", "hostIP"].into_iter().filter(|field| port.get(*field).is_some_and(is_set)) {
            let why = "a pod has an address of its own on this machine: its port is reached there";
            found.push(format!("{path}.ports[{index}].{field}: {why}"));
        }
    }
    for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
        if container.pointer(&format!("/{probe}/grpc")).is_some_and(is_set) {
            found.push(format!("{path}.{probe}.grpc: not served yet: the container counts as healthy"));
        }
        if text(container, &format!("/{probe}/httpGet/scheme")) == "HTTPS" {
            found.push(format!("{path}.{probe}.httpGet.scheme: of HTTPS it is only checked that the port is open"));
        }
    }
}

fn named(object: &Value, path: &str, table: &[(&str, &[&str])], found: &mut Vec<String>) {
    for (why, fields) in table {
        for field in fields.iter().filter(|field| object.get(**field).is_some_and(is_set)) {
            found.push(format!("{path}.{field}: {why}"));
        }
    }
}

/// Whether a value asks for something: the server's own defaults and empty values do not.
fn is_set(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::Bool(true) | Value::Number(_) => true,
        Value::String(text) => !text.is_empty() && text != "default",
        Value::Array(items) => !items.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kinds::{DEPLOYMENT, DEPLOYMENT_CONFIG, PERSISTENT_VOLUME_CLAIM};

    /// The paths of what is found.
    fn paths(spec: Value) -> Vec<String> {
        of_pod(&spec, "spec").iter().filter_map(|line| line.split(": ").next()).map(str::to_owned).collect()
    }

    #[test]
    fn a_pod_that_is_served_whole_has_no_warning() {
        let container = json!({ "name": "c", "image": "i", "command": ["x"], "args": ["y"], "workingDir": "/",
            "env": [{ "name": "A", "value": "1" }], "envFrom": [{ "configMapRef": { "name": "m" } }],
            "ports": [{ "containerPort": 8080, "name": "http", "protocol": "TCP" }],
            "resources": { "requests": { "memory": "1Gi" } }, "imagePullPolicy": "Always",
            "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
            "readinessProbe": { "httpGet": { "port": "http", "scheme": "HTTP" } } });
        let spec = json!({ "containers": [container], "restartPolicy": "Always", "dnsPolicy": "ClusterFirst",
            "terminationGracePeriodSeconds": 5, "schedulerName": "default-scheduler", "securityContext": {},
            "serviceAccountName": "default", "serviceAccount": "default", "hostNetwork": true });
        assert_eq!(paths(spec), Vec::<String>::new());
    }

    #[test]
    fn each_field_without_effect_is_named_by_its_path() {
        let container = json!({ "name": "c", "securityContext": { "runAsUser": 1 }, "lifecycle": { "preStop": {} },
            "resources": { "limits": { "cpu": "1", "memory": "1Gi" } }, "tty": true, "volumeMounts": [{ "name": "v" }],
            "ports": [{ "containerPort": 1, "hostPort": 81 }], "livenessProbe": { "grpc": { "port": 1 } },
            "readinessProbe": { "httpGet": { "port": 1, "scheme": "HTTPS" } } });
        let spec = json!({ "initContainers": [{ "name": "i", "restartPolicy": "Always" }], "containers": [container],
            "volumes": [{ "name": "v", "configMap": { "name": "m" } }], "nodeSelector": { "a": "b" },
            "securityContext": { "fsGroup": 1 }, "serviceAccountName": "robot", "dnsPolicy": "None",
            "activeDeadlineSeconds": 5 });
        assert_eq!(
            paths(spec),
            [
                "spec.volumes[0].configMap",
                "spec.nodeSelector",
                "spec.securityContext",
                "spec.serviceAccountName",
                "spec.activeDeadlineSeconds",
                "spec.dnsPolicy",
                "spec.initContainers[0].restartPolicy",
                "spec.containers[0].resources.limits.cpu",
                "spec.containers[0].resources.limits.memory",
                "spec.containers[0].securityContext",
                "spec.containers[0].lifecycle",
                "spec.containers[0].tty",
                "spec.containers[0].ports[0].hostPort",
                "spec.containers[0].livenessProbe.grpc",
                "spec.containers[0].readinessProbe.httpGet.scheme",
            ]
        );
    }

    #[test]
    fn a_template_is_looked_through_and_an_unserved_kind_is_named() {
        let object = json!({ "spec": { "template": { "spec": { "hostname": "h", "containers": [] } } } });
        assert!(of_object(&DEPLOYMENT, &object)[0].starts_with("spec.template.spec.hostname: "));
        let config = json!({ "spec": { "triggers": [{ "type": "ConfigChange" }, { "type": "ImageChange" }], "test": true,
            "strategy": { "type": "Custom", "recreateParams": { "pre": { "failurePolicy": "Abort" } } } } });
        let found = of_object(&DEPLOYMENT_CONFIG, &config);
        let paths: Vec<&str> = found.iter().filter_map(|line| line.split(": ").next()).collect();
        assert_eq!(paths, ["spec.triggers[1]", "spec.test", "spec.strategy.type", "spec.strategy.recreateParams.pre"]);
        assert!(of_object(&PERSISTENT_VOLUME_CLAIM, &json!({}))[0].starts_with("kind: "));
    }
}
