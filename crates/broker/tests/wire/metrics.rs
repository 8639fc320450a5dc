//! `/metrics` shows what docs/reference/metrics.md says, by name and type, and what it shows moves when it should.

use std::collections::BTreeSet;
use std::time::Instant;

use millstream_model::TimestampMs;
use millstream_model::batch::BatchBuilder;
use millstream_model::compression::Compression;
use millstream_protocol::heartbeat::HeartbeatRequest;
use tempfile::TempDir;

use crate::compaction::{GROUP, commit, create_wide, find_coordinator};
use crate::server::{PATIENCE, Server, http_get as get};
use crate::topic::{batch, create, fetch, produce};

const REFERENCE: &str = include_str!("../../../../docs/reference/metrics.md");

/// Whole name and type of each metric that the page describes.
pub(crate) fn documented() -> BTreeSet<(String, String)> {
    let rows = REFERENCE.lines().filter(|line| line.starts_with("| `"));
    let named = rows.flat_map(|row| {
        let mut cells = row.split('|').skip(1).map(str::trim);
        let (names, kind) = (cells.next().unwrap(), cells.next().unwrap().to_owned());
        names.split(", ").map(move |name| (name.trim_matches('`').to_owned(), kind.clone()))
    });
    let whole = |(name, kind): (String, String)| {
        if name.starts_with("process_") { (name, kind) } else { (format!("millstream_{name}"), kind) }
    };
    named.map(whole).collect()
}

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
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    let types = types.map(|(name, kind)| (name.to_owned(), kind.to_owned()));
    assert_eq!(types.collect::<BTreeSet<_>>(), documented());
    for line in text.lines().filter(|line| line.starts_with("# HELP ")) {
        let help = line.splitn(4, ' ').nth(3).unwrap();
        assert!(help.len() > 5, "{line}");
    }
    runtime.block_on(running.stop()).unwrap();
}

/// Waits until a reading is as wanted.
fn until(server: &Server, name: &str, wanted: impl Fn(f64) -> bool) {
    let end = Instant::now() + PATIENCE;
    while !wanted(server.reading(name)) {
        assert!(Instant::now() < end, "{name} stays {}", server.reading(name));
        std::thread::yield_now();
    }
}

fn large_batch(bytes: usize) -> bytes::Bytes {
    let mut builder = BatchBuilder::new(Compression::None);
    builder.append(TimestampMs(1_700_000_000_000), None, Some(&vec![b'x'; bytes]), &[]).unwrap();
    builder.build().into_bytes()
}

#[test]
fn a_durable_append_is_seen_in_the_lane_and_then_in_a_checkpoint() {
    let server = Server::start(&[]);
    let mut peer = server.peer();
    create(&mut peer, &[]);
    assert_eq!(server.reading("partitions"), 1.0);
    assert_eq!((server.reading("lane_slots_written_total"), server.reading("lane_write_seconds_count")), (0.0, 0.0));
    assert_eq!(server.reading("checkpoint_age_seconds"), 0.0);
    assert_eq!(produce(&mut peer, batch(&["a"])).error_code, 0);
    let slots = server.reading("lane_slots_written_total");
    assert!(slots >= 1.0);
    assert!(server.reading("lane_bytes_written_total") >= 4096.0 * slots);
    assert!(server.reading("lane_write_seconds_count") >= slots && server.reading("lane_write_seconds_sum") > 0.0);
    assert!(server.reading("lane_used_bytes") >= 4096.0 && server.reading("lane_files") >= 1.0);
    assert!(server.reading("lane_file_bytes") >= server.reading("lane_used_bytes"));
    until(&server, "materialiser_lag_bytes", |bytes| bytes == 0.0);
    assert_eq!(server.reading("storage_pending_bytes"), 0.0);
    until(&server, "materialiser_lag_seconds", |age| age == 0.0);
    until(&server, "checkpoint_age_seconds", |age| age > 0.0);
    assert!(server.reading("tail_bytes") > 0.0);
    let before = server.reading("checkpoint_seconds_count");
    // More than the lane holds without one.
    (0..20).for_each(|_| assert_eq!(produce(&mut peer, large_batch(900_000)).error_code, 0));
    until(&server, "checkpoint_seconds_count", |count| count > before);
    assert!(server.reading("checkpoint_seconds_sum") > 0.0);
    assert_eq!(server.reading("checkpoint_seconds_count"), server.reading("storage_checkpoints_total"));
}

