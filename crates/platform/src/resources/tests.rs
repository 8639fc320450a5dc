use jiff::Timestamp;
use serde_json::json;

use super::*;
use crate::clock::Clock;
use crate::kinds::{CONFIG_MAP, DEPLOYMENT, KAFKA_TOPIC, POD, REPLICA_SET, ROUTE, SECRET, SERVICE};

struct Fixture {
    _folder: tempfile::TempDir,
    resources: Resources,
}

fn fixture() -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    let start: Timestamp = "2026-11-23T07:00:00Z".parse().unwrap();
    let store = Store::open(&folder.path().join("platform.redb"), Clock::from_fn(move || start)).unwrap();
    let resources = Resources::new(store, Defaults { service_network: Ipv4Addr::new(127, 96, 0, 0) }).unwrap();
    Fixture { _folder: folder, resources }
}

fn target(kind: &'static Kind, name: &str) -> Target {
    let namespace = if kind.namespaced { "default" } else { "" };
    Target { kind, version: kind.versions[0], namespace: namespace.to_owned(), name: name.to_owned() }
}

fn create(fixture: &Fixture, kind: &'static Kind, body: Value) -> Result<Value, ApiError> {
    let name = object::name(&body).to_owned();
    let mut target = target(kind, &name);
    target.name.clear();
    fixture.resources.create(&target, body, WriteOptions::default()).map(|written| written.object.as_ref().clone())
}

fn config_map(name: &str) -> Value {
    json!({ "metadata": { "name": name }, "data": { "a": "1" } })
}

fn deployment(name: &str) -> Value {
    json!({ "metadata": { "name": name }, "spec": { "selector": { "matchLabels": { "app": name } },
        "template": { "metadata": { "labels": { "app": name } }, "spec": { "containers": [{ "name": "c", "image": "i" }] } } } })
}

fn pod(name: &str) -> Value {
    json!({ "metadata": { "name": name }, "spec": { "containers": [{ "name": "c", "image": "i" }] } })
}

fn owned(mut object: Value, owner: &Value, kind: &str) -> Value {
    let api_version = if kind == "ConfigMap" { "v1" } else { "apps/v1" };
    object["metadata"]["ownerReferences"] = json!([{ "apiVersion": api_version, "kind": kind,
        "name": object::name(owner), "uid": object::uid(owner), "controller": true }]);
    object
}

fn exists(fixture: &Fixture, kind: &'static Kind, name: &str) -> bool {
    fixture.resources.get(&target(kind, name)).is_ok()
}

#[test]
fn a_new_object_gets_uid_time_and_version() {
    let fixture = fixture();
    let created = create(&fixture, &DEPLOYMENT, deployment("web")).unwrap();
    assert_eq!(object::text(&created, "/metadata/creationTimestamp"), "2026-11-23T07:00:00Z");
    assert_eq!(created["metadata"]["generation"], 1);
    assert!(!object::uid(&created).is_empty() && object::resource_version(&created) > 0);
    assert_eq!(created["kind"], "Deployment");
}

#[test]
fn a_taken_name_and_a_missing_namespace_are_refused() {
    let fixture = fixture();
    create(&fixture, &CONFIG_MAP, config_map("a")).unwrap();
    let taken = create(&fixture, &CONFIG_MAP, config_map("a")).unwrap_err();
    assert_eq!((taken.code, taken.message.as_str()), (409, "configmaps \"a\" already exists"));
    let nowhere = Target { namespace: "nope".to_owned(), ..target(&CONFIG_MAP, "") };
    let missing = fixture.resources.create(&nowhere, config_map("a"), WriteOptions::default()).unwrap_err();
    assert_eq!((missing.code, missing.message.as_str()), (404, "namespaces \"nope\" not found"));
}

#[test]
fn a_stale_version_conflicts_and_an_equal_object_changes_nothing() {
    let fixture = fixture();
    let first = create(&fixture, &CONFIG_MAP, config_map("a")).unwrap();
    let mut next = first.clone();
    next["data"]["a"] = "2".into();
    let replace =
        |body: Value| fixture.resources.replace(&target(&CONFIG_MAP, "a"), Part::Main, body, WriteOptions::default());
    let second = replace(next.clone()).unwrap().object;
    assert!(object::resource_version(&second) > object::resource_version(&first));
    assert_eq!(replace(next).unwrap_err().reason, "Conflict");
    let same = replace(second.as_ref().clone()).unwrap().object;
    assert_eq!(object::resource_version(&same), object::resource_version(&second));
}

