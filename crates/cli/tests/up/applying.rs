//! Manifests and the API: nothing here needs a pod to run.

use crate::harness::{Background, Place, text};

const CONFIG: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: settings\ndata:\n  a: '1'\n";

/// Starts one in the background by applying, and finds its process.
#[track_caller]
fn apply_first(place: &Place, manifest: &str) -> Background {
    let output = place.run(&["apply", "-f", manifest]);
    let said = text(&output.stderr);
    assert!(output.status.success(), "{said}");
    let pid = said.split("(pid ").nth(1).and_then(|rest| rest.split(',').next()).expect("says its pid");
    Background(pid.parse().unwrap())
}

#[test]
fn apply_with_none_running_starts_one_and_then_says_created_unchanged_configured() {
    let place = Place::new();
    let manifest = place.manifest("config.yaml", CONFIG);
    let _background = apply_first(&place, &manifest);
    assert_eq!(place.ok(&["apply", "-f", &manifest]), "configmap/settings unchanged\n");
    place.manifest("config.yaml", &CONFIG.replace("'1'", "'2'"));
    assert_eq!(place.ok(&["apply", "-f", &manifest]), "configmap/settings configured\n");
    assert!(place.ok(&["get", "cm", "settings", "-o", "yaml"]).contains("  a: \"2\"\n"));
    assert_eq!(place.ok(&["delete", "-f", &manifest]), "configmap \"settings\" deleted\n");
    assert_eq!(
        place.fails(&["get", "cm", "settings"]),
        "Error from server (NotFound): configmaps \"settings\" not found\n"
    );
}

#[test]
fn a_broken_manifest_is_told_its_line_and_nothing_is_half_applied() {
    let place = Place::new();
    let good = place.manifest("good.yaml", &CONFIG.replace("settings", "first"));
    let _background = apply_first(&place, &good);
    place.manifest("both/1.yaml", CONFIG);
    place.manifest(
        "both/2.yaml",
        "apiVersion: kafka.strimzi.io/v1beta2\nkind: KafkaTopic\nmetadata:\n  name: t\nspec:\n  partitions: many\n",
    );
    let complaint = place.fails(&["apply", "-f", &place.path("both").display().to_string()]);
    assert!(complaint.contains("both/2.yaml:6: KafkaTopic \"t\": spec.partitions:"), "{complaint}");
    assert!(complaint.contains("integer"), "{complaint}");
    assert!(place.fails(&["get", "cm", "settings"]).contains("NotFound"));
}

#[test]
fn a_broken_manifest_starts_nothing() {
    let place = Place::new();
    let manifest = place.manifest("broken.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {}\n");
    let complaint = place.fails(&["up", "-f", &manifest]);
    assert!(complaint.contains("broken.yaml:3: metadata.name: required"), "{complaint}");
    assert!(place.fails(&["get", "pods"]).contains("no millstream is running"));
}

#[test]
fn an_unknown_kind_is_warned_about_and_the_rest_goes_on() {
    let place = Place::new();
    let both =
        format!("apiVersion: monitoring.coreos.com/v1\nkind: ServiceMonitor\nmetadata:\n  name: m\n---\n{CONFIG}");
    let manifest = place.manifest("both.yaml", &both);
    let _background = apply_first(&place, &manifest);
    let output = place.run(&["apply", "-f", &manifest]);
    assert_eq!(text(&output.stdout), "configmap/settings unchanged\n");
    let warning = "both.yaml:2: ServiceMonitor \"m\" is left out: no matches for kind \"ServiceMonitor\" in version \"monitoring.coreos.com/v1\"";
    assert!(text(&output.stderr).contains(warning), "{}", text(&output.stderr));
}

#[test]
fn a_field_without_effect_is_warned_about_when_applied_and_in_the_events() {
    let place = Place::new();
    let _background = apply_first(&place, &place.manifest("config.yaml", CONFIG));
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n  volumes: [{name: v, emptyDir: {}}]\n  containers: [{name: c, \
               image: any, command: [/bin/sh, -c, 'exec sleep 1000']}]\n";
    let output = place.run(&["apply", "-f", &place.manifest("pod.yaml", pod)]);
    assert_eq!(text(&output.stdout), "pod/p created\n");
    let warning = text(&output.stderr);
    assert!(warning.starts_with("Warning: pod/p: spec.volumes[0].emptyDir: "), "{warning}");
    place.wait_for(&["get", "events"], |events| {
        events.lines().any(|line| line.contains("Warning   NotServed") && line.contains("spec.volumes[0].emptyDir: "))
    });
    let user = "apiVersion: kafka.strimzi.io/v1beta2\nkind: KafkaUser\nmetadata: {name: u}\nspec: {}\n";
    let output = place.run(&["apply", "-f", &place.manifest("user.yaml", user)]);
    assert!(
        text(&output.stderr).starts_with("Warning: kafkauser.kafka.strimzi.io/u: kind: "),
        "{}",
        text(&output.stderr)
    );
}

#[test]
fn a_dry_run_changes_nothing() {
    let place = Place::new();
    let manifest = place.manifest("config.yaml", CONFIG);
    assert_eq!(place.ok(&["apply", "-f", &manifest, "--dry-run=client"]), "configmap/settings created (dry run)\n");
    assert!(place.fails(&["get", "cm"]).contains("no millstream is running"));
    let _background = apply_first(&place, &place.manifest("other.yaml", &CONFIG.replace("settings", "other")));
    assert_eq!(
        place.ok(&["apply", "-f", &manifest, "--dry-run=server"]),
        "configmap/settings created (server dry run)\n"
    );
    assert!(place.fails(&["get", "cm", "settings"]).contains("NotFound"));
}