#[test]
fn writes_that_pass_the_lane_by_are_counted_by_durability() {
    for (durability, bytes) in [("fsync", 1 << 20), ("os", 100)] {
        let server = Server::start(&[("message.max.bytes", "4194304")]);
        let mut peer = server.peer();
        create(&mut peer, &[("millstream.durability", durability)]);
        let labelled = |name: &str| server.reading(&format!("{name}{{durability=\"{durability}\"}}"));
        assert_eq!(labelled("direct_write_seconds_count"), 0.0);
        assert_eq!(produce(&mut peer, large_batch(bytes)).error_code, 0);
        assert_eq!(labelled("direct_write_seconds_count"), 1.0, "{durability}");
        assert!(labelled("direct_write_seconds_sum") > 0.0);
        assert!(labelled("direct_written_bytes_total") > bytes as f64);
        assert_eq!(server.reading("lane_slots_written_total"), 0.0, "a mark comes later");
    }
}

#[test]
fn flush_messages_of_a_topic_or_the_broker_syncs_writes_of_topics_that_the_system_would_write() {
    let os = ("millstream.durability", "os");
    let flushed = |server: Server, topic: &[(&str, &str)]| {
        let mut peer = server.peer();
        create(&mut peer, topic);
        (0..2).for_each(|_| assert_eq!(produce(&mut peer, batch(&["a"])).error_code, 0));
        server.reading("direct_write_seconds_count{durability=\"fsync\"}")
    };
    assert_eq!(flushed(Server::start(&[]), &[os]), 0.0);
    assert_eq!(flushed(Server::start(&[]), &[os, ("flush.messages", "1")]), 2.0);
    assert_eq!(flushed(Server::start(&[("log.flush.interval.messages", "2")]), &[os]), 1.0);
    assert_eq!(flushed(Server::start(&[("log.flush.interval.messages", "1")]), &[]), 0.0, "the lane syncs each anyway");
}

#[test]
fn flush_ms_of_a_topic_or_the_broker_brings_a_checkpoint_early() {
    let os = ("millstream.durability", "os");
    for (broker, topic) in [(vec![], vec![os, ("flush.ms", "10")]), (vec![("log.flush.interval.ms", "10")], vec![os])] {
        let server = Server::start(&broker);
        let mut peer = server.peer();
        create(&mut peer, &topic);
        let (before, began) = (server.reading("checkpoint_seconds_count"), Instant::now());
        assert_eq!(produce(&mut peer, batch(&["a"])).error_code, 0);
        until(&server, "checkpoint_seconds_count", |count| count > before);
        assert!(began.elapsed().as_secs() < 9, "the usual checkpoint would have come");
    }
}

#[test]
fn reads_are_counted_by_where_they_were_answered() {
    let server = Server::start(&[]);
    let mut peer = server.peer();
    create(&mut peer, &[]);
    produce(&mut peer, batch(&["a"]));
    fetch(&mut peer, 0, 0, 1 << 20);
    assert_eq!((server.reading("tail_hits_total"), server.reading("tail_misses_total")), (1.0, 0.0));
    fetch(&mut peer, 1, 0, 1 << 20);
    assert_eq!(server.reading("tail_hits_total"), 1.0, "there was nothing new");
    drop(peer);
    let server = Server::start_in(server.stop(), &[]);
    let asked = |server: &Server| server.reading("page_cache_hits_total") + server.reading("page_cache_misses_total");
    let before = asked(&server);
    fetch(&mut server.peer(), 0, 0, 1 << 20);
    assert_eq!((server.reading("tail_hits_total"), server.reading("tail_misses_total")), (0.0, 1.0));
    assert!(asked(&server) > before);
    assert!(server.reading("storage_open_files") >= 1.0);
}