#[test]
fn status_and_specification_are_written_apart() {
    let fixture = fixture();
    let mut first = create(&fixture, &DEPLOYMENT, deployment("web")).unwrap();
    first["status"] = json!({ "replicas": 7 });
    first["spec"]["replicas"] = 3.into();
    let at = target(&DEPLOYMENT, "web");
    let main = fixture.resources.replace(&at, Part::Main, first.clone(), WriteOptions::default()).unwrap().object;
    assert_eq!((main.get("status"), &main["spec"]["replicas"]), (None, &json!(3)));
    assert_eq!(main["metadata"]["generation"], 2);
    first["metadata"]["resourceVersion"] = main["metadata"]["resourceVersion"].clone();
    first["spec"]["replicas"] = 9.into();
    let status = fixture.resources.replace(&at, Part::Status, first, WriteOptions::default()).unwrap().object;
    assert_eq!((&status["status"]["replicas"], &status["spec"]["replicas"]), (&json!(7), &json!(3)));
    assert_eq!(status["metadata"]["generation"], 2);
}

#[test]
fn a_label_set_through_another_version_leaves_the_specification_whole() {
    let fixture = fixture();
    let old = Target { version: "v1beta2", ..target(&crate::kinds::KAFKA, "") };
    let body = json!({ "metadata": { "name": "k" }, "spec": {
        "kafka": { "listeners": [{ "name": "plain", "port": 9092, "type": "internal", "tls": false }] },
        "zookeeper": { "replicas": 1, "storage": { "type": "ephemeral" } } } });
    fixture.resources.create(&old, body, WriteOptions::default()).unwrap();
    let at = target(&crate::kinds::KAFKA, "k");
    let patch = json!({ "metadata": { "labels": { "a": "b" } } });
    let patched = fixture.resources.patch(&at, Part::Main, PatchKind::Merge, &patch, WriteOptions::default()).unwrap();
    assert_eq!(patched.object["spec"]["zookeeper"]["replicas"], 1);
    assert_eq!(patched.object["metadata"]["generation"], 1);
    let bad = json!({ "metadata": { "labels": { "a b": "c" } } });
    assert!(fixture.resources.patch(&at, Part::Main, PatchKind::Merge, &bad, WriteOptions::default()).is_err());
}

#[test]
fn a_dry_run_answers_and_stores_nothing() {
    let fixture = fixture();
    let options = WriteOptions { dry_run: true, ..WriteOptions::default() };
    fixture.resources.create(&target(&CONFIG_MAP, ""), config_map("a"), options).unwrap();
    assert!(!exists(&fixture, &CONFIG_MAP, "a"));
}

#[test]
fn finalizers_hold_an_object_until_they_are_gone() {
    let fixture = fixture();
    let mut body = json!({ "metadata": { "name": "t" }, "spec": { "partitions": 1 } });
    body["metadata"]["finalizers"] = json!(["strimzi.io/topic-operator"]);
    create(&fixture, &KAFKA_TOPIC, body).unwrap();
    let at = target(&KAFKA_TOPIC, "t");
    let removed = fixture.resources.delete(&at, &DeleteOptions::default()).unwrap();
    let Removed::Marked(marked) = removed else { panic!("gone") };
    assert!(object::is_deleting(&marked));
    let patch = json!({ "metadata": { "finalizers": [] } });
    fixture.resources.patch(&at, Part::Main, PatchKind::Merge, &patch, WriteOptions::default()).unwrap();
    assert!(!exists(&fixture, &KAFKA_TOPIC, "t"));
}

#[test]
fn dependents_go_with_their_last_owner() {
    let fixture = fixture();
    let owner = create(&fixture, &DEPLOYMENT, deployment("web")).unwrap();
    let set = create(&fixture, &REPLICA_SET, owned(deployment("web-1"), &owner, "Deployment")).unwrap();
    create(&fixture, &POD, owned(pod("web-1-x"), &set, "ReplicaSet")).unwrap();
    fixture.resources.delete(&target(&DEPLOYMENT, "web"), &DeleteOptions::default()).unwrap();
    assert!(!exists(&fixture, &REPLICA_SET, "web-1") && !exists(&fixture, &POD, "web-1-x"));
}

