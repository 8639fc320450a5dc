//! Figures, and what several repetitions say of them: median, spread, ratio.

use std::fmt;

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
pub(super) const IDLE_MEMORY: Figure = lower("resident memory, idle", "MB");
pub(super) const IDLE_CPU: Figure = lower("CPU while idle", "% of a core");
pub(super) const LOADED_MEMORY: Figure = lower("resident memory after all loads", "MB");
pub(super) const MOST_MEMORY: Figure = lower("resident memory at most", "MB");
pub(super) const THROUGHPUT: Figure = higher("throughput", "MB/s");
pub(super) const REQUESTS: Figure = higher("requests per second", "1/s");
pub(super) const BROKER_CPU: Figure = lower("broker CPU", "s/GB");
pub(super) const MACHINE_CPU: Figure = lower("CPU of the whole machine, less the load generator's", "s/GB");
pub(super) const REQUEST_CPU: Figure = lower("broker CPU", "µs/request");
pub(super) const MACHINE_REQUEST_CPU: Figure =
    lower("CPU of the whole machine, less the load generator's", "µs/request");
pub(super) const WRITTEN: Figure = lower("bytes written by the broker, per byte produced", "");
pub(super) const DISK_WRITTEN: Figure = lower("bytes written by the disk, per byte produced", "");
pub(super) const P50: Figure = lower("latency p50", "ms");
pub(super) const P99: Figure = lower("latency p99", "ms");
pub(super) const P999: Figure = lower("latency p99.9", "ms");
pub(super) const MAX: Figure = lower("latency max", "ms");
pub(super) const CREATE: Figure = lower("until all are usable", "ms");
pub(super) const CREATE_CPU: Figure = lower("broker CPU", "ms");

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

/// One figure of a row, of both brokers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Compared {
    pub(super) figure: Figure,
    pub(super) kafka: Summary,
    pub(super) millstream: Summary,
}

impl Compared {
    /// Millstream's median by Kafka's; `None` when Kafka's is nothing.
    pub(super) fn ratio(&self) -> Option<f64> {
        (self.kafka.median > 0.0).then(|| self.millstream.median / self.kafka.median)
    }
}

/// The figures that both brokers have, from the runs of each.
pub(super) fn compare(kafka: &[Measured], millstream: &[Measured]) -> Vec<Compared> {
    let values = |runs: &[Measured], figure: Figure| {
        let of_run = |run: &Measured| run.iter().find(|(measured, _)| *measured == figure).map(|(_, value)| *value);
        Summary::of(runs.iter().filter_map(of_run).collect())
    };
    let figures = kafka.first().into_iter().flatten().map(|(figure, _)| *figure);
    let both =
        |figure| Some(Compared { figure, kafka: values(kafka, figure)?, millstream: values(millstream, figure)? });
    figures.filter_map(both).collect()
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
    fn both_brokers_are_compared_by_their_medians() {
        let runs =
            |values: &[f64]| -> Vec<Measured> { values.iter().map(|value| vec![(BROKER_CPU, *value)]).collect() };
        let compared = compare(&runs(&[2.0, 4.0, 100.0]), &runs(&[1.0]));
        assert_eq!((compared.len(), compared[0].ratio()), (1, Some(0.25)));
    }
}
