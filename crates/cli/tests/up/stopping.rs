//! How `up` ends: in order, at once when it is asked twice, during its start, and whatever its pods do about SIGTERM.

use rustix::process::Signal;

use crate::harness::{Place, Port, Up, gone};
use crate::running::HELLO;

/// The Deployment with a pod that ignores SIGTERM, and the process of that pod.
fn deaf(place: &Place, grace_seconds: u32) -> (Up, u32) {
    let (head, _) = HELLO.split_once("          args:").unwrap();
    let script = "trap \"\" TERM; echo \"pid $$$$\"; while :; do sleep 0.05; done";
    let grace = format!("      terminationGracePeriodSeconds: {grace_seconds}\n");
    let manifest = place.manifest("hello.yaml", &format!("{head}          args: ['-c', '{script}']\n{grace}"));
    let mut up = place.up(&["-f", &manifest, "--image", "hello=/bin/sh", "--routes", "127.0.0.1:0"]);
    let pid = up.line(|line| line.starts_with("hello  pid "));
    (up, pid.trim_start_matches("hello  pid ").parse().unwrap())
}

#[test]
fn a_pod_that_ignores_sigterm_is_killed_after_its_grace_period() {
    let place = Place::new();
    let (mut up, pod) = deaf(&place, 1);
    up.signal(Signal::TERM);
    assert_eq!(up.end(), Some(0), "{:?}", up.seen());
    gone(pod);
}

#[test]
fn asked_twice_it_ends_at_once_and_leaves_no_pod() {
    let place = Place::new();
    // Longer than any test waits.
    let (mut up, pod) = deaf(&place, 100_000);
    up.signal(Signal::INT);
    up.signal(Signal::TERM);
    assert_eq!(up.end(), Some(130), "{:?}", up.seen());
    gone(pod);
}

#[test]
fn sigterm_during_the_start_ends_it_in_order_and_the_next_start_goes_on() {
    let place = Place::new();
    let reserved = Port::reserve();
    let kafka = format!(
        "apiVersion: kafka.strimzi.io/v1beta2\nkind: Kafka\nmetadata: {{name: k}}\nspec:\n  kafka:\n    replicas: 1\n    \
         listeners: [{{name: plain, port: {}, type: internal, tls: false}}]\n    storage: {{type: ephemeral}}\n",
        reserved.number()
    );
    let manifest = place.manifest("kafka.yaml", &kafka);
    let start = ["-f", &manifest, "--routes", "127.0.0.1:0", "--durability", "os"];
    let mut up = place.up(&start);
    up.line(|line| line == "kafka.kafka.strimzi.io/k created");
    up.signal(Signal::TERM);
    assert_eq!(up.end(), Some(0), "{:?}", up.seen());
    assert!(!up.seen().iter().any(|line| line.contains("error")), "{:?}", up.seen());
    let mut again = place.up(&start);
    again.line(|line| line == "kafka.kafka.strimzi.io/k unchanged");
    again.line(|line| line == "kafka.kafka.strimzi.io/k is ready");
}

#[test]
fn after_a_restart_nothing_is_called_ready_before_it_is() {
    let place = Place::new();
    let ready = place.path("ready");
    let probe =
        format!("          readinessProbe: {{exec: {{command: [test, -f, {}]}}, periodSeconds: 1}}\n", ready.display());
    let manifest = place.manifest("hello.yaml", &format!("{HELLO}{probe}"));
    let start = ["-f", &manifest, "--image", "hello=/bin/sh", "--routes", "127.0.0.1:0"];
    std::fs::write(&ready, "").unwrap();
    let mut up = place.up(&start);
    up.line(|line| line == "deployment.apps/hello is ready");
    up.signal(Signal::TERM);
    assert_eq!(up.end(), Some(0), "{:?}", up.seen());
    std::fs::remove_file(&ready).unwrap();
    let mut again = place.up(&start);
    again.line(|line| line == "waiting for deployment.apps/hello (0 of 1 pods are ready)");
    assert!(!again.seen().iter().any(|line| line.contains("is ready")), "{:?}", again.seen());
    place.wait_for(&["get", "pods"], |pods| pods.contains("0/1     Running   1"));
    std::fs::write(&ready, "").unwrap();
    again.line(|line| line == "deployment.apps/hello is ready");
}