#[test]
fn orphaned_dependents_stay_without_owner() {
    let fixture = fixture();
    let owner = create(&fixture, &DEPLOYMENT, deployment("web")).unwrap();
    create(&fixture, &REPLICA_SET, owned(deployment("web-1"), &owner, "Deployment")).unwrap();
    let options = DeleteOptions { propagation: Propagation::Orphan, ..DeleteOptions::default() };
    fixture.resources.delete(&target(&DEPLOYMENT, "web"), &options).unwrap();
    let left = fixture.resources.get(&target(&REPLICA_SET, "web-1")).unwrap();
    assert_eq!(left["metadata"]["ownerReferences"], json!([]));
}

#[test]
fn in_the_foreground_the_owner_waits_for_its_dependents() {
    let fixture = fixture();
    let owner = create(&fixture, &DEPLOYMENT, deployment("web")).unwrap();
    let mut dependent = owned(config_map("held"), &owner, "Deployment");
    dependent["metadata"]["finalizers"] = json!(["example.com/hold"]);
    create(&fixture, &CONFIG_MAP, dependent).unwrap();
    let options = DeleteOptions { propagation: Propagation::Foreground, ..DeleteOptions::default() };
    fixture.resources.delete(&target(&DEPLOYMENT, "web"), &options).unwrap();
    assert!(exists(&fixture, &DEPLOYMENT, "web"));
    let release = json!({ "metadata": { "finalizers": [] } });
    let at = target(&CONFIG_MAP, "held");
    fixture.resources.patch(&at, Part::Main, PatchKind::Merge, &release, WriteOptions::default()).unwrap();
    assert!(!exists(&fixture, &CONFIG_MAP, "held") && !exists(&fixture, &DEPLOYMENT, "web"));
}

#[test]
fn an_object_created_for_an_owner_that_is_gone_goes_at_once() {
    let fixture = fixture();
    let owner = json!({ "metadata": { "name": "web", "uid": "long-gone" } });
    create(&fixture, &CONFIG_MAP, owned(config_map("late"), &owner, "Deployment")).unwrap();
    assert!(!exists(&fixture, &CONFIG_MAP, "late"));
}

#[test]
fn a_running_pod_is_deleted_gracefully_and_an_idle_one_at_once() {
    let fixture = fixture();
    create(&fixture, &POD, pod("idle")).unwrap();
    assert!(matches!(fixture.resources.delete(&target(&POD, "idle"), &DeleteOptions::default()), Ok(Removed::Gone(_))));
    let mut running = pod("running");
    running["spec"]["nodeName"] = "here".into();
    create(&fixture, &POD, running).unwrap();
    let removed = fixture.resources.delete(&target(&POD, "running"), &DeleteOptions::default()).unwrap();
    let Removed::Marked(marked) = removed else { panic!("gone") };
    assert_eq!(object::text(&marked, "/metadata/deletionTimestamp"), "2026-11-23T07:00:30Z");
    let now = DeleteOptions { grace_seconds: Some(0), ..DeleteOptions::default() };
    assert!(matches!(fixture.resources.delete(&target(&POD, "running"), &now), Ok(Removed::Gone(_))));
}

#[test]
fn a_namespace_goes_with_what_is_in_it() {
    let fixture = fixture();
    create(&fixture, &NAMESPACE, json!({ "metadata": { "name": "lab" } })).unwrap();
    let inside = Target { namespace: "lab".to_owned(), ..target(&CONFIG_MAP, "") };
    let mut held = config_map("held");
    held["metadata"]["finalizers"] = json!(["example.com/hold"]);
    fixture.resources.create(&inside, held, WriteOptions::default()).unwrap();
    fixture.resources.delete(&target(&NAMESPACE, "lab"), &DeleteOptions::default()).unwrap();
    let refused = fixture.resources.create(&inside, config_map("late"), WriteOptions::default()).unwrap_err();
    assert_eq!(refused.reason, "Forbidden");
    let at = Target { name: "held".to_owned(), ..inside };
    let release = json!({ "metadata": { "finalizers": [] } });
    fixture.resources.patch(&at, Part::Main, PatchKind::Merge, &release, WriteOptions::default()).unwrap();
    assert!(!exists(&fixture, &NAMESPACE, "lab"));
}

