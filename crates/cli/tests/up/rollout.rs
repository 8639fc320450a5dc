//! Deployments as a user sees them roll: names of pods, what is replaced when, what is scaled; and what becomes of a Kafka's data.

use crate::harness::{Place, Port};
use crate::running::HELLO;

const UP: [&str; 4] = ["--image", "hello=/bin/sh", "--routes", "127.0.0.1:0"];

/// Names of the pods that are not on their way out.
fn pods(place: &Place) -> Vec<String> {
    let table = place.ok(&["get", "pods", "--no-headers"]);
    let lines = table.lines().filter(|line| !line.contains("Terminating"));
    lines.filter_map(|line| line.split_whitespace().next().map(str::to_owned)).collect()
}

/// A pod's name without its own five characters: that of its ReplicaSet.
fn set_of(pod: &str) -> String {
    pod.rsplit_once('-').unwrap().0.to_owned()
}

#[test]
fn a_changed_template_rolls_an_unchanged_one_does_not_and_replicas_only_scale() {
    let place = Place::new();
    let manifest = place.manifest("hello.yaml", HELLO);
    let mut up = place.up(&[&["-f", &manifest][..], &UP].concat());
    up.line(|line| line == "deployment.apps/hello is ready");
    let first = pods(&place);
    assert_eq!(place.ok(&["apply", "-f", &manifest]), "deployment.apps/hello unchanged\n");
    assert_eq!(pods(&place), first);

    let two = HELLO.replace("spec:\n  selector", "spec:\n  replicas: 2\n  selector");
    place.manifest("hello.yaml", &two);
    assert_eq!(place.ok(&["apply", "-f", &manifest]), "deployment.apps/hello configured\n");
    place.wait_for(&["get", "deployment", "hello"], |table| table.contains("2/2     2            2 "));
    let scaled = pods(&place);
    assert_eq!(scaled.len(), 2);
    assert!(scaled.contains(&first[0]) && scaled.iter().all(|pod| set_of(pod) == set_of(&first[0])), "{scaled:?}");

    place.manifest("hello.yaml", &two.replace("hello world", "hello again"));
    assert_eq!(place.ok(&["apply", "-f", &manifest]), "deployment.apps/hello configured\n");
    let old = set_of(&first[0]);
    place.wait_for(&["get", "pods", "--no-headers"], |table| {
        !table.contains(&old) && table.matches("1/1 ").count() == 2
    });
    let sets = place.wait_for(&["get", "rs", "--no-headers"], |table| {
        table.lines().any(|line| line.starts_with(&old) && line.split_whitespace().nth(1) == Some("0"))
    });
    assert_eq!(sets.lines().count(), 2, "the old ReplicaSet stays for a way back: {sets}");
    let events = place.ok(&["get", "events"]);
    for message in ["from 0 to 1", "from 1 to 2", "Scaled down replica set"] {
        assert!(events.contains(message), "{message}: {events}");
    }
}

#[test]
fn recreate_never_runs_two_versions_side_by_side() {
    let place = Place::new();
    let (file, release) = (place.path("history"), place.path("release"));
    let script = format!(
        "trap \"until [ -e {1} ]; do sleep 0.05; done; echo end VERSION >> {0}; exit\" TERM; echo start VERSION >> {0}; \
         echo up VERSION; while :; do sleep 0.05; done",
        file.display(),
        release.display()
    );
    let (head, _) = HELLO.split_once("          args:").unwrap();
    let text = head.replace("spec:\n  selector", "spec:\n  strategy: {type: Recreate}\n  selector");
    let version = |number: &str| format!("{text}          args: ['-c', '{}']\n", script.replace("VERSION", number));
    let manifest = place.manifest("hello.yaml", &version("1"));
    let mut up = place.up(&[&["-f", &manifest][..], &UP].concat());
    up.line(|line| line == "hello  up 1");
    up.line(|line| line == "deployment.apps/hello is ready");
    place.manifest("hello.yaml", &version("2"));
    place.ok(&["apply", "-f", &manifest]);
    let ending = |yaml: &str| yaml.contains("terminatingReplicas: 1");
    place.wait_for(&["get", "deployment", "hello", "-o", "yaml"], ending);
    assert_eq!(place.ok(&["get", "pods", "--no-headers"]).lines().count(), 1, "the old one only");
    std::fs::write(&release, "").unwrap();
    up.line(|line| line == "hello  up 2");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "start 1\nend 1\nstart 2\n");
}

