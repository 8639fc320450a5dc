//! What a Kafka resource wants to exist: its pods, Services and Endpoints. Pure.
//!
//! The brokers of a resource are one process, shown as its n pods: the first pod runs it, the others stand for it, as the
//! pod of the entity operator stands for this process. An annotation tells the kubelet whose state such a pod shows.

use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::{Endpoints, Pod, Service};
use kube::{Resource as _, ResourceExt as _};
use serde_json::{Value, json};

use super::properties::{BROKER_HOST, served_listeners, server_properties};
use crate::names::short_hash;
use crate::object::from_json;
use crate::strimzi::{CLUSTER_LABEL, Kafka};

/// A pod with this annotation is shown, not run: `up` stands for this process, `pod/NAME` for another pod's.
pub const RUNS_IN_ANNOTATION: &str = "millstream.io/runs-in";
/// Tells whether a pod was made from the spec as it is now.
pub(crate) const SPEC_HASH_ANNOTATION: &str = "millstream.io/spec-hash";
/// Where the broker serves `/readyz` and `/metrics`, on its pod's address: Strimzi's port for metrics.
const HTTP_PORT: u16 = 9404;
/// More nodes in one process than this are a typing error.
const REPLICAS_MAX: i32 = 100;

/// How the broker of a laptop is started.
#[derive(Debug, Clone)]
pub struct BrokerProcess {
    /// Program and leading arguments, such as `["/usr/bin/millstream", "broker"]`.
    pub command: Vec<String>,
    /// Folder that holds a folder for each Kafka resource.
    pub state: PathBuf,
    /// `fsync` or `os`, for every broker, when the user said so.
    pub durability: Option<String>,
}

impl BrokerProcess {
    /// The folder of one Kafka resource: configuration and data.
    pub fn home(&self, kafka: &Kafka) -> PathBuf {
        self.state.join(kafka.namespace().unwrap_or_default()).join(kafka.name_any())
    }

    /// Where its generated configuration is.
    pub fn properties_file(&self, kafka: &Kafka) -> PathBuf {
        self.home(kafka).join("server.properties")
    }
}

/// Brokers of a resource: at least one.
pub(crate) fn replicas(kafka: &Kafka) -> i32 {
    kafka.spec.kafka.replicas.unwrap_or(1).clamp(1, REPLICAS_MAX)
}

/// Every pod: the brokers', the first of which is the process, and the entity operator's.
pub(crate) fn pods(kafka: &Kafka, process: &BrokerProcess) -> Vec<Pod> {
    let mut pods: Vec<Pod> = (0..replicas(kafka)).map(|id| broker_pod(kafka, process, id)).collect();
    if kafka.spec.entity_operator.is_some() {
        pods.push(operator_pod(kafka));
    }
    pods
}

/// The name of the pod that runs the brokers' process.
pub(crate) fn process_pod_name(kafka: &Kafka) -> String {
    format!("{}-kafka-0", kafka.name_any())
}

fn broker_pod(kafka: &Kafka, process: &BrokerProcess, id: i32) -> Pod {
    let hash = spec_hash(kafka, process);
    let mut annotations = json!({SPEC_HASH_ANNOTATION: hash});
    if id > 0 {
        annotations[RUNS_IN_ANNOTATION] = json!(format!("pod/{}", process_pod_name(kafka)));
    }
    from_json(json!({
        "metadata": {
            "name": format!("{}-kafka-{id}", kafka.name_any()),
            "namespace": kafka.namespace(),
            "labels": labels(kafka, "kafka"),
            "annotations": annotations,
            "ownerReferences": owner(kafka),
        },
        "spec": {
            "containers": [broker_container(kafka, process)],
            "restartPolicy": "Always",
            // Time to flush and to hand the group coordinators' state over.
            "terminationGracePeriodSeconds": 30,
        },
    }))
}