#[test]
fn services_keep_an_address_of_their_own() {
    let fixture = fixture();
    let service = |name: &str| json!({ "metadata": { "name": name }, "spec": { "ports": [{ "port": 80 }] } });
    let first = create(&fixture, &SERVICE, service("a")).unwrap();
    let second = create(&fixture, &SERVICE, service("b")).unwrap();
    assert_eq!(first["spec"]["clusterIP"], "127.96.0.1");
    assert_eq!(second["spec"]["clusterIP"], "127.96.0.2");
    assert_eq!(first["spec"]["ports"][0]["targetPort"], 80);
    let at = target(&SERVICE, "a");
    let replaced = fixture.resources.replace(&at, Part::Main, service("a"), WriteOptions::default()).unwrap();
    assert_eq!(replaced.object["spec"]["clusterIP"], "127.96.0.1");
    let mut outside = service("c");
    outside["spec"]["clusterIP"] = "10.0.0.1".into();
    assert_eq!(create(&fixture, &SERVICE, outside).unwrap_err().code, 422);
}

#[test]
fn services_move_when_another_platform_has_their_network_by_now() {
    let fixture = fixture();
    let service = |name: &str| json!({ "metadata": { "name": name }, "spec": { "ports": [{ "port": 80 }] } });
    create(&fixture, &SERVICE, service("a")).unwrap();
    let mut by_hand = service("b");
    by_hand["spec"]["clusterIP"] = "127.1.2.3".into();
    create(&fixture, &SERVICE, by_hand).unwrap();
    let address = |of: &Resources, name: &str| of.get(&target(&SERVICE, name)).unwrap()["spec"]["clusterIP"].clone();
    let in_network = |second| Defaults { service_network: Ipv4Addr::new(127, second, 0, 0) };
    let moved = Resources::new(fixture.resources.store.clone(), in_network(100)).unwrap();
    assert_eq!(address(&moved, "a"), "127.100.0.1");
    assert_eq!(address(&moved, "b"), "127.1.2.3", "nobody else has what was asked for by hand");
    let version = moved.store.version();
    let again = Resources::new(moved.store.clone(), in_network(100)).unwrap();
    assert_eq!((address(&again, "a"), again.store.version()), ("127.100.0.1".into(), version));
}

#[test]
fn a_route_gets_a_host_on_this_machine() {
    let fixture = fixture();
    let route = json!({ "metadata": { "name": "web" }, "spec": { "to": { "kind": "Service", "name": "web" } } });
    let created = create(&fixture, &ROUTE, route).unwrap();
    assert_eq!(created["spec"]["host"], "web.localhost");
}

#[test]
fn string_data_of_a_secret_is_encoded() {
    let fixture = fixture();
    let secret = json!({ "metadata": { "name": "s" }, "stringData": { "a": "b" } });
    let created = create(&fixture, &SECRET, secret).unwrap();
    assert_eq!((&created["data"]["a"], created.get("stringData")), (&json!("Yg=="), None));
}

fn check_refused(kind: &'static Kind, body: Value, expected: &str) {
    let error = create(&fixture(), kind, body).unwrap_err();
    assert!(error.message.contains(expected), "{}", error.message);
}

#[test]
fn what_kubernetes_refuses_is_refused_in_its_words() {
    check_refused(&CONFIG_MAP, config_map("Upper"), "a lowercase RFC 1123 subdomain");
    check_refused(&SERVICE, json!({ "metadata": { "name": "1a" }, "spec": { "ports": [{ "port": 1 }] } }), "DNS-1035");
    let mut mismatch = deployment("web");
    mismatch["spec"]["selector"]["matchLabels"]["app"] = "other".into();
    check_refused(&DEPLOYMENT, mismatch, "`selector` does not match template `labels`");
    let mut twice = pod("p");
    twice["spec"]["containers"] = json!([{ "name": "c", "image": "i" }, { "name": "c", "image": "i" }]);
    check_refused(&POD, twice, "spec.containers[1].name: Duplicate value: \"c\"");
    let mut probe = pod("p");
    probe["spec"]["containers"][0]["livenessProbe"] = json!({});
    check_refused(&POD, probe, "must specify a handler type");
    check_refused(&CONFIG_MAP, json!({ "metadata": {} }), "name or generateName is required");
}

#[test]
fn a_rollout_that_could_not_move_is_refused() {
    let check = |spec: Value, expected: &str| {
        let mut body = deployment("web");
        for (field, value) in spec.as_object().unwrap() {
            body["spec"][field] = value.clone();
        }
        check_refused(&DEPLOYMENT, body, expected);
    };
    let rolling = |unavailable: Value, surge: Value| json!({ "strategy": { "rollingUpdate": { "maxUnavailable": unavailable, "maxSurge": surge } } });
    let at = "spec.strategy.rollingUpdate.maxUnavailable: Invalid value: ";
    check(rolling(json!(0), json!("0%")), &format!("{at}0: may not be 0 when `maxSurge` is 0"));
    check(rolling(json!(-1), json!(1)), &format!("{at}-1: must be greater than or equal to 0"));
    check(rolling(json!("101%"), json!(1)), &format!("{at}\"101%\": must not be greater than 100%"));
    check(
        rolling(json!(1), json!("much")),
        "spec.strategy.rollingUpdate.maxSurge: Invalid value: \"much\": a valid percent",
    );
    check(json!({ "minReadySeconds": 600 }), "spec.progressDeadlineSeconds: Invalid value: 600: must be greater than");
}

