//! The targets: each line of the table in issue 4, the row and the figure that answer it, and whether they do.
//!
//! The page opens with them. A line without a row would be one that nobody measures: the tests forbid it.

use super::{
    contestant::Who,
    figures::{self, Better, Compared, Figure, number},
};

pub(super) struct Target {
    pub(super) line: &'static str,
    pub(super) checks: &'static [Check],
}

/// One condition of a line.
pub(super) struct Check {
    pub(super) row: &'static str,
    pub(super) figure: Figure,
    wanted: Wanted,
}

#[derive(Clone, Copy)]
enum Wanted {
    /// Millstream's median by that of Kafka at its defaults.
    OfKafka(f64),
    /// Millstream's median itself.
    Value(f64),
    /// The line says that it stands beside the others.
    Beside,
}

const fn ratio(row: &'static str, figure: Figure, wanted: f64) -> Check {
    Check { row, figure, wanted: Wanted::OfKafka(wanted) }
}

const fn value(row: &'static str, figure: Figure, wanted: f64) -> Check {
    Check { row, figure, wanted: Wanted::Value(wanted) }
}

const fn beside(row: &'static str, figure: Figure) -> Check {
    Check { row, figure, wanted: Wanted::Beside }
}

pub(super) static TARGETS: [Target; 22] = [
    Target { line: "start to first Metadata answer", checks: &[value("start", figures::START, 30.0)] },
    Target {
        line: "resident memory, idle / after 40 GB of load",
        checks: &[value("start", figures::IDLE_MEMORY, 20.0), value("loaded", figures::LOADED_MEMORY, 200.0)],
    },
    Target {
        line: "broker CPU per GB produced, 1 MB batches, acks=1, `os`: warm / cold pages",
        checks: &[ratio("produce-1", figures::BROKER_CPU, 0.4), ratio("produce-1-cold", figures::BROKER_CPU, 0.5)],
    },
    Target {
        line: "the same, acks=all, `fsync`, against Kafka that syncs nothing",
        checks: &[ratio("produce-fsync-1", figures::BROKER_CPU, 0.55), beside("produce-fsync-1", figures::MACHINE_CPU)],
    },
    Target {
        line: "broker CPU per GB, 16 KiB batches; with lz4 batches",
        checks: &[
            ratio("produce-16k", figures::BROKER_CPU, 0.2),
            ratio("produce-16k-lz4", figures::BROKER_CPU, 0.5),
            ratio("produce-lz4", figures::BROKER_CPU, 0.5),
        ],
    },
    Target {
        line: "CPU per one-record request; requests per second",
        checks: &[
            value("one-record", figures::REQUEST_CPU, 8.0),
            ratio("one-record", figures::REQUEST_CPU, 0.16),
            ratio("one-record", figures::REQUESTS, 4.0),
        ],
    },
    Target {
        line: "produce throughput, 1 and 4 connections, 1 MB batches, `os`",
        checks: &[ratio("produce-1", figures::THROUGHPUT, 1.7), ratio("produce-4", figures::THROUGHPUT, 1.7)],
    },
    Target {
        line: "produce p99.9 at 4 connections, across segment rolls; longest stall",
        checks: &[ratio("produce-rolls", figures::P999, 1.0), value("produce-rolls", figures::MAX, 50.0)],
    },
    Target {
        line: "durable, 4 KiB, 1 in flight: beyond the disk's own sync; at most one sync per append, and 5 % for checkpoints",
        checks: &[value("durable-4k-1", figures::OVER_DISK, 0.15), value("durable-4k-1", figures::FLUSHES, 1.05)],
    },
    Target {
        line: "durable, 4 KiB, 8 in flight; 1 and 100 partitions",
        checks: &[
            value("durable-4k-8", figures::DISK_RATE_SHARE, 0.9),
            ratio("durable-4k-8", figures::REQUESTS, 5.0),
            value("durable-4k-8-spread", figures::DISK_RATE_SHARE, 0.9),
            ratio("durable-4k-8-spread", figures::REQUESTS, 5.0),
        ],
    },
    Target {
        line: "durable, 1 MiB",
        checks: &[
            value("durable-1m-1", figures::DISK_BANDWIDTH_SHARE, 0.9),
            ratio("durable-1m-1", figures::THROUGHPUT, 1.3),
            value("durable-1m-4", figures::DISK_BANDWIDTH_SHARE, 0.9),
            ratio("durable-1m-4", figures::THROUGHPUT, 1.3),
        ],
    },
    Target {
        line: "disk bytes written per byte produced: large runs / small batches",
        checks: &[
            value("produce-fsync-1", figures::DISK_WRITTEN, 1.1),
            value("produce-fsync-4", figures::DISK_WRITTEN, 1.1),
            value("produce-fsync-16k", figures::DISK_WRITTEN, 2.2),
            value("durable-4k-8", figures::DISK_WRITTEN, 2.2),
        ],
    },
    Target {
        line: "consume: from segments / from the tail",
        checks: &[
            ratio("fetch-1", figures::BROKER_CPU, 0.6),
            ratio("fetch-1", figures::THROUGHPUT, 1.5),
            ratio("fetch-4", figures::BROKER_CPU, 0.6),
            ratio("fetch-4", figures::THROUGHPUT, 1.5),
            ratio("tail-1", figures::BROKER_CPU, 0.4),
            ratio("tail-4", figures::BROKER_CPU, 0.4),
        ],
    },
    Target {
        line: "end to end, 100 B, `os`: p50 / p99 / p99.9",
        checks: &[
            ratio("e2e-os", figures::P50, 0.5),
            ratio("e2e-os", figures::P99, 0.5),
            ratio("e2e-os", figures::P999, 0.5),
        ],
    },
    Target {
        line: "end to end, 100 B, `fsync`: beyond the disk's own sync",
        checks: &[value("e2e-fsync", figures::OVER_DISK, 0.25)],
    },
    Target {
        line: "Java producer at its defaults, acks=all: `os` / `fsync`",
        checks: &[ratio("java-os", figures::RECORDS, 1.2), ratio("java-fsync", figures::RECORDS, 0.9)],
    },
    Target {
        line: "acknowledgement p99.9 during checkpoints and compaction, by quiet",
        checks: &[value("disturbed", figures::DISTURBANCE, 3.0), beside("disturbed", figures::KEPT)],
    },
    Target {
        line: "10,000 partitions: create / memory / clean restart / restart after kill -9",
        checks: &[
            value("partitions-10k", figures::CREATE, 1000.0),
            value("partitions-10k", figures::USED_MEMORY, 100.0),
            value("partitions-10k", figures::CLEAN_RESTART, 1000.0),
            value("partitions-10k", figures::KILLED_RESTART, 3000.0),
        ],
    },
    Target {
        line: "100,000 partitions on one node: restart, memory, produce to a random one",
        checks: &[
            value("partitions-100k", figures::CLEAN_RESTART, 10_000.0),
            value("partitions-100k", figures::RESTARTED_MEMORY, 400.0),
            value("partitions-100k", figures::P99, 2.0),
        ],
    },
    Target {
        line: "10,000 idle connections: memory of each; busy connections' p99 by without them",
        checks: &[
            value("idle-connections", figures::CONNECTION_MEMORY, 6.0),
            value("idle-connections", figures::IDLE_BURDEN, 1.1),
        ],
    },
    Target { line: "idle broker", checks: &[value("start", figures::WAKEUPS, 5.0)] },
    Target {
        line: "cost per record as a partition grows from 1 GB to 20 GB: produced; read at its head, middle and end",
        checks: &[
            value("growth", figures::PRODUCE_GROWTH, 1.1),
            value("growth", figures::HEAD_GROWTH, 1.1),
            value("growth", figures::MIDDLE_GROWTH, 1.1),
            value("growth", figures::END_GROWTH, 1.1),
        ],
    },
];

