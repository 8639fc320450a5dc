//! `up --detach`: in the background it is found, stopped and started again, and nothing of it stays behind.

use std::net::TcpListener;

use crate::harness::{Background, Place, gone, kill};
use crate::running::HELLO;

/// Starts the Deployment in the background; the process, and the process of its pod.
#[track_caller]
fn start(place: &Place, manifest: &str, outcome: &str) -> (Background, u32) {
    let up = ["up", "-f", manifest, "--image", "hello=/bin/sh", "--routes", "127.0.0.1:0", "--detach"];
    let printed = place.ok(&up);
    assert!(printed.contains(&format!("deployment.apps/hello {outcome}\n")), "{printed}");
    assert!(printed.contains("export KUBECONFIG="), "{printed}");
    let pid = printed.split("running in the background: pid ").nth(1).and_then(|rest| rest.split(',').next());
    let background = Background(pid.expect(&printed).parse().unwrap());
    // From here on: an earlier start has written to a log of its own.
    let child = place.start(&["logs", "-f", "deployment/hello"]).line(|line| line.starts_with("pid "));
    (background, child.trim_start_matches("pid ").parse().unwrap())
}

#[test]
fn detached_it_serves_the_other_commands_until_it_is_stopped_and_goes_on_where_it_was() {
    let place = Place::new();
    let manifest = place.manifest("hello.yaml", HELLO);
    let (background, child) = start(&place, &manifest, "created");
    assert!(place.ok(&["get", "pods"]).contains("1/1     Running"));
    assert!(place.fails(&["up", "--detach", "-f", &manifest]).contains("already running on"));
    drop(background);
    gone(child);
    assert!(place.fails(&["get", "pods"]).contains("no millstream is running"));
    let (_background, _) = start(&place, &manifest, "unchanged");
}

#[test]
fn killed_in_the_background_it_leaves_no_child_and_starts_again() {
    let place = Place::new();
    let manifest = place.manifest("hello.yaml", HELLO);
    let (background, child) = start(&place, &manifest, "created");
    kill(background.0);
    gone(child);
    // The file by which it was found is still there, and misleads nobody.
    assert!(place.fails(&["get", "pods"]).contains("no millstream is running"));
    let (_background, _) = start(&place, &manifest, "unchanged");
}

#[test]
fn what_cannot_come_up_detached_is_a_failure_and_does_not_stay() {
    let place = Place::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let manifest = place.manifest("hello.yaml", HELLO);
    let up = ["up", "--detach", "-f", &manifest, "--routes", &address.to_string()];
    let complaint = place.fails(&up);
    assert!(complaint.starts_with(&format!("error: cannot listen on {address}: ")), "{complaint}");
    let kafka = "apiVersion: kafka.strimzi.io/v1beta2
kind: Kafka
metadata:
  name: k
spec:
  kafka:
    replicas: 1
    listeners: [{name: plain, port: PORT, type: internal, tls: false}]
    storage: {type: ephemeral}
";
    let manifest = place.manifest("kafka.yaml", &kafka.replace("PORT", &address.port().to_string()));
    let complaint = place.fails(&["up", "--detach", "-f", &manifest, "--routes", "127.0.0.1:0"]);
    assert!(complaint.contains("error: kafka.kafka.strimzi.io/k: ") && complaint.contains("in use"), "{complaint}");
    place.wait_for_failure(&["get", "pods"], "no millstream is running");
}