#[test]
fn a_deployment_config_runs_and_rolls_as_a_deployment_does() {
    let place = Place::new();
    let (_, template) = HELLO.split_once("  template:").unwrap();
    let config = format!(
        "apiVersion: apps.openshift.io/v1\nkind: DeploymentConfig\nmetadata:\n  name: hello\nspec:\n  replicas: 1\n  selector: \
         {{app: hello}}\n  strategy: {{type: Recreate}}\n  triggers: [{{type: ConfigChange}}]\n  template:{template}"
    );
    let manifest = place.manifest("hello.yaml", &config);
    let mut up = place.up(&[&["-f", &manifest][..], &UP].concat());
    up.line(|line| line == "deploymentconfig.apps.openshift.io/hello created");
    up.line(|line| line == "deploymentconfig.apps.openshift.io/hello is ready");
    up.line(|line| line == "hello  hello world");
    assert!(!up.seen().iter().any(|line| line.contains("Warning")), "{:?}", up.seen());
    assert!(place.ok(&["get", "dc", "hello", "--no-headers"]).starts_with("hello   1     1     1     config"));
    assert!(place.ok(&["logs", "dc/hello"]).ends_with("hello world\n"));
    assert_eq!(place.ok(&["apply", "-f", &manifest]), "deploymentconfig.apps.openshift.io/hello unchanged\n");
    place.manifest("hello.yaml", &config.replace("hello world", "hello again"));
    place.ok(&["apply", "-f", &manifest]);
    up.line(|line| line == "hello  hello again");
    place.wait_for(&["get", "dc", "hello", "--no-headers"], |table| {
        table.starts_with("hello   2     1     1     config")
    });
    place.ok(&["delete", "-f", &manifest]);
    place.wait_for(&["get", "rs,pods", "-o", "name"], str::is_empty);
}

#[test]
fn a_kafkas_data_stays_unless_its_storage_says_that_it_goes() {
    let place = Place::new();
    let reserved = Port::reserve();
    let kafka = |claim: &str| {
        format!(
            "apiVersion: kafka.strimzi.io/v1beta2\nkind: Kafka\nmetadata: {{name: k}}\nspec:\n  kafka:\n    replicas: 1\n    \
             listeners: [{{name: plain, port: {}, type: internal, tls: false}}]\n    storage: {{type: persistent-claim, \
             size: 1Gi{claim}}}\n",
            reserved.number()
        )
    };
    let home = place.path("data/millstream/clusters/default/k");
    let manifest = place.manifest("kafka.yaml", &kafka(""));
    let mut up = place.up(&["-f", &manifest, "--routes", "127.0.0.1:0", "--durability", "os"]);
    up.line(|line| line == "kafka.kafka.strimzi.io/k is ready");
    let bootstrap = format!("localhost:{}", reserved.number());
    let topics = ["topics", "--bootstrap-server", &bootstrap];
    place.ok(&[&topics[..], &["--create", "--topic", "kept"]].concat());
    place.ok(&["delete", "kafka", "k"]);
    place.wait_for(&["get", "pods", "-o", "name"], str::is_empty);
    assert!(home.join("data").exists());

    place.manifest("kafka.yaml", &kafka(", deleteClaim: true"));
    place.ok(&["apply", "-f", &manifest]);
    place.wait_for(&["get", "kafka", "k"], |table| table.contains("True"));
    assert_eq!(place.ok(&[&topics[..], &["--list"]].concat()), "kept\n");
    place.ok(&["delete", "kafka", "k"]);
    assert!(!home.exists(), "delete waits until the data is gone");
}
