//! The logs of the services, as `up` prints them from their beginning: each line behind its container's name.
//!
//! One task follows the pods, one each container's run, one writes; the writer alone touches stdout, so that lines stay whole
//! and a reader that stalls holds up nothing but the logs.

use std::collections::HashSet;

use futures_util::{AsyncBufReadExt as _, StreamExt as _};
use k8s_openapi::api::core::v1::Pod;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, ResourceExt as _};
use millstream_reconcile::RUNS_IN_ANNOTATION;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Lines that wait for the writer; then the containers' readers wait too.
const LINES_WAITING_MAX: usize = 1024;

/// Follows the logs of all services until `stop`.
pub(crate) async fn logs(client: Client, stop: CancellationToken) {
    let (lines, written) = mpsc::channel(LINES_WAITING_MAX);
    tokio::select! {
        () = stop.cancelled() => {}
        () = follow_pods(client, lines) => {}
        () = write(written) => {}
    }
}

async fn follow_pods(client: Client, lines: mpsc::Sender<String>) {
    let pods: Api<Pod> = Api::all(client.clone());
    let mut changes = std::pin::pin!(watcher(pods, watcher::Config::default()).default_backoff().applied_objects());
    let mut seen = HashSet::new();
    let mut runs = JoinSet::new();
    while let Some(change) = changes.next().await {
        // The watcher starts anew by itself.
        let Ok(pod) = change else { continue };
        for run in Run::of(&pod) {
            if seen.insert((pod.uid(), run.container.clone(), run.attempt)) {
                runs.spawn(follow(client.clone(), run, lines.clone()));
            }
        }
        while runs.try_join_next().is_some() {}
    }
}

/// One run of a container.
struct Run {
    namespace: String,
    pod: String,
    container: String,
    attempt: i32,
}

impl Run {
    /// The runs of a pod's containers that have begun; brokers and pods that are only shown have none for us.
    fn of(pod: &Pod) -> Vec<Self> {
        let broker = pod.labels().get("strimzi.io/kind").is_some_and(|kind| kind == "Kafka");
        if broker || pod.annotations().contains_key(RUNS_IN_ANNOTATION) {
            return Vec::new();
        }
        let statuses = pod.status.as_ref().and_then(|status| status.container_statuses.as_ref());
        let begun = statuses.into_iter().flatten().filter(|status| {
            status.state.as_ref().is_some_and(|state| state.running.is_some() || state.terminated.is_some())
        });
        let run = |status: &k8s_openapi::api::core::v1::ContainerStatus| Self {
            namespace: pod.namespace().unwrap_or_default(),
            pod: pod.name_any(),
            container: status.name.clone(),
            attempt: status.restart_count,
        };
        begun.map(run).collect()
    }
}

async fn follow(client: Client, run: Run, lines: mpsc::Sender<String>) {
    let Run { namespace, pod, container, .. } = run;
    let path = format!("/api/v1/namespaces/{namespace}/pods/{pod}/log?container={container}&follow=true");
    let Ok(request) = http::Request::get(path).body(Vec::new()) else { return };
    // The pod may be gone again; the next one has a log of its own.
    let Ok(stream) = client.request_stream(request).await else { return };
    let mut text = std::pin::pin!(stream.lines());
    while let Some(Ok(line)) = text.next().await {
        if lines.send(format!("{container}  {line}\n")).await.is_err() {
            return;
        }
    }
}

async fn write(mut lines: mpsc::Receiver<String>) {
    let mut stdout = tokio::io::stdout();
    while let Some(line) = lines.recv().await {
        let written = async {
            stdout.write_all(line.as_bytes()).await?;
            if lines.is_empty() { stdout.flush().await } else { Ok(()) }
        };
        if written.await.is_err() {
            // Nobody reads any more. What runs goes on.
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn runs(pod: serde_json::Value) -> Vec<(String, i32)> {
        let pod: Pod = serde_json::from_value(pod).unwrap();
        Run::of(&pod).into_iter().map(|run| (run.container, run.attempt)).collect()
    }

    #[test]
    fn each_run_of_a_service_is_followed_and_no_broker() {
        let status = json!({"containerStatuses": [{"name": "c", "image": "", "imageID": "", "ready": true, "restartCount": 2,
            "state": {"running": {}}}, {"name": "d", "image": "", "imageID": "", "ready": false, "restartCount": 0,
            "state": {"waiting": {"reason": "CrashLoopBackOff"}}}]});
        assert_eq!(runs(json!({"metadata": {"name": "p"}, "status": status})), [("c".to_owned(), 2)]);
        let broker = json!({"metadata": {"name": "p", "labels": {"strimzi.io/kind": "Kafka"}}, "status": status});
        assert!(runs(broker).is_empty());
    }
}