fn broker_container(kafka: &Kafka, process: &BrokerProcess) -> Value {
    let path = |path: PathBuf| path.display().to_string();
    let mut args = vec![
        "--config".to_owned(),
        path(process.properties_file(kafka)),
        "--data-dir".to_owned(),
        path(process.home(kafka).join("data")),
        "--http".to_owned(),
        format!("$(POD_IP):{HTTP_PORT}"),
    ];
    if replicas(kafka) > 1 {
        args.extend(["--nodes".to_owned(), replicas(kafka).to_string()]);
    }
    if let Some(durability) = &process.durability {
        args.extend(["--durability".to_owned(), durability.clone()]);
    }
    let ports: Vec<Value> = served_listeners(kafka)
        .map(|listener| json!({"name": port_name(&listener.name), "containerPort": listener.port, "protocol": "TCP"}))
        .collect();
    let probe =
        |path: &str| json!({"httpGet": {"path": path, "port": HTTP_PORT}, "periodSeconds": 1, "timeoutSeconds": 5});
    let mut container = json!({
        "name": "kafka",
        "image": "millstream",
        "command": process.command,
        "args": args,
        "env": [{"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}],
        "ports": ports,
        "readinessProbe": probe("/readyz"),
        // What the broker says last is the reason that the resource shows.
        "terminationMessagePolicy": "FallbackToLogsOnError",
    });
    if let Some(resources) = &kafka.spec.kafka.resources {
        container["resources"] = resources.clone();
    }
    container
}

fn operator_pod(kafka: &Kafka) -> Pod {
    let uid = kafka.uid().unwrap_or_default();
    let deployment = format!("{}-entity-operator", kafka.name_any());
    let name = format!("{deployment}-{}-{}", short_hash(&uid, 9), short_hash(&deployment, 5));
    from_json(json!({
        "metadata": {
            "name": name,
            "namespace": kafka.namespace(),
            "labels": labels(kafka, "entity-operator"),
            "annotations": {RUNS_IN_ANNOTATION: "up", SPEC_HASH_ANNOTATION: short_hash("entity-operator", 9)},
            "ownerReferences": owner(kafka),
        },
        "spec": {"containers": [{"name": "topic-operator", "image": "millstream"}], "restartPolicy": "Always"},
    }))
}

/// Changes when the process has to be started anew.
fn spec_hash(kafka: &Kafka, process: &BrokerProcess) -> String {
    let container = broker_container(kafka, process);
    short_hash(&format!("{container}{}", server_properties(kafka)), 10)
}

/// The Services by which clients find the brokers: one address for all, and one name for each.
pub(crate) fn services(kafka: &Kafka) -> Vec<Service> {
    let ports = ports(kafka);
    if ports.is_empty() {
        return Vec::new();
    }
    let service = |suffix: &str, spec: Value| {
        from_json(json!({
            "metadata": {
                "name": format!("{}-kafka-{suffix}", kafka.name_any()),
                "namespace": kafka.namespace(),
                "labels": labels(kafka, "kafka"),
                "ownerReferences": owner(kafka),
            },
            "spec": spec,
        }))
    };
    vec![
        service("bootstrap", json!({"type": "ClusterIP", "ports": ports})),
        service(
            "brokers",
            json!({"type": "ClusterIP", "clusterIP": "None", "publishNotReadyAddresses": true, "ports": ports}),
        ),
    ]
}

/// Where the bootstrap Service leads: the brokers listen on the loopback address, not on their pods' own.
pub(crate) fn endpoints(kafka: &Kafka, ready: bool) -> Option<Endpoints> {
    let ports: Vec<Value> = served_listeners(kafka)
        .map(|listener| json!({"name": port_name(&listener.name), "port": listener.port, "protocol": "TCP"}))
        .collect();
    if ports.is_empty() {
        return None;
    }
    let addresses = if ready { "addresses" } else { "notReadyAddresses" };
    Some(from_json(json!({
        "metadata": {
            "name": format!("{}-kafka-bootstrap", kafka.name_any()),
            "namespace": kafka.namespace(),
            "labels": labels(kafka, "kafka"),
            "ownerReferences": owner(kafka),
        },
        "subsets": [{addresses: [{"ip": BROKER_HOST}], "ports": ports}],
    })))
}

fn ports(kafka: &Kafka) -> Vec<Value> {
    served_listeners(kafka)
        .map(|listener| {
            let (name, port) = (port_name(&listener.name), listener.port);
            json!({"name": name, "port": port, "targetPort": port, "protocol": "TCP"})
        })
        .collect()
}

/// Strimzi's names of the ports: the two historical listeners have names of their own.
fn port_name(listener: &str) -> String {
    match listener {
        "plain" => "tcp-clients".into(),
        "tls" => "tcp-clientstls".into(),
        name => format!("tcp-{name}"),
    }
}

fn labels(kafka: &Kafka, component: &str) -> Value {
    let name = kafka.name_any();
    json!({
        CLUSTER_LABEL: name,
        "strimzi.io/kind": "Kafka",
        "strimzi.io/name": format!("{name}-{component}"),
        "app.kubernetes.io/name": component,
        "app.kubernetes.io/instance": name,
        "app.kubernetes.io/part-of": format!("strimzi-{name}"),
        "app.kubernetes.io/managed-by": "strimzi-cluster-operator",
    })
}

fn owner(kafka: &Kafka) -> Value {
    json!(kafka.controller_owner_ref(&()).into_iter().collect::<Vec<_>>())
}

/// Writes the generated configuration; true when it changed.
///
/// # Errors
/// The folder cannot be made or written.
pub(crate) fn write_properties(kafka: &Kafka, file: &Path) -> std::io::Result<bool> {
    let text = server_properties(kafka);
    if std::fs::read_to_string(file).is_ok_and(|old| old == text) {
        return Ok(false);
    }
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(file, text)?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kafka(replicas: i32) -> Kafka {
        from_json(json!({"apiVersion": "kafka.strimzi.io/v1beta2", "kind": "Kafka",
            "metadata": {"name": "amm", "namespace": "default", "uid": "u-1"},
            "spec": {"entityOperator": {}, "kafka": {"replicas": replicas,
                "listeners": [{"name": "plain", "port": 9092, "type": "internal", "tls": false},
                              {"name": "tls", "port": 9093, "type": "internal", "tls": true}]}}}))
    }

    fn process() -> BrokerProcess {
        BrokerProcess { command: vec!["ms".into(), "broker".into()], state: "/state".into(), durability: None }
    }

    #[test]
    fn one_pod_runs_the_process_and_the_others_stand_for_it() {
        let pods = pods(&kafka(3), &process());
        let mirrors: Vec<_> =
            pods.iter().map(|pod| (pod.name_any(), pod.annotations().contains_key(RUNS_IN_ANNOTATION))).collect();
        assert_eq!(
            mirrors[..3],
            [("amm-kafka-0".into(), false), ("amm-kafka-1".into(), true), ("amm-kafka-2".into(), true)]
        );
        assert!(mirrors[3].0.starts_with("amm-entity-operator-") && mirrors[3].1);
    }

    #[test]
    fn pods_belong_to_the_resource_so_that_they_go_with_it() {
        for pod in pods(&kafka(1), &process()) {
            let owner = &pod.owner_references()[0];
            assert_eq!((owner.kind.as_str(), owner.name.as_str(), owner.uid.as_str()), ("Kafka", "amm", "u-1"));
        }
    }

    #[test]
    fn a_changed_config_changes_the_hash_and_nothing_else_does() {
        let hash = |kafka: &Kafka| pods(kafka, &process())[0].annotations()[SPEC_HASH_ANNOTATION].clone();
        let before = kafka(1);
        let mut after = kafka(1);
        after.metadata.generation = Some(7);
        assert_eq!(hash(&before), hash(&after));
        after.spec.kafka.config.insert("num.partitions".into(), json!(3));
        assert_ne!(hash(&before), hash(&after));
    }

    #[test]
    fn the_process_is_told_its_files_nodes_and_durability() {
        let process = BrokerProcess { durability: Some("os".into()), ..process() };
        let pod = &pods(&kafka(3), &process)[0];
        let args = pod.spec.as_ref().unwrap().containers[0].args.clone().unwrap().join(" ");
        assert_eq!(
            args,
            "--config /state/default/amm/server.properties --data-dir /state/default/amm/data --http $(POD_IP):9404 \
             --nodes 3 --durability os"
        );
    }

    #[test]
    fn services_have_the_ports_that_are_served() {
        let services = services(&kafka(1));
        let names: Vec<_> = services.iter().map(kube::ResourceExt::name_any).collect();
        assert_eq!(names, ["amm-kafka-bootstrap", "amm-kafka-brokers"]);
        let ports = services[0].spec.as_ref().unwrap().ports.as_ref().unwrap();
        assert_eq!(
            ports.iter().map(|p| (p.name.clone().unwrap(), p.port)).collect::<Vec<_>>(),
            [("tcp-clients".into(), 9092)]
        );
    }

    #[test]
    fn endpoints_are_only_addressed_once_a_broker_serves() {
        let subset = |ready| endpoints(&kafka(1), ready).unwrap().subsets.unwrap().remove(0);
        assert!(subset(false).addresses.is_none());
        assert_eq!(subset(true).addresses.unwrap()[0].ip, "127.0.0.1");
    }

    #[test]
    fn the_configuration_is_written_once() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a/server.properties");
        assert!(write_properties(&kafka(1), &file).unwrap());
        assert!(!write_properties(&kafka(1), &file).unwrap());
    }
}
