use std::net::Ipv4Addr;
use std::time::Duration;

use serde_json::Value;
use tower::Service as _;

use super::*;
use crate::clock::Clock;
use crate::object::{list, text};
use crate::resources::Defaults;
use crate::store::Store;

struct Fixture {
    folder: tempfile::TempDir,
    service: ApiService,
    shutdown: CancellationToken,
}

fn fixture() -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("platform.redb"), Clock::system()).unwrap();
    let resources = Resources::new(store, Defaults { service_network: Ipv4Addr::new(127, 96, 0, 0) }).unwrap();
    let shutdown = CancellationToken::new();
    let service = ApiService::new(resources, Logs::new(&folder.path().join("pods")), shutdown.clone());
    Fixture { folder, service, shutdown }
}

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";

impl Fixture {
    async fn send(&self, method: &str, uri: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Response<Body> {
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut service = self.service.clone();
        let service = <ApiService as tower::ServiceExt<Request<Body>>>::ready(&mut service).await.unwrap();
        service.call(request.body(body.into()).unwrap()).await.unwrap()
    }

    async fn ask(&self, method: &str, uri: &str, headers: &[(&str, &str)], body: &str) -> (u16, Value) {
        let response = self.send(method, uri, headers, body.to_owned()).await;
        let code = response.status().as_u16();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        (code, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
    }

    async fn create_map(&self, name: &str, labels: &str) -> Value {
        let body = format!(r#"{{"metadata":{{"name":"{name}","labels":{labels}}},"data":{{"a":"1"}}}}"#);
        let (code, created) = self.ask("POST", MAPS, &[], &body).await;
        assert_eq!(code, 201, "{created}");
        created
    }
}

/// The events of a watch, read until `count` have come.
async fn events(response: Response<Body>, count: usize) -> Vec<(String, Value)> {
    let mut body = response.into_body();
    let (mut bytes, mut events) = (Vec::new(), Vec::new());
    let read = async {
        while events.len() < count {
            let frame = body.frame().await.expect("the watch goes on").unwrap();
            bytes.extend_from_slice(frame.data_ref().unwrap());
            let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
            let parse = |line: &[u8]| serde_json::from_slice::<Value>(line).unwrap();
            events =
                lines.map(parse).map(|event| (text(&event, "/type").to_owned(), event["object"].clone())).collect();
        }
    };
    tokio::time::timeout(Duration::from_secs(30), read).await.unwrap();
    events
}

#[tokio::test]
async fn failures_are_status_objects_with_kubernetes_words() {
    let fixture = fixture();
    let check = async |method: &str, uri: &str, headers: &[(&str, &str)], body: &str, code: u16, reason: &str| {
        let (found, status) = fixture.ask(method, uri, headers, body).await;
        assert_eq!((found, text(&status, "/reason")), (code, reason), "{method} {uri}: {status}");
        assert_eq!((text(&status, "/kind"), text(&status, "/status")), ("Status", "Failure"));
    };
    let item = format!("{MAPS}/x");
    let yaml = [("content-type", "application/yaml")];
    check("GET", &item, &[], "", 404, "NotFound").await;
    check("GET", "/apis/nope/v1/things", &[], "", 404, "NotFound").await;
    check("POST", MAPS, &[], "{", 400, "BadRequest").await;
    check("POST", MAPS, &[], "[]", 400, "BadRequest").await;
    check("POST", MAPS, &yaml, "a: b", 415, "UnsupportedMediaType").await;
    check("PATCH", &item, &[("content-type", "application/apply-patch+yaml")], "{}", 415, "UnsupportedMediaType").await;
    check("PUT", MAPS, &[], "{}", 405, "MethodNotAllowed").await;
    check("POST", "/api/v1/configmaps", &[], "{}", 400, "BadRequest").await;
    check("GET", &format!("{MAPS}?labelSelector=((("), &[], "", 400, "BadRequest").await;
    check("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", &[], "{}", 405, "MethodNotAllowed").await;
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_refused() {
    let fixture = fixture();
    let response = fixture.send("POST", MAPS, &[], vec![b' '; BODY_BYTES_MAX + 1]).await;
    assert_eq!(response.status(), 413);
}

#[tokio::test]
async fn lists_select_and_tables_carry_cells() {
    let fixture = fixture();
    fixture.create_map("a", r#"{"app":"x"}"#).await;
    fixture.create_map("b", r#"{"app":"y"}"#).await;
    let (_, selected) = fixture.ask("GET", &format!("{MAPS}?labelSelector=app%3Dx"), &[], "").await;
    assert_eq!((text(&selected, "/kind"), text(&selected, "/items/0/metadata/name")), ("ConfigMapList", "a"));
    assert_eq!(list(&selected, "/items").len(), 1);
    let (_, named) = fixture.ask("GET", &format!("{MAPS}?fieldSelector=metadata.name%3Db"), &[], "").await;
    assert_eq!(text(&named, "/items/0/metadata/name"), "b");
    let (_, table) = fixture.ask("GET", MAPS, &[("accept", TABLE)], "").await;
    assert_eq!((text(&table, "/kind"), text(&table, "/rows/1/cells/0")), ("Table", "b"));
    assert_eq!(text(&table, "/rows/0/object/kind"), "PartialObjectMetadata");
}

#[tokio::test]
async fn unknown_fields_warn_or_fail_as_asked() {
    let fixture = fixture();
    let body = r#"{"metadata":{"name":"x"},"dat":{}}"#;
    let response = fixture.send("POST", &format!("{MAPS}?dryRun=All"), &[], body).await;
    assert_eq!(response.headers()["warning"], r#"299 - "unknown field \"dat\"""#);
    let (code, status) = fixture.ask("POST", &format!("{MAPS}?fieldValidation=Strict"), &[], body).await;
    assert_eq!(code, 400);
    assert!(text(&status, "/message").ends_with(r#"strict decoding error: unknown field "dat""#), "{status}");
    assert_eq!(fixture.ask("GET", &format!("{MAPS}/x"), &[], "").await.0, 404, "the dry run stored nothing");
}

#[tokio::test]
async fn a_watch_follows_a_selection() {
    let fixture = fixture();
    fixture.create_map("before", r#"{"app":"x"}"#).await;
    let uri = format!("{MAPS}?watch=true&labelSelector=app%3Dx");
    let response = fixture.send("GET", &uri, &[], "").await;
    fixture.create_map("other", r#"{"app":"y"}"#).await;
    fixture.create_map("after", r#"{"app":"x"}"#).await;
    let leave = r#"{"metadata":{"labels":{"app":"y"}}}"#;
    let merge = [("content-type", "application/merge-patch+json")];
    assert_eq!(fixture.ask("PATCH", &format!("{MAPS}/before"), &merge, leave).await.0, 200);
    let seen = events(response, 3).await;
    let seen: Vec<(&str, &str)> =
        seen.iter().map(|(kind, object)| (kind.as_str(), text(object, "/metadata/name"))).collect();
    assert_eq!(seen, [("ADDED", "before"), ("ADDED", "after"), ("DELETED", "before")]);
}

#[tokio::test]
async fn a_watch_may_begin_with_a_list_and_a_bookmark() {
    let fixture = fixture();
    fixture.create_map("a", "{}").await;
    let uri =
        format!("{MAPS}?watch=1&sendInitialEvents=true&allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan");
    let seen = events(fixture.send("GET", &uri, &[], "").await, 2).await;
    assert_eq!((seen[0].0.as_str(), seen[1].0.as_str()), ("ADDED", "BOOKMARK"));
    assert_eq!(crate::object::annotation(&seen[1].1, "k8s.io/initial-events-end"), Some("true"));
}

#[tokio::test]
async fn a_watch_from_a_forgotten_version_is_told_to_list_again() {
    let fixture = fixture();
    let uri = format!("{MAPS}?watch=true&resourceVersion=1");
    let inner = &fixture.service.0;
    assert!(inner.resources.store.version() > 0);
    drop(fixture.service.clone());
    let folder = fixture.folder;
    inner.resources.store.close();
    // After a reopen the log is empty: what came before is forgotten.
    let store = Store::open(&folder.path().join("platform.redb"), Clock::system()).unwrap();
    let resources = Resources::new(store, Defaults { service_network: Ipv4Addr::new(127, 96, 0, 0) }).unwrap();
    let service = ApiService::new(resources, Logs::new(folder.path()), CancellationToken::new());
    let again = Fixture { folder, service, shutdown: CancellationToken::new() };
    let seen = events(again.send("GET", &uri, &[], "").await, 1).await;
    assert_eq!((seen[0].0.as_str(), seen[0].1["code"].as_u64()), ("ERROR", Some(410)));
}

#[tokio::test]
async fn a_watch_ends_with_the_server() {
    let fixture = fixture();
    let response = fixture.send("GET", &format!("{MAPS}?watch=true"), &[], "").await;
    fixture.shutdown.cancel();
    let ended = tokio::time::timeout(Duration::from_secs(30), response.into_body().collect()).await.unwrap();
    assert!(ended.unwrap().to_bytes().is_empty());
}

#[tokio::test]
async fn both_versions_show_the_same_object() {
    let fixture = fixture();
    let topics = |version: &str| format!("/apis/kafka.strimzi.io/{version}/namespaces/default/kafkatopics");
    let body = r#"{"apiVersion":"kafka.strimzi.io/v1beta2","kind":"KafkaTopic","metadata":{"name":"t"},"spec":{"partitions":1}}"#;
    assert_eq!(fixture.ask("POST", &topics("v1beta2"), &[], body).await.0, 201);
    for version in ["v1", "v1beta2"] {
        let (_, topic) = fixture.ask("GET", &format!("{}/t", topics(version)), &[], "").await;
        assert_eq!(text(&topic, "/apiVersion"), format!("kafka.strimzi.io/{version}"));
    }
}

#[tokio::test]
async fn scale_changes_replicas() {
    let fixture = fixture();
    let deployments = "/apis/apps/v1/namespaces/default/deployments";
    let body = r#"{"metadata":{"name":"web"},"spec":{"selector":{"matchLabels":{"a":"b"}},
        "template":{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"c","image":"i"}]}}}}"#;
    assert_eq!(fixture.ask("POST", deployments, &[], body).await.0, 201);
    let merge = [("content-type", "application/merge-patch+json")];
    let uri = format!("{deployments}/web/scale");
    let (code, scale) = fixture.ask("PATCH", &uri, &merge, r#"{"spec":{"replicas":4}}"#).await;
    assert_eq!((code, text(&scale, "/kind"), scale["spec"]["replicas"].as_i64()), (200, "Scale", Some(4)));
    let (_, deployment) = fixture.ask("GET", &format!("{deployments}/web"), &[], "").await;
    assert_eq!(deployment["spec"]["replicas"], 4);
}

#[tokio::test]
async fn a_collection_is_deleted_by_selection() {
    let fixture = fixture();
    fixture.create_map("a", r#"{"app":"x"}"#).await;
    fixture.create_map("b", r#"{"app":"y"}"#).await;
    assert_eq!(fixture.ask("DELETE", &format!("{MAPS}?labelSelector=app%3Dx"), &[], "").await.0, 200);
    let (_, left) = fixture.ask("GET", MAPS, &[], "").await;
    assert_eq!((list(&left, "/items").len(), text(&left, "/items/0/metadata/name")), (1, "b"));
}

#[tokio::test]
async fn discovery_names_every_kind_in_both_forms() {
    let fixture = fixture();
    let aggregated = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
    let mut found = 0;
    for root in ["/api", "/apis"] {
        let (_, groups) = fixture.ask("GET", root, &[("accept", aggregated)], "").await;
        assert_eq!(text(&groups, "/kind"), "APIGroupDiscoveryList");
        let versions = list(&groups, "/items").iter().flat_map(|group| list(group, "/versions").iter().take(1));
        found += versions.map(|version| list(version, "/resources").len()).sum::<usize>();
    }
    assert_eq!(found, crate::kinds::KINDS.len());
    let (_, plain) = fixture.ask("GET", "/apis/kafka.strimzi.io/v1beta2", &[], "").await;
    let names: Vec<&str> = list(&plain, "/resources").iter().map(|resource| text(resource, "/name")).collect();
    assert!(names.contains(&"kafkatopics") && names.contains(&"kafkatopics/status"), "{names:?}");
}

#[tokio::test]
async fn over_the_socket_only_the_token_opens() {
    let fixture = fixture();
    let listener = Listener::bind("127.0.0.1:0".parse().unwrap(), "secret".to_owned()).await.unwrap();
    let address = listener.address();
    let serving = tokio::spawn(listener.serve(fixture.service.clone(), fixture.shutdown.clone()));
    let code = async |authorization: &str| {
        let stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let stream = hyper_util::rt::TokioIo::new(stream);
        let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        let request = Request::get("/api/v1/pods").header("host", "x").header("authorization", authorization);
        sender.send_request(request.body(Body::empty()).unwrap()).await.unwrap().status().as_u16()
    };
    assert_eq!(code("Bearer secret").await, 200);
    // millstream:secret
    assert_eq!(code("Basic bWlsbHN0cmVhbTpzZWNyZXQ=").await, 200);
    assert_eq!(code("Bearer secreT").await, 401);
    assert_eq!(code("").await, 401);
    fixture.shutdown.cancel();
    serving.await.unwrap();
    let outside = Listener::bind("0.0.0.0:0".parse().unwrap(), String::new()).await;
    assert!(matches!(outside, Err(ListenError::NotLoopback(_))));
}
