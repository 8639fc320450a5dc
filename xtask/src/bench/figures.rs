//! Figures, and what several repetitions say of them: median, spread, ratio.

use std::fmt;

use super::contestant::Who;

/// A figure that a row reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Figure {
    pub(super) name: &'static str,
    pub(super) unit: &'static str,
    pub(super) better: Better,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Better {
    Lower,
    Higher,
}

const fn lower(name: &'static str, unit: &'static str) -> Figure {
    Figure { name, unit, better: Better::Lower }
}

const fn higher(name: &'static str, unit: &'static str) -> Figure {
    Figure { name, unit, better: Better::Higher }
}

pub(super) const START: Figure = lower("start to first Metadata answer", "ms");
pub(super) const IDLE_MEMORY: Figure = lower("resident memory, idle", "MiB");
pub(super) const IDLE_CPU: Figure = lower("CPU while idle", "% of a core");
pub(super) const WAKEUPS: Figure = lower("wakeups while idle", "1/s");
pub(super) const LOADED_MEMORY: Figure = lower("resident memory after the load", "MiB");
pub(super) const MOST_MEMORY: Figure = lower("resident memory at most", "MiB");
pub(super) const THROUGHPUT: Figure = higher("throughput", "MB/s");
pub(super) const REQUESTS: Figure = higher("requests per second", "1/s");
pub(super) const RECORDS: Figure = higher("records per second", "1/s");
pub(super) const BROKER_CPU: Figure = lower("broker CPU", "s/GB");
pub(super) const MACHINE_CPU: Figure = lower("CPU of the whole machine, less the load generator's", "s/GB");
pub(super) const REQUEST_CPU: Figure = lower("broker CPU", "µs/request");
pub(super) const MACHINE_REQUEST_CPU: Figure =
    lower("CPU of the whole machine, less the load generator's", "µs/request");
pub(super) const WRITTEN: Figure = lower("bytes written by the broker, per byte produced", "");
pub(super) const DISK_WRITTEN: Figure = lower("bytes written by the disk, per byte produced", "");
pub(super) const FLUSHES: Figure = lower("flushes of the disk, per request", "");
pub(super) const P50: Figure = lower("latency p50", "ms");
pub(super) const P99: Figure = lower("latency p99", "ms");
pub(super) const P999: Figure = lower("latency p99.9", "ms");
pub(super) const MAX: Figure = lower("latency max", "ms");
pub(super) const DISK_P50: Figure = lower("the disk's own synced write just before, p50", "ms");
pub(super) const OVER_DISK: Figure = lower("latency p50 beyond the disk's own", "ms");
pub(super) const DISK_RATE: Figure = higher("the disk's own synced writes just before, as many at once", "1/s");
pub(super) const DISK_RATE_SHARE: Figure = higher("requests per synced write that the disk can do", "");
pub(super) const DISK_BANDWIDTH: Figure = higher("the disk's own synced writes just before, as many at once", "MB/s");
pub(super) const DISK_BANDWIDTH_SHARE: Figure = higher("throughput by the disk's own", "");
pub(super) const CREATE: Figure = lower("until all are usable", "ms");
pub(super) const CREATE_CPU: Figure = lower("broker CPU", "ms");
pub(super) const CREATED_MEMORY: Figure = lower("resident memory with the partitions, unused", "MiB");
pub(super) const USED_MEMORY: Figure = lower("resident memory with a record in each", "MiB");
pub(super) const CLEAN_RESTART: Figure = lower("restart after a clean stop, until all are usable", "ms");
pub(super) const KILLED_RESTART: Figure = lower("restart after kill -9, until all are usable", "ms");
pub(super) const RESTARTED_MEMORY: Figure = lower("resident memory after the restart", "MiB");
pub(super) const FIRST_P99: Figure = lower("latency p99 of the first record of a partition", "ms");
pub(super) const QUIET_P999: Figure = lower("latency p99.9, quiet", "ms");
pub(super) const BUSY_P999: Figure = lower("latency p99.9, beside checkpoints and compaction", "ms");
pub(super) const DISTURBANCE: Figure = lower("p99.9 beside them by p99.9 when quiet", "");
pub(super) const KEPT: Figure = lower("what the compacted topic keeps of what was produced to it", "");
pub(super) const CONNECTION_MEMORY: Figure = lower("resident memory of the broker, per idle connection", "KiB");
pub(super) const P99_ALONE: Figure = lower("latency p99 of the busy connections, alone", "ms");
pub(super) const P99_AMONG_IDLE: Figure = lower("latency p99 of the busy connections, among idle ones", "ms");
pub(super) const IDLE_BURDEN: Figure = lower("p99 among idle connections by p99 alone", "");
pub(super) const PRODUCE_GROWTH: Figure = lower("CPU per record produced, last by first", "");
pub(super) const HEAD_GROWTH: Figure = lower("CPU per record read at the head, last by first", "");
pub(super) const MIDDLE_GROWTH: Figure = lower("CPU per record read in the middle, last by first", "");
pub(super) const END_GROWTH: Figure = lower("CPU per record read at the end, last by first", "");