#[test]
fn kubectl_and_this_program_print_the_same_and_take_turns() {
    let place = Place::new();
    let manifest = place.manifest("config.yaml", CONFIG);
    let _background = apply_first(&place, &manifest);
    let Some(applied) = place.kubectl(&["apply", "-f", &manifest]) else { return };
    assert_eq!(text(&applied.stdout), "configmap/settings unchanged\n", "{}", text(&applied.stderr));
    place.manifest("config.yaml", &CONFIG.replace("a: '1'", "b: '1'"));
    place.kubectl(&["apply", "-f", &manifest]).unwrap();
    assert_eq!(place.ok(&["apply", "-f", &manifest]), "configmap/settings unchanged\n");
    for args in [
        &["get", "cm", "settings", "-o", "yaml"][..],
        &["get", "cm", "settings", "-o", "json"],
        &["get", "cm", "-o", "name"],
        &["get", "cm", "-o", "yaml"],
        &["get", "cm", "--no-headers", "--show-labels"],
        &["get", "pods"],
        &["get", "cm", "nope"],
        &["get", "nope"],
        &["delete", "cm", "nope"],
    ] {
        let (ours, theirs) = (place.run(args), place.kubectl(args).unwrap());
        // The age moves on between the two.
        let masked = |bytes: &[u8]| text(bytes).replace(|c: char| c.is_ascii_digit(), "0");
        assert_eq!(masked(&ours.stdout), masked(&theirs.stdout), "{args:?}");
        assert_eq!(text(&ours.stderr), text(&theirs.stderr), "{args:?}");
        assert_eq!(ours.status.code(), theirs.status.code(), "{args:?}");
    }
    let deleted = place.kubectl(&["delete", "-f", &manifest]).unwrap();
    assert_eq!(text(&deleted.stdout), "configmap \"settings\" deleted\n");
}

#[test]
fn logs_are_those_of_kubectl_and_so_are_its_complaints() {
    let place = Place::new();
    let script = "for i in 1 2 3; do echo line $i; done; exec sleep 1000";
    let container = |name: &str| format!("{{name: {name}, image: any, command: [/bin/sh, -c, '{script}']}}");
    let pod = format!("containers: [{}, {}]", container("one"), container("two"));
    let text = format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: web}}\nspec:\n  selector: {{matchLabels: {{app: web}}}}\n  \
         template:\n    metadata: {{labels: {{app: web}}}}\n    spec: {{{pod}}}\n---\napiVersion: v1\nkind: Pod\nmetadata: \
         {{name: crash}}\nspec:\n  containers: [{{name: c, image: any, command: [/bin/sh, -c, 'echo bye; exit 3']}}]\n---\n{CONFIG}"
    );
    let manifest = place.manifest("web.yaml", &text);
    let _background = apply_first(&place, &manifest);
    place.wait_for(&["logs", "-l", "app=web", "-c", "two"], |log| log == "line 1\nline 2\nline 3\n");
    place.wait_for(&["logs", "deployment/web", "-c", "one"], |log| log == "line 1\nline 2\nline 3\n");
    place.wait_for(&["get", "pod", "crash"], |table| table.contains("CrashLoopBackOff   1 ("));
    assert_eq!(place.ok(&["logs", "crash", "--previous"]), "bye\n");
    let mut followed = place.start(&["logs", "-f", "-l", "app=web", "-c", "one", "--prefix"]);
    followed.line(|line| line.starts_with("[pod/web-") && line.ends_with("/one] line 3"));
    if place.kubectl(&["version", "--client"]).is_none() {
        return;
    }
    for args in [
        &["logs", "deployment/web"][..],
        &["logs", "deployment/web", "--tail", "1"],
        &["logs", "deployment/web", "-c", "two", "--tail=2", "--prefix"],
        &["logs", "deployment/web", "-c", "three"],
        &["logs", "-l", "app=web", "--tail=1", "-c", "one", "--prefix"],
        &["logs", "-l", "app=none"],
        &["logs", "crash", "-p"],
        &["logs", "nope"],
        &["logs", "deployment/nope"],
        &["logs", "service/nope"],
        &["logs", "cm/settings"],
        &["logs", "nope/x"],
        &["get", "pods", "-n", "nowhere"],
        &["get", "cm", "-A", "-o", "name"],
        &["get", "pods", "-l", "app=none"],
        &["get", "deployment/web", "pod/nope", "-o", "name"],
    ] {
        let (ours, theirs) = (place.run(args), place.kubectl(args).unwrap());
        assert_eq!(text_of(&ours), text_of(&theirs), "{args:?}");
        assert_eq!(ours.status.code(), theirs.status.code(), "{args:?}");
    }
}

fn text_of(output: &std::process::Output) -> (String, String) {
    (text(&output.stdout), text(&output.stderr))
}

#[test]
fn several_that_start_at_once_all_start_each_on_networks_of_its_own() {
    let places: Vec<Place> = (0..6).map(|_| Place::new()).collect();
    let service = "apiVersion: v1\nkind: Service\nmetadata:\n  name: web\nspec:\n  ports:\n    - port: 80\n";
    let started: Vec<Background> = std::thread::scope(|scope| {
        let start = |place: &'_ Place| apply_first(place, &place.manifest("service.yaml", service));
        let all: Vec<_> = places.iter().map(|place| scope.spawn(move || start(place))).collect();
        all.into_iter().map(|one| one.join().unwrap()).collect()
    });
    let addresses = places.iter().map(|place| place.ok(&["get", "svc", "web", "-o", "yaml"]));
    let addresses = addresses.map(|yaml| yaml.split("clusterIP: ").nth(1).unwrap().lines().next().unwrap().to_owned());
    let addresses: std::collections::BTreeSet<String> = addresses.collect();
    assert_eq!(addresses.len(), started.len(), "{addresses:?}");
}
