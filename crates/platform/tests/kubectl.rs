//! An unmodified kubectl against the API.

mod support;

use support::{Running, run, start};

const MANIFEST: &str = r#"
apiVersion: kafka.strimzi.io/v1beta2
kind: Kafka
metadata: { name: lab }
spec:
  kafka:
    version: 3.3.1
    replicas: 1
    listeners: [{ name: plain, port: 9092, type: internal, tls: false }]
    storage: { type: jbod, volumes: [{ type: persistent-claim, size: 10Gi, id: 0 }] }
  zookeeper: { replicas: 1, storage: { type: persistent-claim, size: 10Gi } }
  entityOperator: { topicOperator: {}, userOperator: {} }
---
apiVersion: v1
kind: List
items:
- apiVersion: kafka.strimzi.io/v1beta2
  kind: KafkaTopic
  metadata: { name: manual, labels: { strimzi.io/cluster: lab } }
  spec: { partitions: 1, replicas: 1, config: { retention.ms: 7200000 } }
- apiVersion: apps/v1
  kind: Deployment
  metadata: { name: web }
  spec:
    selector: { matchLabels: { app: web } }
    template:
      metadata: { labels: { app: web } }
      spec: { containers: [{ name: web, image: web, ports: [{ containerPort: 8080, name: http }] }] }
- apiVersion: v1
  kind: Service
  metadata: { name: web }
  spec: { selector: { app: web }, ports: [{ port: 8080, targetPort: http }] }
- apiVersion: route.openshift.io/v1
  kind: Route
  metadata: { name: web }
  spec: { path: /, to: { kind: Service, name: web } }
"#;

async fn said(running: &Running, kubectl: &std::path::PathBuf, arguments: &str, input: &str) -> String {
    let (success, text) = run(running, kubectl, arguments, input).await;
    assert!(success, "kubectl {arguments}: {text}");
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn apply_says_created_then_unchanged_then_configured() {
    let Some(kubectl) = support::kubectl() else { return };
    let running = start().await;
    let created = said(&running, &kubectl, "apply -f -", MANIFEST).await;
    assert_eq!(
        created,
        "kafka.kafka.strimzi.io/lab created\nkafkatopic.kafka.strimzi.io/manual created\ndeployment.apps/web created\n\
         service/web created\nroute.route.openshift.io/web created\n"
    );
    let unchanged = said(&running, &kubectl, "apply -f -", MANIFEST).await;
    assert_eq!(unchanged, created.replace("created", "unchanged"));
    let changed =
        MANIFEST.replace("partitions: 1", "partitions: 3").replace("name: http }", "name: http, hostPort: 81 }");
    let configured = said(&running, &kubectl, "apply -f -", &changed).await;
    assert!(configured.contains("kafkatopic.kafka.strimzi.io/manual configured"), "{configured}");
    assert!(configured.contains("deployment.apps/web configured"), "{configured}");
    assert!(configured.contains("service/web unchanged"), "{configured}");
    let deleted = said(&running, &kubectl, "delete -f - --wait=true", MANIFEST).await;
    assert!(deleted.contains("kafka.kafka.strimzi.io \"lab\" deleted"), "{deleted}");
    running.platform.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn get_prints_kubectls_and_strimzis_columns() {
    let Some(kubectl) = support::kubectl() else { return };
    let running = start().await;
    said(&running, &kubectl, "apply -f -", MANIFEST).await;
    let topics = said(&running, &kubectl, "get KafkaTopic", "").await;
    let words: Vec<&str> = topics.split_whitespace().collect();
    let expected = "NAME CLUSTER PARTITIONS REPLICATION FACTOR READY manual lab 1 1";
    assert_eq!(words.join(" "), expected);
    assert_eq!(
        said(&running, &kubectl, "get kt,svc -o name", "").await,
        "kafkatopic.kafka.strimzi.io/manual\nservice/web\n"
    );
    let service = said(&running, &kubectl, "get svc web", "").await;
    // Which of the networks it is depends on who else runs.
    let ip = service.split_whitespace().find(|word| word.starts_with("127.")).unwrap_or_default();
    assert!(ip.ends_with(".0.1") && service.contains(&format!("{ip}   <none>        8080/TCP")), "{service}");
    let (success, text) = run(&running, &kubectl, "get deploy nope", "").await;
    assert_eq!(
        (success, text.as_str()),
        (false, "Error from server (NotFound): deployments.apps \"nope\" not found\n")
    );
    running.platform.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_manifest_is_refused_with_the_path_of_the_field() {
    let Some(kubectl) = support::kubectl() else { return };
    let running = start().await;
    let unknown = MANIFEST.replace("version: 3.3.1", "versoin: 3.3.1");
    let (success, text) = run(&running, &kubectl, "apply -f -", &unknown).await;
    assert!(!success && text.contains("strict decoding error: unknown field \"spec.kafka.versoin\""), "{text}");
    let low = MANIFEST.replace("partitions: 1", "partitions: 0");
    let (success, text) = run(&running, &kubectl, "apply -f -", &low).await;
    let expected = "spec.partitions: Invalid value: 0: spec.partitions in body should be greater than or equal to 1";
    assert!(!success && text.contains(expected), "{text}");
    running.platform.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_labs_own_manifests_all_apply() {
    let Some(kubectl) = support::kubectl() else { return };
    let lab = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/lab/manifests");
    if !lab.exists() {
        eprintln!("SKIPPED: no lab manifests beside the project");
        return;
    }
    let running = start().await;
    for folder in ["02.0/2.1", "02.0/2.2", "03.0/3.2", "04.0/4.2"] {
        said(&running, &kubectl, &format!("apply -f {}", lab.join(folder).display()), "").await;
    }
    let again = said(&running, &kubectl, &format!("apply -f {}", lab.join("03.0/3.2").display()), "").await;
    assert!(again.lines().all(|line| line.ends_with("unchanged")), "{again}");
    running.platform.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wait_logs_describe_and_delete_reach_a_running_pod() {
    let Some(kubectl) = support::kubectl() else { return };
    let running = start().await;
    let pod = "{ apiVersion: v1, kind: Pod, metadata: { name: web }, spec: { terminationGracePeriodSeconds: 5, containers: \
               [{ name: main, image: any, command: [/bin/sh, -c, 'echo hello; exec sleep 1000'] }] } }";
    said(&running, &kubectl, "apply -f -", pod).await;
    let met = said(&running, &kubectl, "wait --for=condition=Ready pod/web --timeout=60s", "").await;
    assert_eq!(met, "pod/web condition met\n");
    let log = said(&running, &kubectl, "logs pod/web -f --limit-bytes=6", "").await;
    assert_eq!(log, "hello\n");
    let described = said(&running, &kubectl, "describe pod web", "").await;
    assert!(described.contains("Successfully assigned default/web to millstream"), "{described}");
    assert_eq!(said(&running, &kubectl, "delete pod web", "").await, "pod \"web\" deleted\n");
    let (success, text) = run(&running, &kubectl, "get pod web", "").await;
    assert_eq!((success, text.as_str()), (false, "Error from server (NotFound): pods \"web\" not found\n"));
    running.platform.shutdown().await;
}
