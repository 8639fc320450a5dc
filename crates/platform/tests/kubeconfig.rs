//! kube's own client, from another process's point of view: it knows nothing but the kubeconfig.

#![expect(clippy::unwrap_used, reason = "what fails beside the tests' own functions fails the test too")]

#[expect(dead_code, reason = "the rest is for tests with kubectl")]
mod support;

use std::time::Duration;

use futures_util::{AsyncReadExt as _, StreamExt as _};
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::api::{DeleteParams, ListParams, LogParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::runtime::wait::{await_condition, conditions};
use kube::{Api, Client, Config};
use serde_json::{Value, json};

/// Far longer than anything here takes; reached only when something is broken.
const PATIENCE: Duration = Duration::from_secs(60);

async fn client(running: &support::Running) -> Client {
    let file = Kubeconfig::read_from(running.folder.path().join("kubeconfig")).unwrap();
    let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await.unwrap();
    Client::try_from(config).unwrap()
}

fn made<K: serde::de::DeserializeOwned>(value: Value) -> K {
    serde_json::from_value(value).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn kubes_client_creates_patches_watches_and_deletes() {
    let running = support::start().await;
    let maps: Api<ConfigMap> = Api::default_namespaced(client(&running).await);
    let before = maps.list(&ListParams::default()).await.unwrap().metadata.resource_version.unwrap();
    let mut changes = Box::pin(maps.watch(&WatchParams::default(), &before).await.unwrap());
    let map = json!({ "metadata": { "name": "m" }, "data": { "a": "1" } });
    maps.create(&PostParams::default(), &made(map)).await.unwrap();
    let patch = Patch::Merge(json!({ "data": { "b": "2" } }));
    let patched = maps.patch("m", &PatchParams::default(), &patch).await.unwrap();
    assert_eq!(patched.data.unwrap().into_values().collect::<Vec<_>>(), ["1", "2"]);
    maps.delete("m", &DeleteParams::default()).await.unwrap();
    let mut seen = Vec::new();
    while seen.len() < 3 {
        seen.push(match tokio::time::timeout(PATIENCE, changes.next()).await.unwrap().unwrap().unwrap() {
            WatchEvent::Added(_) => "added",
            WatchEvent::Modified(_) => "modified",
            WatchEvent::Deleted(_) => "deleted",
            other => panic!("{other:?}"),
        });
    }
    assert_eq!(seen, ["added", "modified", "deleted"]);
    assert!(maps.get_opt("m").await.unwrap().is_none());
    running.platform.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kubes_client_waits_for_a_pod_and_follows_its_log() {
    let running = support::start().await;
    let pods: Api<Pod> = Api::default_namespaced(client(&running).await);
    let container = json!({ "name": "c", "image": "any", "command": ["/bin/sh", "-c", "echo hello; exec sleep 1000"] });
    let pod = json!({ "metadata": { "name": "p" }, "spec": { "containers": [container] } });
    pods.create(&PostParams::default(), &made(pod)).await.unwrap();
    let runs = await_condition(pods.clone(), "p", conditions::is_pod_running());
    tokio::time::timeout(PATIENCE, runs).await.unwrap().unwrap();
    let follow = LogParams { follow: true, ..LogParams::default() };
    let mut log = Box::pin(pods.log_stream("p", &follow).await.unwrap());
    let mut line = [0; 6];
    tokio::time::timeout(PATIENCE, log.read_exact(&mut line)).await.unwrap().unwrap();
    assert_eq!(&line, b"hello\n");
    running.platform.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_token_nobody_is_served() {
    let running = support::start().await;
    let config = Config::new(format!("http://{}", running.platform.address()).parse().unwrap());
    let maps: Api<ConfigMap> = Api::default_namespaced(Client::try_from(config).unwrap());
    let refused = maps.list(&ListParams::default()).await.unwrap_err();
    assert!(matches!(&refused, kube::Error::Api(status) if status.code == 401), "{refused}");
    running.platform.shutdown().await;
}