#[test]
fn what_an_earlier_life_said_of_readiness_does_not_hold_in_the_next() {
    let fixture = fixture();
    create(&fixture, &POD, pod("p")).unwrap();
    create(&fixture, &DEPLOYMENT, deployment("d")).unwrap();
    let status = |kind, name, status: Value| {
        fixture.resources.edit(&target(kind, name), Part::Status, |object| object["status"] = status.clone()).unwrap();
    };
    let ready = json!([{ "type": "Ready", "status": "True" }, { "type": "PodScheduled", "status": "True" }]);
    let container = json!([{ "name": "c", "ready": true, "restartCount": 2 }]);
    status(&POD, "p", json!({ "phase": "Running", "conditions": ready, "containerStatuses": container }));
    status(&DEPLOYMENT, "d", json!({ "observedGeneration": 1, "readyReplicas": 1 }));
    let again = Resources::new(fixture.resources.store.clone(), fixture.resources.defaults).unwrap();
    let pod = again.get(&target(&POD, "p")).unwrap();
    let conditions = object::list(&pod, "/status/conditions");
    assert_eq!((&conditions[0]["status"], &conditions[1]["status"]), (&json!("False"), &json!("True")));
    let container = &pod["status"]["containerStatuses"][0];
    assert_eq!((&container["ready"], &container["restartCount"]), (&json!(false), &json!(2)));
    let deployment = again.get(&target(&DEPLOYMENT, "d")).unwrap();
    assert_eq!(deployment["status"], json!({ "readyReplicas": 1 }));
}

#[test]
fn a_mount_of_no_volume_is_refused() {
    let mut body = pod("p");
    body["spec"]["containers"][0]["volumeMounts"] = json!([{ "name": "data", "mountPath": "/data" }]);
    check_refused(&POD, body, "spec.containers[0].volumeMounts[0].name: Not found: \"data\"");
}

#[test]
fn whoever_writes_a_field_without_effect_is_warned() {
    let fixture = fixture();
    let mut body = deployment("web");
    body["spec"]["template"]["spec"]["serviceAccountName"] = "robot".into();
    let warnings = fixture.resources.create(&target(&DEPLOYMENT, ""), body, WriteOptions::default()).unwrap().warnings;
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].starts_with("spec.template.spec.serviceAccountName: "), "{warnings:?}");
}

#[test]
fn a_generated_name_begins_with_its_prefix() {
    let fixture = fixture();
    let created = create(&fixture, &CONFIG_MAP, json!({ "metadata": { "generateName": "web-" } })).unwrap();
    assert!(object::name(&created).starts_with("web-") && object::name(&created).len() == 9, "{created}");
}

#[test]
fn a_pods_specification_is_fixed_but_for_its_images() {
    let fixture = fixture();
    create(&fixture, &POD, pod("p")).unwrap();
    let patch = |body: Value| {
        fixture.resources.patch(&target(&POD, "p"), Part::Main, PatchKind::Strategic, &body, WriteOptions::default())
    };
    assert!(patch(json!({ "spec": { "containers": [{ "name": "c", "image": "j" }] } })).is_ok());
    let refused = patch(json!({ "spec": { "hostNetwork": true } })).unwrap_err();
    assert!(refused.message.contains("pod updates may not change fields"), "{}", refused.message);
}

#[test]
fn events_expire_after_an_hour() {
    let fixture = fixture();
    let event = |name: &str, time: &str| json!({ "metadata": { "name": name }, "involvedObject": { "kind": "Pod" }, "lastTimestamp": time });
    create(&fixture, &crate::kinds::EVENT, event("old", "2026-11-23T05:59:00Z")).unwrap();
    create(&fixture, &crate::kinds::EVENT, event("new", "2026-11-23T06:30:00Z")).unwrap();
    fixture.resources.expire_events().unwrap();
    assert!(!exists(&fixture, &crate::kinds::EVENT, "old") && exists(&fixture, &crate::kinds::EVENT, "new"));
}
