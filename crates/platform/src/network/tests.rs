use std::net::Ipv4Addr;
use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::clock::Clock;
use crate::kinds::{Kind, ROUTE};
use crate::resources::{Defaults, Resources, Target, WriteOptions};

struct Fixture {
    folder: tempfile::TempDir,
    resources: Resources,
}

fn fixture() -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("platform.redb"), Clock::system()).unwrap();
    let resources = Resources::new(store, Defaults { service_network: Ipv4Addr::new(127, 98, 0, 0) }).unwrap();
    Fixture { folder, resources }
}

impl Fixture {
    fn create(&self, kind: &'static Kind, body: Value) -> Value {
        let target = Target { kind, version: "v1", namespace: "default".to_owned(), name: String::new() };
        self.resources.create(&target, body, WriteOptions::default()).unwrap().object.as_ref().clone()
    }

    /// A Service `web` with the port `number`, named `http`, and a backend that greets with `greeting`.
    async fn web(&self, number: u16, greeting: &'static str) -> Value {
        let backend = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = backend.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = backend.accept().await {
                let mut head = [0; 1024];
                let count = stream.read(&mut head).await.unwrap();
                let request = String::from_utf8_lossy(&head[..count]).into_owned();
                let line = request.lines().next().unwrap_or_default().to_owned();
                let body = format!("{greeting} {line}");
                let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        let ports = json!([{ "name": "http", "port": number, "targetPort": "web" }]);
        let service = self.create(&SERVICE, json!({ "metadata": { "name": "web" }, "spec": { "ports": ports } }));
        let subset =
            json!({ "addresses": [{ "ip": "127.0.0.1" }], "ports": [{ "name": "http", "port": address.port() }] });
        self.create(&ENDPOINTS, json!({ "metadata": { "name": "web" }, "subsets": [subset] }));
        service
    }
}

/// Connects as soon as somebody listens.
async fn connect(address: SocketAddr) -> TcpStream {
    let connected = async {
        loop {
            if let Ok(stream) = TcpStream::connect(address).await {
                return stream;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), connected).await.unwrap()
}

async fn get(address: SocketAddr, host: &str, path: &str) -> String {
    let mut stream = connect(address).await;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
#[cfg(target_os = "linux")]
async fn a_service_forwards_from_its_own_address_to_a_ready_pod() {
    let fixture = fixture();
    let shutdown = CancellationToken::new();
    let services = Services::new(fixture.resources.clone(), &fixture.folder.path().join("hosts"));
    let running = tokio::spawn(services.run(shutdown.clone()));
    let service = fixture.web(18080, "hello").await;
    let ip: IpAddr = text(&service, "/spec/clusterIP").parse().unwrap();
    let answer = get(SocketAddr::new(ip, 18080), "web", "/data").await;
    assert!(answer.ends_with("hello GET /data HTTP/1.1"), "{answer}");
    let hosts = std::fs::read_to_string(fixture.folder.path().join("hosts/default")).unwrap();
    assert!(
        hosts.contains(&format!("{ip} web web.default web.default.svc web.default.svc.cluster.local\n")),
        "{hosts}"
    );
    shutdown.cancel();
    running.await.unwrap();
    assert!(TcpStream::connect((ip, 18080)).await.is_err());
}

#[tokio::test]
async fn a_route_is_found_by_host_and_longest_path() {
    let fixture = fixture();
    fixture.web(80, "hello").await;
    let route = |name: &str, path: &str, service: &str| {
        let to = json!({ "kind": "Service", "name": service });
        json!({ "metadata": { "name": name }, "spec": { "host": "web.localhost", "path": path, "to": to,
            "port": { "targetPort": "web" } } })
    };
    fixture.create(&ROUTE, route("root", "/", "web"));
    fixture.create(&ROUTE, route("nowhere", "/none", "missing"));
    let anywhere = RoutesAddress::Required("127.0.0.1:0".parse().unwrap());
    let routes = Routes::bind(anywhere, fixture.resources.store.clone()).await.unwrap().unwrap();
    let (address, shutdown) = (routes.address(), CancellationToken::new());
    let running = tokio::spawn(routes.serve(shutdown.clone()));
    let answer = get(address, &format!("WEB.localhost:{}", address.port()), "/data?x=1").await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("hello GET /data?x=1 HTTP/1.1"), "{answer}");
    let answer = get(address, "web.localhost", "/none/x").await;
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("the Service missing"), "{answer}");
    let answer = get(address, "web.localhost", "/nonesuch").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "a prefix ends at a slash: {answer}");
    let answer = get(address, "other.localhost", "/").await;
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("other.localhost"), "{answer}");
    shutdown.cancel();
    running.await.unwrap();
}

#[tokio::test]
async fn a_preferred_address_that_is_taken_gives_way_to_a_free_port_and_a_required_one_does_not() {
    let fixture = fixture();
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap();
    let bind = |wanted| Routes::bind(wanted, fixture.resources.store.clone());
    let refused = bind(RoutesAddress::Required(address)).await.unwrap_err();
    assert!(refused.to_string().starts_with(&format!("cannot listen on {address}: ")), "{refused}");
    let elsewhere = bind(RoutesAddress::Preferred(address)).await.unwrap().unwrap().address();
    assert_eq!(elsewhere.ip(), address.ip());
    assert_ne!(elsewhere.port(), address.port());
    drop(taken);
    assert_eq!(bind(RoutesAddress::Preferred(address)).await.unwrap().unwrap().address(), address);
    // Not every failure is a taken port: an address of another machine stays an error.
    let foreign = "192.0.2.1:1".parse().unwrap();
    assert!(bind(RoutesAddress::Preferred(foreign)).await.is_err());
    assert!(bind(RoutesAddress::Off).await.unwrap().is_none());
}

#[test]
fn a_routes_port_is_a_name_or_a_number_of_the_target() {
    let fixture = fixture();
    let ports = json!([
        { "name": "http", "port": 80, "targetPort": 8080 }, { "name": "metrics", "port": 90, "targetPort": "prom" }]);
    fixture.create(&SERVICE, json!({ "metadata": { "name": "web" }, "spec": { "ports": ports } }));
    let subset = json!({ "addresses": [{ "ip": "127.0.0.1" }],
        "ports": [{ "name": "http", "port": 8080 }, { "name": "metrics", "port": 9100 }] });
    fixture.create(&ENDPOINTS, json!({ "metadata": { "name": "web" }, "subsets": [subset] }));
    let check = |choice: PortChoice, expected: &[u16]| {
        let found = backends(&fixture.resources.store, "default", "web", &choice);
        assert_eq!(found.iter().map(SocketAddr::port).collect::<Vec<_>>(), expected, "{choice:?}");
    };
    check(PortChoice::Any, &[8080]);
    check(PortChoice::Named("metrics".to_owned()), &[9100]);
    check(PortChoice::Target(json!("http")), &[8080]);
    check(PortChoice::Target(json!(8080)), &[8080]);
    check(PortChoice::Target(json!("prom")), &[9100]);
    check(PortChoice::Target(json!("nope")), &[]);
}