/// What one run of a row measured, in the order in which it is printed.
pub(super) type Measured = Vec<(Figure, f64)>;

/// The median of several runs with their range.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Summary {
    pub(super) median: f64,
    min: f64,
    max: f64,
}

impl Summary {
    /// `None` without values.
    pub(super) fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        let (min, max) = (*values.first()?, *values.last()?);
        let middle = values.len() / 2;
        let median = if values.len().is_multiple_of(2) {
            f64::midpoint(values[middle - 1], values[middle])
        } else {
            values[middle]
        };
        Some(Self { median, min, max })
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", number(self.median))?;
        if self.min < self.max { write!(f, " ({}–{})", number(self.min), number(self.max)) } else { Ok(()) }
    }
}

/// Three significant digits, more for large numbers.
pub(super) fn number(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        ..0.995 => format!("{value:.3}"),
        ..9.95 => format!("{value:.2}"),
        ..99.5 => format!("{value:.1}"),
        _ => {
            let digits = format!("{value:.0}");
            let (sign, digits) = digits.strip_prefix('-').map_or(("", &*digits), |digits| ("-", digits));
            let groups: Vec<&str> = digits
                .as_bytes()
                .rchunks(3)
                .rev()
                .map(|group| std::str::from_utf8(group).expect("digits are ASCII"))
                .collect();
            format!("{sign}{}", groups.join(","))
        }
    }
}

/// One figure of a row, of each contestant that has it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Compared {
    pub(super) figure: Figure,
    of: [Option<Summary>; Who::ALL.len()],
}

impl Compared {
    pub(super) fn of(&self, who: Who) -> Option<Summary> {
        self.of[who as usize]
    }

    /// Millstream's median by another's; `None` when one of them has none, or the other's is nothing.
    pub(super) fn ratio(&self, other: Who) -> Option<f64> {
        let (ours, theirs) = (self.of(Who::Millstream)?.median, self.of(other)?.median);
        (theirs > 0.0).then(|| ours / theirs)
    }
}

/// The figures of all runs, those of each contestant at its place.
pub(super) fn compare(runs: &[Vec<Measured>; Who::ALL.len()]) -> Vec<Compared> {
    let mut figures: Vec<Figure> = Vec::new();
    for (figure, _) in runs.iter().flatten().flatten() {
        if !figures.contains(figure) {
            figures.push(*figure);
        }
    }
    let summary = |runs: &Vec<Measured>, figure: Figure| {
        let of_run = |run: &Measured| run.iter().find(|(measured, _)| *measured == figure).map(|(_, value)| *value);
        Summary::of(runs.iter().filter_map(of_run).collect())
    };
    let compared = |figure| Compared { figure, of: runs.each_ref().map(|runs| summary(runs, figure)) };
    figures.into_iter().map(compared).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_is_the_median_with_its_range() {
        let summary = Summary::of(vec![3.0, 1.0, 2.0]).unwrap();
        assert_eq!((summary.median, summary.to_string()), (2.0, "2.00 (1.00–3.00)".to_owned()));
        assert_eq!(Summary::of(vec![4.0, 1.0]).unwrap().median, 2.5);
        assert_eq!(Summary::of(vec![0.5]).unwrap().to_string(), "0.500");
        assert_eq!(Summary::of(Vec::new()), None);
    }

    #[test]
    fn numbers_have_three_digits_or_more() {
        let cases =
            [(0.0, "0"), (0.0123, "0.012"), (1.0, "1.00"), (12.34, "12.3"), (123.4, "123"), (26_400.0, "26,400")];
        for (value, expected) in cases {
            assert_eq!(number(value), expected);
        }
        assert_eq!((number(1_234_567.0), number(-1234.0)), ("1,234,567".to_owned(), "-1,234".to_owned()));
    }

    #[test]
    fn contestants_are_compared_by_their_medians_and_may_lack_a_figure() {
        let runs =
            |values: &[f64]| -> Vec<Measured> { values.iter().map(|value| vec![(BROKER_CPU, *value)]).collect() };
        let mut all = [runs(&[2.0, 4.0, 100.0]), Vec::new(), runs(&[1.0])];
        all[2][0].push((WAKEUPS, 3.0));
        let compared = compare(&all);
        assert_eq!(compared.len(), 2);
        assert_eq!((compared[0].ratio(Who::Kafka), compared[0].ratio(Who::Tuned)), (Some(0.25), None));
        assert_eq!(compared[1].of(Who::Millstream).map(|summary| summary.median), Some(3.0));
        assert!(compared[1].ratio(Who::Kafka).is_none());
    }
}