/// What came of a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Met,
    Missed,
    /// The row has no such figure in this run, or there is nothing to compare it with.
    Unknown,
    /// There is no condition.
    Shown,
}

impl Check {
    /// The condition in a few signs.
    pub(super) fn wanted(&self) -> String {
        let sign = if self.figure.better == Better::Lower { '≤' } else { '≥' };
        match self.wanted {
            Wanted::OfKafka(wanted) => format!("{sign} {wanted}×"),
            Wanted::Value(wanted) => format!("{sign} {} {}", number(wanted), self.figure.unit).trim_end().to_owned(),
            Wanted::Beside => "–".to_owned(),
        }
    }

    pub(super) fn verdict(&self, measured: Option<&Compared>) -> Verdict {
        let (found, wanted) = match self.wanted {
            Wanted::Beside => return Verdict::Shown,
            Wanted::OfKafka(wanted) => (measured.and_then(|one| one.ratio(Who::Kafka)), wanted),
            Wanted::Value(wanted) => (measured.and_then(|one| one.of(Who::Millstream)).map(|one| one.median), wanted),
        };
        match (found, self.figure.better) {
            (None, _) => Verdict::Unknown,
            (Some(found), Better::Lower) if found <= wanted => Verdict::Met,
            (Some(found), Better::Higher) if found >= wanted => Verdict::Met,
            (Some(_), _) => Verdict::Missed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::{figures::compare, rows::ROWS};

    #[test]
    fn every_target_names_rows_that_are_there() {
        for target in &TARGETS {
            assert!(!target.checks.is_empty(), "{}", target.line);
            for check in target.checks {
                assert!(ROWS.iter().any(|row| row.name == check.row), "{}: {}", target.line, check.row);
            }
        }
    }

    #[test]
    fn a_target_is_met_on_its_side_of_the_limit() {
        let of = |figure, kafka: f64, millstream: f64| {
            compare(&[vec![vec![(figure, kafka)]], Vec::new(), vec![vec![(figure, millstream)]]]).remove(0)
        };
        let cpu = ratio("produce-1", figures::BROKER_CPU, 0.4);
        assert_eq!(cpu.verdict(Some(&of(figures::BROKER_CPU, 1.0, 0.4))), Verdict::Met);
        assert_eq!(cpu.verdict(Some(&of(figures::BROKER_CPU, 1.0, 0.404))), Verdict::Missed, "it is not rounded away");
        assert_eq!(cpu.verdict(Some(&of(figures::BROKER_CPU, 0.0, 0.4))), Verdict::Unknown);
        assert_eq!((cpu.verdict(None), cpu.wanted()), (Verdict::Unknown, "≤ 0.4×".to_owned()));
        let requests = ratio("one-record", figures::REQUESTS, 4.0);
        assert_eq!(requests.verdict(Some(&of(figures::REQUESTS, 10.0, 39.9))), Verdict::Missed);
        assert_eq!(requests.verdict(Some(&of(figures::REQUESTS, 10.0, 40.0))), Verdict::Met);
        let start = value("start", figures::START, 30.0);
        assert_eq!(start.verdict(Some(&of(figures::START, 1.0, 29.0))), Verdict::Met);
        assert_eq!(start.wanted(), "≤ 30.0 ms");
        assert_eq!(beside("x", figures::KEPT).verdict(None), Verdict::Shown);
    }
}
