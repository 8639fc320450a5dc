//! `/metrics` shows what docs/reference/metrics.md says, by name.

use tempfile::TempDir;

use crate::server::http_get as get;

const REFERENCE: &str = include_str!("../../../../docs/reference/metrics.md");

#[test]
fn every_metric_is_documented_and_every_documented_metric_is_there() {
    let directory = TempDir::new().unwrap();
    let options = crate::server::options(directory.path(), &[]);
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
