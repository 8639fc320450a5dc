use serde_json::json;

use super::*;
use crate::kinds::{DEPLOYMENT, ENDPOINTS, EVENT, KAFKA_TOPIC, KINDS, POD, ROUTE, SERVICE};

fn now() -> Timestamp {
    "2026-11-23T07:10:00Z".parse().unwrap()
}

/// The table as kubectl lays it out with `-o wide`.
fn wide(kind: &'static Kind, version: &str, objects: &[Value]) -> String {
    let table = Printer::new(kind, version).table(objects, IncludeObject::None, "7", now(), true);
    let names = list(&table, "/columnDefinitions").iter().map(|column| text(column, "/name").to_uppercase());
    let mut rows: Vec<Vec<String>> = vec![names.collect()];
    for row in list(&table, "/rows") {
        let cell = |cell: &Value| cell.as_str().map_or_else(|| cell.to_string(), str::to_owned);
        rows.push(list(row, "/cells").iter().map(cell).collect());
    }
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..rows[0].len()).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("   ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn metadata(name: &str) -> Value {
    json!({ "name": name, "namespace": "default", "creationTimestamp": "2026-11-23T07:00:00Z" })
}

fn pod(name: &str, container: Value) -> Value {
    let mut status = json!({ "name": "c", "ready": false, "restartCount": 0, "state": {} });
    for (field, value) in container.as_object().unwrap() {
        status[field] = value.clone();
    }
    json!({
        "metadata": metadata(name), "spec": { "nodeName": "millstream", "containers": [{ "name": "c" }] },
        "status": { "phase": "Running", "podIP": "127.97.0.1", "containerStatuses": [status] },
    })
}

#[test]
fn pods_show_the_most_telling_word() {
    let running = pod("running", json!({ "ready": true, "state": { "running": {} } }));
    let mut deleted = running.clone();
    deleted["metadata"]["name"] = "deleted".into();
    deleted["metadata"]["deletionTimestamp"] = "2026-11-23T07:09:00Z".into();
    let crashing = pod(
        "crashing",
        json!({
        "restartCount": 3, "state": { "waiting": { "reason": "CrashLoopBackOff" } },
        "lastState": { "terminated": { "finishedAt": "2026-11-23T07:08:00Z" } } }),
    );
    let failed = pod("failed", json!({ "state": { "terminated": { "exitCode": 7, "reason": "Error" } } }));
    let killed = pod("killed", json!({ "state": { "terminated": { "exitCode": 137, "signal": 9 } } }));
    let pending =
        json!({ "metadata": metadata("pending"), "spec": { "containers": [{}] }, "status": { "phase": "Pending" } });
    insta::assert_snapshot!(wide(&POD, "v1", &[running, deleted, crashing, failed, killed, pending]));
}

#[test]
fn a_pod_whose_init_containers_are_not_through_says_how_far_it_is() {
    let word = |first: Value, second: Value| {
        let pod = json!({ "metadata": metadata("p"), "spec": { "containers": [{}], "initContainers": [{}, {}] },
            "status": { "phase": "Pending", "initContainerStatuses": [{ "state": first }, { "state": second, "restartCount": 2 }],
                "containerStatuses": [{ "state": { "waiting": { "reason": "PodInitializing" } } }] } });
        let cells = Printer::new(&POD, "v1").cells(&pod, now());
        (cells[2].as_str().unwrap().to_owned(), cells[3].as_str().unwrap().to_owned())
    };
    let done = || json!({ "terminated": { "exitCode": 0, "reason": "Completed" } });
    let waits = |reason: &str| json!({ "waiting": { "reason": reason } });
    assert_eq!(word(json!({ "running": {} }), waits("PodInitializing")).0, "Init:0/2");
    assert_eq!(word(done(), json!({ "running": {} })), ("Init:1/2".to_owned(), "2".to_owned()));
    assert_eq!(word(done(), waits("CrashLoopBackOff")).0, "Init:CrashLoopBackOff");
    assert_eq!(word(done(), json!({ "terminated": { "exitCode": 3, "reason": "Error" } })).0, "Init:Error");
    assert_eq!(word(done(), done()).0, "PodInitializing");
}

#[test]
fn workloads_and_their_network_have_kubectls_columns() {
    let template = json!({ "spec": { "containers": [{ "name": "web", "image": "web:1" }] } });
    let deployment = json!({
        "metadata": metadata("web"),
        "spec": { "replicas": 2, "selector": { "matchLabels": { "app": "web" } }, "template": template },
        "status": { "readyReplicas": 1, "updatedReplicas": 2, "availableReplicas": 1 } });
    let service = json!({ "metadata": metadata("web"), "spec": {
        "type": "ClusterIP", "clusterIP": "127.96.0.1", "selector": { "app": "web" },
        "ports": [{ "port": 80, "protocol": "TCP" }, { "port": 443, "protocol": "TCP", "nodePort": 30443 }] } });
    let addresses: Vec<Value> = (1..5).map(|last| json!({ "ip": format!("127.97.0.{last}") })).collect();
    let endpoints =
        json!({ "metadata": metadata("web"), "subsets": [{ "addresses": addresses, "ports": [{ "port": 8080 }] }] });
    let route = json!({ "metadata": metadata("web"), "spec": {
        "host": "web.localhost", "path": "/", "to": { "name": "web" }, "wildcardPolicy": "None",
        "tls": { "termination": "edge", "insecureEdgeTerminationPolicy": "Allow" } } });
    let event = json!({
        "metadata": metadata("web.x"), "type": "Warning", "reason": "BackOff", "message": "Back-off", "count": 3,
        "involvedObject": { "kind": "Pod", "name": "web" }, "source": { "component": "kubelet" },
        "firstTimestamp": "2026-11-23T07:00:00Z", "lastTimestamp": "2026-11-23T07:09:30Z" });
    let tables = [
        wide(&DEPLOYMENT, "v1", &[deployment]),
        wide(&SERVICE, "v1", &[service]),
        wide(&ENDPOINTS, "v1", &[endpoints]),
        wide(&ROUTE, "v1", &[route]),
        wide(&EVENT, "v1", &[event]),
    ];
    insta::assert_snapshot!(tables.join("\n\n"));
}

#[test]
fn strimzis_kinds_have_the_columns_of_their_definitions() {
    let topic = json!({
        "metadata": { "name": "manual", "labels": { "strimzi.io/cluster": "lab" } }, "spec": { "partitions": 1, "replicas": 1 },
        "status": { "conditions": [{ "type": "Ready", "status": "True" }] } });
    insta::assert_snapshot!(wide(&KAFKA_TOPIC, "v1beta2", &[topic]));
}

#[test]
fn every_row_has_a_cell_for_every_column() {
    for kind in KINDS {
        let printer = Printer::new(kind, kind.versions[0]);
        let object = json!({ "metadata": metadata("x") });
        assert_eq!(printer.cells(&object, now()).len(), printer.columns.len(), "{}", kind.kind);
    }
}
