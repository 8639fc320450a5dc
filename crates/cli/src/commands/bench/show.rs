//! What `millstream bench` shows: a bar on stderr while a load runs, the result in words.

use std::fmt::Write as _;
use std::io::{IsTerminal as _, stderr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};
use millstream_bench::{Latency, Limit, Progress, Report};

/// How often the bar moves: seldom, because what is shown is not what is measured.
const TICK: Duration = Duration::from_millis(200);

/// Runs a load and shows on a terminal how far it is.
pub(super) fn watched(name: &str, limit: Limit, load: impl FnOnce(&Progress) -> Result<Report>) -> Result<Report> {
    let progress = Progress::default();
    if !stderr().is_terminal() {
        return load(&progress);
    }
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watcher = scope.spawn(|| watch(name, limit, &progress, &ended));
        let report = load(&progress);
        ended.store(true, Ordering::Relaxed);
        watcher.thread().unpark();
        report
    })
}

fn watch(name: &str, limit: Limit, progress: &Progress, ended: &AtomicBool) {
    let begun = Instant::now();
    let bar = ProgressBar::new(1000);
    let style = ProgressStyle::with_template("{prefix} {bar:30} {msg}").expect("the template is well-formed");
    bar.set_style(style);
    bar.set_prefix(name.to_owned());
    while !ended.load(Ordering::Relaxed) {
        let elapsed = begun.elapsed();
        bar.set_position(share(limit, progress, elapsed));
        let rate = progress.bytes() as f64 / elapsed.as_secs_f64() / 1e6;
        bar.set_message(format!("{} requests, {rate:.0} MB/s", grouped(progress.requests())));
        std::thread::park_timeout(TICK);
    }
    bar.finish_and_clear();
}

/// How far the load is towards whichever limit is nearest, in thousandths.
fn share(limit: Limit, progress: &Progress, elapsed: Duration) -> u64 {
    let of = |done: f64, all: f64| if all > 0.0 { done / all } else { 1.0 };
    let shares = [
        limit.bytes.map(|bytes| of(progress.bytes() as f64, bytes as f64)),
        limit.requests.map(|requests| of(progress.requests() as f64, requests as f64)),
        limit.duration.map(|duration| of(elapsed.as_secs_f64(), duration.as_secs_f64())),
    ];
    let furthest = shares.into_iter().flatten().fold(0.0, f64::max);
    (furthest.min(1.0) * 1000.0) as u64
}

/// A result for people, a few lines.
pub(super) fn text(report: &Report) -> String {
    let mut text = String::new();
    let requests = grouped(report.requests);
    let mut line = |words: std::fmt::Arguments<'_>| writeln!(text, "{words}").expect("a string takes every write");
    line(format_args!("{}: {requests} requests in {:.3} s", report.load, report.seconds));
    if report.requests > 1 {
        line(format_args!("  {} requests/s", grouped(report.requests_per_second.round() as u64)));
    }
    if report.records > 0 {
        let (records, per_second) = (grouped(report.records), grouped(report.records_per_second.round() as u64));
        line(format_args!("  {records} records, {per_second} records/s"));
        line(format_args!("  {} of batches, {:.1} MB/s", megabytes(report.bytes), report.megabytes_per_second));
    } else if report.bytes > 0 {
        line(format_args!("  {}, {:.1} MB/s", megabytes(report.bytes), report.megabytes_per_second));
    }
    if let Some(payload) = report.payload_bytes.filter(|payload| *payload > 0) {
        let share = 100.0 * report.bytes as f64 / payload as f64;
        line(format_args!("  {} of values: the batches are {share:.0} % of that", megabytes(payload)));
    }
    if let Some(latency) = &report.latency {
        line(format_args!("  latency {}", percentiles(latency)));
    }
    line(format_args!("  the load generator used {:.2} s of CPU", report.generator_cpu_seconds));
    text
}

