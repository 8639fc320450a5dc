//! What probes of a manifest mean, and what is asked over the network.

use serde_json::json;

use super::*;

fn read(probe: Value) -> Option<Probe> {
    let container =
        json!({ "name": "web", "ports": [{ "name": "http", "containerPort": 8080 }], "livenessProbe": probe });
    Probe::read(&container, "livenessProbe", "127.1.2.3".parse().unwrap())
}

#[test]
fn a_named_port_is_looked_up_in_the_container() {
    let probe = read(json!({ "httpGet": { "path": "/h", "port": "http" }, "periodSeconds": 20 })).unwrap();
    let address = "127.1.2.3:8080".parse().unwrap();
    assert_eq!(probe.check, Check::Http { address, path: "/h".to_owned(), headers: Vec::new() });
    assert_eq!(probe.period, Duration::from_secs(20));
}

#[tokio::test]
async fn a_probe_that_cannot_ask_fails_and_says_why() {
    for (action, why) in [
        (json!({ "port": "nope" }), "couldn't find port nope in the ports of container web"),
        (json!({ "port": 70_000 }), "couldn't find port 70000 in the ports of container web"),
        (json!({ "port": 1, "host": "example.org" }), "host example.org is no address: expected one such as 127.0.0.1"),
    ] {
        for kind in ["tcpSocket", "httpGet"] {
            let probe = read(json!({ kind: action })).unwrap();
            assert_eq!(over_network(&probe.check).await, Err(why.to_owned()));
        }
    }
}

#[test]
fn every_field_of_a_probe_is_read_and_has_kubernetes_default() {
    let seconds = Duration::from_secs;
    let probe = read(json!({ "tcpSocket": { "port": 1, "host": "127.9.9.9" }, "initialDelaySeconds": 2,
        "periodSeconds": 3, "timeoutSeconds": 4, "successThreshold": 5, "failureThreshold": 6,
        "terminationGracePeriodSeconds": 7 }));
    let expected = Probe {
        check: Check::Tcp("127.9.9.9:1".parse().unwrap()),
        initial_delay: seconds(2),
        period: seconds(3),
        timeout: seconds(4),
        success_threshold: 5,
        failure_threshold: 6,
        grace: Some(seconds(7)),
    };
    assert_eq!(probe, Some(expected));
    let plain = read(json!({ "tcpSocket": { "port": 1, "host": "localhost" } })).unwrap();
    assert_eq!(plain.check, Check::Tcp("127.0.0.1:1".parse().unwrap()));
    assert_eq!((plain.initial_delay, plain.period, plain.timeout), (seconds(0), seconds(10), seconds(1)));
    assert_eq!((plain.success_threshold, plain.failure_threshold, plain.grace), (1, 3, None));
}

#[tokio::test]
async fn headers_of_the_manifest_go_with_the_request() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let probe = read(json!({ "httpGet": { "port": port, "host": "127.0.0.1", "path": "ready?deep=1",
        "httpHeaders": [{ "name": "Host", "value": "web" }, { "name": "X-Why", "value": "probe" }] } }));
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = vec![0; 1024];
        let read = stream.read(&mut request).await.unwrap();
        stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
        String::from_utf8_lossy(&request[..read]).to_lowercase()
    });
    assert_eq!(over_network(&probe.unwrap().check).await, Ok(()));
    let request = server.await.unwrap();
    assert!(request.starts_with("get /ready?deep=1 http/1.1\r\n"), "{request}");
    assert!(request.contains("host: web\r\n") && request.contains("x-why: probe\r\n"), "{request}");
}

#[test]
fn thresholds_count_consecutive_results() {
    let probe = read(json!({ "tcpSocket": { "port": 1 }, "failureThreshold": 2, "successThreshold": 2 })).unwrap();
    let mut streak = Streak::default();
    let results = [false, true, false, false, false, true, true].map(|result| streak.count(result, &probe));
    assert_eq!(results, [None, None, None, Some(false), Some(false), None, Some(true)]);
}

#[tokio::test]
async fn an_answer_that_comes_with_the_end_of_the_connection_counts() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    for (status, expected) in [("200 OK", Ok(())), ("503 No", Err("HTTP probe failed with statuscode: 503".to_owned()))]
    {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.read(&mut [0; 1024]).await.unwrap();
            let answer = format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok");
            stream.write_all(answer.as_bytes()).await.unwrap();
        });
        let check = Check::Http { address, path: "/health".to_owned(), headers: Vec::new() };
        assert_eq!(over_network(&check).await, expected);
        server.await.unwrap();
    }
}

#[tokio::test]
async fn a_port_where_nobody_listens_fails_with_the_reason() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    assert_eq!(over_network(&Check::Tcp(address)).await, Ok(()));
    drop(listener);
    let failed = over_network(&Check::Http { address, path: "/".to_owned(), headers: Vec::new() }).await;
    assert_eq!(failed, Err(format!("Get \"http://{address}/\": dial tcp {address}: connect: connection refused")));
}
