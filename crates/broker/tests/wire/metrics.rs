//! `/metrics` shows what docs/reference/metrics.md says, by name.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use tempfile::TempDir;

const REFERENCE: &str = include_str!("../../../../docs/reference/metrics.md");

fn get(address: std::net::SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

#[test]
fn every_metric_is_documented_and_every_documented_metric_is_there() {
    let directory = TempDir::new().unwrap();
    let mut options = crate::server::options(directory.path(), &[]);
    options.http = Some("127.0.0.1:0".parse().unwrap());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let running = runtime.block_on(millstream_broker::start(options)).unwrap();
    let address = running.http_address().unwrap();
    assert!(get(address, "/readyz").starts_with("HTTP/1.1 200"));
    assert!(get(address, "/healthz").starts_with("HTTP/1.1 200"));
    let text = get(address, "/metrics");
    let shown = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE millstream_"))
        .map(|line| line.split(' ').next().unwrap());
    let mut shown: Vec<&str> = shown.collect();
    let rows = REFERENCE.lines().filter(|line| line.starts_with("| `"));
    let names =
        rows.flat_map(|row| row.split('|').nth(1).unwrap().split(',').map(|name| name.trim().trim_matches('`')));
    let mut documented: Vec<&str> = names.collect();
    shown.sort_unstable();
    documented.sort_unstable();
    assert_eq!(shown, documented);
    runtime.block_on(running.stop()).unwrap();
}