/// Results for people, a line each below a common head.
pub(super) fn table(results: &[(&str, Report)]) -> String {
    const HEAD: [&str; 7] = ["", "requests/s", "MB/s", "p50 ms", "p99 ms", "p99.9 ms", "max ms"];
    let row = |(title, report): &(&str, Report)| {
        let [p50, p99, p999, max] = report.latency.map_or([const { String::new() }; 4], |latency| {
            [latency.p50_us, latency.p99_us, latency.p999_us, latency.max_us].map(|us| format!("{:.3}", us / 1e3))
        });
        let requests = grouped(report.requests_per_second.round() as u64);
        [(*title).to_owned(), requests, format!("{:.1}", report.megabytes_per_second), p50, p99, p999, max]
    };
    let rows: Vec<[String; 7]> = [HEAD.map(str::to_owned)].into_iter().chain(results.iter().map(row)).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let mut text = String::new();
    for row in &rows {
        write!(text, "{:width$}", row[0], width = width(0)).expect("a string takes every write");
        for (column, cell) in row.iter().enumerate().skip(1) {
            write!(text, "  {cell:>width$}", width = width(column)).expect("a string takes every write");
        }
        text.truncate(text.trim_end().len());
        text.push('\n');
    }
    text
}

fn percentiles(latency: &Latency) -> String {
    let Latency { p50_us, p99_us, p999_us, max_us, .. } = *latency;
    let [p50, p99, p999, max] = [p50_us, p99_us, p999_us, max_us].map(milliseconds);
    format!("p50 {p50}  p99 {p99}  p99.9 {p999}  max {max}")
}

fn milliseconds(us: f64) -> String {
    if us < 10_000.0 { format!("{:.3} ms", us / 1e3) } else { format!("{:.1} ms", us / 1e3) }
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

/// 1234567 as 1,234,567.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let latency =
            Latency { count: 4, mean_us: 1.0, p50_us: 106.4, p99_us: 227.0, p999_us: 12_345.0, max_us: 60_000.0 };
        Report {
            load: "produce",
            seconds: 2.5,
            requests: 12_345,
            records: 2_000_000,
            bytes: 1_000_000_000,
            payload_bytes: Some(2_000_000_000),
            requests_per_second: 4938.0,
            records_per_second: 800_000.0,
            megabytes_per_second: 400.0,
            latency: Some(latency),
            generator_cpu_seconds: 0.251,
        }
    }

    #[test]
    fn results_are_a_table() {
        let quick = Report { megabytes_per_second: 12_000.0, latency: None, ..report() };
        insta::assert_snapshot!(table(&[("fetch", quick), ("end to end", report())]), @r"
                    requests/s     MB/s  p50 ms  p99 ms  p99.9 ms  max ms
        fetch            4,938  12000.0
        end to end       4,938    400.0   0.106   0.227    12.345  60.000
        ");
    }

    #[test]
    fn a_result_is_a_few_lines() {
        insta::assert_snapshot!(text(&report()), @r"
        produce: 12,345 requests in 2.500 s
          4,938 requests/s
          2,000,000 records, 800,000 records/s
          1000.0 MB of batches, 400.0 MB/s
          2000.0 MB of values: the batches are 50 % of that
          latency p50 0.106 ms  p99 0.227 ms  p99.9 12.3 ms  max 60.0 ms
          the load generator used 0.25 s of CPU
        ");
    }

    #[test]
    fn bytes_without_records_are_shown_as_well() {
        let written = Report { load: "disk", records: 0, payload_bytes: None, ..report() };
        assert!(text(&written).contains("\n  1000.0 MB, 400.0 MB/s\n"), "{}", text(&written));
    }

    #[test]
    fn the_nearest_limit_is_what_the_bar_shows() {
        let limit = Limit { requests: Some(10), duration: Some(Duration::from_secs(10)), bytes: None };
        assert_eq!(share(limit, &Progress::default(), Duration::from_secs(5)), 500);
        assert_eq!(share(Limit::default(), &Progress::default(), Duration::from_secs(5)), 0);
    }
}