#[test]
fn groups_are_counted_by_state() {
    let server = Server::start(&[]);
    let mut peer = server.peer();
    assert_eq!(server.reading("groups{state=\"Empty\"}"), 0.0);
    create_wide(&mut peer);
    find_coordinator(&mut peer);
    commit(&mut peer, 1, "");
    assert_eq!(server.reading("groups{state=\"Empty\"}"), 1.0);
    let heartbeats = "requests_total{api=\"Heartbeat\"}";
    let before = server.reading(heartbeats);
    let _ = peer.ask(&HeartbeatRequest { group_id: GROUP.to_owned(), ..HeartbeatRequest::default() }, 4);
    assert_eq!(server.reading(heartbeats), before + 1.0);
}

const DASHBOARD: &str = include_str!("../../../../deploy/grafana/millstream.json");
const DASHBOARD_README: &str = include_str!("../../../../deploy/grafana/README.md");

/// Names of the samples that the documented metrics have.
fn documented_samples() -> BTreeSet<String> {
    let samples = |(name, kind): (String, String)| {
        let suffixes: &[&str] = match kind.as_str() {
            "counter" => &["_total"],
            "gauge" => &[""],
            "histogram" => &["_bucket", "_sum", "_count"],
            other => panic!("{name} is a {other}"),
        };
        suffixes.iter().map(|suffix| format!("{name}{suffix}")).collect::<Vec<_>>()
    };
    documented().into_iter().flat_map(samples).collect()
}

/// Words of a text that look like samples of ours.
fn samples_in(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '_'));
    words.filter(|word| word.starts_with("millstream_") || word.starts_with("process_"))
}

#[test]
fn the_dashboard_asks_for_metrics_that_exist_of_a_data_source_that_is_chosen() {
    let known = documented_samples();
    let dashboard: serde_json::Value = serde_json::from_str(DASHBOARD).unwrap();
    let (rows, panels): (Vec<_>, Vec<_>) =
        dashboard["panels"].as_array().unwrap().iter().partition(|panel| panel["type"] == "row");
    let titles: Vec<&str> = rows.iter().map(|row| row["title"].as_str().unwrap()).collect();
    assert_eq!(titles, ["Traffic", "Latency", "Storage", "Groups", "Compaction", "Process"]);
    let mut asked = BTreeSet::new();
    for panel in panels {
        assert_eq!(panel["datasource"]["uid"], "${datasource}", "{}", panel["title"]);
        for target in panel["targets"].as_array().unwrap() {
            let expression = target["expr"].as_str().unwrap();
            let names: Vec<&str> = samples_in(expression).collect();
            assert!(!names.is_empty(), "{expression} asks for nothing of ours");
            asked.extend(names);
        }
    }
    let variables = dashboard["templating"]["list"].as_array().unwrap();
    assert_eq!(variables[0]["type"], "datasource");
    asked.extend(variables.iter().filter_map(|variable| variable["definition"].as_str()).flat_map(samples_in));
    asked.extend(samples_in(DASHBOARD_README));
    let unknown: Vec<&&str> = asked.iter().filter(|name| !known.contains(**name)).collect();
    assert!(unknown.is_empty(), "{unknown:?} do not exist");
    let ids: BTreeSet<i64> =
        dashboard["panels"].as_array().unwrap().iter().map(|panel| panel["id"].as_i64().unwrap()).collect();
    assert_eq!(ids.len(), dashboard["panels"].as_array().unwrap().len(), "each panel has an id of its own");
}
