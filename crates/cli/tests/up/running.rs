//! `up` with pods: their logs, and that nothing of them is left when it ends.

use rustix::process::Signal;

use crate::harness::{Place, gone};

/// A Deployment whose container says hello, writes its process id, and stays.
pub(crate) const HELLO: &str = "apiVersion: apps/v1
kind: Deployment
metadata:
  name: hello
spec:
  selector:
    matchLabels:
      app: hello
  template:
    metadata:
      labels:
        app: hello
    spec:
      containers:
        - name: hello
          image: example.org/team/hello:1
          args: ['-c', 'echo \"pid $$$$\"; echo hello world; exec sleep 600']
";

#[test]
fn up_runs_a_deployment_prints_its_log_and_ends_with_it_on_sigterm() {
    let place = Place::new();
    let manifest = place.manifest("hello.yaml", HELLO);
    let mut up = place.up(&["-f", &manifest, "--image", "hello=/bin/sh", "--routes", "127.0.0.1:0"]);
    up.line(|line| line == "deployment.apps/hello created");
    up.line(|line| line == "deployment.apps/hello is ready");
    up.line(|line| line.starts_with("kubectl") && line.contains("export KUBECONFIG="));
    let pid = up.line(|line| line.starts_with("hello  pid "));
    up.line(|line| line == "hello  hello world");
    assert!(place.ok(&["logs", "deployment/hello"]).ends_with("hello world\n"));
    place.wait_for(&["get", "pods"], |pods| {
        pods.lines().nth(1).is_some_and(|line| line.starts_with("hello-") && line.contains("1/1     Running"))
    });

    up.signal(Signal::TERM);
    assert_eq!(up.end(), Some(0), "{:?}", up.seen());
    gone(pid.trim_start_matches("hello  pid ").parse().unwrap());
    assert!(place.fails(&["get", "pods"]).contains("no millstream is running"));

    let mut again = place.up(&["-f", &manifest, "--image", "hello=/bin/sh", "--routes", "127.0.0.1:0"]);
    again.line(|line| line == "deployment.apps/hello unchanged");
    again.line(|line| line == "hello  hello world");
    again.signal(Signal::INT);
    assert_eq!(again.end(), Some(0));
}

#[test]
fn kill_leaves_no_child_behind() {
    let place = Place::new();
    let manifest = place.manifest("hello.yaml", HELLO);
    let mut up = place.up(&["-f", &manifest, "--image", "hello=/bin/sh", "--routes", "127.0.0.1:0"]);
    let pid = up.line(|line| line.starts_with("hello  pid "));
    up.signal(Signal::KILL);
    up.end();
    gone(pid.trim_start_matches("hello  pid ").parse().unwrap());
    // The file by which it was found is still there; the next start does not stumble over it.
    let mut again = place.up(&["-f", &manifest, "--image", "hello=/bin/sh", "--routes", "127.0.0.1:0"]);
    again.line(|line| line == "deployment.apps/hello unchanged");
    assert!(!again.seen().iter().any(|line| line.contains("ERROR")), "{:?}", again.seen());
}

#[test]
fn a_second_up_on_the_same_folder_is_told_of_the_first() {
    let place = Place::new();
    let manifest = place.manifest("hello.yaml", HELLO);
    let mut up = place.up(&["-f", &manifest, "--image", "hello=/bin/sh", "--routes", "127.0.0.1:0"]);
    up.line(|line| line == "deployment.apps/hello created");
    let complaint = place.fails(&["up", "-f", &manifest]);
    assert!(complaint.contains("already running on"), "{complaint}");
}

#[test]
fn addresses_and_logs_do_not_wait_for_a_pod_that_is_not_ready() {
    let place = Place::new();
    let ready = place.path("ready");
    let probe =
        format!("          readinessProbe: {{exec: {{command: [test, -f, {}]}}, periodSeconds: 1}}\n", ready.display());
    let manifest = place.manifest("hello.yaml", &format!("{HELLO}{probe}"));
    let mut up = place.up(&["-f", &manifest, "--image", "hello=/bin/sh", "--routes", "127.0.0.1:0"]);
    up.line(|line| line.starts_with("kubectl") && line.contains("export KUBECONFIG="));
    up.line(|line| line == "hello  hello world");
    up.line(|line| line == "waiting for deployment.apps/hello (0 of 1 pods are ready)");
    assert!(!up.seen().iter().any(|line| line.contains("is ready")), "{:?}", up.seen());
    std::fs::write(ready, "").unwrap();
    up.line(|line| line == "deployment.apps/hello is ready");
}

#[test]
fn manifests_come_from_several_files_and_folders_and_lists() {
    let place = Place::new();
    let map = |name: &str| format!("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\n");
    let one = place.manifest("one.yaml", &map("one"));
    let list = json(&["four", "five"]);
    place.manifest("folder/a.yaml", &format!("{}---\n{}", map("two"), map("three")));
    place.manifest("folder/b.json", &list);
    place.manifest("folder/notes.txt", "no manifest");
    let folder = place.path("folder").display().to_string();
    let mut up = place.up(&["-f", &one, "-f", &folder, "--routes", "127.0.0.1:0", "--console", "127.0.0.1:0"]);
    up.line(|line| line == "--console: the web console is not there yet");
    for name in ["one", "two", "three", "four", "five"] {
        up.line(|line| line == format!("configmap/{name} created"));
    }
    up.line(|line| line.starts_with("kubectl"));
    up.signal(Signal::TERM);
    assert_eq!(up.end(), Some(0), "{:?}", up.seen());
    let mut again = place.up(&["-f", &one, "--routes", "127.0.0.1:0", "--console", "off"]);
    again.line(|line| line == "configmap/one unchanged");
    again.line(|line| line.starts_with("kubectl"));
    assert!(!again.seen().iter().any(|line| line.contains("console")), "{:?}", again.seen());
    let all = place.ok(&["get", "cm", "-o", "name"]);
    assert_eq!(all.lines().count(), 5, "{all}");
}

/// A `List` of ConfigMaps.
fn json(names: &[&str]) -> String {
    let map = |name: &&str| format!(r#"{{"apiVersion":"v1","kind":"ConfigMap","metadata":{{"name":"{name}"}}}}"#);
    let items: Vec<String> = names.iter().map(map).collect();
    format!(r#"{{"apiVersion":"v1","kind":"List","items":[{}]}}"#, items.join(","))
}
